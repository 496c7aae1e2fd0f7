"""A reverse proxy behind the guard: the model server stays as it is, and hears only from here.

aiohttp asks it, since an httpx client adds more delay than all of the guard (docs/guard.md has the figures).
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from safelight.errors import InputError, MissingExtra
from safelight.guard.connection import Connection
from safelight.guard.exchange import Answer, App, ClientGone, Receive, Scope, Send, TooLong, refuse, send_answer, whole
from safelight.guard.middleware import MOST, GuardMiddleware
from safelight.guard.policy import check_address, read_policy
from safelight.guard.problems import GONE, NOWHERE, TOO_LONG
from safelight.guard.registry.following import VERSION, Following
from safelight.guard.streaming import ASKED

try:
    import aiohttp
    import uvicorn
    from yarl import URL
except ImportError as missing:
    raise MissingExtra(str(missing.name), "guard", "The proxy") from None

HOP_BY_HOP = {b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"te", b"trailer",
              b"upgrade", b"transfer-encoding", b"host", b"content-length"}  # fmt: skip
"""Headers that are about one connection (RFC 9110, section 7.6.1), or that the client library writes."""
WRITTEN_HERE = HOP_BY_HOP | {b"date"}
"""Headers of an answer that do not go on: the guard's own server writes a date, and two would be one too many."""


class Upstream:
    """An ASGI app that asks the model server. Redirects are not followed, cookies not kept, proxies not asked.

    Args:
        url: of the server; paths are joined to it.
        timeout: seconds that an answer may take; of one that comes piece by piece, that each piece may take.
        connections: at most, to the server.

    Where the scope names a version of the model, its server is asked instead.
    """

    following: Following | None = None

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
        if not scope["path"].startswith("/"):  # else it could go on where the server's name stands
            await refuse(send, NOWHERE)
            return
        # The path is written from what was judged, never from the bytes that the client sent.
        query = scope.get("query_string", b"").decode("latin-1")
        version = scope.get(VERSION)
        base = self._url if version is None else version.url.rstrip("/")
        url = _address(base, scope["path"], query)
        headers = [
            (name.decode("latin-1"), value.decode("latin-1"))
            for name, value in scope["headers"]
            if name.lower() not in HOP_BY_HOP
        ]
        try:
            asked = self._client().request(
                scope["method"],
                url,
                data=body or None,
                headers=headers,
                allow_redirects=False,
                timeout=self._patience(scope),
            )
            async with asked as response:
                raw = [(name.lower(), value) for name, value in response.raw_headers]
                kept = [(name, value) for name, value in raw if name not in WRITTEN_HERE]
                status = response.status
                if scope.get(ASKED) and status == 200 and response.content_type == "text/event-stream":
                    await _pass(response, kept, send)
                    return
                content = await response.read()
        except (aiohttp.ClientError, TimeoutError):
            await refuse(send, GONE)
            return
        await send_answer(send, Answer(status, kept, b"" if scope["method"] == "HEAD" else content))

    def _patience(self, scope: Scope) -> aiohttp.ClientTimeout:
        if scope.get(ASKED):
            return aiohttp.ClientTimeout(total=None, connect=5.0, sock_read=self._timeout)
        return aiohttp.ClientTimeout(total=self._timeout, connect=5.0)

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                # Servers drop idle connections after 5 seconds (uvicorn); a question on one of those would be lost.
                connector=aiohttp.TCPConnector(limit=self._connections, keepalive_timeout=3.0),
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
                if self.following is not None:
                    self.following.close()
                await send({"type": "lifespan.shutdown.complete"})
                return


@lru_cache(maxsize=256)
def _address(base: str, path: str, query: str) -> URL:
    return URL(base + quote(path, safe="/:") + (f"?{query}" if query else ""), encoded=True)


async def _pass(response: aiohttp.ClientResponse, headers: list[tuple[bytes, bytes]], send: Send) -> None:
    """Pass an answer on as it comes; raises RuntimeError where it breaks off, since it has begun."""
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    try:
        async for part in response.content.iter_any():
            await send({"type": "http.response.body", "body": part, "more_body": True})
    except (aiohttp.ClientError, TimeoutError) as error:
        raise RuntimeError(f"the model server broke off ({type(error).__name__})") from None
    await send({"type": "http.response.body", "body": b""})


def guarded(policy: Path, upstream: str | None = None) -> GuardMiddleware:
    """Return the app that `safelight guard run` serves.

    Args:
        policy: guard.toml.
        upstream: address of the model server, instead of the policy's.

    Raises:
        InputError: the policy, its database or the address cannot be used.
    """
    rules = read_policy(policy).upstream
    asks = Upstream(upstream or rules.url)
    app = GuardMiddleware(asks, policy)
    if rules.version and upstream is None:
        asks.following = app.follow()
    return app


@dataclass(frozen=True)
class Tls:
    """How the guard itself ends TLS.

    Attributes:
        certificate: PEM file of the server's certificates.
        key: PEM file of its key; None where that is in the same file.
        client_ca: PEM file of the authority that vouches for clients; None where they show no certificate.
        always: whether nobody gets a connection without a certificate.
    """

    certificate: Path
    key: Path | None = None
    client_ca: Path | None = None
    always: bool = False

    def options(self) -> dict[str, Any]:
        """Return them as uvicorn names them."""
        wanted = ssl.CERT_REQUIRED if self.always else ssl.CERT_OPTIONAL
        return {
            "ssl_certfile": self.certificate,
            "ssl_keyfile": self.key,
            "ssl_ca_certs": None if self.client_ca is None else str(self.client_ca),
            "ssl_cert_reqs": ssl.CERT_NONE if self.client_ca is None else wanted,
        }


def serve(app: App, host: str, port: int, tls: Tls | None = None) -> None:
    """Serve until the process is told to stop.

    Args:
        app: to serve.
        host: address to listen at.
        port: to listen at.
        tls: None for plain HTTP.

    Raises:
        InputError: the port is taken or no port, or a file of certificates or keys cannot be used.
    """
    config = uvicorn.Config(
        app, host, port, log_level="warning", access_log=False, server_header=False, proxy_headers=False, ws="none",
        http=Connection, **({} if tls is None else tls.options()),
    )  # fmt: skip
    try:
        config.load()
    except (OSError, ssl.SSLError) as error:
        raise InputError(
            f"TLS cannot be ended with these files ({error}); see --cert, --key and --client-ca."
        ) from None
    try:
        listening = config.bind_socket()
    except (SystemExit, OverflowError):  # taken, of another machine, or no port at all
        raise InputError(
            f"Nothing can listen at {host}, port {port}; name a free one with --port, or another address with --host."
        ) from None
    uvicorn.Server(config).run(sockets=[listening])
