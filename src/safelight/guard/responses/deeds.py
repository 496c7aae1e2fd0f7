"""What is done once a step is decided, by the guard itself or by a person who approved it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from safelight.guard.alarm import Alarm
from safelight.guard.chain import Head, sealed
from safelight.guard.incidents import MOST, Incident, Incidents
from safelight.guard.judge import ClientState, Step
from safelight.guard.policy import GuardPolicy
from safelight.guard.responses.approvals import Approval
from safelight.guard.responses.ladder import FOREVER, Case
from safelight.guard.store import Store
from safelight.guard.words import counted


def watched(store: Store, client: str) -> dict[str, Any]:
    """Return what the watch keeps of a client, numbers alone; raises StoreFailed."""
    document = store.read("risk", client) if client else None
    return dict(document.facts) if document else {}


def freeze(
    store: Store, policy: GuardPolicy, clients: Sequence[str], head: Head, incident: str, now: float, **why: Any
) -> str:
    """Keep what is known now in a document of its own, and return its name; raises StoreFailed.

    It holds the end of the log, why it is kept, the scores that the watch keeps, budgets and steps of the clients, and
    a hash of the policy; no record and no answer.

    Args:
        store: where it is kept.
        policy: in force.
        clients: that it is about.
        head: of the log.
        incident: it belongs to, or "".
        now: seconds since 1970.
        why: the alarm, or who named these clients.
    """
    facts = {
        "head": f"{head.rows}:{head.digest}",
        "row": head.rows,
        **why,
        "watch": {client: watched(store, client) for client in clients},
        "clients": {client: _facts(state) for client, state in store.states(clients).items()},
        "policy": sealed(store.key, repr(policy).encode()).hex(),
        "incident": incident,
        "at": now,
    }
    name = f"{incident or 'alarm'} row {head.rows}"
    store.write("evidence", name, facts, 0, what="evidence frozen", at=now, incident=incident)
    return name


def audit_due(store: Store, alarm: Alarm, case: Case, now: float) -> None:
    """Ask for an audit of the model, where none is due yet; raises StoreFailed."""
    from safelight.guard.drift.due import Due, schedule  # only playbooks with "audit" need it

    joins = f", {case.incident}" if case.incident else ""
    schedule(store, Due(alarm.model or "model", "", f"alarms of {alarm.signal}{joins}", now))


def back(policy: GuardPolicy, store: Store, why: str, now: float) -> str:
    """Roll the alias of the policy back, and return what was done in words.

    Raises:
        InputError: there are no versions, or none whose audit is as good.
        Changed: somebody else moved it meanwhile.
        StoreFailed: the registry does not answer.
    """
    from safelight.guard.registry.moves import registry_of, roll_back  # reads whole reports of audits

    move = roll_back(policy, registry_of(policy, store), now, why=why)
    return f"rollback from version {move.before} to {move.to}"


def carry_out(policy: GuardPolicy, store: Store, approval: Approval, now: float) -> str:
    """Do what was approved, counted from now, and return it in words.

    Raises:
        InputError: a rollback that cannot be done.
        StoreFailed: something was not kept; what was done before it stays.
    """
    if approval.what == "rollback":
        said = back(policy, store, f"{approval.name} ({approval.why}), approved by {approval.by}", now)
        done = [measure(now, said)]
    else:
        step = Step[approval.what.upper()]
        until = FOREVER if approval.minutes is None else now + 60 * approval.minutes
        for client in approval.clients:
            store.step(client, step, until, now, why=approval.why, by=approval.by, approval=approval.name)
        said = f"{approval.what} for {counted(len(approval.clients), 'client')}"
        done = [measure(now, approval.what, client, until) for client in approval.clients]
    if approval.incident:
        measured(store, approval.incident, done, now, approval=approval.name, by=approval.by)
    return said


def measured(store: Store, name: str, done: Sequence[Mapping[str, Any]], now: float, **logged: Any) -> Incident:
    """Add to an incident what was done, the last thousand things at most; raises StoreFailed."""
    return Incidents(store).change(
        name,
        lambda before: replace(before, measures=(*before.measures, *done)[-MOST:]),
        what="incident measures",
        at=now,
        done=[each["what"] for each in done],
        **logged,
    )


def measure(now: float, what: str, client: str = "", until: float | None = None) -> dict[str, Any]:
    """Return one thing that was done, as an incident keeps it."""
    return {"at": round(now, 3), "what": what, "client": client, "until": until}


def begun(alarm: Alarm, playbook: str, severity: Any, scores: dict[str, Any], now: float) -> Incident:
    """Return the incident of a first alarm, before it has a name."""
    kept = {str(name): float(score) for name, score in scores.get("signals", {}).items()}
    return Incident("", now, severity, alarm.client, alarm.cohort, playbook=playbook, scores=kept)


def _facts(state: ClientState) -> dict[str, Any]:
    return {"today": state.today, "total": state.total, "step": state.step.name.lower(), "until": state.until}
