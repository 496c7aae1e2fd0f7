"""The page of drift: audits that are due, and what drifted."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from safelight.guard.drift.due import dues
from safelight.web import facts
from safelight.web.app import Desk

LOOKED = 5000  # last rows of the log that are searched for drift


def overview(request: Request, desk: Desk) -> Response:
    """Audits that are due, and the last drift that was seen."""
    seen = [each for each in facts.lines(desk.store, LOOKED) if each.what in ("drift", "audit done")]
    return desk.page(request, "drift.html", dues=dues(desk.store), lines=seen[:100])
