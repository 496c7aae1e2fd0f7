"""Refusals as RFC 9457 problem JSON. They say what to do, and neither what was noticed nor where the line is."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from safelight.guard.judge import Decision, Verdict


@dataclass(frozen=True)
class Problem:
    """One refusal.

    Attributes:
        status: of HTTP.
        title: short, the same for every case of its kind.
        detail: what to do.
        retry_after: seconds, or None.
        work: challenge, and zero bits that it asks for, or None.
    """

    status: int
    title: str
    detail: str
    retry_after: int | None = None
    work: tuple[str, int] | None = None

    @property
    def body(self) -> bytes:
        """The JSON."""
        facts: dict[str, Any] = {"type": "about:blank", "title": self.title, "status": self.status}
        facts["detail"] = self.detail
        if self.work is not None:
            facts |= {"challenge": self.work[0], "bits": self.work[1]}
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
        if self.work is not None:
            headers.append(
                (b"www-authenticate", f'Safelight-Proof challenge="{self.work[0]}", bits={self.work[1]}'.encode())
            )
        elif self.status == 401:
            headers.append((b"www-authenticate", b"Bearer"))
        return headers


WHO = Problem(401, "Unauthorized", "Send the key of a known client.")
NOWHERE = Problem(404, "Not Found", "Nothing is served at this address and method.")
TOO_LONG = Problem(413, "Content Too Large", "Send fewer records in one question.")
UNREADABLE = Problem(400, "Bad Request", "The question cannot be read as one of this protocol.")
UNANSWERABLE = Problem(502, "Bad Gateway", "The model's answer cannot be passed on.")
GONE = Problem(502, "Bad Gateway", "The model server does not answer.", 5)
QUARANTINED = Problem(403, "Forbidden", "This client may not ask now; write to the operator.")
WORK = (
    "Send the same question again with the header Safelight-Proof: CHALLENGE.NONCE. NONCE is a whole number such that "
    "the SHA-256 of the header's value followed by the 32 bytes of the body's SHA-256 begins with this many zero bits."
)
CLOSED = Problem(503, "Service Unavailable", "The service cannot keep its records now.", 5)


def challenged(given: str, bits: int) -> Problem:
    """Return the refusal that asks for work; see `safelight.guard.challenge`."""
    return Problem(401, "Work Required", WORK, work=(given, bits))


def problem_of(decision: Decision) -> Problem | None:
    """Return the refusal of a call, or None where it may pass."""
    if decision.verdict is Verdict.LATER:
        return Problem(429, "Too Many Requests", "This client has asked enough for now.", decision.retry_after)
    if decision.verdict is Verdict.QUARANTINED:
        return QUARANTINED
    if decision.verdict is Verdict.TOO_LARGE:
        return TOO_LONG
    return None
