"""Who was in, from labels alone: networks on 300 digits, which they get almost all right.

Run: python benchmarks/label_only.py
"""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score
from sklearn.neural_network import MLPClassifier

from safelight.attacks.membership.label_only import LabelOnly, Moves
from safelight.attacks.membership.loss import LossThreshold
from safelight.data.records import Records
from safelight.evidence import WhoWasIn
from safelight.recipes.sklearn import SklearnRecipe
from safelight.targets.base import Images, Side
from safelight.threat import Access, ThreatModel

SIZE = 300


def run(seed: int) -> tuple[float, ...]:
    """Return the AUC of the loss, of the gap, by noise and by the boundary, of 300 members and 300 nonmembers."""
    bunch, rng = load_digits(), np.random.default_rng(seed)
    everyone = Records.of(bunch.images[:, None] / 16, bunch.target)
    everyone = everyone.take(rng.permutation(len(everyone)))
    recipe = SklearnRecipe(MLPClassifier((128,), max_iter=400), Images((1, 8, 8)))
    target = recipe.fit(everyone.take(np.arange(SIZE)), seed)
    question, side = WhoWasIn(everyone.take(np.arange(2 * SIZE))), Side(everyone.take(np.arange(2 * SIZE, 3 * SIZE)))
    attacks = (LossThreshold(), *(LabelOnly(moves) for moves in (Moves.GAP, Moves.NOISE, Moves.BOUNDARY)))
    views = (target.view(ThreatModel(Access.SCORES).narrowed(attack.needs), side) for attack in attacks)
    scores = [attack.run(view, question, rng).values[:, 0] for attack, view in zip(attacks, views)]
    return tuple(float(roc_auc_score(np.arange(2 * SIZE) < SIZE, each)) for each in scores)


if __name__ == "__main__":
    print("seed  loss   gap  noise  boundary")
    for seed in range(6):
        print(f"{seed:4} " + " ".join(f"{value:.3f}" for value in run(seed)))
