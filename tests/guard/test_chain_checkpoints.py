"""Whoever has guard.key can write the log anew; a signed checkpoint elsewhere shows it."""

import json
import sqlite3
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from safelight.cli import main
from safelight.errors import InputError
from safelight.guard.chain import START as FIRST
from safelight.guard.chain import digest, text_of
from safelight.guard.checkpoints import Signer, make_key, public_key, read_checkpoints, verify_signed
from safelight.guard.policy import Checkpoints
from safelight.guard.store import Store
from safelight.guard.stores.base import Store as Base

START = 1_800_000_000.0


class Site:
    """A guard's folder, with a key that signs and a place elsewhere."""

    def __init__(self, folder: Path, **settings) -> None:
        self.folder, self.now, self.said = folder, START, []
        self.public = public_key(make_key(folder / "sign.pem"))
        self.store: Base = Store.open(folder / "guard.db")
        chosen = {"key": "sign.pem", "to": "elsewhere.jsonl", "rows": 10, "seconds": 60.0} | settings
        self.signer = Signer(self.store, Checkpoints(**chosen), folder, self.said.append, lambda: self.now)

    def notes(self, count: int) -> None:
        for _ in range(count):
            self.store.note("more", START)

    def signed(self) -> bool:
        found = self.signer.sign() is not None
        self.signer.send()
        return found

    def elsewhere(self):
        return list(read_checkpoints(self.folder / "elsewhere.jsonl", self.public))

    def trouble(self) -> str:
        return verify_signed(self.store, self.public, self.elsewhere())[1]

    def rewrite(self, change) -> None:
        """Write the whole log anew with the guard's own key, as who has taken its machine can."""
        self.store.close()
        with sqlite3.connect(self.folder / "guard.db") as database:
            texts = [text for (text,) in database.execute("SELECT text FROM log ORDER BY number")]
            database.execute("DELETE FROM log")
            before = FIRST
            for number, text in enumerate(change(texts), 1):
                before = digest(self.store.key, before, number, text)
                database.execute("INSERT INTO log VALUES (?, ?, ?)", (number, text, before))


@pytest.fixture
def site(tmp_path):
    made = Site(tmp_path)
    yield made
    made.store.close()


def test_a_checkpoint_is_due_after_rows_or_after_a_time_with_new_rows(site):
    assert not site.signed()  # there is nothing to sign
    site.notes(1)
    assert site.signed()
    site.notes(9)
    assert not site.signed()
    site.notes(1)
    assert site.signed()
    site.now += 61
    assert not site.signed()  # the last row is the checkpoint itself
    site.notes(1)
    assert site.signed()
    assert [one.rows for one in site.elsewhere()] == [1, 12, 14]
    assert [one.serial for one in site.elsewhere()] == [1, 2, 3]
    head, trouble, last = verify_signed(site.store, site.public, site.elsewhere())
    assert (head.rows, trouble, last.rows) == (15, "", 14)


@pytest.mark.parametrize(
    ("change", "trouble"),
    [
        (lambda texts: [texts[0].replace("more", "less"), *texts[1:]], "row 12 is not the one that was noted"),
        (lambda texts: texts[1:], "row 12 is not the one that was noted"),
        (lambda texts: [texts[0], texts[2], texts[1], *texts[3:]], "row 12 is not the one that was noted"),
        (lambda texts: texts[:8], "the log ends at row 8, and row 12 was noted"),
    ],
)
def test_a_log_written_anew_with_its_own_key_shows_against_what_is_elsewhere(site, change, trouble):
    site.notes(2)
    site.store.note("less", START)
    site.notes(9)
    assert site.signed()
    site.notes(3)
    assert site.trouble() == ""
    site.rewrite(lambda texts: change([text for text in texts if "checkpoint" not in text]))
    assert site.store.verify()[1] == ""  # the chain alone cannot tell
    assert site.trouble() == trouble


def test_what_came_after_the_last_checkpoint_can_be_taken_away_unseen(site):
    site.notes(10)
    assert site.signed()
    site.notes(3)
    site.rewrite(lambda texts: texts[:11])
    assert site.trouble() == ""


def test_checkpoints_in_the_log_itself_are_checked(site, tmp_path):
    site.notes(10)
    assert site.signed()
    site.rewrite(lambda texts: [texts[0].replace("more", "less"), *texts[1:]])
    words = "row 10 is not the one that the checkpoint in row 11 was signed for"
    assert verify_signed(site.store, site.public)[1] == words
    (tmp_path / "other").mkdir()
    stranger = Site(tmp_path / "other")
    assert verify_signed(site.store, stranger.public)[1] == "row 11 is a checkpoint that was not signed with this key"
    stranger.store.close()


def test_a_checkpoint_that_somebody_else_made_up_is_refused(site, tmp_path):
    site.notes(10)
    assert site.signed()
    place = tmp_path / "elsewhere.jsonl"
    facts = json.loads(place.read_text())
    place.write_text(json.dumps(facts | {"rows": 3}))
    with pytest.raises(InputError, match=r"line 1, was not signed with this key"):
        site.elsewhere()
    place.write_text("{}")
    with pytest.raises(InputError, match=r"line 1, is no checkpoint"):
        site.elsewhere()


