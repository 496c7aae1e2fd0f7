import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from safelight.attacks.attributes.imputation import impute
from safelight.data.records import Records
from safelight.errors import InputError


def test_a_column_that_others_predict_is_imputed_and_a_coin_is_not(help):
    rng = np.random.default_rng(0)
    train, _ = help.survey(300, seed=1)
    fresh, coin = help.survey(300, seed=2)
    chances = impute(train, help.asked(fresh), rng).values
    assert chances.shape == (300, 2)
    assert np.allclose(chances.sum(axis=1), 1)
    assert abs(roc_auc_score(coin, chances[:, 1]) - 0.5) < 0.11
    for group in (train, fresh):
        group.x["smoker"] = ((group.x["age"] < 40) ^ (group.x["region"] == "west")).astype(int)
    told = impute(train, help.asked(fresh), rng).values
    assert roc_auc_score(fresh.x["smoker"], told[:, 1]) > 0.97


def test_the_label_counts_as_knowledge(help):
    train, _ = help.survey(200, seed=3)
    fresh, _ = help.survey(200, seed=4)
    for group in (train, fresh):
        group.x["smoker"] = (group.y == 1).astype(int)
    told = impute(train, help.asked(fresh), np.random.default_rng(0)).values
    assert (told.argmax(axis=1) == fresh.x["smoker"]).all()


def test_words_unknown_to_the_public_and_values_never_seen_do_not_stop_it(help):
    train, _ = help.survey(120, seed=5, values=("daily", "never"))
    fresh, _ = help.survey(30, seed=6, values=("daily", "never"))
    fresh.x["region"] = "east"
    question = help.asked(fresh, values=("daily", "never", "rarely"))
    chances = impute(train, question, np.random.default_rng(0)).values
    assert (chances[:, 2] == 0).all()
    assert np.isfinite(chances).all()


def test_a_handful_of_records_and_real_labels_are_enough(help):
    train = Records.of(pd.DataFrame({0: [1.0, 2.0, 3.0, 4.0], "smoker": [0, 0, 1, 1]}), np.array([0.1, 0.2, 0.8, 0.9]))
    chances = impute(train, help.asked(train), np.random.default_rng(0)).values
    assert (chances.argmax(axis=1) == [0, 0, 1, 1]).all()


def test_the_same_seed_gives_the_same_answer(help):
    train, _ = help.survey(100, seed=7)
    first, second = (impute(train, help.asked(train), np.random.default_rng(1)).values for _ in range(2))
    assert np.array_equal(first, second)


def test_records_that_teach_nothing_are_refused(help):
    train, _ = help.survey(20, seed=8)
    question = help.asked(train)
    with pytest.raises(InputError, match="The 20 records to learn from hold fewer than two of the values of 'smoker'"):
        impute(question.records, question, np.random.default_rng(0))
    bare = Records(train.x.drop(columns="smoker"), train.y, train.ids)
    with pytest.raises(InputError, match="have no column 'smoker'"):
        impute(bare, question, np.random.default_rng(0))
