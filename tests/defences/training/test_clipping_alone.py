"""Clipping with next to no noise: it protects the records that are hard to fit, and says that it promises nothing."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score

torch = pytest.importorskip("torch")
pytest.importorskip("dp_accounting")

from torch import nn  # noqa: E402

from safelight.attacks.membership.loss import log_odds  # noqa: E402
from safelight.data.records import Records  # noqa: E402
from safelight.defences.training.clipping import ClipOnly  # noqa: E402
from safelight.errors import InputError  # noqa: E402
from safelight.recipes.torch import TorchRecipe  # noqa: E402
from safelight.targets.base import Images  # noqa: E402

BUNCH = load_digits()
DIGITS = Records.of(BUNCH.images[:, None] / 16, BUNCH.target)
TEST = DIGITS.take(np.arange(900, 1797))


def dense(classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, classes))


RECIPE = TorchRecipe(dense, Images((1, 8, 8)), epochs=40, batch=50, optimiser="sgd", rate=0.1)


def wrong_labels(seed):
    """300 digits of which 60 have wrong labels, and 60 more with wrong labels that are left out."""
    rng = np.random.default_rng(seed)
    some = DIGITS.take(rng.permutation(900)[:360])
    y = some.y.copy()
    y[:120] = (y[:120] + rng.integers(1, 10, 120)) % 10
    some = some.relabelled(y)
    return some.take(np.arange(60, 360)), some.take(np.arange(120))


def measured(recipe, seed):
    members, coins = wrong_labels(seed)
    target = recipe.fit(members, seed)
    auc = roc_auc_score(np.arange(120) >= 60, log_odds(target.model.scores(coins.x), coins.y, 1e-30))
    return auc, (target.model.labels(TEST.x) == TEST.y).mean()


def test_wrong_labels_are_told_apart_less_at_no_lower_accuracy():
    plain = np.mean([measured(RECIPE, seed) for seed in range(3)], axis=0)
    clipped = np.mean([measured(ClipOnly(clip=0.5)(RECIPE), seed) for seed in range(3)], axis=0)
    assert plain[0] > 0.95
    assert clipped[0] < plain[0] - 0.05
    assert clipped[1] > plain[1] - 0.02


def test_without_a_cut_in_full_batches_it_is_the_plain_recipe():
    members, _ = wrong_labels(0)
    whole = replace(RECIPE, batch=len(members), epochs=5)
    loose = ClipOnly(noise=1e-9, clip=1e3)(whole).fit(members, 1).model.module()
    for mine, other in zip(loose.parameters(), whole.fit(members, 1).model.module().parameters()):
        assert torch.allclose(mine, other, atol=1e-5)


def test_its_formal_epsilon_is_said_and_means_nothing():
    found = ClipOnly().formal(RECIPE, 300)
    assert found.epsilon > 1e5
    assert found.epsilon <= found.epsilon_rdp
    assert (found.sigma, found.rate, found.steps) == (0.01, 50 / 300, 240)
    assert "too small to hide a record" in found.how
    assert not hasattr(ClipOnly(), "guarantee")  # nothing may count it among the defences that promise something


def test_impossible_settings_are_refused():
    with pytest.raises(InputError, match=r"noise is 0.0; it must be above 0"):
        ClipOnly(noise=0.0)
    with pytest.raises(InputError, match=r"clip is -1.0; it must be above 0"):
        ClipOnly(clip=-1.0)
    with pytest.raises(InputError, match=r"delta is 0.1, more than one over the 300 records"):
        ClipOnly(delta=0.1).formal(RECIPE, 300)
