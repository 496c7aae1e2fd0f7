"""LiRA of SACRO-ML on random forests; run by bench_forest_peers in an environment of its own.

python sacro_lira.py INPUT.npz OUTPUT.npz. INPUT holds x (n, d), y (n,), member (targets, n) and `shadows`; each target
is a forest trained on its members with its number as seed. OUTPUT holds, a mode, scores (targets, n) and CPU seconds a
target of the whole attack with its trainings, without its written report; and the targets' own answers (targets, n, 2).
"""

import logging
import sys
import tempfile
import time

import numpy as np
from sacroml.attacks.likelihood_attack import LIRAAttack
from sacroml.attacks.target import Target
from sklearn.ensemble import RandomForestClassifier

logging.disable(logging.INFO)
given = np.load(sys.argv[1])
x, y, members = given["x"], given["y"], given["member"]
found = {"answers": np.empty((*members.shape, 2))}
for mode in ("offline", "online-carlini"):
    found[mode], found[f"seconds {mode}"] = np.empty(members.shape), np.empty(len(members))
    for number, member in enumerate(members):
        forest = RandomForestClassifier(random_state=number).fit(x[member], y[member])
        found["answers"][number] = forest.predict_proba(x)
        target = Target(model=forest, dataset_name="patients", X_train=x[member], y_train=y[member], X_test=x[~member],
                        y_test=y[~member])  # fmt: skip
        with tempfile.TemporaryDirectory() as folder:
            started = time.process_time()
            attack = LIRAAttack(output_dir=folder, write_report=False, n_shadow_models=int(given["shadows"]), mode=mode,
                                report_individual=True)  # fmt: skip
            attack.attack(target)
            found[f"seconds {mode}"][number] = time.process_time() - started
        # Members come first in its records, then nonmembers; its second column is the belief in "member".
        scores = np.array(attack.result["member_prob"])
        found[mode][number, member], found[mode][number, ~member] = np.split(scores, [member.sum()])
np.savez(sys.argv[2], **found)
