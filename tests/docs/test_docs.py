"""The documentation runs: Python blocks, command lines, settings, links, and the attack that newcomers are shown."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("*.md")),
    "CONTRIBUTING.md",
    "README.md",
]


@pytest.fixture(scope="module", autouse=True)
def _docs_on_the_path():
    sys.path.insert(0, str(ROOT / "docs"))
    yield
    sys.path.remove(str(ROOT / "docs"))


def text_of(page: str) -> str:
    return (ROOT / page).read_text("utf-8")


def python_blocks(page: str, files: bool) -> list:
    """Return the Python blocks of a page: those that are whole files, named in their first line, or the others."""
    from checks import blocks

    found = [block for block in blocks(text_of(page)) if block.language == "python"]
    return [block for block in found if block.content.startswith(("# src/", "# tests/")) == files]


def in_a_new_folder(program: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a program as a user would: another process, another folder."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "XDG_STATE_HOME": str(folder / "state")}
    return subprocess.run(
        [sys.executable, "-c", program], cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )


@pytest.mark.parametrize("page", PAGES)
def test_every_python_block_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict = {"__name__": "page"}
    for block in python_blocks(page, files=False):
        # Blank lines in front make a traceback point into the page.
        exec(compile("\n" * block.line + block.content, str(ROOT / page), "exec"), names)


@pytest.mark.parametrize("page", PAGES)
def test_every_command_line_parses(page):
    import cyclopts
    from checks import commands

    from safelight.cli import COMMANDS, home

    app = cyclopts.App(name="safelight", result_action="return_value")
    for name in COMMANDS:
        app.command(home(name), name=name)
    for line in commands(text_of(page)):
        command, _, _ = app.parse_args(line.removeprefix("safelight "), exit_on_error=False, print_error=False)
        assert command.__name__.replace("_", "-") in line.split()[1:3]  # a group of commands has one below it


def test_the_start_page_commands_end_as_it_says(tmp_path, monkeypatch, capsys):
    """The first audit of a newcomer: flags alone, then the settings file of the page."""
    from checks import blocks

    from safelight.cli import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    exec(python_blocks("docs/start.md", files=False)[0].content, {})
    assert (
        main(
            ["audit", "model.joblib", "--data", "train.csv", "--nonmembers", "test.csv", "--label", "benign", "--quiet"]
        )
        == 2
    )
    assert "trusted = true" in capsys.readouterr().err
    flags = "audit model.joblib --trusted --data train.csv --nonmembers test.csv --label benign --only M --quiet"
    assert main(flags.split()) == 1
    assert 'set split = "random"' in " ".join(capsys.readouterr().out.split())
    settings = next(block for block in blocks(text_of("docs/start.md")) if block.language == "toml")
    Path("safelight.toml").write_text(settings.content)
    assert main(["audit", "--only", "M", "--quiet"]) == 1
    assert "Measured on the given model itself." in " ".join(capsys.readouterr().out.split())
    for name in ("report.html", "report.json", "run.json"):
        assert (tmp_path / "safelight-report" / name).exists()


def test_measurements_of_an_audit_are_in_the_format_page():
    """Names that an audit of both kinds of table claims prints, against the table of the page."""
    import numpy as np
    import pandas as pd
    from checks import rows
    from sklearn.ensemble import RandomForestClassifier

    import safelight as sl
    from safelight.report.vocabulary import term

    rng = np.random.default_rng(0)
    columns = {"age": rng.integers(18, 80, 500), "weight": rng.normal(70, 9, 500), "smoker": rng.integers(0, 2, 500)}
    x = pd.DataFrame(columns)
    everyone = sl.Records.of(x, rng.integers(0, 2, 500))
    members, nonmembers, public = (everyone.take(part) for part in np.split(np.arange(500), [200, 350]))
    model = RandomForestClassifier(10, random_state=0).fit(members.x, members.y)
    splits = sl.Splits(members, nonmembers, public, drawn=sl.Split.RANDOM, sensitive=("smoker",))
    report = sl.audit(sl.Target.from_sklearn(model), splits, only=["M001", "A002"])
    page = text_of("docs/report-format.md")
    known = {name for name, _ in rows(page, "### Measurements")} | {"tpr_at_fpr_0.001"}
    printed = {number.name for finding in report.findings for number in finding.measured}
    printed |= {number.name for table in report.rows.values() for row in table.values() for number in row}
    assert len(printed) > 8
    assert printed <= known
    assert all(term(name).meaning for name in known)


def test_nothing_is_stale_broken_or_unknown_and_saying_so_is_fast():
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "build.py"), "--check"],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
    )
    assert done.stderr == ""
    assert done.returncode == 0
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime < 5


@pytest.mark.parametrize(
    ("line", "trouble"),
    [
        ("See [here](missing.md).", "links to missing.md, which does not exist"),
        ("See [here](settings.md#no-such-part).", "that page has no such heading"),
        ("Run M777 first.", "names the attack M777, which does not exist"),
        ("Use `--bugdet`.", "names the flag --bugdet, which does not exist. Did you mean '--budget'?"),
        ("```sh\nsafelight audit --bugdet 3\n```", "audit has no flag --bugdet"),
        ("```yaml\n- run: safelight adit\n```", "there is no such command. Did you mean 'audit'?"),
        ("```sh\nsafelight guard rnu\n```", "and guard has run, ui, versions"),
        ("```sh\nsafelight guard run --prot 3\n```", "guard has no flag --prot. Did you mean '--port'?"),
        ("```toml\n[upstream]\nulr = 'http://x'\n```", "has no setting 'ulr'"),
        ("Set `[budget] per_hour`.", "names the table [budget]"),
        ("Set `[threat] querys`.", "names [threat] querys, which safelight.toml does not have"),
        ("Set `[thread]`.", "names the table [thread], which safelight.toml does not have"),
        ('Set `splitt = "random"`.', "names the key splitt"),
        ("Set SAFELIGHT_THREAT_QUERYS=3.", "names [threat] querys"),
        ("Read `coins_corect`.", "names coins_corect, and the program has no coins_corect"),
        ("Call `sl.adit()`.", "names sl.adit(), and the program has no adit"),
        ("```toml\n[data]\nlable = 'x'\n```", "has an unknown key 'lable'. Did you mean 'label'?"),
    ],
)
def test_each_kind_of_mistake_is_said(line, trouble, tmp_path):
    from checks import troubles

    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "settings.md").write_text(text_of("docs/settings.md"))
    (tmp_path / "docs" / "limits.md").write_text(f"# Limits\n\n{line}\n")
    found = [item for item in troubles(tmp_path) if item.startswith("docs/limits.md")]
    assert len(found) == 1
    assert trouble in found[0]


def test_a_settings_page_that_lags_behind_is_said():
    from checks import settings_page

    page = text_of("docs/settings.md")
    assert settings_page(page) == []
    assert "lacks top_k" in settings_page(page.replace("| `top_k` |", "| top_k |"))[0]
    assert "the default 40.0; it is 30.0" in settings_page(page.replace("| 30.0 |", "| 40.0 |"))[0]
    assert "has --never, which does not exist" in settings_page(page.replace("| `--deep` |", "| `--never` |"))[1]


def test_a_format_page_that_lags_behind_is_said():
    from checks import format_page

    page = text_of("docs/report-format.md")
    assert format_page(page) == []
    assert "lacks likeness" in format_page(page.replace("| `likeness` |", "| likeness |"))[0]
    assert "has gain_x, which is in no vocabulary" in format_page(page.replace("| `gain` |", "| `gain_x` |"))[0]


def test_an_attack_that_the_pages_forget_is_said():
    from checks import forgotten

    pages = {name: text_of(name) for name in ("docs/threat-models.md", "CHANGELOG.md")}
    without = {name: text.replace("M002", "M001") for name, text in pages.items()}
    assert set(forgotten(without)) - set(forgotten(pages)) == {
        "docs/threat-models.md does not name M002 where the attacker has `scores`.",
        "CHANGELOG.md does not name M002.",
    }


def test_stale_and_orphaned_pages_are_said_and_mended(tmp_path):
    from build import stale, write

    folder, pages = tmp_path / "attacks", {"index.md": "new\n", "M001.md": "same\n"}
    folder.mkdir()
    for name, text in {"index.md": "old\n", "M001.md": "same\n", "X999.md": "gone\n"}.items():
        (folder / name).write_text(text)
    assert stale(folder, pages) == [
        "docs/attacks/index.md is stale; run `python docs/build.py`.",
        "docs/attacks/X999.md belongs to no docstring; run `python docs/build.py`.",
    ]
    write(folder, pages)
    assert stale(folder, pages) == []
    assert sorted(path.name for path in folder.iterdir()) == ["M001.md", "index.md"]


def test_every_attack_has_a_page_that_says_what_explain_says():
    from pages import attack_pages

    from safelight.attacks.base import all_attacks

    pages = attack_pages()
    for code, attack in all_attacks().items():
        page = pages[f"{code}.md"]
        for part in ("**What it shows.**", "**Who could do it.**", "**How to lower it.**", attack.title):
            assert part in page
        assert f"]({code}.md)" in pages["index.md"]
    assert "| `references` | `16` | models that the attacker trains (>= 2). |" in pages["M002.md"]
    assert "https://arxiv.org/abs/2312.03262" in pages["M002.md"]


FOUND_BY_BEING_THERE = """
import contextlib, io, sys
from pathlib import Path
import safelight.attacks.membership as room
room.__path__.append(str(Path("attack").resolve()))
from safelight.cli import main
shown = io.StringIO()
with contextlib.redirect_stdout(shown):
    assert main(["attacks"]) == 0 and main(["explain", "M900"]) == 0
