"""The verification figure of each method: what a right implementation must reach on real data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

import attribute_coins
import membership_reference


@dataclass(frozen=True)
class Figure:
    """What was measured beside its goal."""

    text: str
    reached: bool


def attribute(code: str, least: float, seeds: int = 3) -> Figure:
    """Right guesses of 100 on a default forest of the survey, and on a depth-4 tree, which memorises nothing."""
    forest, tree = (
        np.mean([attribute_coins.trial(name, seed)[code] for seed in range(seeds)])
        for name in ("default forest", "depth-4 tree")
    )
    return Figure(f"survey forest {forest:.0f}/100 (>= {least:.0f}), depth-4 tree {tree:.0f}/100 (<= 58)",
                  bool(forest >= least and tree <= 58))  # fmt: skip
