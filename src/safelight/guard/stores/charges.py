"""What the row of a call says in the log: whom it was about, what it was charged, and to whom."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from safelight.guard.judge import Account, Call, ClientState, Decision, Step
from safelight.guard.policy import Budget

Key = tuple[str, ...]
"""Of an account: ("own", client), ("cohort", name), ("model", name, client) or ("noise", client)."""
Entry = Sequence[Any]
"""What an account holds, in rows and in the database: day, today, total, arrival; in a row also how much was
added, and of a call whose rate counts, the arrival before it."""


def facts_of(call: Call, decision: Decision, unread: str, skipped: int) -> dict[str, Any]:
    """Return the row of a call for the log.

    Args:
        call: that was judged.
        decision: about it.
        unread: why its question was not understood, or "".
        skipped: refused calls of this client that have no row.
    """
    facts: dict[str, Any] = {
        "what": "call",
        "client": call.client,
        "cohort": call.cohort,
        "model": call.model,
        "at": round(call.at, 3),
        "records": call.records,
        "body": call.body.hex(),
        "verdict": decision.verdict.value,
        "limit": decision.limit.value,
    }
    if call.version:
        facts["version"] = call.version
    if decision.whose:
        facts["whose"] = decision.whose
    if decision.step is not Step.NONE:
        facts["step"] = decision.step.name.lower()
    if unread:
        facts["unread"] = unread
    if skipped:
        facts["refused_before"] = skipped
    return facts


def spent(before: ClientState, after: ClientState, costs: Mapping[str, int]) -> dict[str, Entry]:
    """Return what a row of the log says of the accounts of a call, by kind.

    Args:
        before: what was known of the client.
        after: what is known now, with all accounts that were charged.
        costs: by kind, of the call.
    """
    found = {"own": _entry(before, after, costs["own"])}
    for name, one in after.others.items():
        kind = kind_of(name)
        found[kind] = _entry(before.others.get(name) or Account(), one, costs[kind])
    return found


def _entry(before: ClientState | Account, after: ClientState | Account, cost: int) -> Entry:
    entry = (after.day, after.today, after.total, after.arrival, cost)
    return entry if before.arrival == after.arrival else (*entry, before.arrival)


def costs_of(records: int, others: Mapping[str, Budget]) -> dict[str, int]:
    """Return what a call costs, by the kind of account: of its own, and of those that `accounts_of` gives."""
    return {"own": records, **{kind_of(name): records * budget.each for name, budget in others.items()}}


def kind_of(account: str) -> str:
    """Return the kind of an account by its name, as `safelight.guard.judge.accounts_of` made it."""
    return str(json.loads(account)[0])


def key_of(kind: str, facts: Mapping[str, Any]) -> Key:
    """Return the account of a kind that a call was charged to, by the facts of its row."""
    if kind == "cohort":
        return kind, facts["cohort"]
    return (kind, facts["model"], facts["client"]) if kind == "model" else (kind, facts["client"])


def key_named(name: Any) -> Key:
    """Return the key of an account's name, as `safelight.guard.judge.accounts_of` made it."""
    try:
        parts = tuple(json.loads(name))
    except (ValueError, TypeError):
        parts = ()
    fits = len(parts) == (3 if parts[:1] == ("model",) else 2) and all(isinstance(part, str) for part in parts)
    return parts if fits else ("account", str(name))


def whose(key: Key) -> str:
    """Return an account in words."""
    kind, name, *rest = key
    words = {"own": f"client {name!r}", "noise": f"the noise of client {name!r}"}
    return f"client {rest[0]!r} for the model {name!r}" if rest else words.get(kind, f"{kind} {name!r}")


def unit_of(key: Key) -> str:
    """Return what an account counts."""
    return "parts of an epsilon" if key[0] == "noise" else "records"
