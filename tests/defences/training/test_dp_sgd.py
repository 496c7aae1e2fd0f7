"""DP-SGD: the accounting, the steps, and an audit of the trainer from inside."""

import logging
from dataclasses import replace

import numpy as np
import pytest
from sklearn.datasets import load_digits

torch = pytest.importorskip("torch")
pytest.importorskip("dp_accounting")

from torch import nn  # noqa: E402

import safelight as sl  # noqa: E402
from safelight.controls.gradient_canaries import audit_training, guesses_of  # noqa: E402
from safelight.data.records import Records  # noqa: E402
from safelight.defences.guarantee import LEAST_NOISE, Guarantee, noise_for, of_training  # noqa: E402
from safelight.defences.training.dp_sgd import DpSgd, drawing  # noqa: E402
from safelight.defences.training.noisy_steps import NoisySteps, in_full  # noqa: E402
from safelight.defences.training.smoothing import LabelSmoothing  # noqa: E402
from safelight.errors import InputError  # noqa: E402
from safelight.measures import trade_off  # noqa: E402
from safelight.measures.trade_off import curve_rejected  # noqa: E402
from safelight.recipes.function import FunctionRecipe  # noqa: E402
from safelight.recipes.gradient_canaries import Canaries  # noqa: E402
from safelight.recipes.torch import TorchRecipe  # noqa: E402
from safelight.targets.base import Images  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
BUNCH = load_digits()
DIGITS = Records.of(BUNCH.images[:, None] / 16, BUNCH.target)
TRAIN, TEST = DIGITS.take(np.arange(0, 900)), DIGITS.take(np.arange(900, 1797))


def dense(classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, classes))


RECIPE = TorchRecipe(dense, Images((1, 8, 8)), epochs=8, batch=90, optimiser="sgd", rate=0.2)


def accuracy(target):
    return (target.model.labels(TEST.x) == TEST.y).mean()


VECTORS = (
    ((1.0, 0.01, 1000), 2.1014, 1.8282),
    ((0.5, 0.01, 1000), 15.472, 13.361),
    ((1.1, 256 / 60000, 14040), 2.5944, 2.3796),
)


@pytest.mark.parametrize(("training", "rdp", "pld"), VECTORS)
def test_the_epsilons_are_the_known_ones(training, rdp, pld, caplog):
    caplog.set_level(logging.WARNING)
    found = of_training(trade_off.DpSgd(*training), 1e-5)
    assert found.epsilon_rdp == pytest.approx(rdp, rel=1e-3)
    assert found.epsilon == pytest.approx(pld, rel=1e-3)
    assert not caplog.records
    pytest.importorskip("opacus")
    from opacus.accountants import PRVAccountant

    other = PRVAccountant()
    other.history = [training]
    assert other.get_epsilon(1e-5) == pytest.approx(found.epsilon, rel=0.01)


@pytest.mark.parametrize("sigma", [0.4, 0.8, 2.0, 8.0])
@pytest.mark.parametrize("sampling", [0.02, 0.1, 1.0])
def test_renyi_divergences_never_promise_more(sigma, sampling):
    for steps in (1, 50):
        for delta in (1e-7, 1e-4):
            training = trade_off.DpSgd(sigma, sampling, steps)
            assert training.epsilon_rdp(delta) >= training.epsilon(delta) - 1e-4


@pytest.mark.parametrize("asked", [(8.0, 1e-5, 0.1, 80), (0.5, 1e-6, 0.02, 300), (3.0, 1e-5, 1.0, 10)])
def test_the_noise_is_the_least_that_keeps_the_promise(asked):
    epsilon, delta, sampling, steps = asked
    training = trade_off.DpSgd(noise_for(*asked), sampling, steps)
    assert 0.995 * epsilon < training.epsilon(delta) <= epsilon
    assert training.with_noise(training.sigma * 0.997).epsilon(delta) > epsilon


def test_what_cannot_be_promised_is_refused():
    with pytest.raises(InputError, match=r"epsilon 0.0001 at delta 1e-05 cannot be reached with 1000 steps .* take"):
        noise_for(1e-4, 1e-5, 1.0, 1000)
    assert noise_for(1e4, 1e-5, 0.1, 10) == LEAST_NOISE
    with pytest.raises(InputError, match=r"delta is 0.002, more than one over the 900 records"):
        DpSgd(delta=0.002)(RECIPE).fit(TRAIN, 0)
    with pytest.raises(InputError, match=r"epsilon is 0.0; it must be above 0"):
        DpSgd(epsilon=0.0)
    with pytest.raises(InputError, match="batch is 0; it must be at least 1"):
        DpSgd(batch=0)
    with pytest.raises(InputError, match=r"delta is 1.0; it must be in"):
        DpSgd(delta=1.0)


