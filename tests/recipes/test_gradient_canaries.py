"""Canaries inside Opacus: drawn by its sampler, clipped by its optimizer, read from what it releases."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
opacus = pytest.importorskip("opacus")

from opacus.utils.batch_memory_manager import BatchMemoryManager  # noqa: E402

from safelight.errors import InputError  # noqa: E402
from safelight.recipes.gradient_canaries import Canaries, CanaryRecords, OpacusCanaries  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
RECORDS, STEPS = 60, 40


def private(canaries, sigma=0.0, clip=0.5, reduction="mean", batch=20, mode="hooks"):
    """A network whose first inputs are always 0: their weights move by canaries alone."""
    torch.manual_seed(0)
    x = torch.randn(RECORDS, 6)
    x[:, :3] = 0
    data = CanaryRecords(torch.utils.data.TensorDataset(x, torch.arange(RECORDS) % 2), canaries)
    net = torch.nn.Sequential(torch.nn.Linear(6, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
    loss = torch.nn.CrossEntropyLoss(reduction=reduction)
    made = opacus.PrivacyEngine().make_private(
        module=net, optimizer=torch.optim.SGD(net.parameters(), lr=0.1), criterion=loss, noise_multiplier=sigma,
        data_loader=torch.utils.data.DataLoader(data, batch_size=batch), max_grad_norm=clip, loss_reduction=reduction,
        grad_sample_mode=mode,
    )  # fmt: skip
    return made if mode == "ghost" else (made[0], made[1], loss, made[2])


def train(canaries, most=None, seen=None, **settings):
    model, steps, loss, loader = private(len(canaries.where), **settings)
    planted, taken = OpacusCanaries(steps, canaries), 0
    while taken < canaries.steps:
        with BatchMemoryManager(data_loader=loader, max_physical_batch_size=most or 1000, optimizer=steps) as batches:
            for x, y, numbers in batches:
                steps.zero_grad()
                loss(model(x), y).backward()
                planted.plant(numbers)
                steps.step()
                if seen is not None:
                    seen.append(numbers.numpy())
                taken += not steps._is_last_step_skipped
                if taken == canaries.steps:
                    break
    return planted.observed()


def canaries(where=(0, 1, 2, 6, 7, 8), inside=None, norm=7.0):
    inside = np.ones((STEPS, len(where)), bool) if inside is None else inside
    return Canaries(np.array(where), inside, 0.5, norm)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_a_drawn_canary_moves_its_weight_by_one_clipping_norm(reduction):
    inside = np.random.default_rng(0).random((STEPS, 6)) < 0.5
    seen = []
    observed = train(canaries(inside=inside), reduction=reduction, seen=seen)
    drawn = np.array([np.isin(np.arange(6), numbers) for numbers in seen])
    assert observed == pytest.approx((inside & drawn).astype(float), abs=1e-4)
    assert 0.2 < drawn.mean() < 0.42, "the loader draws canaries as it draws records"


def test_the_noise_is_what_opacus_adds():
    observed = train(canaries(inside=np.zeros((400, 6), bool)), sigma=1.5)
    assert observed.std() == pytest.approx(1.5, rel=0.05)
    assert observed.mean() == pytest.approx(0, abs=0.1)


def test_batches_in_parts_are_one_step():
    observed = train(canaries(), most=7)
    assert observed.shape == (STEPS, 6)
    assert set(np.round(observed, 3).ravel()) <= {0.0, 1.0}
    assert 0.2 < observed.mean() < 0.42


def test_a_canary_may_push_any_layer():
    last = 6 * 4 + 4 + 4 * 2 + 2 - 1
    observed = train(canaries(where=(last, 0)))
    assert np.abs(observed[:, 0]).mean() > 0.2
    with pytest.raises(InputError, match=f"weight {last + 1} and the model has {last + 1} weights"):
        train(canaries(where=(last + 1, 0)))


def test_what_cannot_be_planted_is_said():
    model, steps, loss, loader = private(6, mode="ghost")
    planted = OpacusCanaries(steps, canaries())
    x, y, numbers = next(iter(loader))
    loss(model(x), y).backward()
    with pytest.raises(InputError, match='grad_sample_mode="hooks"'):
        planted.plant(numbers)
    with pytest.raises(InputError, match="took 0 steps and the coins are for 40"):
        planted.observed()
    with pytest.raises(InputError, match="flipped for 0 steps"):
        OpacusCanaries(steps, canaries(inside=np.ones((0, 6), bool))).plant(numbers)
    for arguments, message in (
        ((np.array([1, 1]), np.ones((2, 2), bool), 1.0, 1.0), "holds 2 weights"),
        ((np.array([], int), np.ones((2, 0), bool), 1.0, 1.0), "holds 0 weights"),
        ((np.array([1, 2]), np.ones((2, 3), bool), 1.0, 1.0), r"shape \(2, 3\)"),
        ((np.array([1, 2]), np.ones((2, 2), bool), 2.0, 1.0), "clip is 2.0 and norm is 1.0"),
    ):
        with pytest.raises(InputError, match=message):
            Canaries(*arguments)
