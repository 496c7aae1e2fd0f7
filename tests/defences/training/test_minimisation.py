"""Data minimisation: a dropped column has no influence, a coarse one few values, and whole rows are still taken."""

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from safelight.defences.training.minimisation import Minimisation, Parts
from safelight.errors import InputError
from safelight.recipes.sklearn import SklearnRecipe
from safelight.targets.base import Images
from safelight.threat import Access, ThreatModel

WORDS = make_column_transformer(
    (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_exclude="number")), remainder="passthrough"
)
FOREST = SklearnRecipe(make_pipeline(WORDS, RandomForestClassifier(20)))


def test_a_dropped_column_has_no_influence_whatever_is_asked(patients):
    target = Minimisation(drop=("insurer", "mean area"))(FOREST).fit(patients, 0)
    view = target.view(ThreatModel(Access.SCORES))
    changed = patients.x.assign(insurer=patients.x["insurer"].to_numpy()[::-1], **{"mean area": 1e6})
    np.testing.assert_array_equal(view.scores(patients.x), view.scores(changed))
    assert target.model.inputs.columns == tuple(patients.x.columns)
    assert target.model.access == Access.LOGITS


def test_the_model_is_the_one_trained_without_the_column(patients):
    narrow = type(patients)(patients.x.drop(columns=["insurer"]), patients.y, patients.ids)
    expected = FOREST.fit(narrow, 3).model
    ours = Minimisation(drop=("insurer",))(FOREST).fit(patients, 3).model
    np.testing.assert_array_equal(ours.scores(patients.x), expected.scores(narrow.x))
    np.testing.assert_array_equal(ours.labels(patients.x), expected.labels(narrow.x))
    np.testing.assert_array_equal(ours.logits(patients.x), expected.logits(narrow.x))


def test_numbers_become_the_median_of_their_part():
    ages = pd.Series([1.0, 2, 3, 4, 10, 20, 30, 40])
    parts = Parts.of(ages, "age", 2)
    assert parts.coarse(ages).tolist() == [2.5] * 4 + [25.0] * 4
    assert parts.coarse(pd.Series([-5.0, 4.0, 4.1, 99.0])).tolist() == [2.5, 2.5, 25.0, 25.0]
    one = Parts.of(pd.Series([7, 7, 7]), "n", 4)
    assert one.coarse(pd.Series([1, 7])).tolist() == [7.0, 7.0]


def test_common_words_stay_and_others_become_other():
    towns = pd.Series(["a"] * 5 + ["b"] * 3 + ["c", "d"])
    assert Parts.of(towns, "town", 3).coarse(towns).tolist() == ["a"] * 5 + ["b"] * 3 + ["other", "other"]
    assert Parts.of(towns, "town", 4).coarse(pd.Series(["d", "z"])).tolist() == ["d", "other"]


def test_coarse_columns_keep_few_values_in_questions_too(patients):
    target = Minimisation(coarsen=("mean radius", "insurer"), bins=3)(FOREST).fit(patients, 0)
    seen = target.model.change(patients.x)
    assert seen["mean radius"].nunique() == 3
    assert set(seen["insurer"]) == {"north", "south"}
    assert seen["mean texture"].equals(patients.x["mean texture"])


def test_what_it_cannot_work_with_is_said(patients, digits):
    with pytest.raises(InputError, match="names no column; set drop or coarsen"):
        Minimisation()(FOREST)
    with pytest.raises(InputError, match=r"names the column 'insurers', and the table has .*insurer"):
        Minimisation(drop=("insurers",))(FOREST).fit(patients, 0)
    with pytest.raises(InputError, match="drops all 7 columns; leave the model at least one"):
        Minimisation(drop=tuple(patients.x.columns))(FOREST).fit(patients, 0)
    with pytest.raises(InputError, match="works on columns of a table, and the records are images"):
        Minimisation(drop=("x",))(SklearnRecipe(RandomForestClassifier(), Images((1, 8, 8)))).fit(digits, 0)
