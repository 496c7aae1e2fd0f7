"""How many embeddings a client has taken."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from safelight.guard.reference import Reference
from safelight.guard.window import Window


@dataclass(frozen=True)
class EmbeddingVolume:
    """Many embeddings in one day: to rebuild a text, or to train what rebuilds texts, takes thousands of them.

    What it cannot see: an attacker with patience or many keys, and the difference to a client that indexes a large
    collection of its own: both want many. Where indexing is normal, calibration makes this signal weak, as it should.
    Source: Morris et al. 2023, arXiv:2310.06816, section 4 (each corrected guess is embedded again).
    """

    name: ClassVar[str] = "embedding volume"
    spread: ClassVar[float] = 1.0
    relative: ClassVar[float] = 0.0
    tables: ClassVar[bool] = False

    def score(self, window: Window, reference: Reference) -> float:
        """Return log2(1 + today's records x the share of embeddings among the last texts): 10 for a thousand."""
        if not window.texts:
            return 0.0
        embedded = sum(completion == "" for _, completion in window.texts)
        return math.log2(1 + window.today * embedded / len(window.texts))
