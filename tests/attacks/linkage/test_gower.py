"""Gower's distance against a loop over columns, and what it refuses."""

import numpy as np
import pandas as pd
import pytest

from safelight.attacks.linkage import gower
from safelight.attacks.linkage.gower import distances
from safelight.errors import InputError


def tables(rng):
    def one(n):
        return pd.DataFrame({
            "blood pressure (mm Hg)": rng.normal(120, 20, n),
            "children": rng.integers(0, 4, n),
            "home town": rng.choice(["Salem", "New York", "it's"], n),
            "smokes": rng.random(n) < 0.3,
            "constant": 1.0,
        })  # fmt: skip

    return one(23), one(31)


def literal(one, other):
    found = np.zeros((len(one), len(other)))
    for i, left in enumerate(one.itertuples(index=False)):
        for j, right in enumerate(other.itertuples(index=False)):
            for place, name in enumerate(one.columns):
                both = pd.concat([one[name], other[name]])
                if both.dtype.kind in "if":
                    span = both.max() - both.min()
                    found[i, j] += 0 if span == 0 else abs(left[place] - right[place]) / span
                else:
                    found[i, j] += left[place] != right[place]
    return found / len(one.columns)


def test_distances_are_the_mean_over_columns_in_pieces_too(monkeypatch):
    one, other = tables(np.random.default_rng(0))
    whole = np.concatenate(list(distances(one, other)))
    assert np.allclose(whole, literal(one, other), atol=1e-11)
    monkeypatch.setattr(gower, "_CELLS", 100)
    pieces = list(distances(one, other))
    assert [len(piece) for piece in pieces] == [3] * 7 + [2]
    assert np.array_equal(np.concatenate(pieces), whole)


def test_a_column_coded_in_two_ways_is_said():
    one, other = tables(np.random.default_rng(0))
    with pytest.raises(InputError, match="'children' holds numbers in one table and 'none' in the other; code it"):
        next(distances(one, other.assign(children="none")))
    with pytest.raises(InputError, match="no column to compare records by; name at least one"):
        next(distances(one[[]], other[[]]))
