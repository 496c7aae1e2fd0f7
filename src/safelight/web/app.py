"""The dashboard as an ASGI app: pages over the guard's store, and forms that write through it."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote

from safelight.errors import MissingExtra, SafelightError
from safelight.guard.policy import GuardPolicy, read_policy
from safelight.guard.store import Store
from safelight.web.facts import when
from safelight.web.security import COOKIE, HEADERS, NAME, Door

try:
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.requests import Request
    from starlette.responses import HTMLResponse, RedirectResponse, Response
    from starlette.routing import Route
except ImportError:
    raise MissingExtra("starlette", "guard", "The dashboard") from None

LONGEST = 16_384  # bytes of a form
PAGES = (
    ("/", "Clients"),
    ("/incidents", "Incidents"),
    ("/models", "Models"),
    ("/drift", "Drift"),
    ("/log", "Log"),
)
STATIC = {
    "page.css": ("safelight.report", "templates/page.css", "text/css"),
    "dashboard.css": ("safelight.web", "static/dashboard.css", "text/css"),
    "htmx.min.js": ("safelight.web", "static/htmx.min.js", "text/javascript"),
}


@dataclass(frozen=True)
class Desk:
    """What a page is drawn from, and a form writes to.

    Attributes:
        store: of the guard.
        path: guard.toml.
        door: who may come in.
        clock: seconds since 1970.
    """

    store: Store
    path: Path
    door: Door
    clock: Callable[[], float] = time.time

    @property
    def policy(self) -> GuardPolicy:
        """As the file stands; raises InputError."""
        return read_policy(self.path)

    def page(self, request: Request, template: str, **facts: Any) -> Response:
        """Return a page."""
        query = request.query_params
        about = {"pages": PAGES, "here": _room(request.url.path), "word": self.door.form, "name": name_of(request)}
        about |= {"told": query.get("told", "")[:300], "trouble": query.get("trouble", "")[:500]}
        return HTMLResponse(templates().get_template(template).render(**about, **facts))


Handler = Callable[[Request, Desk], Response]
Action = Callable[[dict[str, str], str, Desk], str]
"""Takes the fields of a form and who sent it, and returns what to tell."""


def dashboard(desk: Desk, pages: dict[str, Handler], actions: dict[str, Action]) -> Any:
    """Return the app.

    Args:
        desk: what it shows and writes.
        pages: by path.
        actions: by path; each is a form's, and returns to the page that it came from.
    """
    routes = [
        Route("/enter", _enter(desk), methods=["GET", "POST"]),
        Route("/leave", _acting(desk, None), methods=["POST"]),
        Route("/static/{name}", _static),
        *(Route(path, _showing(desk, handler)) for path, handler in pages.items()),
        *(Route(path, _acting(desk, action), methods=["POST"]) for path, action in actions.items()),
    ]
    return Guarded(Starlette(routes=routes), desk.door)


class Guarded:
    """Answer only requests for a known name of this server, and put the headers on that keep a page to itself."""

    def __init__(self, app: Any, door: Door) -> None:
        self.app, self.door = app, door

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return

        async def headed(message: Any) -> None:
            if message["type"] == "http.response.start":
                added = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message["headers"] = [*message["headers"], *added]
            await send(message)

        app = self.app
        if not self.door.is_for_here(Request(scope).headers):
            app = HTMLResponse("This server is not known by that name.", 421)
        await app(scope, receive, headed)


@cache
def templates() -> Any:
    """Return the templates of this room; whatever they print is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = Environment(loader=PackageLoader("safelight.web"), autoescape=True, undefined=StrictUndefined)
    made.globals["when"] = when
    return made


def name_of(request: Request) -> str:
    """Return the name that the operator gave at the door."""
    return request.cookies.get(NAME, "operator")[:60]


def _room(path: str) -> str:
    return next((address for address, _ in PAGES[1:] if path.startswith(address)), "/")


def _showing(desk: Desk, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    async def show(request: Request) -> Response:
        if not desk.door.knows(request.cookies):
            return RedirectResponse("/enter", 303)
        try:
            return await run_in_threadpool(handler, request, desk)
        except SafelightError as error:
            text = templates().get_template("trouble.html")
            about = {"pages": PAGES, "here": "", "word": desk.door.form, "name": name_of(request), "told": ""}
            return HTMLResponse(text.render(**about, trouble=str(error)), 404 if "There is no" in str(error) else 503)

    return show


def _acting(desk: Desk, action: Action | None) -> Callable[[Request], Awaitable[Response]]:
    async def act(request: Request) -> Response:
        fields = await _form(request)
        if not desk.door.knows(request.cookies) or not desk.door.is_from_here(request.headers, fields.pop("word", "")):
            return HTMLResponse("This form was not filled in here. Open the page again.", 403)
        if action is None:
            left: Response = RedirectResponse("/enter", 303)
            left.delete_cookie(COOKIE)
            return left
        back = fields.pop("back", "/")
        back = back if back.startswith("/") and not back.startswith(("//", "/\\")) else "/"
        try:
            told = "told=" + quote(await run_in_threadpool(action, fields, name_of(request), desk))
        except SafelightError as error:
            told = "trouble=" + quote(str(error))
        return RedirectResponse(f"{back}{'&' if '?' in back else '?'}{told}", 303)

    return act


def _enter(desk: Desk) -> Callable[[Request], Awaitable[Response]]:
    async def enter(request: Request) -> Response:
        fields = await _form(request) if request.method == "POST" else dict(request.query_params)
        if "token" not in fields:
            return HTMLResponse(templates().get_template("enter.html").render(trouble=""))
        if not desk.door.opens(fields["token"]):
            trouble = "That is not the token of this dashboard."
            return HTMLResponse(templates().get_template("enter.html").render(trouble=trouble), 403)
        response = RedirectResponse("/", 303)
        name = "".join(c for c in fields.get("name", "operator") if c.isascii() and (c.isalnum() or c in " .@-"))
        for cookie, value in ((COOKIE, desk.door.cookie), (NAME, name.strip()[:60] or "operator")):
            response.set_cookie(cookie, value, httponly=True, samesite="strict")
        return response

    return enter


async def _form(request: Request) -> dict[str, str]:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > LONGEST:
            return {}
    return {name: values[-1].strip() for name, values in parse_qs(body.decode("utf-8", "replace")).items()}


async def _static(request: Request) -> Response:
    found = STATIC.get(request.path_params["name"])
    if found is None:
        return Response(status_code=404)
    package, place, kind = found
    return Response(files(package).joinpath(place).read_bytes(), media_type=kind)