def test_two_guards_on_one_database_sign_once(site):
    site.notes(10)
    second = Signer(Store.open(site.folder / "guard.db"), site.signer.settings, site.folder, site.said.append)
    assert site.signer.sign() is not None
    assert second.sign() is None
    second.store.close()


def test_a_place_that_cannot_be_reached_is_said_and_gets_it_later(tmp_path):
    site = Site(tmp_path, to="not-there/elsewhere.jsonl")
    site.notes(1)
    assert site.signed()
    assert "the checkpoint of row 1 did not get to not-there/elsewhere.jsonl" in site.said[0]
    (tmp_path / "not-there").mkdir()
    site.signer.send()
    assert len((tmp_path / "not-there" / "elsewhere.jsonl").read_text().splitlines()) == 1
    site.store.close()


def test_checkpoints_are_posted_and_printed(tmp_path, capsys):
    got = []

    class Place(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *words) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Place)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    site = Site(tmp_path, to=f"http://127.0.0.1:{server.server_port}/log")
    site.notes(1)
    assert site.signed()
    site.signer.settings = Checkpoints("-", "sign.pem")
    site.notes(1000)
    assert site.signed()
    assert [json.loads(line)["rows"] for line in (got[0], capsys.readouterr().out)] == [1, 1002]
    site.store.close()
    server.shutdown()
    server.server_close()


def test_the_thread_signs_by_itself_and_a_last_time(tmp_path):
    site = Site(tmp_path, seconds=0.01)
    site.signer.start()
    site.notes(3)
    site.signer.stop()
    assert site.elsewhere()[-1].rows >= 3
    assert site.trouble() == ""
    site.store.close()


def test_the_commands(tmp_path, capsys):
    policy = tmp_path / "guard.toml"
    head = '[upstream]\nurl = "http://127.0.0.1:1"\nprotocol = "oip"\n'
    policy.write_text(head)
    Store.open(tmp_path / "guard.db").note("start", START)
    assert main(["guard", "checkpoint", "--policy", str(policy)]) == 2
    assert "has no table [checkpoints]" in capsys.readouterr().err
    key = tmp_path / "away" / "sign.pem"
    key.parent.mkdir()
    assert main(["guard", "checkpoint-key", str(key)]) == 0
    public = capsys.readouterr().out.strip()
    assert main(["guard", "checkpoint-key", str(key)]) == 2
    assert "a key is never written over" in capsys.readouterr().err
    policy.write_text(head + '[checkpoints]\nto = "kept.jsonl"\n')
    assert main(["guard", "checkpoint", "--policy", str(policy)]) == 2
    assert "names no key that signs" in capsys.readouterr().err
    assert main(["guard", "checkpoint", "--policy", str(policy), "--key", str(key)]) == 0
    assert capsys.readouterr().out.startswith("Signed: 1:")
    verify = ["guard", "verify", "--policy", str(policy), "--checkpoints", str(tmp_path / "kept.jsonl")]
    assert main(verify) == 2
    assert "--checkpoints needs --public" in capsys.readouterr().err
    assert main([*verify, "--public", public]) == 0
    assert "It holds the checkpoint of row 1; 1 rows came later." in capsys.readouterr().out
    with sqlite3.connect(tmp_path / "guard.db") as database:
        database.execute("DELETE FROM log")
    assert main([*verify, "--public", public]) == 1
    assert "not whole: the log ends at row 0, and row 1 was noted" in capsys.readouterr().out
    assert main([*verify, "--public", "12"]) == 2
    assert "The public key is '12'; give the 64 hexadecimal digits" in capsys.readouterr().err


def test_a_key_that_is_none_is_refused(tmp_path):
    site = Site(tmp_path)
    site.store.close()
    for words, change in [
        ("can be read by others; run: chmod 600", lambda: (tmp_path / "sign.pem").chmod(0o644)),
        (
            "holds no Ed25519 key",
            lambda: ((tmp_path / "sign.pem").chmod(0o600), (tmp_path / "sign.pem").write_text("x")),
        ),
        ("cannot be read", lambda: (tmp_path / "sign.pem").unlink()),
    ]:
        change()
        with pytest.raises(InputError, match=words):
            Signer(site.store, Checkpoints("-", "sign.pem"), tmp_path, print)
    with pytest.raises(InputError, match="rows is 0 and seconds is 60; they must be at least 1, and above 0"):
        Checkpoints("-", "sign.pem", rows=0)
    with pytest.raises(InputError, match="holds a password"):
        Checkpoints("https://a:b@c/", "sign.pem")


def test_rows_are_the_same_text_for_the_same_facts_whatever_they_hold():
    assert text_of({"b": 1, "a": "ä"}) == '{"a":"ä","b":1}'
    assert json.loads(text_of({"a": "\ud800", "b": 2**70})) == {"a": "\ud800", "b": 2**70}
