"""Audits of real DP-SGD trainings by Opacus: true promises must stand and broken ones fall. Digits, an MLP, 100 steps.

Gradient canaries (1,000) against the mechanism's own curve, with coins for the whole training and with new coins at
each step; beside them the black box: 500 mislabelled records and the trained model's scores. All at delta 1e-5, 95 %.
Goals at epsilon 1, 8 and 32, 20 trainings each: a bound above the claim in at most 5 % of true trainings; training
without noise caught in at least 95 %, by the whole training's coins at 1 and 8 and by each step's at 32.
Run: python benchmarks/bench_dp_audit.py [trainings of each kind]
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy import ndarray as Array
from opacus import PrivacyEngine
from scipy.optimize import brentq
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from safelight.attacks.membership.loss import log_odds
from safelight.controls.coins.base import Guesses, guess
from safelight.controls.gradient_canaries import audit_training, beliefs, guesses_of, quietest
from safelight.measures.binomial import clopper_pearson
from safelight.measures.dp_sgd import epsilon_of_training
from safelight.measures.one_run import epsilon_one_run
from safelight.measures.trade_off import DpSgd, curve_rejected
from safelight.recipes.gradient_canaries import Canaries, CanaryRecords, OpacusCanaries

CANARIES, MISLABELLED = 1000, 500
SAMPLING, STEPS, DELTA, CLIP = 0.1, 100, 1e-5, 1.0
X, Y = load_digits(return_X_y=True)
X = (X / 16).astype(np.float32)
TRAIN = np.random.default_rng(0).permutation(len(X))[:1400]
TEST = np.setdiff1d(np.arange(len(X)), TRAIN)


@dataclass(frozen=True)
class Trainer:
    """A training by Opacus; every field but `sigma` is a bug.

    Attributes:
        sigma: the noise that is really added.
        by_batch: the noise is divided by the batch size once more.
        clips: gradients are clipped.
        drawn: batches are drawn by Poisson sampling; else they are shuffled parts, or all records at each step.
        same_noise: each step starts the noise from the same seed.
    """

    sigma: float
    by_batch: bool = False
    clips: bool = True
    drawn: str = "poisson"
    same_noise: bool = False

    def fit(self, x: Array, y: Array, seed: int, canaries: Canaries | None = None) -> tuple[nn.Module, Array | None]:
        """Train; returns the network and what was released at the canaries' weights."""
        records = TensorDataset(torch.as_tensor(x), torch.as_tensor(y))
        data = CanaryRecords(records, len(canaries.where) if canaries else 0)
        size = len(data) if self.drawn == "all" else round(SAMPLING * len(data))
        torch.manual_seed(seed)
        net, noise = network(seed), torch.Generator().manual_seed(seed)
        model, steps, loader = PrivacyEngine().make_private(
            module=net,
            optimizer=torch.optim.SGD(net.parameters(), lr=0.5),
            data_loader=DataLoader(data, batch_size=size, shuffle=True),
            noise_multiplier=self.sigma / (size if self.by_batch else 1),
            max_grad_norm=CLIP,
            poisson_sampling=self.drawn == "poisson",
            noise_generator=noise,
        )
        if not self.clips:
            steps.clip_and_accumulate = unclipped(steps)
        planted = OpacusCanaries(steps, canaries) if canaries else None
        taken = 0
        while taken < STEPS:
            for images, labels, numbers in loader:
                if self.same_noise:
                    noise.manual_seed(seed)
                steps.zero_grad()
                nn.functional.cross_entropy(model(images), labels).backward()
                if planted:
                    planted.plant(numbers)
                steps.step()
                taken += 1
                if taken == STEPS:
                    break
        return net, planted.observed() if planted else None


def network(seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))


def unclipped(steps: object) -> Callable[[], None]:
    usual = steps.clip_and_accumulate  # type: ignore[attr-defined]

    def clip_and_accumulate() -> None:
        kept, steps.max_grad_norm = steps.max_grad_norm, 1e9  # type: ignore[attr-defined]
        usual()
        steps.max_grad_norm = kept  # type: ignore[attr-defined]

    return clip_and_accumulate


