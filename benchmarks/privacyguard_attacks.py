"""LiRA and RMIA of PrivacyGuard on answers of reference models that are on file; run by bench_membership_peers.

It runs in an environment of its own: python privacyguard_attacks.py INPUT.npz OUTPUT.npz. INPUT holds targets (t, n)
and references (models, n), the probability of the true label, twice: plain (`sure`) and as log odds (`odds`); `member`
(t, asked), `inside` (models, asked). The first `asked` records are in question, the rest is the population. OUTPUT
holds scores (t, asked) an attack, and CPU seconds a target.
"""

import sys
import time
from types import SimpleNamespace
from unittest.mock import MagicMock

import numpy as np

# Its helpers sit in a package that also loads CIFAR-10; that part of torchvision is not called.
for name in ("torchvision", "torchvision.datasets"):
    sys.modules[name] = MagicMock()

from privacy_guard.analysis.mia.aggregate_analysis_input import AggregationType  # noqa: E402
from privacy_guard.attacks.lira_attack import LiraAttack  # noqa: E402
from privacy_guard.attacks.rmia_attack import RmiaAttack  # noqa: E402
from privacy_guard.shadow_model_training.training import prepare_lira_data, prepare_rmia_data  # noqa: E402


def in_order(target, member, result):
    """Return scores (asked,) from its tables of members and of nonmembers."""
    scores = np.empty(len(member))
    for table, side in ((result.df_train_user, member), (result.df_test_user, ~member)):
        assert np.array_equal(table["score_orig"], target[side]), "its tables keep the order of the records"
        scores[side] = table["score"]
    return scores


def lira(odds, references, member, inside, online, **settings):
    shadows = [(None, keep) for keep in inside]
    tables = prepare_lira_data(odds[:, None], references[:, :, None], (None, member), shadows)
    train, test = tables[:2] if online else tables[2:]
    attack = LiraAttack(train, test, AggregationType.NONE, online_attack=online, **settings)
    return in_order(odds, member, attack.run_attack())


def rmia(sure, references, member, inside, online):
    asked = len(member)
    indices = [(SimpleNamespace(indices=np.flatnonzero(keep)), keep) for keep in inside]
    target = SimpleNamespace(indices=np.flatnonzero(member)), member
    known, population = references[:, :asked].T, references[:, asked:].T
    tables = prepare_rmia_data(sure[:asked], sure[asked:], known, population, target, indices)
    attack = RmiaAttack(*tables, AggregationType.NONE, online=online)
    return in_order(sure[:asked], member, attack.run_attack())


given = np.load(sys.argv[1])
member, inside = given["member"], given["inside"]
asked = member.shape[1]
found = {}
for name, run in {
    "LiRA online": lambda t: lira(
        given["odds"][t, :asked], given["odds_references"][:, :asked], member[t], inside, online=True
    ),
    "LiRA online, fixed variance": lambda t: lira(
        given["odds"][t, :asked], given["odds_references"][:, :asked], member[t], inside, online=True,
        use_fixed_variance=True, std_dev_type="mix",
    ),
    "RMIA offline": lambda t: rmia(given["sure"][t], given["sure_references"], member[t], inside, online=False),
    "RMIA online": lambda t: rmia(given["sure"][t], given["sure_references"], member[t], inside, online=True),
}.items():  # fmt: skip
    started = time.process_time()
    found[name] = np.stack([run(target) for target in range(len(member))])
    found[f"seconds {name}"] = np.array((time.process_time() - started) / len(member))
np.savez(sys.argv[2], **found)
