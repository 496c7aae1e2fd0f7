"""`[claim]` in safelight.toml: read strictly, tested after the audit, shown in the report."""

import json
from pathlib import Path

import joblib
import numpy as np
import pytest
from sklearn.tree import DecisionTreeClassifier

from safelight.cli import main
from safelight.cli.build import claim_of
from safelight.cli.config import parse_config
from safelight.errors import InputError, MissingExtra
from safelight.measures.trade_off import DpSgd
from safelight.verdict.dp_claim import DpClaim

BASE = {"target": {"model": "m.joblib"}, "data": {"members": "a.csv"}}


def stated(**claim):
    return claim_of(parse_config({**BASE, "claim": claim}, Path(), "safelight.toml"))


def test_the_table_becomes_the_claim_that_dp_check_tests():
    assert claim_of(parse_config(BASE, Path(), "safelight.toml")) is None
    assert stated(epsilon=8, delta=1e-5) == DpClaim(8.0, 1e-5)
    whole = stated(
        epsilon=1, delta=0, unit="person", adjacency="replace", dp_sgd=[1.1, 0.01, 1000], records_per_person=4
    )
    assert whole == DpClaim(1.0, 0.0, "person", "replace", DpSgd(1.1, 0.01, 1000), 4)


@pytest.mark.parametrize(
    ("claim", "said"),
    [
        ({"delta": 0.0}, "needs the key 'epsilon'"),
        ({"epsilon": 1, "delta": 0, "untis": "person"}, "Did you mean"),
        ({"epsilon": 1, "delta": 0, "unit": "people"}, "use one of 'record', 'person'"),
        ({"epsilon": 1, "delta": 2}, "delta must be at least 0 and below 1"),
        ({"epsilon": 1, "delta": 0, "dp_sgd": [1.0, 0.1]}, "dp_sgd has 2 numbers; give noise multiplier"),
        ({"epsilon": 1, "delta": 0, "dp_sgd": ["1.0"]}, "it must be a list of numbers"),
        ({"epsilon": 1, "delta": 0, "dp_sgd": [1.0, 0.1, 0]}, "at least 1 step"),
    ],
)
def test_what_cannot_be_is_one_sentence(claim, said):
    with pytest.raises(InputError, match=said):
        stated(**claim)


def test_an_audit_shows_the_promise_and_dp_check_gives_the_same_answer(tmp_path, monkeypatch, capsys, patients):
    table = patients.x.drop(columns="insurer").assign(bad=np.random.default_rng(0).integers(0, 2, len(patients)))
    table[:350].to_csv(tmp_path / "train.csv", index=False)
    table[350:].to_csv(tmp_path / "test.csv", index=False)
    trained = table[:350]
    joblib.dump(
        DecisionTreeClassifier(random_state=0).fit(trained.drop(columns="bad"), trained["bad"]), tmp_path / "m.joblib"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    settings = '[target]\nmodel = "m.joblib"\ntrusted = true\n[data]\nmembers = "train.csv"\nnonmembers = "test.csv"\n'
    (tmp_path / "safelight.toml").write_text(settings + 'label = "bad"\n[claim]\nepsilon = 0.1\ndelta = 1e-5\n')
    assert main(["audit", "--only", "M001", "--quiet"]) == 1
    assert "Promise  The promise is broken: it allows a leak of epsilon 0.1 about" in capsys.readouterr().out
    promise = json.loads((tmp_path / "safelight-report" / "report.json").read_text())["promise"]
    assert promise["answer"] == "refuted"
    assert promise["level"] == 0.01, "one finding rests on coins, and alpha of the policy is 0.01"
    assert 'id="promise"' in (tmp_path / "safelight-report" / "report.html").read_text()
    assert main(["dp-check", "safelight-report", "--claim", "0.1,1e-5", "--alpha", "0.01", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["tests"] == promise["tests"]


def test_a_missing_accountant_shows_before_any_work(monkeypatch, patients):
    import safelight as sl

    model = DecisionTreeClassifier(random_state=0).fit(patients.x.drop(columns="insurer"), patients.y)
    records = sl.Records.of(patients.x.drop(columns="insurer"), patients.y)
    monkeypatch.setitem(__import__("sys").modules, "dp_accounting", None)
    said = []
    with pytest.raises(MissingExtra, match="safelight\\[dp\\]"):
        sl.audit(
            sl.Target.from_sklearn(model, records.x), sl.Splits(records),
            claim=DpClaim(1, 1e-5, mechanism=DpSgd(3.0, 0.25, 7)), say=said.append,
        )  # fmt: skip
    assert said == []
