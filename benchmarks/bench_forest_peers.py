"""LiRA on random forests beside SACRO-ML's: breast cancer, 284 patients inside and 285 outside, ten targets.

SACRO trains 20 shadow forests a target and ours the 16 that are the default, on halves of the same 569 patients; both
are asked about all of them. Its written report is left out of its time. Goal: M003's AUC at least that of SACRO's
default mode on the mean, in no more CPU time. SACRO runs in .venv-peers (PEERS_PYTHON names another one).
Run: python benchmarks/bench_forest_peers.py [seed]
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from numpy import ndarray as Array
from recorded import Game, mean_and_interval, told
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier

from safelight.attacks.membership.bavaria import Bavaria
from safelight.attacks.membership.lira import Lira
from safelight.compute.shadows import ShadowPool
from safelight.data.records import Records
from safelight.recipes.sklearn import SklearnRecipe

TARGETS, THEIRS = 10, 20
OURS = {"M003 LiRA": Lira(), "M004 BaVarIA": Bavaria()}
HERE = Path(__file__).parent
PYTHON = os.environ.get("PEERS_PYTHON", str(HERE.parent / ".venv-peers/bin/python"))


def sacro(x: Array, y: Array, member: Array) -> dict[str, Array]:
    with tempfile.TemporaryDirectory() as folder:
        given, back = Path(folder) / "in.npz", Path(folder) / "out.npz"
        np.savez(given, x=x, y=y, member=member, shadows=THEIRS)
        subprocess.run([PYTHON, str(HERE / "sacro_lira.py"), str(given), str(back)], check=True)
        with np.load(back) as file:
            return dict(file)


def main(seed: int) -> int:
    rng = np.random.default_rng(seed)
    x, y = load_breast_cancer(return_X_y=True)
    records = Records.of(pd.DataFrame(x, columns=[f"column {number}" for number in range(x.shape[1])]), y)
    member = np.stack([rng.permutation(len(y)) < 284 for _ in range(TARGETS)])
    theirs = sacro(x, y, member)
    modes = {f"SACRO LiRA, {mode}": mode for mode in ("offline", "online-carlini")}
    figures = {name: np.empty((TARGETS, 2)) for name in [*OURS, *modes]}
    seconds = {name: np.empty(TARGETS) for name in figures}
    seconds |= {name: theirs[f"seconds {mode}"] for name, mode in modes.items()}
    for number in range(TARGETS):
        started = time.process_time()
        answers, inside = ShadowPool(SklearnRecipe(RandomForestClassifier()), number).answers(records, 16)
        trained = time.process_time() - started
        game = Game(y, theirs["answers"][number], member[number], answers, inside)
        for name, attack in OURS.items():
            started = time.process_time()
            figures[name][number] = game.figures(game.scores(attack))
            seconds[name][number] = trained + time.process_time() - started
        for name, mode in modes.items():
            figures[name][number] = game.figures(theirs[mode][number])
    print(f"{'attack':28}{'AUC':28}{'TPR at 1 % FPR':28}CPU s, median and spread")
    for name, values in figures.items():
        auc, tpr = (told(column) for column in values.T)
        spent = seconds[name]
        print(f"{name:28}{auc:28}{tpr:28}{np.median(spent):.2f} ({spent.min():.2f} to {spent.max():.2f})")
    ours, default = "M003 LiRA", "SACRO LiRA, offline"
    gain = figures[ours][:, 0] - figures[default][:, 0]
    print(f"AUC of {ours} minus {default}: {told(gain)}")
    good = mean_and_interval(gain)[0] >= 0 and np.median(seconds[ours]) <= np.median(seconds[default])
    print("goals reached" if good else "GOAL MISSED")
    return int(not good)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 0))
