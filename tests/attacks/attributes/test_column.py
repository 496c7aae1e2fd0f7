import numpy as np
import pandas as pd
import pytest

from safelight.attacks.attributes.column import filled, marginal, prior, which
from safelight.data.records import Records
from safelight.errors import InputError


def test_values_are_stored_the_way_the_data_stores_them():
    x = pd.DataFrame(
        {
            "whole": np.array([1, 0, 1], dtype=np.int8),
            "blanked": [np.nan, np.nan, np.nan],
            "real": [0.5, 1.5, 0.5],
            "word": pd.Series(["a", "b", "a"], dtype="str"),
            "flag": [True, False, True],
            "kind": pd.Categorical(["x", "y", "x"], categories=["y", "x", "z"]),
        }
    )
    whole = np.array([0, 1])
    assert filled(x, "whole", 0, whole)["whole"].dtype == np.int8
    assert filled(x, "blanked", 1, whole)["blanked"].dtype == np.int64
    assert filled(x, "whole", 1.5, np.array([0.5, 1.5]))["whole"].tolist() == [1.5, 1.5, 1.5]
    assert filled(x, "real", 1.5, np.array([0.5, 1.5]))["real"].tolist() == [1.5, 1.5, 1.5]
    assert filled(x, "word", "b", np.array(["a", "b"]))["word"].dtype == x["word"].dtype
    assert filled(x, "flag", False, np.array([True, False]))["flag"].dtype == bool
    kind = filled(x, "kind", "z", np.array(["x", "y", "z"]))["kind"]
    assert kind.dtype == x["kind"].dtype
    assert kind.tolist() == ["z", "z", "z"]
    assert x["whole"].tolist() == [1, 0, 1]
    assert list(filled(x, "kind", "z", np.array(["x", "y", "z"])).columns) == list(x.columns)


def test_what_cannot_be_filled_is_said():
    x = pd.DataFrame({"kind": pd.Categorical(["x", "y"])})
    with pytest.raises(InputError, match="does not know the value 'z'; add it to its categories"):
        filled(x, "kind", "z", np.array(["x", "z"]))
    with pytest.raises(InputError, match="The column 'sex' is not in the table, whose columns are kind"):
        filled(x, "sex", 1, np.array([0, 1]))


@pytest.mark.parametrize(
    "column",
    [
        pd.Series(["b", None, "a", "c"], dtype="str"),
        pd.Series(["b", None, "a", "c"], dtype=object),
        pd.Series(pd.Categorical(["b", None, "a", "c"])),
    ],
    ids=["str", "object", "category"],
)
def test_which_finds_each_value_or_none(column):
    assert which(column, np.array(["a", "b"])).tolist() == [1, -1, 0, -1]


def test_the_marginal_counts_one_more_of_each_value():
    records = Records.of(pd.DataFrame({"sex": [1, 1, 1, 0, 7]}), np.zeros(5, int))
    assert marginal(records, "sex", np.array([0, 1, 2])).tolist() == [2 / 7, 4 / 7, 1 / 7]
    assert prior(None, "sex", np.array([0, 1])).tolist() == [0.5, 0.5]
    assert prior(records, "sex", np.array([0, 1])).tolist() == [2 / 6, 4 / 6]
