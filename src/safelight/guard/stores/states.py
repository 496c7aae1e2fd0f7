"""A client's state and its accounts, from the columns of a database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from safelight.guard.judge import Account, ClientState, Step

ACCOUNT = "arrival, day, today, total"
FIELDS = f"{ACCOUNT}, until, seen, step"
STEPS = frozenset(map(int, Step))


def state_of(row: Sequence[Any]) -> ClientState:
    """Return a client's state from the columns in FIELDS."""
    arrival, day, today, total, until, seen, step = row
    held = Step(step) if step in STEPS else Step.REFUSE  # what nobody of ours wrote lets nobody through
    return ClientState(arrival, day, today, total, until, seen, held)


def account_of(row: Sequence[Any]) -> Account:
    """Return an account from the columns in ACCOUNT."""
    arrival, day, today, total = row
    return Account(arrival, day, today, total)
