from __future__ import annotations

import io
import json
import re
import resource
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import report_samples as samples
from sarif_pydantic import Sarif

from safelight.errors import InputError, PolicyFailed
from safelight.measures.base import Measurement
from safelight.report import document
from safelight.report.junit import to_junit
from safelight.report.markdown import markdown
from safelight.report.sarif import to_sarif
from safelight.report.terminal import show, summary, worst
from safelight.verdict.finding import Status, Verdict


@dataclass(frozen=True)
class Policy:
    fail_on: str = "leak"


# terminal ------------------------------------------------------------------------------------------------------------
def test_the_last_lines_say_verdict_worst_missing_and_next() -> None:
    lines = summary(samples.table_leak(), Path("out/report.html")).splitlines()
    assert lines[0].startswith("▲ LEAK   A model trained this way gives away")
    labels = [line[:9].strip() for line in lines if not line.startswith(" ")]
    assert labels == ["▲ LEAK", "Sure", "First", "Worst", "File", "Not run", "Next"]
    text = "\n".join(lines)
    assert "A004: it needs the weights" in text
    assert lines[-1] == "Next     safelight explain A002 · out/report.html"
    assert max(map(len, lines)) <= 100


def test_only_the_three_worst_are_listed_leaks_first() -> None:
    findings = (samples.unclear(), *(samples.membership(code=f"M{n:03}") for n in range(4)))
    report = replace(samples.table_leak(), findings=findings)
    assert [item.code for item in worst(report)] == ["M000", "M001", "M002"]
    assert [item.code for item in worst(replace(report, findings=findings[:2]))] == ["M000", "V004"]
    assert worst(samples.no_leak()) == ()
    assert worst(samples.broken()) == ()


def test_a_listed_finding_shows_number_interval_who_and_acceptance() -> None:
    report = replace(samples.table_leak(), findings=(samples.membership(accepted="known since May"),))
    text = " ".join(summary(report).split())
    assert "M001 loss threshold (membership, model) · 19 in 100 training records recognised" in text
    assert "[15, 23]% · who: anyone who gets class scores" in text
    assert "accepted: known since May" in text
    unclear = samples.unclear(measured=(), reason="too few secrets.", who="")
    bare = replace(report, verdict=Verdict.UNCLEAR, findings=(unclear,))
    assert "V004 score-only search (person, recipe) · too few secrets\n" in summary(bare, width=200)


def test_next_depends_on_how_the_audit_ended() -> None:
    assert "--resume" in summary(samples.incomplete()).splitlines()[-1]
    assert "--resume" not in summary(samples.no_leak()).splitlines()[-1]
    assert "report.save(" in summary(samples.no_leak()).splitlines()[-1]


def test_more_than_two_reasons_are_counted() -> None:
    text = " ".join(summary(samples.nothing_run()).split())
    assert "3 claims or attacks. A004: it needs the weights" in text
    assert "and 1 more, all in the report." in text
    assert "Not run" not in summary(samples.no_leak())


def colours(monkeypatch: pytest.MonkeyPatch, color: bool = True, **environment: str) -> str:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    stream = io.StringIO()
    show(samples.table_leak(), Path("r.html"), stream, color)
    return stream.getvalue()


def test_colour_is_used_unless_it_is_unwanted(monkeypatch: pytest.MonkeyPatch) -> None:
    red = re.compile(r"\x1b\[[\d;]*31m")
    assert red.search(colours(monkeypatch))
    assert not red.search(colours(monkeypatch, color=False))
    assert not red.search(colours(monkeypatch, NO_COLOR="1"))
    plain = re.sub(r"\x1b\[[\d;]*m", "", colours(monkeypatch))
    assert plain.splitlines()[1:] == summary(samples.table_leak(), Path("r.html"), 80).splitlines()


def test_a_terminal_without_these_signs_still_prints() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    show(samples.table_leak(), None, stream)
    stream.flush()
    assert stream.buffer.getvalue().startswith(b"????")  # type: ignore[attr-defined]
    assert b"LEAK" in stream.buffer.getvalue()  # type: ignore[attr-defined]


# require -------------------------------------------------------------------------------------------------------------
def test_a_leak_fails_with_code_number_interval_and_remedy() -> None:
    with pytest.raises(PolicyFailed) as failure:
        samples.table_leak().require(Policy())
    assert str(failure.value) == (
        "A002 confidence-based attribute on forest.joblib is a leak: 98 of 100 secrets guessed right; luck alone gives "
        "about 50, hit rate [93, 99.8]% (1 more claim failed as well); what lowers it: grow smaller trees "
        "(min_samples_leaf of 5 or more), or round the scores that are given out."
    )


