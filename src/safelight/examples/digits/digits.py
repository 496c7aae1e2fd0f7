"""Handwritten digits of the UCI repository, as they come with scikit-learn."""

import numpy as np
from sklearn.linear_model import LogisticRegression

from safelight.data.bundled import digits
from safelight.data.records import Records
from safelight.data.splits import random_split
from safelight.targets.base import Images, Target


def groups() -> tuple[Records, Records, Records]:
    """Return random thirds: to train on, held out, public."""
    rng = np.random.default_rng(2026)
    members, rest = random_split(digits(), 1 / 3, rng)
    return members, *random_split(rest, 0.5, rng)


def members() -> Records:
    return groups()[0]


def nonmembers() -> Records:
    return groups()[1]


def public() -> Records:
    return groups()[2]


def model() -> Target:
    trained = members()
    linear = LogisticRegression(max_iter=500).fit(trained.x.reshape(len(trained), -1), trained.y)
    return Target.from_sklearn(linear, Images((1, 8, 8)))