def quiet_weights(seed: int) -> Array:
    """The weights that the records move least before training, each record's gradient clipped."""
    net = network(seed)

    def loss(weights: dict[str, torch.Tensor], image: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        return nn.functional.cross_entropy(torch.func.functional_call(net, weights, (image[None],)), label[None])

    each = torch.func.vmap(torch.func.grad(loss), (None, 0, 0))
    found = each(dict(net.named_parameters()), torch.as_tensor(X[TRAIN]), torch.as_tensor(Y[TRAIN]))
    rows = torch.cat([gradient.reshape(len(TRAIN), -1) for gradient in found.values()], dim=1)
    return quietest((rows / (rows.norm(dim=1, keepdim=True) / CLIP).clamp(min=1)).detach().numpy(), CANARIES)


def from_inside(trainer: Trainer, claimed: DpSgd, each_step: bool, seed: int) -> tuple[Guesses, float]:
    """Return the guesses of gradient canaries and the test accuracy of the audited model."""
    nets = []

    def train(canaries: Canaries, seed: int) -> Array:
        net, observed = trainer.fit(X[TRAIN], Y[TRAIN], seed, canaries)
        nets.append(net)
        assert observed is not None
        return observed

    evidence = audit_training(train, claimed, quiet_weights(seed), CLIP, each_step, seed=seed)
    with torch.no_grad():
        accuracy = (nets[0](torch.as_tensor(X[TEST])).argmax(dim=1).numpy() == Y[TEST]).mean()
    return guesses_of(evidence), float(accuracy)


def from_outside(trainer: Trainer, seed: int) -> Guesses:
    """Return the guesses from the trained model's scores of mislabelled records, the surest fifth."""
    rng = np.random.default_rng([seed, 3])
    coins, rest = TRAIN[:MISLABELLED], TRAIN[MISLABELLED:]
    wrong = (Y[coins] + rng.integers(1, 10, MISLABELLED)) % 10
    inside = rng.random(MISLABELLED) < 0.5
    x, y = np.concatenate([X[rest], X[coins[inside]]]), np.concatenate([Y[rest], wrong[inside]])
    net, _ = trainer.fit(x, y, seed)
    with torch.no_grad():
        scores = torch.softmax(net(torch.as_tensor(X[coins])).double(), dim=1).numpy()
    return guess(beliefs(log_odds(scores, wrong, 1e-30), False), inside.astype(int), 0.2, rng)


def noise_for(epsilon: float) -> float:
    return float(brentq(lambda sigma: DpSgd(sigma, SAMPLING, STEPS).epsilon(DELTA) - epsilon, 0.3, 8.0, xtol=1e-4))


def caught(made: list[Guesses], claimed: DpSgd, each_step: bool, name: str) -> int:
    """Print one line for trainings of one kind; returns how many were refuted."""
    curve = claimed.step_curve() if each_step else claimed.curve()
    refuted = sum(curve_rejected(curve, one.coins, one.guesses, one.right, 2, 0.05) for one in made)
    bounds = [epsilon_of_training(claimed, *_counts(one), DELTA, 0.05, each_step) for one in made]
    low, high = clopper_pearson(refuted, len(made))
    steinke = "" if each_step else f"; without the mechanism {np.mean([plain(one) for one in made]):.2f}"
    right = np.mean([one.right / one.guesses for one in made])
    print(
        f"  {name:44}{refuted:3} of {len(made)} above the claim [{low:.0%}, {high:.0%}]; right {right:.1%} of "
        f"{made[0].guesses}; bound {np.mean(bounds):.2f} ({min(bounds):.2f} to {max(bounds):.2f}){steinke}",
        flush=True,
    )
    return refuted


def _counts(one: Guesses) -> tuple[int, int, int]:
    return one.coins, one.guesses, one.right


def plain(one: Guesses) -> float:
    return epsilon_one_run(one.coins, one.guesses, one.right, DELTA)


def main(trainings: int) -> int:
    seeds, missed, started = range(trainings), [], time.process_time()
    kinds = ((False, "whole training's coins"), (True, "each step's coins"))
    for epsilon in (1.0, 8.0, 32.0):
        claimed = DpSgd(noise_for(epsilon), SAMPLING, STEPS)
        print(f"epsilon {epsilon:g}: noise {claimed.sigma:.3f}, sampling {SAMPLING}, {STEPS} steps")
        true, off = Trainer(claimed.sigma), Trainer(0.0)
        for each_step, name in kinds:
            runs = [from_inside(true, claimed, each_step, seed) for seed in seeds]
            above = caught([made for made, _ in runs], claimed, each_step, f"true, {name}")
            missed += [f"{name} at {epsilon:g}: {above} true refuted"] if above > 0.05 * trainings else []
            print(f"    test accuracy of the audited models {np.mean([accuracy for _, accuracy in runs]):.3f}")
            found = caught([from_inside(off, claimed, each_step, seed)[0] for seed in seeds], claimed, each_step,
                           f"no noise, {name}")  # fmt: skip
            asked = each_step == (epsilon > 8)
            missed += [f"{name} at {epsilon:g}: {found} caught"] if asked and found < 0.95 * trainings else []
        caught([from_outside(true, seed) for seed in seeds], claimed, False, "true, black box")
        caught([from_outside(off, seed) for seed in seeds], claimed, False, "no noise, black box")
    claimed = DpSgd(noise_for(8.0), SAMPLING, STEPS)
    broken = {
        "half the noise": Trainer(claimed.sigma / 2),
        "noise divided by the batch size": Trainer(claimed.sigma, by_batch=True),
        "no clipping": Trainer(claimed.sigma, clips=False),
        "every record at every step": Trainer(claimed.sigma, drawn="all"),
        "shuffled batches instead of drawn ones": Trainer(claimed.sigma, drawn="shuffled"),
        "the same noise at every step": Trainer(claimed.sigma, same_noise=True),
    }
    print("other bugs at epsilon 8")
    for bug, trainer in broken.items():
        for each_step, name in kinds:
            made = [from_inside(trainer, claimed, each_step, seed)[0] for seed in seeds]
            caught(made, claimed, each_step, f"{bug}, {name.split()[0]}")
    print(f"{time.process_time() - started:.0f} CPU s; missed: {'; '.join(missed) or 'nothing'}")
    return int(bool(missed))


if __name__ == "__main__":
    warnings.filterwarnings("ignore", module="opacus|torch")
    warnings.filterwarnings("ignore", message="Full backward hook is firing")
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 20))
