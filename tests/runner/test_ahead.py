"""Runs side by side in other processes: the same evidence as one after another in this one."""

import os
import threading
from dataclasses import dataclass, replace

import numpy as np
import pytest

import safelight as sl
from safelight.data.functions import load_function
from safelight.recipes.function import FunctionRecipe

OWN = """
import os
from sklearn.linear_model import LogisticRegression

def fit(records, seed):
    with open({place!r}, "a") as file:
        file.write(str(os.getpid()) + "\\n")
    return LogisticRegression(C=0.1, max_iter=50).fit(records.x.reshape(len(records), -1), records.y)
"""


@dataclass(frozen=True)
class Connected:
    """A model that cannot travel, as one behind a connection or in an open session."""

    model: object
    wire: object

    def __getattr__(self, name):
        return getattr(self.model, name)


@pytest.fixture
def audit(digits, tmp_path, monkeypatch):
    """Audit a classifier of six digits by V001, whose coins need several runs."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text(OWN.replace("{place!r}", repr(str(tmp_path / "trained"))))
    few = digits.take(np.random.default_rng(0).permutation(np.flatnonzero(digits.y < 6))[:200])
    splits = sl.Splits(few.take(np.arange(120)), few.take(np.arange(120, 200)), drawn=sl.Split.RANDOM)
    recipe = FunctionRecipe(load_function("own.py:fit", tmp_path), sl.Images((1, 8, 8)))
    target = recipe.fit(splits.members, 0)
    target = replace(target, model=Connected(target.model, threading.Lock()))

    def run(name, jobs, queries, **options):
        (tmp_path / "trained").unlink(missing_ok=True)
        threat, policy = sl.ThreatModel(sl.Access.GRADIENTS, queries=queries), sl.Policy(look_for=0.9)
        report = sl.audit(target, splits, threat, recipe=recipe, only="V001", policy=policy, out=tmp_path / name,
                          engine=sl.Engine(jobs=jobs), **options)  # fmt: skip
        trained = (tmp_path / "trained").read_text().split() if (tmp_path / "trained").exists() else []
        evidence = {path.name: path.read_bytes() for path in (tmp_path / name / "evidence").glob("*.npz")}
        return report, evidence, trained

    return run


def test_runs_are_done_by_workers_with_the_same_evidence(audit, tmp_path):
    alone, one, here = audit("one", 1, 60)
    assert set(here) == {str(os.getpid())}
    said = []
    beside, two, there = audit("two", 2, 60, say=said.append)
    assert len(set(there) - set(here)) == 2
    assert len(there) == len(here), "nothing is trained twice"
    assert len(one) > 15
    assert two == one
    assert beside.findings == alone.findings
    runs = len(list((tmp_path / "one" / "evidence").glob("*-coins-[0-9].npz")))
    assert f"coins, class: {runs} runs side by side" in said
    for path in sorted((tmp_path / "two" / "evidence").glob("*-coins-[025].npz")):
        path.unlink()
    said.clear()
    assert audit("two", 2, 60, resume=True, say=said.append)[1] == one
    assert "coins, class: 3 runs side by side" in said


def test_an_attack_that_refuses_is_not_run_for_the_same_reason(audit):
    alone, beside = (audit(f"{jobs}", jobs, 2)[0] for jobs in (1, 2))
    assert [finding.reason for finding in beside.findings] == [finding.reason for finding in alone.findings]
    assert any("2 of 2 queries are left" in finding.reason for finding in alone.findings if finding.about == "recipe")


def test_a_time_budget_is_kept_by_going_run_by_run(audit):
    said = []
    audit("one", 2, 60, say=said.append, seconds=1000)
    assert not [line for line in said if "side by side" in line]
