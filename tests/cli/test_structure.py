"""`safelight structure`: a risk exits with 1, none with 0, and what could not be looked into with 3."""

import json

import joblib
import pytest
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from safelight.cli import main


@pytest.fixture
def asked(tmp_path, patients, monkeypatch):
    """Return a function that stores a model of the patients and asks for what its file holds."""
    monkeypatch.chdir(tmp_path)
    table = patients.x.drop(columns="insurer")
    table.assign(bad=patients.y).to_csv("train.csv", index=False)

    def ask(model, *flags):
        joblib.dump(model.fit(table, patients.y), "model.joblib")
        return main(["structure", "model.joblib", "--data", "train.csv", "--label", "bad", *flags])

    return ask


def test_a_full_tree_is_a_risk(asked, capsys):
    assert asked(DecisionTreeClassifier(random_state=0), "--trusted") == 1
    shown = capsys.readouterr().out
    assert "▲ risk" in shown
    assert "hold fewer than 10 training records each" in shown


def test_small_things_are_none_and_json_holds_the_same(asked, capsys):
    assert asked(make_pipeline(StandardScaler(), LogisticRegression()), "--trusted", "--json") == 0
    counted = json.loads(capsys.readouterr().out)
    assert [item["name"] for item in counted] == ["stored_records", "certain_answers", "degrees_of_freedom"]
    assert not any(item["risk"] for item in counted)


def test_a_larger_k_asks_for_more(asked):
    model = DecisionTreeClassifier(min_samples_leaf=30, max_depth=3, random_state=0)
    assert asked(model, "--trusted", "--k", "20") == 0
    assert asked(model, "--trusted", "--k", "400") == 1


def test_what_is_not_known_is_no_all_clear(asked, capsys):
    assert asked(QuadraticDiscriminantAnalysis(reg_param=0.5), "--trusted") == 3
    assert "– not known" in capsys.readouterr().out


def test_a_file_that_can_run_code_is_not_opened_without_a_word(asked, capsys):
    assert asked(LogisticRegression(max_iter=5000)) == 2
    assert "pickle" in capsys.readouterr().err
