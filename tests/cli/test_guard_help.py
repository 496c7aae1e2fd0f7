"""Each command of the guard, and the drill, says of each flag what it means to somebody who never saw it."""

import re

import pytest

from safelight.cli import main
from safelight.cli.guard import guard

COMMANDS = [["guard", name] for name in guard if not name.startswith("-")]


def told(words, capsys, monkeypatch) -> str:
    monkeypatch.setenv("COLUMNS", "200")
    assert main([*words, "--help"]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("words", [*COMMANDS, ["drill"]], ids=" ".join)
def test_every_flag_has_words_and_no_twin(words, capsys, monkeypatch):
    text = told(words, capsys, monkeypatch)
    assert text.startswith("Usage: safelight " + " ".join(words))
    rows = [line.strip("│ ").strip() for line in text.splitlines() if line.startswith("│")]
    flags = [row for row in rows if re.match(r"(\* +)?(--|[A-Z]+ )", row)]
    assert flags
    for row in flags:
        words_of_it = re.split(r" {2,}", row.removeprefix("*").strip(), maxsplit=1)
        assert len(words_of_it) == 2, f"{row} says nothing"
        assert len(re.sub(r"\[(default|required).*", "", words_of_it[1]).split()) >= 3, row
    assert not re.search(r"--no-|--empty-", text), "one flag, one name"
    assert '[default: ""]' not in text
    assert "[default: False]" not in text


def test_a_commands_own_page_says_more_than_the_list(capsys, monkeypatch):
    text = " ".join(told(["guard", "plan"], capsys, monkeypatch).split())
    assert "Exit codes: 0 a budget keeps to the limit, 1 none does" in text
