"""Anonymised training data: k rows look alike, cuts against a literal recursion, and tokens that protect nothing."""

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from safelight.attacks.membership.loss import log_odds
from safelight.data.records import concat
from safelight.defences.training.anonymised import Anonymised, Tokens, generalised, mondrian
from safelight.errors import InputError
from safelight.recipes.sklearn import SklearnRecipe

WORDS = make_column_transformer(
    (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_exclude="number")), remainder="passthrough"
)
FOREST = SklearnRecipe(make_pipeline(WORDS, RandomForestClassifier(10)))
RNG = np.random.default_rng(0)
PEOPLE = pd.DataFrame(
    {
        "age": RNG.integers(20, 60, 97),
        "pay": RNG.normal(size=97),
        "town": RNG.choice(["a", "b", "c", "d"], 97),
        "owns": pd.Categorical(RNG.choice(["yes", "no"], 97)),
        "secret": RNG.integers(0, 9, 97),
    }
)


@pytest.mark.parametrize("k", [2, 5, 20, 97])
def test_every_row_looks_like_k_minus_one_others(k):
    quasi = ["age", "pay", "town", "owns"]
    table = generalised(PEOPLE, quasi, k)
    sizes = table.groupby(quasi, observed=True)["secret"].transform("size")
    assert sizes.min() >= k
    assert table["secret"].equals(PEOPLE["secret"])
    assert table["owns"].dtype == PEOPLE["owns"].dtype
    assert table["age"].mean() == pytest.approx(PEOPLE["age"].mean())


def literal(values, k):
    """Cut one column of numbers at its median for as long as both parts keep k: a recursion over sorted lists."""
    low = [value for value in values if value <= sorted(values)[(len(values) - 1) // 2]]
    high = [value for value in values if value not in low]
    return [sorted(values)] if min(len(low), len(high)) < k else literal(low, k) + literal(high, k)


@pytest.mark.parametrize("k", [1, 3, 8])
def test_one_column_is_cut_at_its_medians(k):
    values = np.random.default_rng(1).normal(size=41)
    groups = mondrian(values[:, None], np.array([True]), np.ptp(values[:, None], axis=0), k)
    assert sorted(sorted(values[rows].tolist()) for rows in groups) == sorted(literal(values.tolist(), k))


def test_the_widest_column_is_cut_first():
    columns = np.stack([np.arange(8.0), np.repeat([0.0, 100.0], 4)[[0, 4, 1, 5, 2, 6, 3, 7]]], axis=1)
    groups = mondrian(columns, np.array([True, True]), np.array([70.0, 100.0]), 4)
    assert sorted(sorted(columns[rows, 1].tolist()) for rows in groups) == [[0.0] * 4, [100.0] * 4]


def test_k_of_one_is_the_plain_model(patients):
    some = patients.take(np.arange(200))
    one, two = (recipe.fit(some, 0).model.scores(patients.x) for recipe in (FOREST, Anonymised(k=1)(FOREST)))
    np.testing.assert_allclose(one, two)


def test_a_word_of_a_group_is_its_commonest():
    table = pd.DataFrame({"town": ["b", "b", "a", "c", "c"], "age": [1, 1, 1, 1, 1]})
    assert set(generalised(table, ["town", "age"], 5)["town"]) == {"b"}


def aucs(recipe, members, others):
    everyone, inside = concat([members, others]), np.arange(len(members) + len(others)) < len(members)
    scores = [recipe.fit(members, seed).model.scores(everyone.x) for seed in range(3)]
    return np.array([roc_auc_score(inside, log_odds(one, everyone.y, 1e-30)) for one in scores])


def test_groups_lower_membership_and_tokens_do_not(patients):
    numbered = pd.Categorical([f"n{number}" for number in range(len(patients))])
    named = type(patients)(patients.x.assign(name=numbered), patients.y, patients.ids)
    members, others = named.take(np.arange(250)), named.take(np.arange(250, 500))
    plain = aucs(FOREST, members, others)
    assert (aucs(Anonymised(k=20)(FOREST), members, others) < plain - 0.08).all()
    tokens = aucs(Anonymised(k=1, pseudonyms=("name",))(FOREST), members, others)
    assert (tokens > plain - 0.1).all()
    assert (tokens > 0.65).all()


def test_tokens_are_one_to_one_and_hide_the_value():
    ours = Tokens(("town", "age"), 7)(PEOPLE)
    for name in ("town", "age"):
        pairs = set(zip(ours[name], PEOPLE[name]))
        assert len(pairs) == PEOPLE[name].nunique() == ours[name].nunique()
        assert not set(ours[name]) & set(PEOPLE[name])
    assert ours["age"].between(0, 1).all()
    assert not ours["town"].equals(Tokens(("town",), 8)(PEOPLE)["town"])


def test_what_it_cannot_work_with_is_said(patients):
    with pytest.raises(InputError, match="3 rows cannot look like 4 others each; choose a smaller k"):
        Anonymised()(FOREST).fit(patients.take([0, 1, 2]), 0)
    with pytest.raises(InputError, match="Anonymised training data names the column 'nobody'"):
        Anonymised(quasi=("nobody",))(FOREST).fit(patients, 0)
