"""Encrypted inference hides the question and the weights, and leaves what the answers reveal as it was."""

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import roc_auc_score

from safelight.attacks.membership.loss import LossThreshold
from safelight.data.records import concat
from safelight.defences.encrypted.ckks import Ckks
from safelight.defences.encrypted.three_party import ThreeParty
from safelight.errors import AccessDenied, InputError
from safelight.evidence import WhoWasIn
from safelight.recipes.sklearn import SklearnRecipe
from safelight.targets.base import Images, Target
from safelight.threat import Access, ThreatModel

RECIPE = SklearnRecipe(LogisticRegression(C=100, max_iter=500), Images((1, 8, 8)))


@pytest.fixture(scope="module")
def groups(digits):
    """Fifty members with labels that only memory explains, and fifty nonmembers."""
    order = np.random.default_rng(0).permutation(len(digits))
    labels = np.random.default_rng(1).integers(0, 10, len(digits))
    relabelled = digits.relabelled(labels)
    return relabelled.take(order[:50]), relabelled.take(order[50:100])


@pytest.mark.parametrize("defence", [Ckks(), ThreeParty()], ids=lambda defence: defence.name)
def test_the_audit_finds_the_same_leak_with_and_without_it(groups, defence):
    members, nonmembers = groups
    asked = concat([members, nonmembers])
    plain = RECIPE.fit(members, 0)
    encrypted = defence(plain)
    scores, answers = {}, {}
    for name, target in (("plain", plain), ("encrypted", encrypted)):
        answers[name] = target.view(ThreatModel(Access.SCORES)).scores(asked.x)
        door = target.view(ThreatModel(Access.SCORES))
        scores[name] = LossThreshold().run(door, WhoWasIn(asked), np.random.default_rng(0)).values[:, 0]
        assert door.spent == 100
    assert np.abs(answers["plain"] - answers["encrypted"]).max() < 1e-3
    guesses = {name: values > np.median(values) for name, values in scores.items()}
    assert np.array_equal(guesses["plain"], guesses["encrypted"])
    auc = {name: roc_auc_score(np.arange(100) < 50, values) for name, values in scores.items()}
    assert auc["plain"] > 0.9
    assert abs(auc["plain"] - auc["encrypted"]) < 1e-3


def test_the_weights_are_not_shown_and_the_answers_are(groups):
    encrypted = Ckks()(RECIPE.fit(groups[0], 0))
    assert encrypted.model.access is Access.LOGITS
    assert encrypted.description.endswith("ckks")
    with pytest.raises(AccessDenied, match="the target can show no more than logits"):
        encrypted.view(ThreatModel(Access.WEIGHTS)).estimator()
    assert encrypted.model.labels(groups[0].x[:0]).shape == (0,)


def test_a_recipe_gives_encrypted_models(groups):
    recipe = Ckks()(RECIPE)
    target = recipe.fit(groups[0], 0)
    assert target.name == "retrained"
    assert recipe.key != Ckks(ring=32768)(RECIPE).key != RECIPE.key
    plain = RECIPE.fit(groups[0], 0)
    assert np.array_equal(target.model.labels(groups[0].x), plain.model.labels(groups[0].x))


def test_what_cannot_be_asked_encrypted_is_refused_when_it_is_wrapped(groups):
    line = LinearRegression().fit(groups[0].x.reshape(50, -1), groups[0].y)
    with pytest.raises(InputError, match="answers with classes, and the target is a regressor"):
        ThreeParty()(Target.from_sklearn(line, Images((1, 8, 8))))
    from torch import nn

    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 4), nn.ReLU(), nn.Linear(4, 10))
    with pytest.raises(InputError, match="the network has a ReLU; train it with Squared"):
        Ckks()(Target.from_torch(net, Images((1, 8, 8))))
    assert isinstance(ThreeParty()(Target.from_torch(net, Images((1, 8, 8)))), Target)
