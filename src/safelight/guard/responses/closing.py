"""The end of an incident: its last step, and word to all who were alerted that it is over."""

from __future__ import annotations

from collections.abc import Callable

from safelight.guard.alerts.message import Message
from safelight.guard.alerts.post import Undelivered
from safelight.guard.alerts.sender import deliver
from safelight.guard.incidents import Incident, Incidents, Stage
from safelight.guard.policy import GuardPolicy
from safelight.guard.respond import resolved
from safelight.guard.store import Store


def step(
    policy: GuardPolicy, store: Store, name: str, to: Stage, by: str, note: str, at: float, say: Callable[[str], None]
) -> Incident:
    """Take an incident one step further; where that closes it, send "resolved" to every channel, once each.

    Args:
        policy: says where alerts go.
        store: where incidents are kept.
        name: of the incident.
        to: the stage that it comes to.
        by: who takes the step.
        note: why; it goes into the log, which nobody can edit: it should name no persons.
        at: now.
        say: told of each alert that did not arrive.

    Raises:
        InputError: there is no such incident, or no such step.
        StoreFailed: nothing was kept.
    """
    incident = Incidents(store).move(name, to, by, note, at)
    if not incident.open:
        tell(policy, store, resolved(store, incident, at), at, say)
    return incident


def tell(policy: GuardPolicy, store: Store, message: Message, at: float, say: Callable[[str], None]) -> None:
    """Send a message to every channel, once each; what does not arrive is told to `say` and logged."""
    for route in policy.alerts:
        try:
            deliver(route, message, policy.folder)
        except Undelivered as error:
            say(f"an alert was lost ({route.kind.value}): {error}")
            store.note("alert lost", at, channel=route.kind.value, incident=message.incident, why=str(error)[:200])
