"""How near rebuilt records come to the true ones: numbers beside the coins, which only tell two candidates apart."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from safelight.evidence import Evidence, Rebuilt
from safelight.measures.base import Measurement
from safelight.measures.binomial import clopper_pearson

EXACT = 1e-3
"""A rebuilt record is called exact up to this many standard deviations, as a root mean square over its columns."""


def rebuilt_errors(runs: Sequence[Evidence], level: float) -> tuple[Measurement, ...]:
    """Return the median error of rebuilt records and the share that is exact; nothing for other kinds of answers.

    Args:
        runs: whose beliefs are minus the distance to each candidate; see `controls.coins.missing.nearest`.
        level: the interval of the share has confidence 1 - level.
    """
    errors = np.array(
        [
            -run.belief[0, int(run.secret[0])]
            for run in runs
            if isinstance(run.answer, Rebuilt) and run.belief is not None and run.secret is not None
        ]
    )
    if not len(errors):
        return ()
    exact = int((errors <= EXACT).sum())
    low, high = clopper_pearson(exact, len(errors), 1 - level)
    return (
        Measurement("median_error", float(np.median(errors))),
        Measurement("exact", exact / len(errors), low, high, control=0.0),
    )
