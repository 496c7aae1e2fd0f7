"""Regularisation: no strength is the plain model, each setting arrives where it belongs, less is learnt by heart."""

import numpy as np
import pytest
import torch
from sklearn.compose import make_column_transformer
from sklearn.ensemble import GradientBoostingRegressor, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder
from torch import nn

from safelight.attacks.membership.loss import log_odds
from safelight.data.records import concat
from safelight.defences.training.regularised import Regularised
from safelight.errors import InputError
from safelight.recipes.sklearn import SklearnRecipe

WORDS = make_column_transformer((OrdinalEncoder(), ["insurer"]), remainder="passthrough")
FOREST = make_pipeline(WORDS, RandomForestClassifier(20))


def test_no_strength_is_the_plain_model(brief, noisy):
    none = Regularised(decay=0.0, dropout=0.0)(brief)
    one, two = (recipe.fit(noisy.members, 0).model.scores(noisy.public.x) for recipe in (brief, none))
    np.testing.assert_array_equal(one, two)


def test_dropout_stands_before_the_last_layer_and_only_while_training(plain):
    net = Regularised(dropout=0.4)(plain).module(10)
    dropout, head = net[5]
    assert isinstance(dropout, nn.Dropout)
    assert dropout.p == 0.4
    assert head.out_features == 10
    images = torch.rand(5, 1, 8, 8)
    assert not torch.equal(net.train()(images), net(images))
    assert torch.equal(net.eval()(images), net(images))


def test_each_setting_arrives_and_the_others_stay(plain):
    assert Regularised(decay=0.01)(plain).decay == 0.01
    assert Regularised(decay=0.01)(plain).module is plain.module
    params = Regularised(min_samples_leaf=7)(SklearnRecipe(FOREST)).estimator.get_params()
    assert params["randomforestclassifier__min_samples_leaf"] == 7
    assert Regularised(c=0.3)(SklearnRecipe(LogisticRegression())).estimator.C == 0.3
    assert Regularised(alpha=2.0)(SklearnRecipe(MLPClassifier())).estimator.alpha == 2.0
    assert FOREST.get_params()["randomforestclassifier__min_samples_leaf"] == 1, "the user's own object is left alone"


def test_with_nothing_set_all_that_there_is_becomes_moderate(plain):
    assert Regularised()(plain).decay == 1e-3
    assert Regularised()(plain).key not in (plain.key, Regularised(dropout=0.5)(plain).key)
    assert Regularised()(SklearnRecipe(LogisticRegression())).estimator.C == 0.1


def test_an_alpha_that_is_no_penalty_is_left_alone():
    recipe = Regularised()(SklearnRecipe(make_pipeline(WORDS, GradientBoostingRegressor())))
    own = recipe.estimator[-1]
    assert (own.min_samples_leaf, own.alpha) == (10, 0.9)


def test_less_is_learnt_by_heart(plain, noisy, leak, plain_leak):
    assert (leak(Regularised(decay=0.01, dropout=0.5)(plain), noisy) < plain_leak - 0.05).all()


def test_a_forest_with_larger_leaves_tells_less(patients):
    members, others = patients.take(np.arange(250)), patients.take(np.arange(250, 500))
    everyone, inside = concat([members, others]), np.arange(500) < 250

    def auc(recipe, seed):
        return roc_auc_score(inside, log_odds(recipe.fit(members, seed).model.scores(everyone.x), everyone.y, 1e-30))

    for seed in range(3):
        open_leak = auc(SklearnRecipe(FOREST), seed)
        assert auc(Regularised(min_samples_leaf=20)(SklearnRecipe(FOREST)), seed) < open_leak - 0.12


def test_a_setting_that_the_model_lacks_is_refused(plain):
    with pytest.raises(InputError, match="Pipeline has no C; set min_samples_leaf instead"):
        Regularised(c=1.0)(SklearnRecipe(FOREST))
    with pytest.raises(InputError, match="A torch training has no min_samples_leaf; set decay or dropout"):
        Regularised(min_samples_leaf=3)(plain)
    with pytest.raises(InputError, match="changes the dropout of a torch training, and SklearnRecipe hides its own"):
        Regularised(dropout=0.5)(SklearnRecipe(FOREST))
    with pytest.raises(InputError, match="KNeighborsClassifier has none of min_samples_leaf, C and alpha; set its own"):
        Regularised()(SklearnRecipe(KNeighborsClassifier()))
