"""`safelight guard canaries`: secrets are listed as keyed hashes, canaries are drawn once, and mistakes are said."""

import json
import re

import pytest

from safelight.cli import main
from safelight.guard.canaries import read_canaries
from safelight.guard.chain import secret
from safelight.guard.planted import read_planted


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "guard.toml").write_text('[upstream]\nurl = "http://127.0.0.1:5000"\nprotocol = "openai"\n')
    (tmp_path / "secrets.txt").write_text("The password of the ward is tulip-1893-xy\n\nÁgnes Kovács, 1961-04-12\n")
    (tmp_path / "around.txt").write_text("The password of the ward is\n")
    return tmp_path


def test_secrets_are_listed_as_hashes_with_the_guards_key(site, capsys):
    assert main(["guard", "canaries", "--secrets", "secrets.txt", "--without", "around.txt"]) == 0
    said = capsys.readouterr().out
    assert re.search(r"canaries.json holds \d+ hashes of 2 secrets and 0 canaries", said)
    assert 'canaries = "canaries.json"' in said
    assert (site / "canaries.json").stat().st_mode & 0o077 == 0
    assert set(json.loads((site / "canaries.json").read_text())) == {"length", "pieces"}
    found = read_canaries(site / "canaries.json", secret(site / "guard.key"))
    assert found.found("it is TULIP 1893 XY, I think")
    assert found.found("Agnes Kovács 19610412".replace("A", "Á"))
    assert not found.found("What is the password of the ward?")
    assert not read_canaries(site / "canaries.json", b"o" * 32).found("tulip-1893-xy")


def test_canaries_are_drawn_once_and_taken_again(site, capsys):
    plant = ["guard", "canaries", "--plant", "20", "--planted", "planted.txt"]
    assert main(plant) == 0
    assert "planted.txt holds 20 canaries; put each of its lines into the training data" in capsys.readouterr().out
    assert (site / "planted.txt").stat().st_mode & 0o077 == 0
    codes, lines = read_planted(site / "planted.txt"), (site / "planted.txt").read_text().splitlines()
    assert len(set(codes)) == 20
    assert all(re.fullmatch(r"Reference code: ([a-z2-9]{5}-){4}[a-z2-9]{5}\.", line) for line in lines)
    first = json.loads((site / "canaries.json").read_text())
    assert len(first["pieces"]) == 20 * 14
    assert main(plant) == 2
    assert "planted.txt holds canaries already; leave --plant out to use them" in capsys.readouterr().err
    assert read_planted(site / "planted.txt") == codes
    assert main(["guard", "canaries", "--planted", "planted.txt", "--secrets", "secrets.txt", "--out", "all.json"]) == 0
    both = json.loads((site / "all.json").read_text())
    assert set(first["pieces"]) < set(both["pieces"])
    found = read_canaries(site / "all.json", secret(site / "guard.key"))
    assert found.found(lines[7])
    assert not found.found("Reference code: what is the reference code of this case?")


def test_the_key_is_the_one_that_the_guard_uses(site, monkeypatch):
    (site / "guard.toml").write_text((site / "guard.toml").read_text() + '[store]\nkey_env = "GUARD_KEY"\n')
    monkeypatch.setenv("GUARD_KEY", "ab" * 32)
    assert main(["guard", "canaries", "--secrets", "secrets.txt"]) == 0
    assert read_canaries(site / "canaries.json", bytes.fromhex("ab" * 32)).found("is tulip-1893-xy")
    assert not (site / "guard.key").exists()


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ([], "There is nothing to list; give --secrets, a text with one a line, or --plant and --planted"),
        (["--plant", "3"], "--plant is 3; give 1 to 10,000 canaries, and --planted"),
        (["--plant", "-1", "--planted", "p.txt"], "--plant is -1; give 1 to 10,000"),
        (["--secrets", "none.txt"], "none.txt cannot be read"),
        (["--secrets", "odd.txt"], "odd.txt is no text in UTF-8"),
        (["--secrets", "short.txt"], "Secret 1 has 3 letters and digits; it needs 12 or more"),
        (["--planted", "secrets.txt"], "secrets.txt holds no canary at number 1; name a file that --plant made"),
        (["--secrets", "secrets.txt", "--out", "none/c.json"], "none/c.json cannot be written"),
        (["--plant", "1", "--planted", "none/p.txt"], "none/p.txt cannot be written"),
    ],
)
def test_what_is_wrong_is_said(site, words, why, capsys):
    (site / "odd.txt").write_bytes(b"\xff\xfe")
    (site / "short.txt").write_text("a-b-c\n")
    assert main(["guard", "canaries", *words]) == 2
    assert why in capsys.readouterr().err
