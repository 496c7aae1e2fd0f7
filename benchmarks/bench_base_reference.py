"""Does the model that a target was fine-tuned from serve as a reference? `python benchmarks/bench_base_reference.py`.

A network learns 600 public digits and is then fine-tuned on 200 members. AUC of telling these from 300 nonmembers, with
mean and standard deviation over seeds: the loss threshold (M001), RMIA (M002) with the base model as its only
reference, with 4 shadow models fine-tuned from the base, and with both. Null: fine-tuned on 200 others. The way was set
up on seeds 0 to 4; those reported here were not used for it.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score
from torch import nn

from safelight.attacks.membership.loss import LossThreshold
from safelight.attacks.membership.rmia import Rmia
from safelight.compute.shadows import ShadowPool
from safelight.data.records import Records, concat
from safelight.evidence import WhoWasIn
from safelight.targets.base import Images, Side, Target
from safelight.threat import ThreatModel

SEEDS = range(100, 110)


@dataclass(frozen=True)
class FineTuning:
    """Goes on with a network, or starts one, on records of its own."""

    epochs: int
    start: nn.Module | None = None
    key: str = "fine-tuning"

    def fit(self, records: Records, seed: int) -> Target:
        torch.manual_seed(seed)
        fresh = nn.Sequential(nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
        net = fresh if self.start is None else copy.deepcopy(self.start).requires_grad_(True)
        steps = torch.optim.Adam(net.parameters(), lr=1e-3)
        x, y = torch.as_tensor(records.x), torch.as_tensor(records.y)
        for _ in range(self.epochs):
            for rows in torch.randperm(len(x)).split(32):
                steps.zero_grad()
                nn.functional.cross_entropy(net(x[rows]), y[rows]).backward()
                steps.step()
        return Target.from_torch(net, Images(records.x.shape[1:]))


def aucs(seed: int, noise: float, null: bool = False, shadows: int = 4) -> dict[str, float]:
    """Return the AUC of each attack on one fine-tuned network.

    Args:
        noise: share of labels that are drawn at random.
        null: whether the network is fine-tuned on others than the members.
        shadows: shadow models; without any the rows that need them are left out.
    """
    digits, rng = load_digits(), np.random.default_rng(seed)
    y = np.where(rng.random(len(digits.target)) < noise, rng.integers(0, 10, len(digits.target)), digits.target)
    everyone = Records.of((digits.images[:, None] / 16).astype(np.float32), y)
    order = rng.permutation(len(everyone))
    public, members, nonmembers, others = (
        everyone.take(order[a:b]) for a, b in ((0, 600), (600, 800), (800, 1100), (1100, 1300))
    )
    base = FineTuning(40).fit(public, seed)
    tuning = FineTuning(40, base.model.net, f"fine-tuning-{seed}-{noise}")  # type: ignore[attr-defined]
    target = tuning.fit(others if null else members, seed + 1000)
    question = WhoWasIn(concat([members, nonmembers]))
    pool = ShadowPool(tuning, seed) if shadows else None  # type: ignore[arg-type]
    sides = {"M002, base alone": Side(public, None, base.model)}
    if pool is not None:
        sides |= {f"M002, {shadows} shadows": Side(public, pool), "M002, both": Side(public, pool, base.model)}
    runs = {"M001": (LossThreshold(), Side(public))} | {
        name: (Rmia(references=max(2, shadows)), side) for name, side in sides.items()
    }
    inside = np.arange(len(question.records)) < len(members)
    return {
        name: float(roc_auc_score(inside, attack.run(  # type: ignore[attr-defined]
            target.view(ThreatModel(), side), question, np.random.default_rng(seed)).values[:, 0]))
        for name, (attack, side) in runs.items()
    }  # fmt: skip


def main() -> None:
    for noise in (0.0, 0.1):
        for null in (False, True):
            found = [aucs(seed, noise, null) for seed in SEEDS]
            print(f"{'null, ' if null else ''}{noise:.0%} of the labels wrong, {len(found)} seeds")
            for name in found[0]:
                each = np.array([row[name] for row in found])
                gain = each - [row["M001"] for row in found]
                print(f"  {name:20} AUC {each.mean():.3f} +- {each.std(ddof=1):.3f}; beyond M001 {gain.mean():+.3f} "
                      f"+- {gain.std(ddof=1):.3f}")  # fmt: skip


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
