"""Which page is at which path, and which form writes what."""

from __future__ import annotations

from typing import Any

from safelight.web import clients, drift, incidents, models
from safelight.web.app import Action, Desk, Handler, dashboard

SHOWN: dict[str, Handler] = {
    "/": clients.overview,
    "/clients/{name:path}": clients.one,
    "/incidents": incidents.overview,
    "/incidents/{name}": incidents.one,
    "/models": models.overview,
    "/drift": drift.overview,
    "/log": clients.log,
}
DONE: dict[str, Action] = {
    "/quarantine": clients.quarantine,
    "/release": clients.release,
    "/incidents/open": incidents.opened,
    "/incidents/move": incidents.move,
    "/incidents/decide": incidents.decide,
    "/incidents/notified": incidents.notified,
    "/approve": incidents.approve,
    "/models/move": models.move,
}


def app(desk: Desk) -> Any:
    """Return the dashboard as an ASGI app."""
    return dashboard(desk, SHOWN, DONE)