def test_unclear_fails_only_where_the_policy_says_so() -> None:
    report = samples.is_unclear()
    report.require(Policy("leak"))
    with pytest.raises(PolicyFailed, match=r"V004 .* is unclear \(right on 14 of 20 .*\): 14 of 20 secrets"):
        report.require(Policy("unclear"))


def test_without_a_policy_the_one_of_the_audit_counts() -> None:
    samples.is_unclear().require()
    strict = replace(samples.is_unclear(), policy={**samples.POLICY, "fail_on": "unclear"})
    with pytest.raises(PolicyFailed):
        strict.require()


def test_accepted_findings_do_not_fail() -> None:
    report = replace(samples.table_leak(), findings=(samples.finding(accepted="known"), samples.silent()))
    report.require()
    with pytest.raises(PolicyFailed, match="M001"):
        replace(report, findings=(*report.findings, samples.membership())).require()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("broken", "is broken (the attack was right on 88 of 100 secrets of a model that never saw them)"),
        ("incomplete", "is incomplete (the target stopped answering after 1,200 queries)"),
        ("nothing", "is incomplete (no attack came to its end)"),
    ],
)
def test_an_audit_that_is_not_whole_never_passes(name: str, message: str) -> None:
    with pytest.raises(PolicyFailed, match=re.escape(message)):
        samples.ALL[name]().require()


def test_a_clean_report_passes_and_a_wrong_level_is_named() -> None:
    samples.no_leak().require(Policy("unclear"))
    with pytest.raises(InputError, match=r"fail_on is 'leek'; use one of leak, unclear\. Did you mean 'leak'\?"):
        samples.no_leak().require(Policy("leek"))


# frame ---------------------------------------------------------------------------------------------------------------
def test_the_frame_has_one_row_a_measurement() -> None:
    report = samples.table_leak()
    table = report.frame()
    assert len(table) == sum(max(1, len(item.measured)) for item in report.findings)
    row = table[(table.code == "M001") & (table.name == "auc")].iloc[0]
    assert (row.value, row.low, row.high, row.status, row.access, row.queries) == (
        0.724, 0.68, 0.768, "leak", "scores", 2000,
    )  # fmt: skip
    missing = table[table.status == "not run"].iloc[0]
    assert (missing.code, missing["name"]) == ("A004", "")
    assert missing.isna().value
    assert str(table.dtypes["value"]) == "float64"


def test_an_empty_report_gives_an_empty_frame_with_the_same_columns() -> None:
    empty = replace(samples.nothing_run(), findings=()).frame()
    assert len(empty) == 0
    assert list(empty.columns) == list(samples.table_leak().frame().columns)


# saving --------------------------------------------------------------------------------------------------------------
def test_a_folder_gets_everything_and_comes_back(tmp_path: Path) -> None:
    report = samples.faces_leak()
    assert report.save(tmp_path / "out") == tmp_path / "out" / "report.html"
    written = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert written == ["out/evidence/pictures.npz", "out/report.html", "out/report.json"]
    again = document.read(tmp_path / "out")
    again.save(tmp_path / "again")
    for name in ("report.html", "report.json", "evidence/pictures.npz"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "out" / name).read_bytes()


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("report.html", "<!doctype html>"),
        ("report.json", '{\n "schema_version"'),
        ("report.md", "# ▲ leak: forest.joblib"),
        ("report.sarif", '{\n "$schema"'),
        ("report.xml", "<?xml"),
    ],
)
def test_the_ending_decides_what_is_written(name: str, start: str, tmp_path: Path) -> None:
    path = samples.table_leak().save(tmp_path / "new" / name)
    assert path.read_text("utf-8").startswith(start)
    assert [item.name for item in path.parent.iterdir()] == [name]


def test_an_unknown_ending_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot be written as '.htm'; use one of .*Did you mean '.html'\?"):
        samples.table_leak().save(tmp_path / "report.htm")


def test_a_place_that_cannot_be_written_gets_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match=r"cannot be written \(.*\); free space there or choose another"):
        samples.table_leak().save(tmp_path / "file" / "report.html")
    with pytest.raises(InputError, match="cannot be written"):
        samples.table_leak().save(Path("/proc/safelight"))


@pytest.mark.parametrize("name", ["report.html", "folder"])
def test_a_full_disk_gets_one_sentence_and_leaves_nothing_half_written(name: str, tmp_path: Path) -> None:
    report = samples.faces_leak()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, hard))
    try:
        with pytest.raises(InputError, match=r"cannot be written \(File too large\)"):
            report.save(tmp_path / name)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


