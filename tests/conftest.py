"""Small real data that several tests share."""

import hypothesis
import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer, load_digits

from safelight.data.records import Records, Split, Splits

# The same examples in every run: a failure is then seen by whoever runs the tests next.
hypothesis.settings.register_profile("fixed", derandomize=True, database=None)
hypothesis.settings.load_profile("fixed")


@pytest.fixture(scope="session")
def digits() -> Records:
    bunch = load_digits()
    return Records.of(bunch.images[:, None] / 16, bunch.target)


@pytest.fixture(scope="session")
def digit_splits(digits: Records) -> Splits:
    order = np.random.default_rng(0).permutation(len(digits))
    return Splits(digits.take(order[:400]), digits.take(order[400:700]), drawn=Split.RANDOM)


@pytest.fixture(scope="session")
def patients() -> Records:
    """Breast-cancer patients: six measurements, a made-up insurer, and the diagnosis as label.

    One diagnosis in four is flipped, so that a model can only learn it by heart.
    """
    bunch = load_breast_cancer(as_frame=True)
    table = bunch.data.iloc[:, :6].round(2)
    table["insurer"] = pd.Categorical(np.random.default_rng(3).choice(["north", "south"], len(table)))
    flipped = np.random.default_rng(4).random(len(table)) < 0.25
    return Records.of(table, np.where(flipped, 1 - bunch.target, bunch.target))


@pytest.fixture(scope="session")
def patient_splits(patients: Records) -> Splits:
    order = np.random.default_rng(1).permutation(len(patients))
    return Splits(
        patients.take(order[:300]),
        patients.take(order[300:450]),
        patients.take(order[450:]),
        drawn=Split.RANDOM,
        sensitive=("insurer",),
    )
