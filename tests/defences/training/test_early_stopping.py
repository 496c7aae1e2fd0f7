"""Early stopping: the best pass is kept, patience is kept to, and less is learnt by heart."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from safelight.defences.training.early_stopping import EarlyStopping
from safelight.errors import InputError
from safelight.recipes.sklearn import SklearnRecipe
from safelight.recipes.torch import TorchRecipe


def literal(recipe, records, seed, held_out, patience):
    """Train for 1, 2, 3, ... passes from the start, and choose as the definition says."""
    order = np.random.default_rng([seed, 31]).permutation(len(records))
    held = round(held_out * len(records))
    out, kept = records.take(order[:held]), records.take(order[held:])
    losses, models = [], []
    for epochs in range(1, recipe.epochs + 1):
        model = replace(recipe, epochs=epochs).fit(kept, seed).model
        models.append(model)
        losses.append(-np.log(model.scores(out.x)[np.arange(held), out.y]).mean())
        if epochs - 1 - int(np.argmin(losses)) >= patience:
            break
    return models[int(np.argmin(losses))], len(losses)


def test_it_is_the_model_of_the_best_pass(plain, noisy):
    best, trained = literal(plain, noisy.members, 1, 0.25, 2)
    assert 2 < trained < plain.epochs
    ours = EarlyStopping(held_out=0.25, patience=2)(plain).fit(noisy.members, 1).model
    np.testing.assert_allclose(ours.scores(noisy.public.x), best.scores(noisy.public.x), atol=1e-6)


def test_it_trains_no_longer_than_patience_allows(plain, noisy, monkeypatch):
    trained = literal(plain, noisy.members, 1, 0.25, 2)[1]
    passed = []
    passes = TorchRecipe.passes
    monkeypatch.setattr(TorchRecipe, "passes", lambda *args: (passed.append(one) for one in passes(*args)))
    EarlyStopping(held_out=0.25, patience=2)(plain).fit(noisy.members, 1)
    assert passed == list(range(trained))


def test_with_endless_patience_the_last_passes_are_tried_too(plain, noisy):
    few = replace(plain, epochs=3)
    ours = EarlyStopping(held_out=0.25, patience=99)(few).fit(noisy.members, 0).model
    best, _ = literal(few, noisy.members, 0, 0.25, 99)
    assert torch.allclose(ours.module()[1].weight, best.module()[1].weight, atol=1e-6)


def test_less_is_learnt_by_heart(plain, noisy, leak, plain_leak):
    assert (leak(EarlyStopping()(plain), noisy) < plain_leak - 0.1).all()


def test_a_model_that_can_stop_by_itself_is_told_to():
    recipe = EarlyStopping(0.3, 7)(SklearnRecipe(make_pipeline(StandardScaler(), MLPClassifier())))
    own = recipe.estimator[-1]
    assert (own.early_stopping, own.validation_fraction, own.n_iter_no_change) == (True, 0.3, 7)


def test_what_it_cannot_work_with_is_said(plain, noisy):
    with pytest.raises(InputError, match="LogisticRegression does not train in passes; use regularisation"):
        EarlyStopping()(SklearnRecipe(LogisticRegression()))
    with pytest.raises(InputError, match=r"A share of 0\.2 holds out 0 of 2 records; choose another held_out"):
        EarlyStopping()(plain).fit(noisy.members.take([0, 1]), 0)
