"""Defences from the command line: listed, explained, tried, drawn, recommended."""

import json

import pytest

from safelight.cli import main

TRY = ["--only", "M001", "--runs", "1", "--quiet"]


def test_every_defence_is_listed_and_explained(capsys):
    assert main(["defences"]) == 0
    assert "output-policy" in capsys.readouterr().out
    assert main(["defences", "--json"]) == 0
    names = {row["name"]: row["room"] for row in json.loads(capsys.readouterr().out)}
    assert names["output-policy"] == "outputs"
    assert main(["explain", "output-policy"]) == 0
    shown = capsys.readouterr().out
    assert "Evidence against:" in shown
    assert "top_k = None" in shown


def test_defences_are_tried_and_said(project, capsys):
    assert (
        main(["defend", *TRY, "--try", "output-policy:decimals=1", "--try", "regularisation:min_samples_leaf=50"]) == 0
    )
    shown = capsys.readouterr().out
    assert "Whether a record was trained on: without a defence M001 is right in" in shown
    assert "regularisation(min_samples_leaf=50)" in shown
    points = json.loads((project / "safelight-report" / "defences.json").read_text())
    assert points[0]["name"] == "none"


def test_a_report_shows_what_was_measured(project, capsys):
    main(["audit", "--only", "M001", "--quiet"])
    before = json.loads((project / "safelight-report" / "report.json").read_text())
    assert before["remedies"] == []
    assert main(["defend", *TRY, "--try", "regularisation:min_samples_leaf=50"]) == 0
    assert "report.html shows them" in capsys.readouterr().out
    after = json.loads((project / "safelight-report" / "report.json").read_text())
    assert after["verdict"] == before["verdict"]
    (remedy,) = after["remedies"]
    assert remedy["guesses_before"] > remedy["right_before"] > 0
    assert "What was tried against it" in (project / "safelight-report" / "report.html").read_text()


def test_defences_are_drawn_side_by_side(project, capsys):
    assert main(["tradeoff", *TRY, "--try", "output-policy:top_k=1 + output-policy:decimals=1", "--json"]) == 0
    written = json.loads(capsys.readouterr().out)
    assert written["points"][1]["name"] == "output-policy(top_k=1) + output-policy(decimals=1)"
    yardstick = [point["name"] for point in written["points"][2:]]
    assert yardstick == ["dp-forest(epsilon=8)", "dp-forest(epsilon=1)"]
    for name in ("tradeoff.svg", "tradeoff.png", "tradeoff.json"):
        assert (project / "safelight-tradeoff" / name).stat().st_size > 500


def test_a_yardstick_that_is_named_stands_alone(project, capsys):
    assert main(["tradeoff", *TRY, "--try", "dp-forest:epsilon=2", "--json"]) == 0
    points = json.loads(capsys.readouterr().out)["points"]
    assert [point["name"] for point in points] == ["none", "dp-forest(epsilon=2)"]


def test_a_defence_that_meets_a_limit_is_recommended(project, capsys):
    asked = ["recommend", "--limit", "membership <= 75 %", "--min-accuracy", "0.6", "--only", "M001", "--runs", "6"]
    assert main([*asked, "--try", "regularisation:min_samples_leaf=80", "--quiet"]) == 0
    shown = capsys.readouterr().out
    assert "Use regularisation(min_samples_leaf=80): on fresh coins" in shown
    assert "not a guarantee" in shown


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["tradeoff", "--try", "output-polcy"], "Did you mean"),
        (["tradeoff", "--try", "label-smoothing", "--only", "M001", "--runs", "1"], "give a TorchRecipe instead"),
        (["tradeoff", "--runs", "0"], "--runs is 0"),
        (["recommend", "--limit", "nobody", "--min-accuracy", "0.5"], "write it like"),
        (["recommend", "--limit", "re-identification among 9 <= 20 %", "--min-accuracy", "0.5"], "speaks about"),
    ],
)
def test_what_cannot_be_tried_is_one_sentence(project, capsys, arguments, words):
    main([*arguments, "--quiet"])
    shown = capsys.readouterr()
    assert words in shown.out + shown.err
    assert "Traceback" not in shown.err
