"""A hospital's random forest before it leaves the house: what the file holds, who can be found, what a change buys.

Run: python examples/hospital_forest.py [FOLDER]
"""

import sys
from pathlib import Path

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier

import safelight as sl

FOREST = RandomForestClassifier(50, random_state=0)
CAREFUL = RandomForestClassifier(50, min_samples_leaf=15, max_depth=4, random_state=0)


def audited(forest: RandomForestClassifier, splits: sl.Splits, folder: Path) -> sl.Report:
    """Train the forest, attack it as a client of its API would, and write the page that goes to the committee."""
    forest.fit(splits.members.x, splits.members.y)
    report = sl.audit(sl.Target.from_sklearn(forest), splits, only=["M001", "M002", "M004"], seconds=20)
    report.save(folder)
    return report


def main(folder: Path) -> None:
    bunch = load_breast_cancer(as_frame=True)
    patients = sl.Records.of(bunch.data, bunch.target, ids=[f"patient {n}" for n in range(len(bunch.target))])
    order = np.random.default_rng(0).permutation(len(patients))
    members, nonmembers = (patients.take(rows) for rows in np.split(order, [250]))
    splits = sl.Splits(members, nonmembers, drawn=sl.Split.RANDOM)
    for name, forest in (("default", FOREST), ("careful", CAREFUL)):
        report = audited(forest, splits, folder / name)
        accuracy = forest.score(nonmembers.x, nonmembers.y)
        risks = [item.name for item in report.structure if item.risk]
        print(f"{name} forest: {report.verdict}, accuracy {accuracy:.3f}, {folder / name / 'report.html'}")
        print(f"  in the file itself: {', '.join(risks) or 'nothing to worry about'}")
        for person in report.at_risk[:3]:
            print(f"  most at risk: {person.id}, in the training data with a chance of {person.chance or 0.5:.0%}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("hospital-audit"))
