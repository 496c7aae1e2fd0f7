"""The pages of incidents, with their clocks and what waits for a word, and the forms that take one further."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from safelight.errors import InputError
from safelight.guard.clocks import LAWS, Clock, clocks
from safelight.guard.incidents import NEXT, Incident, Incidents, Serious, Severity, Stage, stage_of
from safelight.guard.responses.approvals import Approvals, Word
from safelight.guard.responses.closing import step
from safelight.guard.responses.deeds import carry_out
from safelight.guard.responses.opening import open_by_hand
from safelight.web.app import Desk
from safelight.web.facts import DEEDS
from safelight.web.turning import turned


@dataclass(frozen=True)
class Shown:
    """One incident, for a page.

    Attributes:
        incident: as it is kept.
        clocks: (clock, how it stands, whether it is late).
    """

    incident: Incident
    clocks: tuple[tuple[Clock, str, bool], ...]


def overview(request: Request, desk: Desk) -> Response:
    """All incidents, open ones first, the latest first."""
    now = desk.clock()
    found = sorted(Incidents(desk.store).all(), key=lambda each: (not each.open, -each.opened))
    waiting = [each for each in Approvals(desk.store).all() if each.word is Word.PENDING]
    turn = turned(found, request.query_params)
    shown = [_shown(each, now) for each in turn.items]
    facts: dict[str, Any] = {
        "about": request.query_params.get("about", "")[:200],
        "model": desk.policy.upstream.model or "",
        "severities": list(Severity),
        "deeds": DEEDS,
    }
    return desk.page(request, "incidents.html", incidents=shown, waiting=waiting, turn=turn, **facts)


def one(request: Request, desk: Desk) -> Response:
    """One incident: what rang, what was done, its clocks, and what may come next."""
    incident = Incidents(desk.store).get(request.path_params["name"])
    facts: dict[str, Any] = {
        "shown": _shown(incident, desk.clock()),
        "stages": list(Stage),
        "next": NEXT[incident.stage],
        "severities": list(Severity),
        "kinds": list(Serious),
        "laws": [law for law in LAWS if law not in incident.notified],
        "deeds": DEEDS,
    }
    return desk.page(request, "incident.html", **facts)


def opened(fields: dict[str, str], by: str, desk: Desk) -> str:
    """Open an incident that no alarm did."""
    lost: list[str] = []
    severity = fields.get("severity") or Severity.MEDIUM.value
    if severity not in [each.value for each in Severity]:
        raise InputError(f"There is no severity {severity!r}; choose from the list.")
    clients = [name.strip() for name in fields.get("clients", "").splitlines() if name.strip()]
    why, model, now = fields.get("why", ""), fields.get("model", ""), desk.clock()
    incident = open_by_hand(
        desk.policy, desk.store, clients, by, why, now, lost.append, model=model, severity=Severity(severity)
    )
    return " ".join([f"{incident.name} is open.", *lost])


def move(fields: dict[str, str], by: str, desk: Desk) -> str:
    """Take an incident one step further."""
    name, to = fields.get("incident", ""), stage_of(fields.get("to", ""))
    lost: list[str] = []
    step(desk.policy, desk.store, name, to, by, fields.get("note", ""), desk.clock(), lost.append)
    return " ".join([f"{name} is {to.value}.", *lost])


def approve(fields: dict[str, str], by: str, desk: Desk) -> str:
    """Give or refuse a person's word on what waits for one, and do what was approved."""
    name, now = fields.get("approval", ""), desk.clock()
    if fields.get("answer") != Word.APPROVED.value:
        Approvals(desk.store).decide(name, Word.REFUSED, by, now)
        return f"{name} is refused; nothing is done."
    approval = Approvals(desk.store).decide(name, Word.APPROVED, by, now)
    return f"{name} is approved; done: {carry_out(desk.policy, desk.store, approval, now)}."


def decide(fields: dict[str, str], by: str, desk: Desk) -> str:
    """Write what a person found out about an incident."""
    name, facts = fields.get("incident", ""), dict[str, Any]()
    try:
        if fields.get("severity"):
            facts["severity"] = Severity(fields["severity"])
        if fields.get("serious"):
            facts["serious"] = Serious(fields["serious"])
        if fields.get("people"):
            facts["people"] = int(fields["people"])
    except ValueError as error:
        raise InputError(f"This cannot be read ({error}); choose from the lists, and give whole numbers.") from None
    Incidents(desk.store).decide(name, by, desk.clock(), **facts)
    return f"{name} was changed."


def notified(fields: dict[str, str], by: str, desk: Desk) -> str:
    """Write that an authority was told."""
    name, law = fields.get("incident", ""), fields.get("law", "")
    if law not in LAWS:
        raise InputError(f"There is no clock {law!r}; use one of {', '.join(LAWS)}.")
    incidents, now = Incidents(desk.store), desk.clock()
    incidents.decide(name, by, now, notified={**incidents.get(name).notified, law: now})
    return f"{name}: the authority was told."


def _shown(incident: Incident, now: float) -> Shown:
    found = tuple((clock, clock.words(now), clock.told is None and clock.left(now) < 0) for clock in clocks(incident))
    return Shown(incident, found)
