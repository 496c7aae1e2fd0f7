"""Whole audits by the command line: killed and resumed, with more jobs, with engines that cannot be."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from safelight.cli import main

OWN = """
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.tree import DecisionTreeClassifier
from safelight.targets.base import Target

def part(number):
    table = load_breast_cancer(as_frame=True).frame.iloc[:, [0, 1, 2, -1]]
    flipped = np.random.default_rng(4).random(len(table)) < 0.25
    table["target"] = np.where(flipped, 1 - table["target"], table["target"])
    return table.iloc[np.split(np.random.default_rng(1).permutation(len(table)), [250, 450])[number]]

def members():
    return part(0)

def nonmembers():
    return part(1)

def fit(records, seed):
    return DecisionTreeClassifier(random_state=seed).fit(records.x, records.y)

def model():
    table = members()
    answers = table.pop("target")
    return Target.from_sklearn(DecisionTreeClassifier(random_state=0).fit(table, answers), table)
"""

SETTINGS = """
[target]
model = "own.py:model"
[data]
members = "own.py:members"
nonmembers = "own.py:nonmembers"
label = "target"
split = "random"
[recipe]
train = "own.py:fit"
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "own.py").write_text(OWN)
    (tmp_path / "safelight.toml").write_text(SETTINGS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path


def facts(folder):
    """Return the bytes of all evidence, and the report without the count of earlier audits and the packages loaded."""
    report = json.loads((folder / "report.json").read_text())
    del report["earlier"], report["versions"]
    return {path.name: path.read_bytes() for path in (folder / "evidence").glob("*.npz")}, report


AUDIT = ["audit", "--only", "M001,M003", "--quiet", "--exit-zero"]


def test_a_killed_audit_is_resumed_to_the_same_evidence_with_other_jobs(project, capsys):
    command, started = [sys.executable, "-m", "safelight", *AUDIT], time.monotonic()
    whole = subprocess.run([*command, "--out", "whole"], capture_output=True, text=True)
    assert whole.returncode == 0, whole.stderr
    process = subprocess.Popen([*command, "--out", "killed", "--jobs", "2"], stdout=subprocess.DEVNULL)
    time.sleep(0.7 * (time.monotonic() - started))
    assert process.poll() is None, "it was to be killed on its way"
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert main([*AUDIT, "--out", "killed", "--resume"]) == 0
    assert facts(project / "killed") == facts(project / "whole")


def test_a_ledger_of_other_versions_is_ignored_and_said(project, capsys):
    say = [*AUDIT[:3], "--exit-zero"]
    main(say)
    assert "was written by other versions" not in capsys.readouterr().err
    ledger = project / "safelight-report" / "ledger"
    before = set(ledger.glob("*.npy"))
    (ledger / "VERSION").write_text("safelight 0.0.1, numpy 1.26.4\nmark\n")
    main(say)
    said = capsys.readouterr().err
    assert said.count("ledger was written by other versions (safelight 0.0.1, numpy 1.26.4)") == 1
    assert "what they kept is ignored" in said
    assert before <= set(ledger.glob("*.npy"))


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--jobs", "0"], "The number of jobs is 0; give at least 1"),
        (["--address", "10.0.0.5:6379"], "An address and GPUs per task are for the engine ray"),
        (["--engine", "ray", "--address", "127.0.0.1:1"], "No Ray cluster answers at 127.0.0.1:1 (Connection refused)"),
        (["--engine", "ray", "--address", "head"], "The address of the Ray cluster is 'head'; write HOST:PORT"),
    ],
)
def test_an_engine_that_cannot_be_is_one_sentence_before_any_work(project, capsys, flags, said):
    started = time.monotonic()
    assert main([*AUDIT, *flags]) == 2
    assert time.monotonic() - started < 10
    assert said in capsys.readouterr().err
    assert not list(Path("safelight-report").glob("evidence/*.npz"))


def test_a_recipe_that_cannot_travel_is_refused_before_any_work(project, capsys):
    holding = "import threading\nlock = threading.Lock()\ndef fit(records, seed):\n    lock\n"
    (project / "own.py").write_text(OWN.replace("def fit(records, seed):\n", holding))
    assert main([*AUDIT, "--jobs", "2"]) == 2
    assert "The recipe cannot be sent to other processes (" in capsys.readouterr().err
    assert not list(Path("safelight-report").glob("evidence/*.npz"))
