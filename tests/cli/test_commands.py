"""The command line: exit codes, one clear sentence for bad input, and the same audit as from Python."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from safelight.cli import main


def fails(capsys, arguments, code=2):
    """Run a command that must fail with one sentence; return the sentence."""
    assert main(arguments) == code
    lines = capsys.readouterr().err.strip().splitlines()
    assert "Traceback" not in "\n".join(lines)
    return lines[-1]


def test_an_audit_writes_its_report_and_exits_with_1_on_a_leak(project, capsys):
    assert main(["audit", "--only", "M001", "--quiet"]) == 1
    shown = capsys.readouterr()
    assert "LEAK" in shown.out
    assert shown.err == ""
    document = json.loads((project / "safelight-report" / "report.json").read_text())
    assert document["verdict"] == "leak"
    assert (project / "safelight-report" / "report.html").exists()
    assert list((project / "safelight-report" / "evidence").glob("*.npz"))
    run = json.loads((project / "safelight-report" / "run.json").read_text())
    assert run["seconds"] > 0
    assert main(["audit", "--only", "M001", "--quiet", "--exit-zero"]) == 0


def test_the_same_model_and_data_are_counted(project, capsys):
    for expected in (0, 1):
        main(["audit", "--only", "M001", "--quiet", "--json"])
        assert json.loads(capsys.readouterr().out)["earlier"] == expected


def test_flags_win_over_the_environment_and_the_environment_over_the_file(project, capsys, monkeypatch):
    monkeypatch.setenv("SAFELIGHT_THREAT_QUERIES", "900")
    main(["audit", "--only", "M001", "--quiet", "--json"])
    assert json.loads(capsys.readouterr().out)["threat"]["queries"] == 900
    main(["audit", "--only", "M001", "--quiet", "--json", "--budget", "800"])
    assert json.loads(capsys.readouterr().out)["threat"]["queries"] == 800


def test_a_misspelt_variable_is_one_sentence(project, capsys, monkeypatch):
    monkeypatch.setenv("SAFELIGHT_CACHE", "elsewhere")
    assert main(["audit", "--only", "M001", "--quiet"]) == 1
    monkeypatch.setenv("SAFELIGHT_THREAD_QUERIES", "900")
    capsys.readouterr()
    assert "SAFELIGHT_THREAD_QUERIES names no table" in fails(capsys, ["audit", "--quiet"])
    monkeypatch.delenv("SAFELIGHT_THREAD_QUERIES")
    monkeypatch.setenv("SAFELIGHT_THREAT_QUERYS", "900")
    assert "Did you mean 'queries'?" in fails(capsys, ["audit", "--quiet"])


def test_settings_of_an_attack_reach_the_audit_and_the_report(project, settings, capsys):
    (project / "safelight.toml").write_text(
        settings + "[attacks.A002]\nsmoothing = 1\n[attacks.M001]\nsmallest = 0.5\n"
    )
    main(["audit", "--only", "M001", "--quiet", "--json"])
    document = json.loads(capsys.readouterr().out)
    assert document["settings"]["M001"] == {"smallest": 0.5}
    (project / "safelight.toml").write_text(settings + "[attacks.M001]\nsmalest = 0.5\n")
    assert "Did you mean 'smallest'?" in fails(capsys, ["audit", "--quiet"])
    (project / "safelight.toml").write_text(settings + "[attacks]\nM001 = 3\n")
    assert "write tables such as [attacks.V002]" in fails(capsys, ["audit", "--quiet"])


def outputs_of(project, references):
    """Write the answers of a grown forest, and of forests trained on other halves, as a file of outputs."""
    from sklearn.ensemble import RandomForestClassifier

    everyone = pd.concat([pd.read_csv("train.csv"), pd.read_csv("test.csv")], ignore_index=True)
    x, y, rng = everyone.drop(columns="bad"), everyone["bad"], np.random.default_rng(5)
    member = rng.permutation(len(y)) < len(y) // 2

    def answers(inside, seed):
        return RandomForestClassifier(30, random_state=seed).fit(x[inside], y[inside]).predict_proba(x)

    table = pd.DataFrame({"split": np.where(member, "member", "nonmember"), "label": y})
    table["group"] = np.where(np.arange(len(y)) % 3, "north", "south")
    table[["p0", "p1"]] = answers(member, 0)
    for model in range(references):
        inside = rng.permutation(len(y)) < len(y) // 2
        table[[f"ref{model}_p0", f"ref{model}_p1"]] = answers(inside, model + 1)
        table[f"ref{model}_in"] = inside.astype(int)
    table.to_csv(project / "outputs.csv", index=False)


def test_a_file_of_outputs_is_audited_without_a_model(project, capsys):
    (project / "safelight.toml").unlink()
    outputs_of(project, 8)
    arguments = ["audit", "--scores", "outputs.csv", "--quiet", "--json"]
    assert main([*arguments, "--split", "random"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["verdict"] == "leak"
    ran = {finding["code"] for finding in document["findings"] if finding["status"] != "not run"}
    assert ran == {"M001", "M002", "M003", "M004", "M005", "M007", "M011"}
    assert {finding["about"] for finding in document["findings"] if finding["status"] != "not run"} == {"model"}
    rows = document["rows"]["M003 by group"]
    assert set(rows) == {"north", "south"}
    assert all(row[0]["low"] <= row[0]["value"] <= row[0]["high"] for row in rows.values())
    assert main(arguments) == 3, "nobody says that members were drawn at random, so nothing can be judged"
    reasons = {finding["reason"] for finding in json.loads(capsys.readouterr().out)["findings"]}
    assert any('split = "random"' in reason for reason in reasons)


def test_a_file_of_outputs_without_references_leaves_the_loss(project, capsys):
    (project / "safelight.toml").unlink()
    outputs_of(project, 0)
    main(["audit", "--scores", "outputs.csv", "--split", "random", "--quiet", "--json"])
    document = json.loads(capsys.readouterr().out)
    assert {f["code"] for f in document["findings"] if f["status"] != "not run"} == {"M001", "M005", "M007", "M011"}
    assert "leave model and data out" in fails(capsys, ["audit", "model.joblib", "--scores", "outputs.csv"])
    assert "There is no file" in fails(capsys, ["audit", "--scores", "absent.csv"])


def test_a_released_table_is_audited_without_a_model(project, capsys):
    (project / "safelight.toml").unlink()
    names = ["train.csv", "test.csv"]
    records = [pd.read_csv(name).assign(number=range(1000, 1000 + len(pd.read_csv(name)))) for name in names]
    for name, table in zip(("members.csv", "control.csv"), records):
        table.to_csv(name, index=False)
    records[0].drop(columns="number").to_csv("released.csv", index=False)
    flags = ["--data", "members.csv", "--nonmembers", "control.csv", "--split", "random", "--quiet", "--json"]
    assert main(["audit", "--release", "released.csv", *flags, "--only", "L002,L005"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["target"] == "released.csv"
    assert document["threat"]["observes"] == "a released table"
    columns = len(records[0].columns)
    assert document["description"].endswith(f"{len(records[0])} rows, {columns - 1} of {columns} columns")
    assert {f["code"]: f["status"] for f in document["findings"] if f["about"] == "model"} == {
        "L002": "leak", "L005": "leak"
    }  # fmt: skip
    settings = '[target]\nkind = "release"\nmodel = "released.csv"\n[data]\nmembers = "members.csv"\n'
    settings += 'nonmembers = "control.csv"\nsplit = "random"\n[recipe]\ntrain = "again.py:release"\n'
    (project / "safelight.toml").write_text(settings)
    (project / "again.py").write_text("def release(records, seed):\n    return records.x\n")
    assert main(["audit", "--quiet", "--json", "--only", "L002"]) == 1
    found = json.loads(capsys.readouterr().out)["findings"]
    assert {f["about"]: f["status"] for f in found} == {"model": "leak", "recipe": "leak"}


def test_a_release_that_cannot_be_audited_is_said(project, capsys):
    (project / "safelight.toml").unlink()
    assert "leave the model and --scores out" in fails(capsys, ["audit", "m.joblib", "--release", "released.csv"])
    release = ["audit", "--release", "released.csv", "--data", "train.csv"]
    assert "There is no file" in fails(capsys, release)
    pd.DataFrame({"other": [1]}).to_csv("released.csv", index=False)
    assert "share no column; it has other" in fails(capsys, release)
    assert "leave kind and label out" in fails(capsys, [*release, "--label", "bad"])


def test_a_command_explains_its_flags_and_exit_codes(capsys):
    main(["audit", "--help"])
    assert "Exit codes: 0 nothing above the" in capsys.readouterr().out


def test_a_report_is_drawn_again_without_an_attack(project, capsys):
    main(["audit", "--only", "M001", "--quiet"])
    page = (project / "safelight-report" / "report.html").read_bytes()
    (project / "safelight-report" / "report.html").unlink()
    assert main(["report", "safelight-report"]) == 0
    assert (project / "safelight-report" / "report.html").read_bytes() == page


def test_accepted_findings_do_not_fail_until_they_expire(project, settings):
    entry = '\n[[accepted]]\ncode = "M001"\nreason = "known"\nexpires = {}\n'
    (project / "safelight.toml").write_text(settings + entry.format("2999-01-01"))
    assert main(["audit", "--only", "M001", "--quiet"]) == 0
    (project / "safelight.toml").write_text(settings + entry.format("2001-01-01"))
    assert main(["audit", "--only", "M001", "--quiet"]) == 1


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"model.joblib"', '"absent.joblib"', "absent.joblib"),
        ("trusted = true", "trusted = false", "trusted = true"),
        ('label = "bad"', 'label = "worse"', "worse"),
        ('members = "train.csv"', 'members = "nothing.csv"', "nothing.csv"),
        ('label = "bad"', 'lable = "bad"', "Did you mean 'label'?"),
        ("[data]", "[dta]", "Did you mean 'data'?"),
        ('split = "random"', 'split = "randm"', "Did you mean 'random'?"),
        ("trusted = true", "trusted = 3", "it must be bool"),
        ("[target]", "[threat]\naccess = 'logit'\n[target]", "Did you mean 'logits'?"),
        ('members = "train.csv"', "", "needs the key 'members'"),
        ("[target]", "[target", "not valid TOML"),
    ],
)
def test_settings_that_cannot_be_used_are_one_sentence(project, settings, capsys, old, new, message):
    (project / "safelight.toml").write_text(settings.replace(old, new))
    assert message in fails(capsys, ["audit", "--quiet"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.assign(**{"mean area": np.nan}), "mean area"),
        (lambda table: table.assign(**{"mean area": np.inf}), "mean area"),
        (lambda table: table.drop(columns="mean area"), "mean area"),
    ],
)
def test_tables_that_cannot_be_used_are_one_sentence(project, capsys, change, message):
    change(pd.read_csv("test.csv")).to_csv("test.csv", index=False)
    assert message in fails(capsys, ["audit", "--quiet"])


def test_misspelt_flags_and_commands_suggest_the_right_one(project, capsys):
    assert main(["audit", "--bugdet", "3"]) == 2
    assert "--budget" in "".join(capsys.readouterr())
    assert main(["adit"]) == 2
    assert "audit" in "".join(capsys.readouterr())


def test_a_folder_that_cannot_be_written_to_is_one_sentence(project, capsys):
    (project / "taken").write_text("a file")
    assert "choose another --out folder" in fails(capsys, ["audit", "--quiet", "--out", "taken"])
    assert "choose another --out folder" in fails(capsys, ["audit", "--quiet", "--out", "/proc/safelight"])


def test_resuming_needs_the_same_settings(project, capsys):
    main(["audit", "--only", "M001", "--quiet"])
    capsys.readouterr()
    assert "other settings" in fails(capsys, ["audit", "--only", "M001", "--quiet", "--resume", "--seed", "5"])
    assert main(["audit", "--only", "M001", "--quiet", "--resume"]) == 1


def test_a_remote_address_needs_the_owners_word(project, settings, capsys):
    (project / "safelight.toml").write_text(settings.replace('"model.joblib"', '"https://models.example.org"'))
    assert "--i-may-test-this" in fails(capsys, ["audit", "--quiet"])


def test_nothing_to_audit_is_said(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "safelight init" in fails(capsys, ["audit"])


def test_init_writes_settings_that_parse_and_does_not_overwrite(tmp_path, capsys, monkeypatch):
    from safelight.cli.config import read_config

    monkeypatch.chdir(tmp_path)
    assert main(["init"]) == 0
    assert read_config(Path("safelight.toml")).data.label == "income"
    assert "already" in fails(capsys, ["init"])
    assert main(["init", "--images", "--force"]) == 0
    assert read_config(Path("safelight.toml")).data.kind == "images"


def test_every_attack_is_listed_and_explained(capsys):
    assert main(["attacks", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {"V001", "A002", "M001"} <= {row["code"] for row in rows}
    for row in rows:
        assert main(["explain", row["code"]]) == 0
        text = capsys.readouterr().out
        assert "What it shows:" in text
        assert row["source"] in text
    assert "Did you mean" in fails(capsys, ["explain", "V00"])


def test_doctor_names_what_is_there(capsys):
    assert main(["doctor"]) == 0
    assert "torch" in capsys.readouterr().out


def test_exit_codes_tell_incomplete_empty_and_accepted_apart(project):
    from dataclasses import replace

    import safelight as sl
    from safelight.cli.audit import exit_code
    from safelight.cli.build import build
    from safelight.cli.config import read_config

    built = build(read_config(Path("safelight.toml")))
    report = sl.audit(built.target, built.splits, only="M001", accepted={"M001": "known"})
    assert exit_code(report) == 0
    assert exit_code(replace(report, incomplete="the server died")) == 3
    empty = sl.audit(built.target, replace(built.splits, nonmembers=None), only="M002")
    assert exit_code(empty) == 3


def test_a_promise_is_tested_on_the_coins_of_an_audit(project, capsys):
    main(["audit", "--only", "M001", "--quiet", "--exit-zero"])
    capsys.readouterr()
    assert main(["dp-check", "safelight-report", "--claim", "0.1,1e-5"]) == 1
    said = capsys.readouterr().out
    assert said.startswith("REFUTED: epsilon 0.1 at delta 1e-05, a record, add-remove")
    assert "Assumed: the unit is a record." in said
    assert main(["dp-check", "safelight-report", "--claim", "8,1e-5", "--unit", "record", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["answer"] == "not refuted"
    assert 0 < document["reach"] < 8
    assert main(["dp-check", "safelight-report", "--claim", "8,1e-5", "--adjacency", "replace"]) == 3
    assert "CANNOT TELL" in capsys.readouterr().out
    assert main(["dp-check", "safelight-report", "--claim", "4.4,1e-5", "--dp-sgd", "1,1,1"]) in (0, 1)
    assert "That DP-SGD promises epsilon 4.377" in capsys.readouterr().out
    assert "give 2 numbers" in fails(capsys, ["dp-check", "safelight-report", "--claim", "8"])
    assert "epsilon must be" in fails(capsys, ["dp-check", "safelight-report", "--claim=-1,0"])
    assert "cannot be read" in fails(capsys, ["dp-check", "nowhere", "--claim", "8,1e-5"])
