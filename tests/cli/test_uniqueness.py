"""`safelight uniqueness`: 0 where every group is large enough, 1 where one is not, 2 for what cannot be counted."""

import json

import pandas as pd
import pytest

from safelight.cli import main


@pytest.fixture(autouse=True)
def tables(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    people = pd.DataFrame({"age": [30] * 6 + [41] * 3, "town": ["Ulm"] * 9, "illness": ["flu", "gout", "flu"] * 3})
    people.to_csv("everybody.csv", index=False)
    people.iloc[:8].to_csv("survey.csv", index=False)


def ask(*words):
    return main(["uniqueness", "survey.csv", "--columns", "age, town", *words])


def test_groups_below_k_exit_with_1(capsys):
    assert ask("--k", "2", "--sensitive", "illness") == 0
    shown = capsys.readouterr().out
    assert "k = 2: the smallest of 2 groups has 2 records" in shown
    assert "0 records of 8 stand alone (0.0%)" in shown
    assert "l = 2 for illness" in shown
    assert ask() == 1  # five is asked for by default


def test_the_population_decides_where_there_is_one(capsys):
    assert ask("--k", "3", "--population", "everybody.csv") == 0
    assert "k-map = 3" in capsys.readouterr().out
    pd.read_csv("everybody.csv").iloc[:6].to_csv("some.csv", index=False)
    assert ask("--population", "some.csv") == 1
    assert "0: the population lacks somebody who is in the table" in capsys.readouterr().out


def test_json_holds_the_same(capsys):
    assert ask("--json", "--sensitive", "illness", "--population", "everybody.csv", "--k", "1") == 0
    assert json.loads(capsys.readouterr().out) == {
        "records": 8, "groups": 2, "k": 2, "alone": 0, "k_map": 3, "alone_in_population": 0,
        "l_diversity": {"illness": 2},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--columns", "age,twn"],
            "A table has no column 'twn'; its columns are age, town, illness. Did you mean 'town'?",
        ),
        (["--columns", ""], "There is no column to compare records by; name at least one."),
        (["--columns", "age", "--k", "0"], "--k is 0; give a whole number of at least 1, such as 5."),
        (["--columns", "age", "--population", "nowhere.csv"], "There is no file nowhere.csv; correct the path."),
    ],
)
def test_bad_input_is_told_in_one_sentence(capsys, words, message):
    assert main(["uniqueness", "survey.csv", *words]) == 2
    assert capsys.readouterr().err == f"safelight: {message}\n"
