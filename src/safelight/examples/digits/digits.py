"""Handwritten digits of the UCI repository, as they come with scikit-learn."""

import numpy as np
from sklearn.linear_model import LogisticRegression

from safelight.data.bundled import digits
from safelight.data.records import Records
from safelight.data.splits import random_split
from safelight.targets.base import Images, Target


def members() -> Records:
    return random_split(digits(), 0.5, np.random.default_rng(2026))[0]


def nonmembers() -> Records:
    return random_split(digits(), 0.5, np.random.default_rng(2026))[1]


def model() -> Target:
    trained = members()
    linear = LogisticRegression(max_iter=500).fit(trained.x.reshape(len(trained), -1), trained.y)
    return Target.from_sklearn(linear, Images((1, 8, 8)))
