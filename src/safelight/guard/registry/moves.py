"""Move an alias: promote a version, or roll back to an earlier one, never to where the audit is worse or missing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from safelight.errors import InputError, did_you_mean
from safelight.guard.policy import GuardPolicy, Version
from safelight.guard.registry.audits import Audit, compare, read_audit
from safelight.guard.registry.embedded import Embedded
from safelight.guard.registry.mlflow import PREFIX, MlflowRegistry
from safelight.guard.registry.pointing import Move, Pointed, Registry
from safelight.guard.store import Store


class Stands(Enum):
    """What the audits say of a version beside the one that serves."""

    SERVES = "serves"
    AS_GOOD = "at least as good"
    WORSE = "worse"
    APART = "not comparable"
    MISSING = "without an audit"


@dataclass(frozen=True)
class Standing:
    """One version, and what the audits say of it.

    Attributes:
        version: as guard.toml has it.
        stands: beside the one that serves.
        why: in words, or "".
        audit: as it was read, or None.
    """

    version: Version
    stands: Stands
    why: str = ""
    audit: Audit | None = None

    @property
    def words(self) -> str:
        return f"{self.stands.value}: {self.why}" if self.why else self.stands.value


@dataclass(frozen=True)
class Shelf:
    """The versions of a model, and where one alias of it points.

    Attributes:
        name: "model@alias".
        found: where it points.
        standings: of every version, oldest first.
    """

    name: str
    found: Pointed
    standings: tuple[Standing, ...]

    def of(self, version: str) -> Standing:
        """Return one version; raises InputError for another id."""
        known = [standing.version.id for standing in self.standings]
        if version not in known:
            raise InputError(
                f"There is no version {version!r}: [[upstream.version]] lists {', '.join(known)}."
                f"{did_you_mean(version, known)}"
            )
        return self.standings[known.index(version)]


def registry_of(policy: GuardPolicy, store: Store) -> Registry:
    """Return the registry that the policy names."""
    where = policy.upstream.registry
    return MlflowRegistry(where.removeprefix(PREFIX), store) if where.startswith(PREFIX) else Embedded(store)


def name_of(policy: GuardPolicy, alias: str | None = None) -> str:
    """Return "model@alias": the policy's own alias, or another one of its model.

    Raises:
        InputError: the policy lists no versions, or the alias is no plain word.
    """
    if not policy.upstream.version:
        raise InputError("The policy lists no versions; write [[upstream.version]] with id, url and audit for each.")
    name = policy.upstream.model or ""
    if alias is None:
        return name
    if not re.fullmatch(r"[A-Za-z][\w-]{0,99}", alias):
        raise InputError(f"--alias is {alias!r}; give a plain word, such as champion.")
    return f"{name.rpartition('@')[0]}@{alias}"


def shelf(policy: GuardPolicy, registry: Registry, alias: str | None = None) -> Shelf:
    """Read every audit and compare it with that of the version that an alias points at; raises StoreFailed."""
    name = name_of(policy, alias)
    found = registry.read(name)
    audits = {version.id: _audit(policy, version) for version in policy.upstream.version}
    serves = audits.get(found.version, (None, ""))[0]
    standings = tuple(
        _standing(version, *audits[version.id], serves, version.id == found.version)
        for version in policy.upstream.version
    )
    return Shelf(name, found, standings)


def promote(
    policy: GuardPolicy,
    registry: Registry,
    to: str,
    at: float,
    *,
    alias: str | None = None,
    why: str = "",
    force: bool = False,
) -> Move:
    """Point an alias at a version and return the move.

    Args:
        policy: lists the versions.
        registry: where the alias is kept.
        to: id of the version.
        at: now.
        alias: instead of the policy's own.
        why: in words, for the log.
        force: whatever the audits say; needs `why`.

    Raises:
        InputError: no such version, it serves already, or its audit is missing, worse, or cannot be compared.
        Changed: somebody else moved the alias meanwhile.
        StoreFailed: the registry does not answer.
    """
    have = shelf(policy, registry, alias)
    return _moved(registry, have, have.of(to), "promote", at, why, force)


def roll_back(
    policy: GuardPolicy,
    registry: Registry,
    at: float,
    *,
    to: str | None = None,
    alias: str | None = None,
    why: str = "",
    force: bool = False,
) -> Move:
    """Point an alias at an earlier version and return the move; see `promote`.

    Args:
        policy: lists the versions, oldest first.
        registry: where the alias is kept.
        at: now.
        to: id of the version; the newest earlier one whose audit is at least as good when left out.
        alias: instead of the policy's own.
        why: in words, for the log.
        force: whatever the audits say; needs `to` and `why`.
    """
    have = shelf(policy, registry, alias)
    if not have.found.version:
        raise InputError(f"{have.name} points at no version yet; set it with: safelight guard promote VERSION.")
    if to is not None:
        return _moved(registry, have, have.of(to), "rollback", at, why, force)
    if force:
        raise InputError("--force needs a version; name it with --to.")
    earlier = have.standings[: have.standings.index(have.of(have.found.version))]
    best = next((each for each in reversed(earlier) if each.stands is Stands.AS_GOOD), None)
    if best is None:
        tried = "; ".join(f"{each.version.id} is {each.words}" for each in reversed(earlier)) or "there is none"
        raise InputError(
            f"No earlier version has an audit at least as good as that of {have.found.version} ({tried}); "
            "name one with --to VERSION --force --why TEXT."
        )
    return _moved(registry, have, best, "rollback", at, why, force)


def _moved(registry: Registry, have: Shelf, to: Standing, what: str, at: float, why: str, force: bool) -> Move:
    if to.stands is Stands.SERVES:
        raise InputError(f"{have.name} points at version {to.version.id} already.")
    if force and not why.strip():
        raise InputError("--force goes against the audits; say why with --why TEXT.")
    if to.stands is not Stands.AS_GOOD and not force:
        raise InputError(
            f"{have.name} stays at {have.found.version or 'no version'}: {to.version.id} is {to.words}; "
            "use --force --why TEXT to go there all the same."
        )
    move = Move(
        at,
        what,
        have.found.version,
        to.version.id,
        why.strip()[:500],
        to.words,
        force and to.stands is not Stands.AS_GOOD,
        to.audit.sha256 if to.audit else "",
    )
    registry.move(have.name, move, have.found)
    return move


def _audit(policy: GuardPolicy, version: Version) -> tuple[Audit | None, str]:
    """Return the audit of a version, or None and why there is none that counts."""
    if version.audit is None:
        return None, "[[upstream.version]] names none"
    try:
        audit = read_audit(policy.folder / version.audit)
    except InputError as error:
        return None, str(error).rstrip(".")
    return (None, audit.whole) if audit.whole else (audit, "")


def _standing(version: Version, audit: Audit | None, trouble: str, serves: Audit | None, itself: bool) -> Standing:
    """Judge one version. Where nothing with an audit serves, any audit is at least as good."""
    if itself:
        return Standing(version, Stands.SERVES, trouble, audit)
    if audit is None:
        return Standing(version, Stands.MISSING, trouble)
    if serves is None:
        return Standing(version, Stands.AS_GOOD, "nothing serves that has an audit", audit)
    found = compare(audit, serves)
    if found.worse:
        return Standing(version, Stands.WORSE, ", ".join(found.worse), audit)
    if found.apart:
        return Standing(version, Stands.APART, ", ".join(found.apart), audit)
    return Standing(version, Stands.AS_GOOD, "", audit)
