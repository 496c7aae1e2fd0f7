"""The pages of clients and of the log, and the forms of quarantine and release."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from safelight.errors import InputError
from safelight.guard.judge import Step
from safelight.guard.policy import GuardPolicy
from safelight.guard.responses.opening import named
from safelight.guard.words import counted, lasting
from safelight.web import facts
from safelight.web.app import Desk
from safelight.web.lines import line
from safelight.web.turning import turned


def overview(request: Request, desk: Desk) -> Response:
    """All clients, the riskiest first."""
    policy = desk.policy
    found = facts.clients(desk.store, policy, desk.clock())
    held = sum(each.held for each in found)
    ringing = sum(each.risk is not None and each.risk.share >= 1 for each in found)
    summary = f"{counted(len(found), 'client')}, {held} held, {ringing} above the threshold of an alarm."
    turn = turned(found, request.query_params)
    return desk.page(request, "clients.html", clients=turn.items, turn=turn, summary=summary, drawn=_drawn,
                     watched=_watched(policy))  # fmt: skip


def one(request: Request, desk: Desk) -> Response:
    """One client: its signals, its budgets, its rows of the log."""
    name = request.path_params["name"]
    policy = desk.policy
    found = {each.name: each for each in facts.clients(desk.store, policy, desk.clock())}
    if name not in found:
        raise InputError(f"There is no client {name!r}; look at the list of clients.")
    turn = facts.log_page(desk.store, request.query_params, name)
    return desk.page(request, "client.html", client=found[name], lines=turn.items, turn=turn, drawn=_drawn,
                     watched=_watched(policy))  # fmt: skip


def log(request: Request, desk: Desk) -> Response:
    """The state of the log and its last rows; on a page of earlier ones the rows alone."""
    turn = facts.log_page(desk.store, request.query_params)
    head, trouble = (None, "") if turn.here else desk.store.verify()
    return desk.page(request, "log.html", head=head, broken=trouble, lines=turn.items, turn=turn)


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
    return f"{client} is in quarantine for {lasting(minutes)}."


def release(fields: dict[str, str], by: str, desk: Desk) -> str:
    """End what is done about a client."""
    client, now = _known(fields, desk), desk.clock()
    desk.store.step(client, Step.NONE, now, now, by=by)
    return f"{client} may ask again."


def _known(fields: dict[str, str], desk: Desk) -> str:
    return named(fields.get("client", ""), desk.policy, desk.store)


def _watched(policy: GuardPolicy) -> bool:
    return policy.signals is not None and policy.signals.reference is not None


def _drawn(client: facts.Client) -> object:
    risk = client.risk
    if risk is None or not risk.history:
        return ""
    words = f"highest score of {client.name}: now {risk.score:.2f}, an alarm rings above {risk.threshold:.2f}"
    return line(risk.history, risk.threshold, words)
