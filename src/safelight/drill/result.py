"""What a drill found, as facts, as JSON and in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from safelight.drill.benign import FalseAlarms
from safelight.drill.replay import NEVER
from safelight.evidence import Evidence
from safelight.measures.base import Measurement


@dataclass(frozen=True)
class Run:
    """One run of one attack.

    Attributes:
        queries: records that it sends where no guard stands.
        answered: records of it that were answered behind the guard.
        detected_at, contained_at: number of the record at which it was noticed, and asked no more; None for never.
        days: that it took behind the guard, by the drill's clock.
    """

    queries: int
    answered: int
    detected_at: int | None
    contained_at: int | None
    days: float

    @classmethod
    def of(cls, bare: Evidence, guarded: Evidence) -> Run:
        """Read a run from its two pieces of evidence."""
        facts = {name: values[0].item() for name, values in guarded.extra.items() if values.shape == (1,)}
        noticed, stopped = (None if facts[name] == NEVER else int(facts[name]) for name in ("detected", "contained"))
        queries, answered = int(bare.extra["sent"][0]), int(facts["answered"])
        return cls(queries, answered, noticed, stopped, round(float(facts["days"]), 6))

    def contained_by(self, share: float) -> bool:
        """Whether it was stopped before this share of its queries."""
        return self.contained_at is not None and self.contained_at <= share * self.queries


@dataclass(frozen=True)
class Drilled:
    """One attack, asked in one way.

    Attributes:
        code, title: of the attack.
        way: how it asked; "plain" where it does not hide.
        runs: one a training.
        mu_unguarded, mu_guarded: what it learnt, from coins; None where no model could be trained again.
        fidelity_unguarded, fidelity_guarded: for copied models, the share of answers that agree, beside a copy that
            asked nothing (`control`); else None.
    """

    code: str
    title: str
    way: str
    runs: tuple[Run, ...]
    mu_unguarded: Measurement | None
    mu_guarded: Measurement | None
    fidelity_unguarded: Measurement | None = None
    fidelity_guarded: Measurement | None = None

    @property
    def name(self) -> str:
        """Its code, and how it asked where it hid."""
        return self.code if self.way == "plain" else f"{self.code} {self.way}"

    @property
    def queries(self) -> int:
        """The median over runs."""
        return round(median(run.queries for run in self.runs))

    @property
    def detected_at(self) -> int | None:
        """The median over runs, None where it is never."""
        return _median([run.detected_at for run in self.runs])

    @property
    def contained_at(self) -> int | None:
        """The median over runs, None where it is never."""
        return _median([run.contained_at for run in self.runs])


@dataclass(frozen=True)
class LeftOut:
    """An attack that was not replayed, and why."""

    code: str
    reason: str


@dataclass(frozen=True)
class Drills:
    """A whole drill.

    Attributes:
        attacks: one an attack and way.
        left_out: what was not replayed.
        benign: the false alarms of harmless clients, or None where nothing watches.
    """

    attacks: tuple[Drilled, ...]
    left_out: tuple[LeftOut, ...] = ()
    benign: FalseAlarms | None = None


def as_json(drills: Drills) -> dict[str, Any]:
    """Return what `safelight drill --json` prints; a number beyond all measure (every guess was right) is null."""
    attacks = [
        {
            "attack": each.name,
            "queries": each.queries,
            "detected_at": each.detected_at,
            "contained_at": each.contained_at,
            "mu_unguarded": _measured(each.mu_unguarded),
            "mu_guarded": _measured(each.mu_guarded),
        }
        for each in drills.attacks
    ]
    return {"attacks": attacks, "benign": None if drills.benign is None else drills.benign.as_json()}


def details(drills: Drills) -> dict[str, Any]:
    """Return everything, for a file: single runs, fidelity, what was left out."""
    attacks = [
        {
            "attack": each.name,
            "title": each.title,
            "runs": [asdict(run) for run in each.runs],
            **{name: _measured(getattr(each, name)) for name in ("mu_unguarded", "mu_guarded")},
            **{name: _measured(getattr(each, name)) for name in ("fidelity_unguarded", "fidelity_guarded")},
        }
        for each in drills.attacks
    ]
    left_out = [asdict(item) for item in drills.left_out]
    return {**as_json(drills), "attacks": attacks, "left_out": left_out}


def lines(drills: Drills) -> list[str]:
    """Return a drill as a table and sentences."""
    shown = [f"{'attack':<16}{'queries':>9}{'noticed at':>12}{'stopped at':>12}  leak without guard        behind it"]
    for each in drills.attacks:
        free, held = each.mu_unguarded, each.mu_guarded
        what = "mu"
        if free is None or held is None:
            free, held, what = each.fidelity_unguarded, each.fidelity_guarded, "copy"
        shown.append(
            f"{each.name:<16}{each.queries:>9,}{_number(each.detected_at):>12}{_number(each.contained_at):>12}  "
            f"{_words(what, free):<26}{_words(what, held)}"
        )
    if any(each.fidelity_guarded is not None for each in drills.attacks):
        shown.append("copy: share of answers on which a copied model agrees with the model.")
    shown += [f"{item.code} was left out: {item.reason}" for item in drills.left_out]
    if drills.benign is not None:
        shown.append(drills.benign.words)
    return shown


def _median(values: list[int | None]) -> int | None:
    middle = median(math.inf if value is None else value for value in values)
    return None if math.isinf(middle) else round(middle)


def _measured(found: Measurement | None) -> Mapping[str, float | None] | None:
    if found is None:
        return None
    return {name: _finite(getattr(found, name)) for name in ("value", "low", "high")}


def _finite(value: float | None) -> float | None:
    return None if value is None or math.isinf(value) else value


def _number(value: int | None) -> str:
    return "never" if value is None else f"{value:,}"


def _words(what: str, found: Measurement | None) -> str:
    if found is None or found.value is None:
        return "not measured"
    return f"{what} {found.value:.2f} ({found.low:.2f} to {found.high:.2f})"
