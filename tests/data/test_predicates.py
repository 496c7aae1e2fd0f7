"""Conditions as text: written the same way, read back, evaluated as pandas would."""

import numpy as np
import pandas as pd
import pytest

from safelight.data.predicates import holding, of_form, written
from safelight.errors import InputError

TABLE = pd.DataFrame({
    "my age": [30, 41, 52], 'a "quoted" name': ["x", 'say "y"', "z"], "smokes": [True, False, True],
    "w": [0.1, 0.2, 0.3],
})  # fmt: skip


def test_conditions_hold_where_they_hold_whatever_columns_are_called():
    texts = [
        written([("my age", ">=", np.int64(41)), ('a "quoted" name', "==", 'say "y"')]),
        written([("my age", "<=", 41)]),
        written([("smokes", "==", "True"), ("w", ">=", np.float64(0.3))]),
        written([("smokes", "==", 1)]),
    ]
    assert holding(texts, TABLE).tolist() == [
        [False, True, False], [True, True, False], [False, False, True], [False] * 3
    ]  # fmt: skip
    assert of_form(np.array(texts), True).tolist() == [texts[0], texts[2]]


def test_the_same_conditions_in_another_order_are_the_same_text():
    one, other = ("a", ">=", 1.5), ("b", "==", "x")
    assert written([one, other]) == written([other, one])


def test_a_condition_that_fits_no_column_is_said():
    with pytest.raises(InputError, match=r"The condition 'height' >= 3 fits no column of the table; write it anew\."):
        holding([written([("height", ">=", 3)])], TABLE)
    with pytest.raises(InputError, match="fits no column"):
        holding([written([("w", "is", 3)])], TABLE)
