"""A look at every commit, in about ten seconds: the loss tail, the loss and the population percentile, nothing trained.

The whole audit with reference models belongs into the nightly build. Run: python examples/ci_prescreen.py
"""

import sys

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import safelight as sl
from safelight.errors import PolicyFailed


def main() -> int:
    # Your own model and tables stand here.
    bunch = load_breast_cancer(as_frame=True)
    order = np.random.default_rng(0).permutation(len(bunch.target))
    patients = sl.Records.of(bunch.data, bunch.target)
    members, nonmembers = (patients.take(rows) for rows in np.split(order, [280]))
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1)).fit(members.x, members.y)

    splits = sl.Splits(members, nonmembers, drawn=sl.Split.RANDOM)
    report = sl.audit(sl.Target.from_sklearn(model), splits, only=["M001", "M007", "M011"], seconds=5)
    print(report)
    try:
        report.require(sl.Policy(fail_on="leak"))
    except PolicyFailed as failed:
        print(failed)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
