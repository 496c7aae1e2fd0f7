"""Words and categories that a model keeps by name, and how few training records hold them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from numpy import ndarray as Array

from safelight.attacks.disclosure.parts import Part


def word_counts(parts: Iterable[Part]) -> Array:
    """Return for each word or category that was learnt from the records how many of them hold it (w,).

    Vocabularies of text vectorisers and categories of encoders count; those that were given as a setting do not.
    """
    counts = [np.empty(0, dtype=int)]
    for part in parts:
        estimator, x = part.estimator, part.x
        if x is None:
            continue
        if hasattr(estimator, "vocabulary_") and not getattr(estimator, "fixed_vocabulary_", False):
            held = estimator.transform(x) != 0
            counts.append(np.asarray(held.sum(axis=0)).ravel())
        elif hasattr(estimator, "categories_") and isinstance(getattr(estimator, "categories", "auto"), str):
            counts += [_held(x, place, known) for place, known in enumerate(estimator.categories_)]
    return np.concatenate(counts)


def _held(x: Any, place: int, known: Array) -> Array:
    column = pd.Series(x.iloc[:, place].to_numpy() if isinstance(x, pd.DataFrame) else np.asarray(x)[:, place])
    named = [value for value in known.tolist() if not pd.isna(value)]
    return column.value_counts().reindex(named, fill_value=0).to_numpy()