def test_the_guarantee_is_that_of_the_training():
    defence = DpSgd(epsilon=2.0, batch=45, epochs=3)
    found = defence.guarantee(RECIPE, 900)
    assert found == replace(found, unit="record", adjacency="add-remove", delta=1e-5, rate=0.05, steps=60)
    assert 1.99 < found.epsilon <= 2.0 < found.epsilon_rdp < 2.4
    assert defence.training(RECIPE, 900) == trade_off.DpSgd(found.sigma, 0.05, 60)
    assert str(Guarantee(2.0, 1e-5, 2.25)) == "epsilon 2 (2.25 by RDP) at delta 1e-05 a record, add-remove"
    assert drawing(900, 90, 8) == (0.1, 80)
    assert drawing(50, 90, 8) == (1.0, 8)


def test_with_little_noise_and_no_clipping_it_is_the_plain_recipe():
    """All records in each batch, no gradient cut: the same steps as the recipe that takes all records at once."""
    whole = replace(RECIPE, batch=len(TRAIN), epochs=6)
    plain = whole.fit(TRAIN, 3)
    net = whole.build(TRAIN, 3)
    NoisySteps(1.0, 6, 1e-9, 1e3).train(whole, net, *whole.tensors(TRAIN), 3)
    for mine, other in zip(net.parameters(), plain.model.module().parameters()):
        assert torch.allclose(mine, other, atol=1e-5)


def test_a_large_epsilon_learns_and_a_small_one_costs_accuracy():
    wide, tight = (DpSgd(epsilon=epsilon)(RECIPE).fit(TRAIN, 0) for epsilon in (8.0, 0.05))
    assert accuracy(wide) > 0.75
    assert accuracy(tight) < 0.55


def test_the_same_seed_gives_the_same_model_unless_its_noise_is_secret():
    def weights(defence, seed):
        return torch.cat([one.flatten() for one in defence(RECIPE).fit(TRAIN, seed).model.module().parameters()])

    small = DpSgd(epochs=1)
    assert torch.equal(weights(small, 1), weights(small, 1))
    assert not torch.equal(weights(small, 1), weights(small, 2))
    secret = replace(small, repeatable=False)
    assert not torch.equal(weights(secret, 1), weights(secret, 1))
    torch.manual_seed(5)
    before = torch.get_rng_state()
    weights(small, 1)
    assert torch.equal(before, torch.get_rng_state())


def test_large_batches_are_summed_in_parts(monkeypatch):
    from safelight.defences.training import noisy_steps

    nets = []
    for most in (1024, 7):
        monkeypatch.setattr(noisy_steps, "AT_ONCE", most)
        nets.append(RECIPE.build(TRAIN, 0))
        NoisySteps(0.1, 10, 1.0, 1.0).train(RECIPE, nets[-1], *RECIPE.tensors(TRAIN), 0)
    assert torch.allclose(nets[0][1].weight, nets[1][1].weight, atol=1e-5)


def test_an_empty_batch_is_a_step_of_noise():
    few = TRAIN.take(np.arange(4))
    net = RECIPE.build(few, 0)
    NoisySteps(0.01, 30, 1.0, 1.0).train(RECIPE, net, *RECIPE.tensors(few), 0)
    assert not torch.equal(net[1].weight, RECIPE.build(few, 0)[1].weight)


def test_the_noise_has_its_size_and_does_not_hang_on_the_batch():
    canaries = Canaries(np.arange(40), np.zeros((50, 40), bool), 0.7, 7.0)
    black = Records.of(np.zeros((200, 1, 8, 8)), TRAIN.y[:200])  # first-layer weights get no gradient at all
    for sampling in (0.02, 1.0):
        net = RECIPE.build(black, 0)
        steps = NoisySteps(sampling, 50, 1.5, 0.7)
        released = steps.train(RECIPE, net, *RECIPE.tensors(black), 0, canaries)
        assert released.std() == pytest.approx(1.5, rel=0.07)
        assert abs(released.mean()) < 0.12


