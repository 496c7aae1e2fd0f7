"""The feature regulariser beside its literal formula, and what it needs."""

import numpy as np
import pytest
import torch
from torch import nn

from safelight.attacks.inversion.features import drawn, unlikely
from safelight.attacks.inversion.latent import LatentInversion
from safelight.errors import AccessDenied
from safelight.evidence import WhatIsInside
from safelight.recipes.sklearn import SklearnRecipe
from safelight.targets.base import Images, Side
from safelight.targets.fake import LeakyRecipe
from safelight.targets.torch import from_torch
from safelight.threat import Access, ThreatModel

DIGITS = Images((1, 8, 8))


@pytest.fixture
def target():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Flatten(), nn.Linear(64, 10), nn.ReLU(), nn.Linear(10, 7), nn.Tanh(), nn.Linear(7, 10))
    return from_torch(net, DIGITS)


def test_p_reg_is_drawn_and_not_its_mean():
    features = np.random.default_rng(0).normal([1.0, -2.0], [0.5, 3.0], (4000, 2))
    found = drawn(features, 4000, np.random.default_rng(1))
    np.testing.assert_allclose(found.mean(0), [1, -2], atol=0.2)
    np.testing.assert_allclose(found.std(0), [0.5, 3], rtol=0.05)


def test_the_penalty_is_the_squared_distance_to_p_reg_over_all_looks(target, digits):
    view = target.view(ThreatModel(Access.WEIGHTS), Side(public=digits.take(np.arange(700))))
    net = view.module()
    public = net[:5](torch.as_tensor(digits.x[:700], dtype=torch.float32)).double().numpy()
    noise = np.random.default_rng(5).standard_normal((4, 7))
    looks = [torch.as_tensor(digits.x[rows], dtype=torch.float32) for rows in (slice(4), slice(9, 13))]
    with unlikely(view, 0.3, 4, np.random.default_rng(5)) as unlike:
        for _ in range(2):
            for look in looks:
                view.differentiable(look)
            expected = []
            for row in range(4):
                squares = [
                    (net[:5](look)[row, k].item() - public[:, k].mean() - public[:, k].std() * noise[row, k]) ** 2
                    for look in looks
                    for k in range(7)
                ]
                expected.append(0.3 * np.mean(squares))
            np.testing.assert_allclose(unlike().numpy(), expected, rtol=1e-4)
    assert not net[5]._forward_pre_hooks, "nobody listens any more"


def test_a_heavy_weight_brings_the_features_nearer_to_those_of_public_pictures(target, digits):
    view = target.view(ThreatModel(Access.WEIGHTS), Side(public=digits.take(np.arange(300))))
    net, asked = view.module(), WhatIsInside(np.arange(10))
    likely = net[:5](torch.as_tensor(digits.x[:300], dtype=torch.float32)).mean(0)

    def distance(weight):
        answer = LatentInversion(features=weight).run(view, asked, np.random.default_rng(0))
        return ((net[:5](torch.as_tensor(answer.images, dtype=torch.float32)) - likely) ** 2).mean().item()

    assert distance(100.0) < 0.7 * distance(0.0)


def test_it_needs_the_weights_and_a_network_that_ends_in_a_dense_layer(target, digits):
    from sklearn.linear_model import LogisticRegression

    attack, side, asked = LatentInversion(features=0.1), Side(public=digits), WhatIsInside(np.arange(10))
    with pytest.raises(AccessDenied, match="needs weights and the threat model grants gradients"):
        attack.run(target.view(ThreatModel(Access.GRADIENTS), side), asked, np.random.default_rng(0))
    linear = SklearnRecipe(LogisticRegression(max_iter=300), DIGITS).fit(digits.take(np.arange(100)), 0)
    for other in (linear, LeakyRecipe(DIGITS, pictures=True).fit(digits, 0)):
        with pytest.raises(AccessDenied, match="ends in a dense layer, and the target has none; set it to 0"):
            attack.run(other.view(ThreatModel(Access.WEIGHTS), side), asked, np.random.default_rng(0))
