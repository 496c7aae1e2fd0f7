"""The versions of a guarded model: which one an alias points at, and moving it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from safelight.cli.guard import POLICY, Flag, Text

if TYPE_CHECKING:
    from safelight.guard.policy import GuardPolicy
    from safelight.guard.registry.pointing import Move
    from safelight.guard.store import Store


def versions(*, alias: str | None = None, policy: Path = POLICY) -> int:
    """List the versions of the model, and what their audits say beside the one that serves.

    Args:
        alias: such as diag@champion; `model` in [upstream] when left out.
        policy: the guard's settings.
    """
    from safelight.guard.registry.moves import registry_of, shelf
    from safelight.guard.words import counted

    rules, store = _opened(policy)
    have = shelf(rules, registry_of(rules, store), alias)
    print(f"{have.name} points at {have.found.version or 'no version yet'}")
    for each in have.standings:
        verdict = f"{each.audit.verdict}, {counted(each.audit.leaks, 'leak')}" if each.audit else "none"
        print(f"{each.version.id:<12}{each.version.url:<36}  audit: {verdict:<24}  {each.words}")
    for move in have.found.moves[-10:]:
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(move.at))
        against = ", against the audits" if move.forced else ""
        print(f"{when} UTC  {move.what} {move.before or 'nothing'} -> {move.to}{against}  {move.why}".rstrip())
    return 0


def promote(
    version: str, /, *, alias: str | None = None, why: Text = "", force: Flag = False, policy: Path = POLICY
) -> int:
    """Have an alias point at a version; a running guard obeys within a second.

    It is refused where the version's audit is missing or worse than that of the version that serves.

    Args:
        version: its id in [[upstream.version]].
        alias: such as diag@champion; `model` in [upstream] when left out.
        why: reason, for the log.
        force: move it whatever the audits say; needs --why.
        policy: the guard's settings.
    """
    from safelight.guard.registry.moves import promote as move
    from safelight.guard.registry.moves import registry_of

    rules, store = _opened(policy)
    return _said(move(rules, registry_of(rules, store), version, time.time(), alias=alias, why=why, force=force))


def rollback(
    *, to: str | None = None, alias: str | None = None, why: Text = "", force: Flag = False, policy: Path = POLICY
) -> int:
    """Have an alias point at an earlier version; a running guard obeys within a second.

    Without --to it is the newest earlier version whose audit is at least as good as that of the one that serves.

    Args:
        to: id of an earlier version in [[upstream.version]].
        alias: such as diag@champion; `model` in [upstream] when left out.
        why: reason, for the log.
        force: move it whatever the audits say; needs --to and --why.
        policy: the guard's settings.
    """
    from safelight.guard.registry.moves import registry_of, roll_back

    rules, store = _opened(policy)
    return _said(roll_back(rules, registry_of(rules, store), time.time(), to=to, alias=alias, why=why, force=force))


def _said(move: Move) -> int:
    print(f"{move.before or 'nothing'} -> {move.to} ({move.stands}).")
    return 0


def _opened(policy: Path) -> tuple[GuardPolicy, Store]:
    """Return the policy and its database, which is made where there is none: a first version comes before a guard."""
    from safelight.guard.policy import read_policy
    from safelight.guard.store import open_store

    rules = read_policy(policy)
    return rules, open_store(rules)