# markdown, SARIF, JUnit ----------------------------------------------------------------------------------------------
def test_markdown_has_verdict_table_and_reasons() -> None:
    text = markdown(samples.table_leak())
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert len(rows) == 2 + len(samples.table_leak().findings)
    assert "| ▲ leak | A002 confidence-based attribute | a model trained this way |" in text
    assert "- **A004** tree confidence: it needs the weights" in text
    assert "(accepted)" in markdown(replace(samples.table_leak(), findings=(samples.finding(accepted="x"),)))
    assert "| Status" not in markdown(replace(samples.nothing_run(), findings=()))


def test_nothing_in_markdown_becomes_markup() -> None:
    bad = samples.not_run(title="a|b", reason="<img src=x> [link](http://x) `code` *bold*\nnew line")
    text = markdown(replace(samples.nothing_run(), findings=(bad,), target="x\n# y"))
    assert "<img" not in text
    assert "a\\|b" in text
    assert "\\[link\\]" in text
    assert "\\*bold\\* new line" in text
    assert text.splitlines()[0] == "# ◐ incomplete: x \\# y"


def test_sarif_has_the_required_keys_and_one_result_a_finding() -> None:
    report = replace(samples.table_leak(), findings=(*samples.table_leak().findings, samples.unclear(accepted="later")))
    log = json.loads(to_sarif(report))
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert len({rule["id"] for rule in rules}) == len(rules)
    for result, finding in zip(run["results"], report.findings, strict=True):
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"] == finding.code
        assert result["message"]["text"]
        assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "forest.joblib"
        assert (result["kind"] == "fail") == (result["level"] == "error") == (finding.status is Status.LEAK)
        assert ("suppressions" in result) == bool(finding.accepted)
    kinds = [result["kind"] for result in run["results"]]
    assert kinds == ["fail", "fail", "pass", "notApplicable", "review"]
    assert run["tool"]["driver"]["version"] == "0.1.0"
    assert "version" not in json.loads(to_sarif(replace(report, versions={})))["runs"][0]["tool"]["driver"]


@pytest.mark.parametrize("name", list(samples.ALL))
def test_another_library_reads_the_sarif_log_and_loses_nothing_of_it(name: str) -> None:
    log = json.loads(to_sarif(samples.ALL[name]()))
    read = Sarif.model_validate(log).model_dump(by_alias=True, exclude_none=True, mode="json")
    for run, kept in zip(log["runs"], read["runs"], strict=True):
        assert kept["results"] == run["results"]
        assert kept["tool"]["driver"] == run["tool"]["driver"]
        assert kept["properties"] == run["properties"]
    log["runs"][0]["tool"]["driver"].pop("name")
    with pytest.raises(ValueError, match="name"):
        Sarif.model_validate(log)


def suite_of(text: str) -> ET.Element:
    suite = ET.fromstring(text.split("?>", 1)[1]).find("testsuite")
    assert suite is not None
    return suite


def test_junit_counts_what_it_holds() -> None:
    suite = suite_of(to_junit(samples.table_leak()))
    assert {key: suite.get(key) for key in ("tests", "failures", "skipped", "errors")} == {
        "tests": "4", "failures": "2", "skipped": "1", "errors": "0",
    }  # fmt: skip
    unclear = samples.is_unclear()
    assert suite_of(to_junit(unclear)).get("failures") == "0"
    strict = replace(unclear, policy={"fail_on": "unclear"})
    assert suite_of(to_junit(strict)).get("failures") == "1"
    accepted = replace(samples.table_leak(), findings=(samples.finding(accepted="known"),))
    assert suite_of(to_junit(accepted)).get("failures") == "0"


def test_junit_shows_an_audit_that_is_not_whole_as_an_error() -> None:
    for name in ("broken", "incomplete"):
        suite = suite_of(to_junit(samples.ALL[name]()))
        assert suite.get("errors") == "1"
    assert samples.broken().verdict is Verdict.BROKEN


def test_junit_leaves_out_what_xml_cannot_hold() -> None:
    report = replace(samples.nothing_run(), findings=(samples.not_run(reason="bad \x00\x1b byte <&>"),))
    skipped = suite_of(to_junit(report)).find("testcase/skipped")
    assert skipped is not None
    assert skipped.get("message") == "bad  byte <&>"


# weight --------------------------------------------------------------------------------------------------------------
def test_words_and_terminal_load_no_drawing_library() -> None:
    code = (
        "import sys; import safelight.report.model, safelight.report.terminal, safelight.report.html; "
        "print([name for name in ('matplotlib', 'PIL', 'torch') if name in sys.modules])"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, env={"PYTHONPATH": "src"}, check=True)
    assert done.stdout.strip() == "[]"


def test_a_measure_without_a_value_is_no_headline() -> None:
    report = replace(samples.table_leak(), findings=(samples.finding(measured=(Measurement("auc", None),)),))
    assert "Worst    ▲ A002" in str(report)
