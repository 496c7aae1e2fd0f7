"""Refusals as RFC 9457 problem JSON. They say what to do, and neither what was noticed nor where the line is."""

from __future__ import annotations

import json
from dataclasses import dataclass

from safelight.guard.judge import Decision, Verdict


@dataclass(frozen=True)
class Problem:
    """One refusal.

    Attributes:
        status: of HTTP.
        title: short, the same for every case of its kind.
        detail: what to do.
        retry_after: seconds, or None.
    """

    status: int
    title: str
    detail: str
    retry_after: int | None = None

    @property
    def body(self) -> bytes:
        """The JSON."""
        facts = {"type": "about:blank", "title": self.title, "status": self.status, "detail": self.detail}
        return json.dumps(facts).encode()

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """Headers of the answer."""
        headers = [
            (b"content-type", b"application/problem+json"),
            (b"content-length", str(len(self.body)).encode()),
            (b"cache-control", b"no-store"),
        ]
        if self.retry_after is not None:
            headers.append((b"retry-after", str(self.retry_after).encode()))
        if self.status == 401:
            headers.append((b"www-authenticate", b"Bearer"))
        return headers


WHO = Problem(401, "Unauthorized", "Send the key of a known client.")
NOWHERE = Problem(404, "Not Found", "Nothing is served at this address and method.")
TOO_LONG = Problem(413, "Content Too Large", "Send fewer records in one question.")
UNREADABLE = Problem(400, "Bad Request", "The question cannot be read as one of this protocol.")
UNANSWERABLE = Problem(502, "Bad Gateway", "The model's answer cannot be passed on.")
GONE = Problem(502, "Bad Gateway", "The model server does not answer.", 5)
QUARANTINED = Problem(403, "Forbidden", "This client may not ask now; write to the operator.")
CLOSED = Problem(503, "Service Unavailable", "The service cannot keep its records now.", 5)


def problem_of(decision: Decision) -> Problem | None:
    """Return the refusal of a call, or None where it may pass."""
    if decision.verdict is Verdict.LATER:
        return Problem(429, "Too Many Requests", "This client has asked enough for now.", decision.retry_after)
    if decision.verdict is Verdict.QUARANTINED:
        return QUARANTINED
    if decision.verdict is Verdict.TOO_LARGE:
        return TOO_LONG
    return None
