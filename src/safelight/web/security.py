"""Who may look at the dashboard and act there: one token, a cookie made from it, and forms that only it can fill.

Three things stand against pages of other sites in the operator's browser: the cookie is not sent with their requests
(SameSite), a form holds a word that they cannot read (CSRF token), and only known names of this server are answered
(DNS rebinding).
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

COOKIE = "safelight"
NAME = "safelight-name"
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
}


@dataclass(frozen=True)
class Door:
    """The lock of one running dashboard.

    Attributes:
        token: that opens it; at least 16 characters.
        hosts: names, with port, that it answers to.
    """

    token: str
    hosts: frozenset[str]

    @property
    def cookie(self) -> str:
        """What a browser keeps instead of the token."""
        return hmac.digest(self.token.encode(), b"cookie", "sha256").hex()

    @property
    def form(self) -> str:
        """The word that each form holds."""
        return hmac.digest(self.token.encode(), b"form", "sha256").hex()

    def opens(self, token: str) -> bool:
        """Whether this is the token; the time that it takes tells nothing of it."""
        return hmac.compare_digest(token.encode(), self.token.encode())

    def knows(self, cookies: Mapping[str, str]) -> bool:
        """Whether a browser has come through the door."""
        return hmac.compare_digest(cookies.get(COOKIE, "").encode(), self.cookie.encode())

    def is_for_here(self, headers: Mapping[str, str]) -> bool:
        """Whether a request names this server; one for another name comes from a page that was tricked here."""
        return headers.get("host", "").lower() in self.hosts

    def is_from_here(self, headers: Mapping[str, str], word: str) -> bool:
        """Whether a form was filled in on a page of this server."""
        if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return False
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() not in self.hosts:
            return False
        return hmac.compare_digest(word.encode(), self.form.encode())


def door(host: str, port: int, token: str | None = None) -> Door:
    """Return a lock for a server at this address; a token is drawn where none is given."""
    names = {host, "127.0.0.1", "localhost", "[::1]"}
    if ":" in host and not host.startswith("["):
        names.add(f"[{host}]")
    return Door(token or secrets.token_urlsafe(24), frozenset(f"{name}:{port}".lower() for name in names))
