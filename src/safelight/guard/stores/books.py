"""Whether the budgets and steps in a database are those that the log ends with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from safelight.guard.judge import Step
from safelight.guard.stores.balances import CLOSE, Balance, Standing, same, step_words
from safelight.guard.stores.charges import Entry, Key, key_named, unit_of, whose

BOOKS = (
    "SELECT client, day, today, total, arrival, until, seen, step FROM {}clients",
    "SELECT account, day, today, total, arrival FROM {}accounts",
)
"""Where a database says it; its tables may have a word before their names."""
Say = Callable[[str], None]


@dataclass(frozen=True)
class Books:
    """What a database says, as it says it: whoever changed it may have written anything.

    Attributes:
        clients: (client, day, today, total, arrival, until, seen, step).
        accounts: (account, day, today, total, arrival).
        strange: (what it is, name) of what acts when tables are written, of which the guard makes none.
    """

    clients: Iterable[Sequence[Any]]
    accounts: Iterable[Sequence[Any]]
    strange: Iterable[Sequence[Any]]


def compare(
    books: Books, clients: Mapping[str, Standing], others: Mapping[Key, Balance], old: int, say: Say
) -> tuple[int, int]:
    """Lay what a database says beside the log.

    Args:
        books: of the database.
        clients: of the log, by name.
        others: accounts of the log beside those of the clients alone.
        old: the last row of the log that does not say what was charged.
        say: hears what does not agree.

    Returns:
        (compared, unknown): budgets that were compared, and those of cohorts and models that the log does not tell.
    """
    for kind, name in books.strange:
        say(f"the database has a {kind} {name!r}, which no guard made")
    there: dict[Key, Entry] = {}
    states: dict[str, Sequence[Any]] = {}
    for client, *rest in books.clients:
        states[client] = rest[4:]
        _enter(there, ("own", client), rest[:4], say)
    for name, *rest in books.accounts:
        _enter(there, key_named(name), rest, say)
    balances: dict[Key, Balance] = {("own", name): known.own for name, known in clients.items()}
    balances |= others
    compared = unknown = 0
    for key in sorted(there.keys() | balances.keys(), key=lambda key: (key[0] != "own", repr(key))):
        balance, entry = balances.get(key), there.get(key)
        if balance is None and key[0] != "own" and old and entry is not None:
            unknown += 1
        else:
            compared += _compare_budget(key, balance or Balance(), entry, old, say)
    for client in sorted(states.keys() | clients.keys(), key=repr):
        _compare_step(client, clients.get(client) or Standing(), states.get(client), say)
    return compared, unknown


def _enter(there: dict[Key, Entry], key: Key, entry: Entry, say: Say) -> None:
    if key in there:
        say(f"{whose(key)} is in the database twice")
    there[key] = entry


def _compare_budget(key: Key, balance: Balance, there: Entry | None, old: int, say: Say) -> bool:
    """Return whether there was a budget to compare."""
    last, today_said, total_said, arrival_said = balance.entry[:4]
    charged = max(balance.least, total_said)
    if there is None and charged:
        say(f"{whose(key)} has no {unit_of(key)} in the database, and the log says {charged}")
        return False
    day, today, total, arrival = there or (0, 0, 0, 0.0)
    least, exact = balance.floor(old)
    newest, today_least = max([(last, today_said)] + [(balance.day, balance.today)] * (not exact))
    if not same(total, least, exact):
        say(f"{whose(key)} has spent {total} {unit_of(key)} in the database, and {least} in the log")
    elif not same(day, newest, exact):
        say(f"{whose(key)} is on day {day} in the database, and on day {newest} in the log")
    elif day == newest and not same(today, today_least, exact):
        say(f"{whose(key)} has spent {today} {unit_of(key)} of its day in the database, and {today_least} in the log")
    elif day == newest and exact and arrival != arrival_said:
        say(f"{whose(key)} has its rate free at {arrival} in the database, and at {arrival_said} in the log")
    return balance.row > 0 or balance.least > 0


def _compare_step(client: str, known: Standing, there: Sequence[Any] | None, say: Say) -> None:
    step, ends, low, high = known.step, known.until, known.low, known.high
    if there is None:
        if ends:
            say(f"client {client!r} is gone from the database, and the log says {step_words(step, ends)}")
        return
    until, seen, stands = there
    if not (_near(until, ends) and (stands == step or step is Step.NONE)):
        found = step_words(stands, until)
        say(f"client {client!r} has {found} in the database, and {step_words(step, ends)} in the log")
    elif not (isinstance(seen, (int, float)) and low - CLOSE <= seen <= high + CLOSE):
        say(f"client {client!r} was last seen at {seen} in the database, and at {high} in the log")


def _near(value: Any, right: float) -> bool:
    return isinstance(value, (int, float)) and abs(value - right) <= CLOSE
