"""Moves by whole pixels beside numpy's own."""

import numpy as np
import pytest

from safelight.data.records import Records
from safelight.data.shifts import shifted, shifts
from safelight.errors import InputError


def test_each_picture_moves_by_its_own_way_and_back():
    rng = np.random.default_rng(0)
    records = Records.of(rng.random((30, 3, 5, 7)), np.arange(30))
    ways = rng.integers(-2, 3, (30, 2))
    moved = shifted(records, ways)
    for before, after, way in zip(records.x, moved.x, ways):
        np.testing.assert_array_equal(after, np.roll(before, way, (1, 2)))
    np.testing.assert_array_equal(shifted(moved, -ways).x, records.x)


def test_a_range_holds_every_move_once_and_rests_first():
    assert shifts(0).tolist() == [[0, 0]]
    for reach in (1, 2):
        ways = shifts(reach)
        assert ways[0].tolist() == [0, 0]
        assert len({tuple(way) for way in ways.tolist()}) == len(ways) == (2 * reach + 1) ** 2
        assert np.abs(ways).max() == reach


def test_rows_of_a_table_are_refused():
    import pandas as pd

    rows = Records.of(pd.DataFrame({"age": [1, 2]}), [0, 1])
    with pytest.raises(InputError, match="2 rows of a table cannot be moved by pixels; give pictures"):
        shifted(rows, np.zeros((2, 2), int))
