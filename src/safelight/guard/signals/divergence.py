"""Whether a language model is sent into a loop, after which it may say what it has learnt by heart."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np

from safelight.guard.canaries import OTHER
from safelight.guard.reference import Reference
from safelight.guard.window import Window

LONGEST = 64
"""Letters and digits of a phrase that repeats."""


@dataclass(frozen=True)
class Divergence:
    """One word or phrase again and again, in a prompt or in an answer.

    A text counts log2(r / usual), where r is how often its longest loop repeats; loops up to `usual` count nothing.

    What it cannot see: a loop of a phrase of more than 64 letters, one that begins after 2,000 characters, and a client
    that reaches the same by other means. Columns of equal numbers, pasted by a normal client, look the same.
    Source: Nasr et al. 2023, arXiv:2311.17035, section 5.

    Attributes:
        usual: repetitions that a normal text has (>= 2).
    """

    name: ClassVar[str] = "divergence"
    spread: ClassVar[float] = 1.0
    relative: ClassVar[float] = 0.0
    tables: ClassVar[bool] = False

    usual: float = 12.0

    def score(self, window: Window, reference: Reference) -> float:
        """Return the sum over the last texts, each with the longer loop of its prompt and its completion."""
        longest = [max(loop(prompt), loop(completion)) for prompt, completion in window.texts]
        return float(sum(np.log2(repeats / self.usual) for repeats in longest if repeats > self.usual))


@lru_cache(maxsize=8192)
def loop(text: str) -> float:
    """Return how often the phrase repeats that repeats most often without a break; 1 where none does.

    Only letters and digits count, in any case, so that lines and tables drawn with signs are no loops.
    """
    signs = np.frombuffer(OTHER.sub("", text.casefold()).encode("utf-32-le"), np.uint32)
    most = 1.0
    for period in range(1, min(LONGEST, len(signs) // 2) + 1):
        breaks = (signs[period:] != signs[:-period]).nonzero()[0]
        ends = np.empty(len(breaks) + 2, np.int64)
        ends[0], ends[1:-1], ends[-1] = -1, breaks, len(signs) - period
        run = int((ends[1:] - ends[:-1]).max()) - 1
        most = max(most, (run + period) / period)
    return most
