"""Does the loss tail foretell what LiRA finds? Networks on digits, from hardly trained to learnt by heart.

Run: python benchmarks/loss_tail.py
"""

from __future__ import annotations

from dataclasses import replace

import membership_reference as reference
import numpy as np
from numpy import ndarray as Array
from scipy.stats import spearmanr

from safelight.attacks.membership.lira import online_ratio
from safelight.attacks.membership.loss import log_odds
from safelight.measures.threshold import allowed

EPOCHS = (2, 5, 10, 20, 40, 80)
TARGETS = 8


def rate(above: Array, below: Array) -> float:
    """Return the share of `above` that lies above all of `below` but 1 in 100."""
    return float((above > np.sort(below)[-1 - allowed(0.01, len(below))]).mean())


def run(seed: int = 0, models: int = 32) -> Array:
    """Return (settings, 2): TNR at 1 % FNR of the loss, and TPR at 1 % FPR of LiRA, means over targets."""
    rows = []
    for epochs in EPOCHS:
        setting = replace(reference.SETTINGS[0], epochs=epochs)
        _, y, inside, scores, _ = reference.networks(setting, seed, models)
        odds = log_odds(scores, np.broadcast_to(y, scores.shape[:2]), 1e-30)
        found = []
        for target in range(TARGETS):
            others = np.arange(models) // 2 != target // 2
            member = inside[target]
            ratio = online_ratio(odds[target], odds[others], inside[others], fixed=True)
            found.append((rate(-odds[target][~member], -odds[target][member]), rate(ratio[member], ratio[~member])))
        rows.append(np.mean(found, axis=0))
    return np.array(rows)


if __name__ == "__main__":
    table = run()
    for epochs, (tail, lira) in zip(EPOCHS, table):
        print(f"{epochs:3} epochs: TNR at 1 % FNR of the loss {tail:.3f}, TPR at 1 % FPR of LiRA {lira:.3f}")
    print(f"rank correlation {spearmanr(*table.T).statistic:.2f}")