def test_a_canary_is_drawn_cut_and_released_like_a_record():
    inside = np.random.default_rng(0).random((200, 40)) < 0.5
    black = Records.of(np.zeros((50, 1, 8, 8)), TRAIN.y[:50])
    released = NoisySteps(0.3, 200, 1e-9, 0.7).train(
        RECIPE, RECIPE.build(black, 0), *RECIPE.tensors(black), 0, Canaries(np.arange(40), inside, 0.7, 7.0)
    )
    assert set(np.round(released, 4).ravel()) == {0.0, 1.0}
    assert np.abs(released[~inside]).max() < 1e-6
    assert released[inside].mean() == pytest.approx(0.3, abs=0.03)


FEW = TRAIN.take(np.arange(100))
AUDITED = DpSgd(epsilon=2.0, batch=10, epochs=3)


def audited(seed, each_step=False, sigma=None):
    """Audit the defence's own training, or its loop with another noise; tell whether the canaries refute the claim."""
    claimed = AUDITED.training(RECIPE, len(FEW))

    def train(canaries, seed):
        if sigma is None:
            return AUDITED.train(RECIPE, FEW, seed, canaries)[1]
        own = in_full(RECIPE, 3, 10, None)
        how = NoisySteps(claimed.sampling, claimed.steps, sigma, 1.0)
        return how.train(own, own.build(FEW, seed), *own.tensors(FEW), seed, canaries)

    found = guesses_of(audit_training(train, claimed, np.arange(1000), 1.0, each_step, seed=seed))
    curve = claimed.step_curve() if each_step else claimed.curve()
    return curve_rejected(curve, found.coins, found.guesses, found.right, 2, 0.05)


def test_an_audit_from_inside_passes_the_right_noise_and_refutes_too_little():
    assert sum(audited(seed) for seed in range(6)) <= 1
    assert all(audited(seed, sigma=1e-6) for seed in range(3))
    assert all(audited(seed, True, AUDITED.training(RECIPE, 100).sigma / 4) for seed in range(3))


def test_coins_that_do_not_fit_are_refused():
    steps = NoisySteps(0.1, 5, 1.0, 1.0)
    for where, rows, message in ((10**6, 5, "canary pushes weight 1000000 and 2410 weights"), (1, 4, "for 4 steps")):
        canaries = Canaries(np.array([where]), np.ones((rows, 1), bool), 1.0, 10.0)
        with pytest.raises(InputError, match=message):
            steps.train(RECIPE, RECIPE.build(TRAIN, 0), *RECIPE.tensors(TRAIN), 0, canaries)


def test_it_goes_with_another_defence_on_the_loss_and_with_other_layers():
    pytest.importorskip("opacus")
    smooth = DpSgd(epochs=2)(LabelSmoothing(0.1)(RECIPE))
    plain = DpSgd(epochs=2)(RECIPE)
    assert not np.array_equal(*(recipe.fit(TRAIN, 0).model.logits(TEST.x) for recipe in (smooth, plain)))
    small = TorchRecipe(convolution, Images((1, 8, 8)), epochs=3, batch=60, optimiser="sgd", rate=0.5)
    assert accuracy(DpSgd()(small).fit(TRAIN, 0)) > 0.2


def convolution(classes):
    return nn.Sequential(nn.Conv2d(1, 8, 3), nn.GroupNorm(2, 8), nn.ReLU(), nn.Flatten(), nn.Linear(288, classes))


def normalised(classes):
    return nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(288, classes))


class Whole:
    stacks = False

    def __call__(self, step):
        return step.net(step.images).square().mean()


def mixup(images, rng):
    return (images + images.roll(1, 0)) / 2


def flip(images, rng):
    return torch.where(torch.rand(len(images), 1, 1, 1, generator=rng) < 0.5, images.flip(-1), images)


def test_what_does_not_fit_is_said():
    defence = DpSgd(epochs=1)
    for recipe, message in (
        (replace(RECIPE, module=normalised), "BatchNorm, .* use torch.nn.GroupNorm"),
        (replace(RECIPE, objective=Whole()), "Whole looks at more than logits and labels"),
        (replace(RECIPE, augment=mixup), "mixes the images of a batch"),
        (FunctionRecipe(mixup), "changes the gradients of a torch training"),
    ):
        with pytest.raises(InputError, match=message):
            defence(recipe)
    assert accuracy(defence(replace(RECIPE, augment=flip)).fit(TRAIN, 0)) > 0.1
    with pytest.raises(InputError, match="diverged at a learning rate of 1e"):
        NoisySteps(1.0, 3, 1.0, 1e20).train(
            replace(RECIPE, rate=1e30), RECIPE.build(TRAIN, 0), *RECIPE.tensors(TRAIN), 0
        )


def test_it_is_found_by_its_class():
    assert sl.defences.DpSgd is DpSgd
