"""What reaches the model at the end of a scikit-learn pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy import ndarray as Array


def through(steps: Sequence[Any], rows: Any) -> Array:
    """Return what leaves the steps, (n, features) float64, for a DataFrame or an array of n rows."""
    for step in steps:
        names = getattr(step, "feature_names_in_", None)
        if isinstance(rows, pd.DataFrame):
            rows = rows if names is not None else rows.to_numpy()
        elif names is not None:
            rows = pd.DataFrame(rows, columns=names)
        rows = step.transform(rows)
    return np.asarray(rows.toarray() if hasattr(rows, "toarray") else rows, dtype=float)
