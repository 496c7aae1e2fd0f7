"""A webhook with a signature: who holds the key can tell that the guard sent it, and when."""

from __future__ import annotations

import hmac
import json
import time

from safelight.guard.alerts.message import Message
from safelight.guard.alerts.post import post
from safelight.guard.alerts.settings import AlertRoute

HEADER = "x-safelight-signature"


def signed(key: str, at: int, body: bytes) -> str:
    """Return the header of a body: "t=SECONDS,v1=HEX", HMAC-SHA256 over the seconds, a dot, and the body."""
    digest = hmac.digest(key.encode(), f"{at}.".encode() + body, "sha256").hex()
    return f"t={at},v1={digest}"


def genuine(key: str, header: str, body: bytes, now: float, within: float = 300.0) -> bool:
    """Say whether a body came from who holds the key, at most `within` seconds ago. For receivers in Python."""
    at, _, _ = header.removeprefix("t=").partition(",")
    if not (at.isascii() and at.isdigit() and len(at) < 16) or abs(now - int(at)) > within:
        return False
    return hmac.compare_digest(signed(key, int(at), body).encode(), header.encode())


def to_webhook(route: AlertRoute, message: Message) -> None:
    """Post the message, signed; raises Undelivered."""
    body = json.dumps(message.facts).encode()
    post(route.url or "", body, {HEADER: signed(route.secret("secret_env"), int(time.time()), body)})
