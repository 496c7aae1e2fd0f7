"""Whether a language model says texts that it was trained on, word for word."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from safelight.guard.reference import Reference
from safelight.guard.signals.evidence import stretch
from safelight.guard.window import Window


@dataclass(frozen=True)
class Regurgitated:
    """Answers that repeat texts of the training data: what a model learnt by heart is taken out piece by piece.

    The guard holds no text, only keyed fingerprints of pieces of 50 letters, if calibration was given training texts.
    Case, spaces, signs and digits in place of letters make no difference. An answer counts log2(1 + r / 160), where r
    is how many of its letters are in training texts and not in its prompt, less about 80 for each passage: a passage of
    50 tokens, or about 160 letters, counts 0.6, and one of 500 tokens 3.4.

    Passages that calibration found in the answers to several clients, licences for instance, do not count.

    What it cannot see: anything, where calibration was given no training texts; a passage in other words, in another
    language, encoded or backwards, with a word put between every few, or shorter than 50 letters; what stands beyond
    the first 65,536 characters of an answer; and who takes out a little among many other questions.
    Source: 50 tokens word for word: Carlini et al. 2023, arXiv:2202.07646, section 3; fingerprints: Schleimer et al.
    2003, SIGMOD (winnowing).
    """

    name: ClassVar[str] = "regurgitated text"
    spread: ClassVar[float] = 0.05  # two answers in the first eight with 50 tokens each
    relative: ClassVar[float] = 0.0
    tables: ClassVar[bool] = False

    def score(self, window: Window, reference: Reference) -> float:
        """Return the highest mean of a stretch; 0 without training texts."""
        return stretch(window.hit)
