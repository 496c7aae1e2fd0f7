"""Risks of a released table by anonymeter, in its own environment; called by bench_linkage.py.

Run: python anonymeter_risks.py FOLDER, with members.csv, others.csv, released.csv and task.json in it; prints JSON.
"""

from __future__ import annotations

import json
import logging
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from anonymeter.evaluators import InferenceEvaluator, LinkabilityEvaluator, SinglingOutEvaluator

logging.disable(logging.ERROR)
warnings.simplefilter("ignore")
np.random.seed(0)  # noqa: NPY002 - it draws from the global stream
folder = Path(sys.argv[1])
members, others, released = (pd.read_csv(folder / f"{name}.csv") for name in ("members", "others", "released"))
task = json.loads((folder / "task.json").read_text())
of_all = {"ori": members, "syn": released, "control": others}
few = min(len(members), len(others), len(released))
evaluators = {
    "one value": (SinglingOutEvaluator(**of_all, n_attacks=500), {"mode": "univariate"}),
    "several values": (SinglingOutEvaluator(**of_all, n_attacks=500, n_cols=3), {"mode": "multivariate"}),
    "link": (
        LinkabilityEvaluator(**of_all, n_attacks=few, aux_cols=tuple(task["halves"]), n_neighbors=1), {"n_jobs": 1}
    ),
    "inference": (
        InferenceEvaluator(
            **of_all, n_attacks=few, secret=task["secret"], aux_cols=[c for c in members if c != task["secret"]]
        ),
        {"n_jobs": 1},
    ),
}  # fmt: skip
found = {}
for name, (evaluator, options) in evaluators.items():
    started = time.process_time()
    evaluator.evaluate(**options)
    risk = evaluator.risk(confidence_level=0.95)
    found[name] = {"value": risk.value, "low": risk.ci[0], "high": risk.ci[1], "seconds": time.process_time() - started}
print(json.dumps(found))
