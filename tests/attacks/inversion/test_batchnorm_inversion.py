"""The statistics beside their literal formula, and what V003 needs."""

import numpy as np
import pytest
import torch
from torch import nn

from safelight.attacks.inversion.batchnorm import BatchNormInversion
from safelight.attacks.inversion.statistics import Statistics, batchnorms, distance
from safelight.controls.matcher import likeness
from safelight.errors import AccessDenied
from safelight.evidence import WhatIsInside
from safelight.recipes.sklearn import SklearnRecipe
from safelight.targets.base import Images, Side
from safelight.targets.fake import LeakyRecipe
from safelight.targets.torch import from_torch
from safelight.threat import Access, ThreatModel

DIGITS = Images((1, 8, 8))
WEIGHTS = ThreatModel(Access.WEIGHTS)


def literal(x, mean, variance):
    """Yin et al. 2020, section 3.2, in units of the layer's own deviations by the root mean square over channels."""
    means, variances = 0.0, 0.0
    for channel in range(x.shape[1]):
        values = [float(value) for image in x for value in np.ravel(image[channel])]
        middle = sum(values) / len(values)
        spread = sum((value - middle) ** 2 for value in values) / len(values)
        means += (middle - mean[channel]) ** 2 / variance[channel]
        variances += (spread / variance[channel] - 1) ** 2
    return (means / x.shape[1]) ** 0.5 + (variances / x.shape[1]) ** 0.5


@pytest.mark.parametrize("shape", [(5, 3), (5, 3, 4, 2)])
def test_the_distance_is_that_of_the_paper_in_the_layers_own_units(shape):
    rng = np.random.default_rng(0)
    x, mean, variance = rng.normal(size=shape), rng.normal(size=3), rng.uniform(0.5, 2, 3)
    found = distance(torch.as_tensor(x), torch.as_tensor(mean), torch.as_tensor(variance))
    assert float(found) == pytest.approx(literal(x, mean, variance))


def test_a_batch_with_the_kept_statistics_is_at_distance_0_with_a_finite_gradient():
    x = torch.randn(6, 3, 4, 4, generator=torch.Generator().manual_seed(0)).double().requires_grad_()
    kept = x.detach()
    found = distance(x, kept.mean((0, 2, 3)), kept.var((0, 2, 3), unbiased=False))
    found.backward()
    assert float(found.detach()) < 1e-5
    assert torch.isfinite(x.grad).all()


def network(seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.BatchNorm2d(4, track_running_stats=False),
            nn.Flatten(), nn.Linear(144, 6), nn.BatchNorm1d(6), nn.Linear(6, 10),
        )  # fmt: skip
        net.train()(torch.rand(50, 1, 8, 8))
        return net.eval()


def test_the_sum_runs_over_all_layers_that_keep_statistics_and_the_first_may_weigh_more():
    net, x = network(), torch.rand(7, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    assert batchnorms(net) == [net[1], net[6]]
    inputs = [net[:1](x), net[:6](x)]
    each = [
        literal(seen.detach().double().numpy(), layer.running_mean.numpy(), (layer.running_var + layer.eps).numpy())
        for seen, layer in zip(inputs, (net[1], net[6]))
    ]
    with Statistics(net, first=10.0) as statistics:
        for _ in range(2):
            net(x)
            assert float(statistics.distance().detach()) == pytest.approx(10 * each[0] + each[1], rel=1e-4)
    assert not net[1]._forward_pre_hooks, "nobody listens any more"


def test_a_heavy_weight_makes_the_batch_look_like_the_training_data(digits):
    """With no weight on them the pictures' pixels vary otherwise than those of the stored pictures."""
    target = BatchNormInversion().planted(DIGITS).fit(digits, 0)
    stored = target.model.stored

    def misses(weight):
        attack = BatchNormInversion(statistics=weight, restarts=1, smooth=0.0, small=0.0, steps=60)
        answer = attack.run(target.view(WEIGHTS), WhatIsInside(np.arange(10)), np.random.default_rng(0))
        means, variances = answer.images.mean(0) - stored.mean(0), answer.images.var(0) - stored.var(0)
        return np.abs(means).mean(), np.abs(variances).mean()

    for with_them, without in zip(misses(1000.0), misses(0.0)):
        assert with_them < 0.5 * without


def test_it_rebuilds_what_the_planted_network_stores_and_only_the_classes_it_was_asked(digits):
    target = BatchNormInversion().planted(DIGITS).fit(digits, 0)
    answer = BatchNormInversion().run(target.view(WEIGHTS), WhatIsInside(np.array([7, 2])), np.random.default_rng(0))
    stored = target.model.stored
    assert answer.classes.tolist() == [7, 2]
    assert likeness(answer.images, stored, stored.mean(0)).argmax(1).tolist() == [7, 2]
    assert ((answer.confidence > 0) & (answer.confidence <= 1)).all()


def test_the_planted_network_answers_as_the_fake_does_and_keeps_its_statistics(digits):
    model = LeakyRecipe(DIGITS, pictures=True, batchnorm=True).fit(digits, 0).model
    net, stored = model.module(), model.stored.reshape(10, -1)
    x = torch.as_tensor(digits.x[:20], dtype=torch.float32)
    np.testing.assert_allclose(net(x).numpy(), model.logits(digits.x[:20]), atol=1e-3)
    (layer,) = batchnorms(net)
    np.testing.assert_allclose(layer.running_mean.numpy(), stored.mean(0), atol=1e-6)
    np.testing.assert_allclose(layer.running_var.numpy(), stored.var(0), atol=1e-6)


def test_the_same_seed_gives_the_same_bytes_and_the_callers_torch_seed_has_no_say():
    target = from_torch(network(), DIGITS)
    pictures = []
    for torch_seed in (1, 2):
        torch.manual_seed(torch_seed)
        attack = BatchNormInversion(steps=5)
        answer = attack.run(target.view(WEIGHTS), WhatIsInside(np.arange(10)), np.random.default_rng(4))
        pictures.append(answer.images.tobytes() + answer.confidence.tobytes())
    assert pictures[0] == pictures[1]


def test_a_model_without_batchnorm_is_left_out_with_the_reason_and_refused(digits):
    from sklearn.linear_model import LogisticRegression

    attack, asked, rng = BatchNormInversion(), WhatIsInside(np.arange(10)), np.random.default_rng(0)
    assert attack.misfit(from_torch(network(), DIGITS).model, Side()) == ""
    plain = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    linear = SklearnRecipe(LogisticRegression(max_iter=300), DIGITS).fit(digits.take(np.arange(100)), 0)
    for target in (from_torch(plain, DIGITS), linear, LeakyRecipe(DIGITS, pictures=True).fit(digits, 0)):
        reason = attack.misfit(target.model, Side())
        assert reason == "it reads the statistics of BatchNorm layers, and the target has none"
        with pytest.raises(AccessDenied, match="reads the statistics of BatchNorm layers, and the target has none"):
            attack.run(target.view(WEIGHTS), asked, rng)
