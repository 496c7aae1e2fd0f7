"""The decoder beside its closed form, observations that read alike, and queries of users that are rebuilt."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from safelight.attacks.inversion.decoder import Decoder, network, ridge
from safelight.attacks.inversion.network import InversionNetwork, margin
from safelight.attacks.inversion.observation import Alignment, Split, sure_answers
from safelight.controls.matcher import likeness, own_rank
from safelight.errors import AccessDenied, BudgetSpent, InputError
from safelight.priors.pca import Pca
from safelight.recipes.torch import TorchRecipe
from safelight.targets.base import Images, Side
from safelight.threat import Access, ThreatModel

SMALL = InversionNetwork(mirrored=False, hidden=32, epochs=5)
PHOTOS = 100


def net(classes: int):
    from torch import nn

    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(512, 32), nn.ReLU(), nn.Linear(32, classes)
    )


@pytest.fixture(scope="module")
def served(digits):
    """Return a small trained network, the public records of the attacker, and photos that users sent."""
    order = np.random.default_rng(0).permutation(len(digits))
    target = TorchRecipe(net, Images((1, 8, 8)), epochs=15, batch=32).fit(digits.take(order[:600]), 0)
    return target, digits.take(order[600:1000]), digits.x[order[1000 : 1000 + PHOTOS]]


def first(pictures, photos):
    """Return the share of pictures whose own photo is the most alike of all photos."""
    return float((own_rank(likeness(pictures, photos, photos.mean(axis=0))) == 1).mean())


@pytest.mark.parametrize(("pairs", "width"), [(200, 7), (30, 50)])
def test_the_linear_decoder_is_ridge_regression(digits, pairs, width):
    rng = np.random.default_rng(0)
    images = digits.x[:pairs]
    prior = Pca.fit(digits.x[:400], Images((1, 8, 8)), 400)
    observed = images.reshape(pairs, -1) @ rng.normal(size=(64, width)) + rng.normal(size=(pairs, width))
    decoder = Decoder.fit(prior, observed, images, 0.1, 0, 0, rng)
    centred = observed - observed.mean(axis=0)
    penalty = 0.1 * (centred**2).sum() / min(pairs, width)
    slow = Ridge(alpha=penalty).fit(observed, images.reshape(pairs, -1)).predict(observed[:20])
    found = decoder(observed[:20]).reshape(20, -1)
    np.testing.assert_allclose(found, slow.clip(0, 1), atol=1e-5)


def test_ridge_is_the_same_on_either_side():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(40, 40)), rng.normal(size=(40, 3))
    penalty = 0.2 * (x**2).sum() / 40
    np.testing.assert_allclose(ridge(x, y, 0.2), np.linalg.solve(x.T @ x + penalty * np.eye(40), x.T @ y))
    wide = np.concatenate([x, np.zeros((40, 5))], axis=1)
    np.testing.assert_allclose(ridge(wide, y, 0.2)[:40], ridge(x, y, 0.2), atol=1e-9)


def test_the_network_mends_what_a_line_cannot_and_stays_small_far_away():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 3))
    left = np.stack([np.abs(x[:, 0]) - 0.8, np.tanh(3 * x[:, 1] * x[:, 2])], axis=1)
    mend = network(x, left, 64, 60, np.random.default_rng(1))
    assert ((mend(x) - left) ** 2).mean() < 0.3 * (left**2).mean()
    assert np.abs(mend(1000 * x)).max() < 20, "units are bounded: a far observation moves it no further"
    again = network(x, left, 64, 60, np.random.default_rng(1))
    assert (mend(x) == again(x)).all()


def test_full_scores_read_as_centred_logits():
    logits = np.random.default_rng(0).normal(size=(5, 4))
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(Alignment.to(scores)(scores), logits - logits.mean(axis=1, keepdims=True))


def test_hidden_classes_read_the_same_and_full_answers_are_cut_alike():
    full = np.array([[0.5, 0.3, 0.15, 0.05], [0.1, 0.2, 0.3, 0.4]])
    short = np.array([[0.5, 0.3, 0, 0], [0, 0, 0.3, 0.4]])
    seen = Alignment.to(full, top=2)(full)
    assert seen.shape == full.shape
    np.testing.assert_allclose(seen, Alignment.to(short)(short))
    assert seen[0, 2] == seen[0, 3] < seen[0, 1] < seen[0, 0]
    np.testing.assert_allclose(seen[0, 0] - seen[0, 1], np.log(0.5 / 0.3))
    np.testing.assert_allclose(seen[0, 1] - seen[0, 2], 2.0)


def test_rounded_away_scores_lie_below_the_least_that_was_shown():
    scores = np.array([[0.99, 0.01, 0.0], [1.0, 0.0, 0.0], [0.6, 0.3, 0.1]])
    seen = Alignment.to(scores, gap=1.0)(scores)
    np.testing.assert_allclose(seen[1, 0] - seen[1, 1], np.log(1 / 0.01) + 1)
    np.testing.assert_allclose(seen[0, 0] - seen[0, 2], np.log(0.99 / 0.01) + 1)
    assert np.isfinite(Alignment.to(np.zeros((2, 3)))(np.zeros((2, 3)))).all()


def test_a_sure_answer_is_as_long_as_others_and_keeps_to_where_answers_vary():
    rng = np.random.default_rng(0)
    observed = rng.normal(size=(3000, 4)) + 5
    wish = sure_answers(observed, np.array([2, 0]), 0.1)
    assert (wish - observed.mean(axis=0)).argmax(axis=1).tolist() == [2, 0]
    typical = np.sqrt(((observed - observed.mean(axis=0)) ** 2).sum(axis=1).mean())
    np.testing.assert_allclose(np.linalg.norm(wish - observed.mean(axis=0), axis=1), typical)
    observed[:, 1] = observed[:, 0]
    alike = sure_answers(observed, np.array([0]), 1e-3)[0]
    np.testing.assert_allclose(alike[0], alike[1], atol=1e-6, err_msg="classes that always rise together rise together")
    assert margin(np.array([[3.0, 1.0, -1.0], [0.0, 2.0, 5.0]]), np.array([0, 1])).tolist() == [2, -3]


def test_a_part_of_a_network_is_observed_and_a_wrong_name_says_which_there_are(served):
    import torch

    target, _, photos = served
    module = target.model.module()
    with torch.no_grad():
        expected = module[:2](torch.as_tensor(photos, dtype=torch.float32)).flatten(1).numpy()
    np.testing.assert_allclose(Split(module, "1", batch=7)(photos), expected, rtol=1e-5)
    with pytest.raises(InputError, match=r"The module has no part 'conv'; it has '0', '1'"):
        Split(module, "conv")(photos)
    assert not module[1]._forward_hooks


@pytest.mark.parametrize(("top", "least"), [(None, 0.5), (3, 0.12)])
def test_queries_are_rebuilt_from_their_scores_and_not_from_those_of_others(served, top, least):
    target, public, photos = served
    seen = target.view(ThreatModel(Access.SCORES, top_k=top)).scores(photos)
    view = target.view(ThreatModel(Access.SCORES), Side(public))
    pictures = SMALL.rebuild(view, seen, np.random.default_rng(0))
    assert pictures.shape == photos.shape
    assert first(pictures, photos) > least, "chance is 0.01"
    assert view.spent == 10 * SMALL.queries
    mixed = np.random.default_rng(1).permutation(PHOTOS)
    assert first(pictures[mixed], photos) < 0.06


def test_queries_are_rebuilt_from_split_features_without_asking(served):
    target, public, photos = served
    observe = Split(target.model.module(), "4")
    view = target.view(ThreatModel(Access.SCORES, queries=1), Side(public))
    pictures = SMALL.rebuild(view, observe(photos), np.random.default_rng(0), observe)
    assert first(pictures, photos) > 0.8
    assert view.spent == 0
    wrong = SMALL.rebuild(view, observe(photos)[::-1], np.random.default_rng(0), observe)
    assert first(wrong, photos) < 0.06, "the features of another photo rebuild that one"
    with pytest.raises(InputError, match=r"What was seen is \(10,\) a picture, but one's own is \(32,\)"):
        SMALL.rebuild(view, np.ones((3, 10)), np.random.default_rng(0), observe)


def test_rebuilding_keeps_to_the_door(served):
    target, public, photos = served
    seen = target.model.scores(photos)
    with pytest.raises(BudgetSpent, match="needs at least 2 queries and 1 of 1 are left"):
        SMALL.rebuild(target.view(ThreatModel(queries=1), Side(public)), seen, np.random.default_rng(0))
    with pytest.raises(AccessDenied, match="needs scores"):
        SMALL.rebuild(target.view(ThreatModel(Access.LABEL), Side(public)), seen, np.random.default_rng(0))
    view = target.view(ThreatModel(queries=50), Side(public))
    SMALL.rebuild(view, seen, np.random.default_rng(0))
    assert view.spent == 50
