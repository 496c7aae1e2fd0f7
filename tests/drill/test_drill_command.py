"""`safelight drill` from a settings file, as its user types it."""

import json
from pathlib import Path

import pytest

from safelight.cli import main

CODE = """
import numpy as np, pandas as pd
from sklearn.tree import DecisionTreeClassifier
from safelight.targets.base import Target

def people(seed, count=120):
    rng = np.random.default_rng(seed)
    table = pd.DataFrame({"age": rng.integers(20, 80, count), "pay": rng.normal(30, 5, count).round(2)})
    return table.assign(happy=(table.pay + rng.normal(0, 8, count) > 30).astype(int))

def members(): return people(0)
def nonmembers(): return people(1)

def model():
    table = members()
    return Target.from_sklearn(DecisionTreeClassifier(random_state=0).fit(table[["age", "pay"]], table.happy), table)
"""
SETTINGS = """
[target]
model = "people.py:model"
[data]
members = "people.py:members"
nonmembers = "people.py:nonmembers"
label = "happy"
split = "random"
"""
GUARD = """
[upstream]
url = "http://127.0.0.1:1"
protocol = "mlflow"
[[clients.key]]
id = "ward-3"
sha256 = "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8"
[budget]
lifetime = 30
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "people.py").write_text(CODE)
    (tmp_path / "safelight.toml").write_text(SETTINGS)
    (tmp_path / "guard.toml").write_text(GUARD)
    return tmp_path


def ask(folder: Path, *more: str) -> int:
    given = ["drill", f"{folder}/safelight.toml", "--policy", f"{folder}/guard.toml", "--out", f"{folder}/out"]
    return main([*given, "--attacks", "M001", "--runs", "1", *more])


def test_json_goes_to_stdout_and_progress_to_stderr(folder, capsys):
    assert ask(folder, "--json") == 0
    said = capsys.readouterr()
    found = json.loads(said.out)
    (attack,) = found["attacks"]
    assert list(attack) == ["attack", "queries", "detected_at", "contained_at", "mu_unguarded", "mu_guarded"]
    assert (attack["attack"], attack["detected_at"], attack["contained_at"]) == ("M001", None, 32)
    assert attack["mu_unguarded"]["low"] > 0
    assert found["benign"] is None
    assert "M001, plain: run 1 of 1" in said.err
    assert json.loads((folder / "out" / "drill.json").read_text())["attacks"][0]["runs"][0]["answered"] == 16
    assert not (folder / "guard.db").exists()  # the owner's own database is left alone


def test_words_name_what_hides(folder, capsys):
    assert ask(folder, "--adaptive", "--quiet") == 0
    said = capsys.readouterr()
    assert said.err == ""
    for name in ("M001 ", "M001 slow", "M001 sybil", "M001 blinded", "M001 rejecting"):
        assert f"\n{name}" in said.out


def test_numbers_that_cannot_be_are_refused(folder, capsys):
    assert ask(folder, "--runs", "0") == 2
    assert ask(folder, "--clients", "-1") == 2
    assert "--clients is -1; give at least 0." in capsys.readouterr().err
