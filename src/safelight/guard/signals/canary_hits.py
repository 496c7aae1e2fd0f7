"""Whether secrets, or planted canaries, show in what a language model is asked and says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from safelight.guard.canaries import Canaries
from safelight.guard.reference import Reference
from safelight.guard.signals.base import Signal
from safelight.guard.window import Window


@dataclass(frozen=True)
class CanaryHits:
    """Pieces of secrets in completions, and in prompts that carry the beginning of one for the model to go on with.

    A prompt with such a piece counts 1. A completion counts 4 where it holds a piece that its prompt does not: what a
    client says itself and gets back tells it nothing.

    What it cannot see: secrets that nobody listed, a secret in other words, in another language or encoded, what stands
    beyond the first 2,000 characters of a text, and prompts of token numbers.
    Source: canaries after Carlini et al. 2019, arXiv:1802.08232, section 4; prefixes after Carlini et al. 2021,
    arXiv:2012.07805, section 5.

    Attributes:
        canaries: hashes of the secrets; without any it never rings.
        said: what a completion counts.
    """

    name: ClassVar[str] = "canary hits"
    spread: ClassVar[float] = 0.5
    relative: ClassVar[float] = 0.0
    tables: ClassVar[bool] = False

    canaries: Canaries = Canaries()  # noqa: RUF009 - it holds nothing
    said: float = 4.0

    def score(self, window: Window, reference: Reference) -> float:
        """Return the weighted number of the last texts that hold a piece of a secret."""
        if not self.canaries.pieces:
            return 0.0
        total = 0.0
        for prompt, completion in window.texts:
            asked = self.canaries.found(prompt)
            total += bool(asked) + self.said * bool(self.canaries.found(completion) - asked)
        return total


def with_canaries(signals: tuple[Signal, ...], hits: CanaryHits) -> tuple[Signal, ...]:
    """Return signals with another one of this kind in place of their own."""
    return tuple(hits if isinstance(each, CanaryHits) else each for each in signals)
