"""An incident that a person opens: what an alarm's has, with a name and a reason in place of the alarm."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from safelight.errors import InputError, SafelightError, did_you_mean
from safelight.guard.incidents import Incident, Incidents, Severity, Stage, countable
from safelight.guard.policy import GuardPolicy
from safelight.guard.respond import announced
from safelight.guard.responses.closing import tell
from safelight.guard.responses.deeds import freeze, measure, measured, watched
from safelight.guard.store import Store


def cohorts_of(policy: GuardPolicy) -> dict[str, str]:
    """Return the clients that a policy names, each with its cohort, or ""."""
    found = {key.id: key.cohort for key in policy.clients.values()}
    return found | {each.id: each.cohort for each in policy.trust.certificates}


def named(client: str, policy: GuardPolicy, store: Store) -> str:
    """Return a client that the policy names or that asked once; raises InputError where it is neither."""
    known = {*cohorts_of(policy), *store.clients()}
    if client not in known:
        raise InputError(f"There is no client {client!r}.{did_you_mean(client, known)}")
    return client


def open_by_hand(
    policy: GuardPolicy,
    store: Store,
    clients: Sequence[str],
    by: str,
    why: str,
    now: float,
    say: Callable[[str], None],
    *,
    model: str = "",
    severity: Severity = Severity.MEDIUM,
    **facts: Any,
) -> Incident:
    """Open an incident about clients that no alarm named: freeze what is known of them, log it, and send the alert.

    Nothing is done about the clients themselves. Later alarms of any of them join it.

    Args:
        policy: in force.
        store: where incidents are kept.
        clients: whom it is about; at least one.
        by: who opens it.
        why: goes into the log, which nobody can edit: it should name no persons.
        now: seconds since 1970.
        say: told of each alert that did not arrive, and of a registry that does not answer.
        model: that was asked; that of the policy where it is "".
        severity: how bad it may be.
        facts: more that a person knows: aware, people, serious, versions. Without versions it is the one that serves.

    Raises:
        InputError: no client or an unknown one, no name, no reason, or the same is open already.
        StoreFailed: nothing, or not all of it, was kept.
    """
    who = tuple(dict.fromkeys(named(client, policy, store) for client in clients))
    if not who:
        raise InputError("An incident needs at least one client that it is about; name one.")
    if not by.strip() or not why.strip():
        raise InputError("An incident opened by hand needs the name of who opens it, and why; give both.")
    countable(facts.get("people"))
    incidents, model = Incidents(store), model or policy.upstream.model or ""
    models = (model,) if model else ()
    for each in incidents.all():
        if each.open and ({*each.named}, each.models) == ({*who}, models):
            raise InputError(f"{each.name} is open about {each.about} already; take that one further.")
    head, groups = store.head(), {cohorts_of(policy).get(client, "") for client in who}
    noted = f"{head.rows}:{head.digest}"
    scores = watched(store, who[0]).get("signals", {}) if len(who) == 1 else {}
    step = {"at": round(now, 3), "to": Stage.OPENED.value, "by": by.strip(), "note": why.strip()}
    incident = Incident(
        name="",
        opened=round(now, 3),
        severity=severity,
        client=who[0] if len(who) == 1 else "",
        cohort=groups.pop() if len(groups) == 1 else "",
        models=models,
        versions=facts.pop("versions", ()) or _serving(policy, store, model, say),
        head=noted,
        last=noted,
        scores={str(name): float(score) for name, score in scores.items()},
        steps=(step,),
        clients=who if len(who) > 1 else (),
    )
    about = {"note": why.strip(), "models": list(models)} | ({"clients": list(who)} if len(who) > 1 else {})
    incident = incidents.open(replace(incident, **facts), by.strip(), **about)
    kept = freeze(store, policy, who, head, incident.name, now, by=by.strip(), why=why.strip(), model=model)
    incident = measured(store, incident.name, [measure(now, f"evidence frozen: {kept}")], now, by=by.strip())
    tell(policy, store, announced(store, incident), now, say)
    return incident


def _serving(policy: GuardPolicy, store: Store, model: str, say: Callable[[str], None]) -> tuple[str, ...]:
    """Return the version that the policy's alias points at, where the policy lists versions of this model."""
    if not policy.upstream.version or model != (policy.upstream.model or ""):
        return ()
    from safelight.guard.registry.moves import name_of, registry_of  # reads whole reports of audits

    try:
        found = registry_of(policy, store).look(name_of(policy))
    except SafelightError as error:  # a registry that is away keeps no incident from being opened
        say(f"the version that serves is not known: {error}")
        return ()
    return (found,) if found else ()