assert "Prediction entropy" in shown.getvalue() and "smallest = 1e-30" in shown.getvalue()
sys.path.insert(0, {docs!r})
from pages import attack_pages
assert "Salem" in attack_pages()["M900.md"]
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier
import safelight as sl
data = load_breast_cancer(as_frame=True)
noisy = np.where(np.random.default_rng(0).random(569) < 0.3, 1 - data.target, data.target)
pool = sl.Records.of(data.data, noisy)
members, nonmembers = pool.take(np.arange(300)), pool.take(np.arange(300, 569))
model = RandomForestClassifier(20, random_state=0).fit(members.x, members.y)
splits = sl.Splits(members, nonmembers, drawn=sl.Split.RANDOM)
report = sl.audit(sl.Target.from_sklearn(model), splits, only=["M900"])
assert {{str(finding.status) for finding in report.findings}} == {{"leak"}}, report
import pytest
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", "test_entropy.py"]))
"""


def test_the_example_attack_is_found_audited_and_passes_its_own_test(tmp_path):
    attack, test = python_blocks("CONTRIBUTING.md", files=True)
    (tmp_path / "attack").mkdir()
    (tmp_path / "attack" / "entropy.py").write_text(attack.content)
    (tmp_path / "test_entropy.py").write_text(test.content)
    done = in_a_new_folder(FOUND_BY_BEING_THERE.format(docs=str(ROOT / "docs")), tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "5 passed" in done.stdout
