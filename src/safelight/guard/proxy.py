"""A reverse proxy behind the guard: the model server stays as it is, and hears only from here.

aiohttp asks it, since an httpx client adds more delay than all of the guard (docs/guard.md has the figures).
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from safelight.errors import InputError, MissingExtra
from safelight.guard.exchange import Answer, ClientGone, Receive, Scope, Send, TooLong, refuse, send_answer, whole
from safelight.guard.middleware import MOST, GuardMiddleware
from safelight.guard.policy import check_address, read_policy
from safelight.guard.problems import GONE, TOO_LONG

try:
    import aiohttp
    import uvicorn
    from yarl import URL
except ImportError as missing:
    raise MissingExtra(str(missing.name), "guard", "The proxy") from None

HOP_BY_HOP = {b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"te", b"trailer",
              b"upgrade", b"transfer-encoding", b"host", b"content-length"}  # fmt: skip
"""Headers that are about one connection (RFC 9110, section 7.6.1), or that the client library writes."""


class Upstream:
    """An ASGI app that asks the model server. Redirects are not followed, cookies not kept, proxies not asked.

    Args:
        url: of the server; paths are joined to it.
        timeout: seconds that an answer may take.
        connections: at most, to the server.
    """

    def __init__(self, url: str, timeout: float = 60.0, connections: int = 100) -> None:
        check_address(url, "The address of the model server")
        self._url = url.rstrip("/")
        self._timeout, self._connections = timeout, connections
        self._session: aiohttp.ClientSession | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        if scope["type"] != "http":
            return
        try:
            body = await whole(receive, MOST)
        except ClientGone:
            return
        except TooLong:
            await refuse(send, TOO_LONG)
            return
        # The path is written from what was judged, never from the bytes that the client sent.
        query = scope.get("query_string", b"").decode("latin-1")
        url = URL(self._url + quote(scope["path"], safe="/:") + (f"?{query}" if query else ""), encoded=True)
        headers = [
            (name.decode("latin-1"), value.decode("latin-1"))
            for name, value in scope["headers"]
            if name.lower() not in HOP_BY_HOP
        ]
        try:
            asked = self._client().request(
                scope["method"], url, data=body or None, headers=headers, allow_redirects=False
            )
            async with asked as response:
                content = await response.read()
                kept = [(name.lower(), value) for name, value in response.raw_headers if name.lower() not in HOP_BY_HOP]
                status = response.status
        except (aiohttp.ClientError, TimeoutError):
            await refuse(send, GONE)
            return
        await send_answer(send, Answer(status, kept, b"" if scope["method"] == "HEAD" else content))

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                # Servers drop idle connections after 5 seconds (uvicorn); a question on one of those would be lost.
                connector=aiohttp.TCPConnector(limit=self._connections, keepalive_timeout=3.0),
                timeout=aiohttp.ClientTimeout(total=self._timeout, connect=5.0),
                cookie_jar=aiohttp.DummyCookieJar(),
                skip_auto_headers=("User-Agent", "Content-Type", "Accept"),
                auto_decompress=False,
                trust_env=False,
            )
        return self._session

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                if self._session is not None:
                    await self._session.close()
                await send({"type": "lifespan.shutdown.complete"})
                return


def guarded(policy: Path, upstream: str | None = None) -> GuardMiddleware:
    """Return the app that `safelight guard run` serves.

    Args:
        policy: guard.toml.
        upstream: address of the model server, instead of the policy's.

    Raises:
        InputError: the policy, its database or the address cannot be used.
    """
    return GuardMiddleware(Upstream(upstream or read_policy(policy).upstream.url), policy)


def serve(app: GuardMiddleware, host: str, port: int) -> None:
    """Serve until the process is told to stop.

    Raises:
        InputError: the port is taken or no port.
    """
    config = uvicorn.Config(
        app, host, port, log_level="warning", access_log=False, server_header=False, proxy_headers=False, ws="none"
    )
    try:
        listening = config.bind_socket()
    except SystemExit:
        raise InputError(f"Nothing can listen at {host}, port {port}; name a free one with --port.") from None
    uvicorn.Server(config).run(sockets=[listening])
