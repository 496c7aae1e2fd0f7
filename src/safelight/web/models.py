"""The page of model versions with their audits, and the forms that move an alias."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from safelight.guard.registry.moves import Stands, promote, registry_of, roll_back, shelf
from safelight.web.app import Desk


def overview(request: Request, desk: Desk) -> Response:
    """The versions, what their audits say beside the one that serves, and the moves so far."""
    policy = desk.policy
    have = shelf(policy, registry_of(policy, desk.store)) if policy.upstream.version else None
    return desk.page(request, "models.html", have=have, upstream=policy.upstream, stands=Stands)


def move(fields: dict[str, str], by: str, desk: Desk) -> str:
    """Point the alias at a version, or at the newest earlier one that is as good."""
    policy = desk.policy
    registry, now = registry_of(policy, desk.store), desk.clock()
    why = f"{fields.get('why', '')} (by {by})".strip()
    if fields.get("to"):
        done = promote(policy, registry, fields["to"], now, why=why)
    else:
        done = roll_back(policy, registry, now, why=why)
    return f"Version {done.to} serves now, after {done.before or 'none'}."
