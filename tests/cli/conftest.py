"""A folder as a user has it, for the tests of this room."""

from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.tree import DecisionTreeClassifier

SETTINGS = """
[target]
model = "model.joblib"
trusted = true
[data]
members = "train.csv"
nonmembers = "test.csv"
label = "bad"
split = "random"
"""


@pytest.fixture
def project(tmp_path: Path, patients, monkeypatch) -> Path:
    """A folder as a user has it: a model, its tables, a safelight.toml."""
    table = patients.x.drop(columns="insurer").assign(bad=patients.y)
    order = np.random.default_rng(0).permutation(len(table))
    train, test = table.iloc[order[:350]], table.iloc[order[350:]]
    train.to_csv(tmp_path / "train.csv", index=False)
    test.to_csv(tmp_path / "test.csv", index=False)
    read = pd.read_csv(tmp_path / "train.csv")
    joblib.dump(
        DecisionTreeClassifier(random_state=0).fit(read.drop(columns="bad"), read["bad"]), tmp_path / "model.joblib"
    )
    (tmp_path / "safelight.toml").write_text(SETTINGS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path


@pytest.fixture
def settings(project: Path) -> str:
    """The text of the project's safelight.toml."""
    return (project / "safelight.toml").read_text()
