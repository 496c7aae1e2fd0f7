"""Screenshots of the dashboard in headless Chromium; without a folder for them, or a browser, none are taken."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from processes import serving

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
QUIET = ("--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync")  # fmt: skip
WIDTH = 1100  # pixels


@dataclass(frozen=True)
class Camera:
    """Takes pictures of the dashboard's pages.

    Attributes:
        page: an open page of the browser, or None where none are taken.
        url: of the dashboard.
        into: folder for the pictures.
    """

    page: Any = None
    url: str = ""
    into: Path = Path()

    def take(self, name: str, path: str, highest: int = 900) -> None:
        """Write INTO/NAME.png of one page of the dashboard, cut below `highest` pixels."""
        if self.page is None:
            return
        self.page.goto(self.url + path)
        file, high = self.into / f"{name}.png", self.page.evaluate("document.documentElement.scrollHeight")
        self.page.screenshot(path=file, clip={"x": 0, "y": 0, "width": WIDTH, "height": min(high, highest)},
                             full_page=True)  # fmt: skip
        print(f"   Picture: {file}, {file.stat().st_size / 1000:.0f} kB")

    @classmethod
    @contextmanager
    def before(cls, folder: Path, into: Path | None, who: str) -> Iterator[Camera]:
        """Serve the dashboard of the guard in a folder, and enter it as `who`."""
        if into is None or BROWSER is None:
            if into is not None:
                print("   No pictures are taken: there is no Chromium on this machine.")
            yield cls()
            return
        try:
            from playwright.sync_api import sync_playwright
        except ImportError:
            print("   No pictures are taken: there is no Playwright here, which the extra dev has.")
            yield cls()
            return
        into.mkdir(parents=True, exist_ok=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        url, token = f"http://127.0.0.1:{port}", secrets.token_urlsafe(24)
        argv = [sys.executable, "-m", "safelight", "guard", "ui", "--port", str(port), "--token-env", "UI_TOKEN"]
        with serving(argv, folder / "ui.log", UI_TOKEN=token) as server, sync_playwright() as playwright:
            server.answers(f"{url}/enter")
            sandbox = () if os.geteuid() else ("--no-sandbox",)
            browser = playwright.chromium.launch(executable_path=BROWSER, args=[*QUIET, *sandbox])
            page = browser.new_page(viewport={"width": WIDTH, "height": 700})
            page.goto(url)
            page.get_by_label("Your name, for the log").fill(who)
            page.get_by_label("Token").fill(token)
            page.get_by_role("button", name="Sign in").click()
            yield cls(page, url, into)
            browser.close()
