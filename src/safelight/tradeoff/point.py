"""What one defence bought: accuracy, leak and cost, each as it was measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from safelight.measures.base import Measurement


@dataclass(frozen=True)
class Leak:
    """What one attack got out of the models of one defence.

    Attributes:
        code, title: of the attack.
        claim, unit: what its coins decide about.
        right, guesses, k: its right guesses, of how many, among how many candidates.
        runs: trainings that the guesses rest on.
        success: share of right guesses; its interval, with chance as control.
        mu: success on the scale of `measures.reidentification`.
        change: success less that of the same attack on the undefended model, with the interval of the difference; None
            for that model, and where the attack could not look there.
        margin: how much nearer the guessed pictures are to the right candidate than to the wrong one, less the same of
            the undefended model, paired by run and coin; None where the attack rebuilds no pictures.
        refused: why the attack could not do its work, or "".
    """

    code: str
    title: str
    claim: str
    unit: str
    right: int
    guesses: int
    k: int
    runs: int
    success: Measurement
    mu: Measurement
    change: Measurement | None = None
    margin: Measurement | None = None
    refused: str = ""

    @property
    def about(self) -> str:
        """What is set side by side: the claim; membership of canaries and of sets stands apart from that of records."""
        apart = self.claim == "membership" and self.unit not in ("record", "person")
        return f"{self.claim} of a {self.unit}" if apart else self.claim


@dataclass(frozen=True)
class Cost:
    """What a defence costs, beside the undefended model in the same process.

    Attributes:
        training: CPU seconds of one training.
        latency: CPU seconds to answer 256 records.
        size: bytes of the model, or None where it cannot be told.
        training_ratio, latency_ratio, size_ratio: over the undefended model's; None for that model.
    """

    training: float
    latency: float
    size: int | None
    training_ratio: float | None = None
    latency_ratio: float | None = None
    size_ratio: float | None = None


@dataclass(frozen=True)
class Point:
    """One defence with its settings, measured.

    Attributes:
        name: such as "dp-sgd(epsilon=1)"; "none" for the undefended model.
        accuracy: on the nonmembers: share of right classes, or R squared of a regressor.
        leaks: one an attack.
        changes: by `Leak.about`: success of the best attack less that of the best attack on the undefended model,
            whichever they are; empty for that model.
        cost: of it.
        guarantee: what differential privacy promises, in words, or "".
        refused: why it could not be tried, or "": then there is nothing else.
    """

    name: str
    accuracy: Measurement = field(default_factory=lambda: Measurement("accuracy", None))
    leaks: tuple[Leak, ...] = ()
    changes: Mapping[str, Measurement] = field(default_factory=dict)
    cost: Cost | None = None
    guarantee: str = ""
    refused: str = ""

    def worst(self, claim: str = "") -> Leak | None:
        """Return the leak with the largest share of right guesses above chance, of one `Leak.about` or of all."""
        known = [leak for leak in self.leaks if not leak.refused and claim in ("", leak.about)]
        return max(known, key=lambda leak: (leak.mu.value or 0.0, leak.success.value or 0.0), default=None)


def as_json(points: tuple[Point, ...]) -> list[Mapping[str, Any]]:
    """Return plain values; an infinite mu is written as null, and success says that it was 1."""
    return [_finite(asdict(point)) for point in points]


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and value in (float("inf"), float("-inf")) else value
