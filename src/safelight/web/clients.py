"""The pages of clients and of the log, and the forms of quarantine and release."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from safelight.errors import InputError
from safelight.guard.judge import Step
from safelight.web import facts
from safelight.web.app import Desk
from safelight.web.lines import line

ROWS = 200  # of the log, on a page


def overview(request: Request, desk: Desk) -> Response:
    """All clients, the riskiest first."""
    found = facts.clients(desk.store, desk.policy, desk.clock())
    held = sum(each.held for each in found)
    ringing = sum(each.risk is not None and each.risk.share >= 1 for each in found)
    summary = f"{len(found)} clients, {held} held, {ringing} above the threshold of an alarm."
    return desk.page(request, "clients.html", clients=found, summary=summary, drawn=_drawn)


def one(request: Request, desk: Desk) -> Response:
    """One client: its signals, its budgets, its rows of the log."""
    name = request.path_params["name"]
    found = {each.name: each for each in facts.clients(desk.store, desk.policy, desk.clock())}
    if name not in found:
        raise InputError(f"There is no client {name!r}; look at the list of clients.")
    rows = facts.lines(desk.store, ROWS, name)
    return desk.page(request, "client.html", client=found[name], lines=rows, drawn=_drawn)


def log(request: Request, desk: Desk) -> Response:
    """The state of the log and its last rows."""
    head, trouble = desk.store.verify()
    return desk.page(request, "log.html", head=head, broken=trouble, lines=facts.lines(desk.store, ROWS))


def quarantine(fields: dict[str, str], by: str, desk: Desk) -> str:
    """Let nothing of a client through for a time."""
    client = _known(fields, desk)
    try:
        minutes = float(fields.get("minutes", "60"))
    except ValueError:
        minutes = 0.0
    if not 0 < minutes < 1e7:
        raise InputError(f"Minutes are {fields.get('minutes')!r}; give a number above 0, such as 60.")
    now = desk.clock()
    desk.store.step(client, Step.QUARANTINE, now + 60 * minutes, now, by=by)
    return f"{client} is in quarantine for {minutes:g} minutes."


def release(fields: dict[str, str], by: str, desk: Desk) -> str:
    """End what is done about a client."""
    client, now = _known(fields, desk), desk.clock()
    desk.store.step(client, Step.NONE, now, now, by=by)
    return f"{client} may ask again."


def _known(fields: dict[str, str], desk: Desk) -> str:
    client = fields.get("client", "")
    if client not in {*desk.store.clients(), *(key.id for key in desk.policy.clients.values())}:
        raise InputError(f"There is no client {client!r}; look at the list of clients.")
    return client


def _drawn(client: facts.Client) -> object:
    risk = client.risk
    if risk is None or not risk.history:
        return ""
    words = f"highest score of {client.name}: now {risk.score:.2f}, an alarm rings above {risk.threshold:.2f}"
    return line(risk.history, risk.threshold, words)
