"""An alarm is logged, a step taken, an incident opened, an alert sent; a dry run does nothing; much waits."""

import asyncio
import hashlib
import json
import re
import time
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from safelight.cli import main
from safelight.errors import InputError
from safelight.guard.alarm import Alarm
from safelight.guard.challenge import challenge, needed, proves, solve, zeros
from safelight.guard.exchange import Answer, send_answer
from safelight.guard.incidents import Incidents, Severity, Stage
from safelight.guard.judge import Call, Step, Verdict
from safelight.guard.middleware import GuardMiddleware
from safelight.guard.policy import GuardPolicy, Protocol, Upstream, read_policy
from safelight.guard.respond import Responder
from safelight.guard.responses.approvals import Approvals, Word
from safelight.guard.responses.deeds import carry_out
from safelight.guard.responses.ladder import FOREVER
from safelight.guard.responses.opening import open_by_hand
from safelight.guard.store import open_store

NOW = 1_800_000_000.0
ALARM = Alarm("ward-3", "wards", "diag", NOW, "class-ascent", 9.0, 3.0, 120)
HEAD = '[upstream]\nurl = "http://127.0.0.1:1"\nprotocol = "mlflow"\nmodel = "diag"\n'
ALERTS = '[[alerts]]\nkind = "file"\npath = "alerts.jsonl"\nclients = true\n'


class Desk:
    """A responder with its store and policy, and a clock that is set by hand."""

    def __init__(self, folder, actions="", playbooks="", more=ALERTS):
        if playbooks:
            (folder / "playbooks.toml").write_text(playbooks)
            actions += 'playbooks = "playbooks.toml"\n'
        (folder / "guard.toml").write_text(HEAD + more + "[actions]\n" + actions)
        self.folder, self.said, self.now = folder, [], NOW
        self.policy = read_policy(folder / "guard.toml")
        self.store = open_store(self.policy)
        self.responder = Responder(lambda: self.policy, self.store, self.said.append, lambda: self.now)

    def ring(self, alarm=ALARM, **changes):
        alarm = replace(alarm, at=self.now, **changes)
        self.responder.respond(alarm)
        return self.store.state(alarm.client).stands(self.now)

    def rows(self, *what):
        found = [json.loads(row.text) for row in reversed(self.store.tail(1000))]
        return [row for row in found if not what or row["what"] in what]

    def alerts(self):
        self.responder.alerts.close()
        path = self.folder / "alerts.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture
def desk(tmp_path):
    made = []

    def make(*args, **more):
        made.append(Desk(tmp_path, *args, **more))
        return made[-1]

    yield make
    for each in made:
        each.responder.alerts.close()
        each.store.close()


def asked(store, *clients):
    """Have clients ask, so that they are active."""
    policy = GuardPolicy(Upstream("http://127.0.0.1:1", Protocol.OIP))
    for client in clients:
        store.decide(policy, Call(client, "", "diag", NOW, 1, b""))


def test_the_built_in_playbook_quarantines_opens_an_incident_and_alerts(desk):
    one = desk("minutes = 30\n")
    assert one.ring() is Step.QUARANTINE
    assert one.store.state("ward-3").until == NOW + 1800
    (incident,) = Incidents(one.store).all()
    assert (incident.name, incident.client, incident.severity.value, incident.models) == (
        "I0001",
        "ward-3",
        "high",
        ("diag",),
    )
    alarm = one.rows("alarm")[0]
    assert (alarm["client"], alarm["signal"], alarm["score"]) == ("ward-3", "class-ascent", 9.0)
    assert incident.head == f"1:{one.store.tail(1000)[-1].digest.hex()}"
    assert incident.rows == (1,)
    assert [each["what"] for each in incident.measures] == ["quarantine"]
    (alert,) = one.alerts()
    assert (alert["incident"], alert["severity"], alert["done"], alert["client"]) == (
        "I0001",
        "high",
        ["quarantine"],
        "ward-3",
    )
    assert one.store.verify()[1] == ""
    assert one.said == []


def test_repeated_alarms_climb_join_the_incident_and_an_end_is_no_forgiveness(desk):
    books = '[[playbook]]\nname = "p"\nactions = ["coarsen:30m", "slow:30m", "quarantine:60m", "incident", "alert"]\n'
    one = desk(playbooks=books)
    steps = []
    for _ in range(4):
        steps.append((one.ring(), one.store.state("ward-3").until - one.now))
        one.now += 10
    assert steps == [(Step.COARSEN, 1800), (Step.SLOW, 1800), (Step.QUARANTINE, 3600), (Step.QUARANTINE, 7200)]
    assert one.ring(replace(ALARM, at=NOW)) is Step.QUARANTINE
    (incident,) = Incidents(one.store).all()
    assert (incident.alarms, len(incident.rows), len(incident.measures)) == (5, 5, 5)
    one.now += 3 * 3600 + 20 * 3600
    assert one.ring() is Step.QUARANTINE
    one.store.quarantine("ward-3", one.now, one.now)
    one.now += 1
    assert one.ring() is Step.COARSEN  # released: it starts at the foot
    one.now += 25 * 3600
    assert one.ring() is Step.COARSEN  # quiet for a day


def test_a_small_site_slows_first_and_holds_at_the_second_alarm(desk):
    text = (Path(__file__).parents[2] / "docs" / "playbooks.md").read_text()
    (book,) = re.findall(r"```toml\n(\[\[playbook\]\]\nname = \"small site\".*?)```", text, re.S)
    one = desk("delay = 2\n", playbooks=book)
    assert one.ring() is Step.SLOW
    assert one.store.state("ward-3").until == NOW + 8 * 3600
    allowed = one.store.decide(one.policy, Call("ward-3", "wards", "diag", NOW + 1, 1, b""))
    assert (allowed.verdict, allowed.step) == (Verdict.ALLOWED, Step.SLOW)
    one.now += 60
    assert one.ring() is Step.QUARANTINE
    assert one.store.state("ward-3").until == NOW + 60 + 3600
    assert one.ring(client="ward-4") is Step.SLOW  # another client starts at the foot
    one.now += 7200
    one.ring()
    assert one.store.state("ward-3").until == one.now + 7200
    assert [each.alarms for each in Incidents(one.store).all()] == [3, 1]


def test_an_alarm_names_its_version_and_joins_what_a_person_opened(desk):
    one = desk()
    asked(one.store, "ward-3", "ward-4")
    said = []
    words = "Ada", "odd questions", NOW, said.append
    open_by_hand(one.policy, one.store, ["ward-3", "ward-4"], *words, severity=Severity.LOW)
    with pytest.raises(InputError, match="I0001 is open about clients ward-3, ward-4 already"):
        open_by_hand(one.policy, one.store, ["ward-4", "ward-3"], *words)
    one.ring(version="2")
    incidents = Incidents(one.store)
    assert incidents.get("I0001").severity is Severity.HIGH  # as bad as the playbook says
    incidents.decide("I0001", "Ada", NOW, severity=Severity.LOW)
    one.ring(version="3")
    (incident,) = incidents.all()
    assert incident.severity is Severity.LOW  # a person has looked at the alarm
    assert (incident.alarms, incident.versions, incident.playbook, said) == (2, ("2", "3"), "", [])
    assert [row["version"] for row in one.rows("alarm")] == ["2", "3"]


def test_a_closed_incident_is_not_joined(desk):
    one = desk()
    one.ring()
    incidents = Incidents(one.store)
    incidents.move("I0001", Stage.TRIAGED, "Ada", "", NOW)
    one.now += 1
    one.ring()
    assert [incident.alarms for incident in incidents.all()] == [2]
    incidents.move("I0001", Stage.CLOSED, "Ada", "false alarm", NOW)
    one.now += 1
    one.ring()
    assert [(incident.name, incident.alarms) for incident in incidents.all()] == [("I0001", 2), ("I0002", 1)]


def test_an_incident_is_found_even_when_the_case_is_forgotten(desk):
    one = desk("forget = 1\n")
    one.ring()
    one.now += 3600
    one.ring()
    one.ring(client="lab")
    assert [(each.client, each.alarms) for each in Incidents(one.store).all()] == [("ward-3", 2), ("lab", 1)]


def test_a_dry_run_says_what_it_would_do_and_does_nothing(desk):
    books = (
        '[[playbook]]\nname = "p"\nactions = ["quarantine:1h", "incident", "alert", "rollback", "freeze", "audit"]\n'
    )
    one = desk("dry_run = true\n", books)
    assert one.ring() is Step.NONE
    assert one.ring(client="", suspects=("a", "b")) is Step.NONE
    would = one.rows("would")
    assert [row["act"] for row in would[:6]] == ["quarantine", "incident", "alert", "freeze", "audit", "rollback"]
    assert (would[0]["client"], would[0]["until"], would[0]["approval"]) == ("ward-3", NOW + 3600, False)
    assert [row["client"] for row in would if row.get("approval") and "client" in row] == ["a", "b"]
    assert {row["what"] for row in one.rows()} == {"alarm", "would"}
    for kind in ("incident", "approval", "case", "evidence", "audit-due"):
        assert one.store.documents(kind) == []
    assert one.alerts() == []


def test_an_alarm_that_no_playbook_is_for_is_logged_alone(desk):
    one = desk(playbooks='[[playbook]]\nname = "p"\nmatch = {signal = "other"}\nactions = ["refuse"]\n')
    assert one.ring() is Step.NONE
    assert [row["what"] for row in one.rows()] == ["alarm"]


# Approvals -----------------------------------------------------------------------------------------------------------


def test_what_hits_many_waits_for_a_name_and_is_asked_for_once(desk):
    one = desk()
    asked(one.store, "a", "b", "c", "d")
    one.ring(client="", suspects=("a", "b"))
    one.now += 1
    one.ring(client="", suspects=("a", "b", "c"))
    assert all(one.store.state(name).step is Step.NONE for name in "abc")
    (approval,) = Approvals(one.store).all()
    assert (approval.what, approval.clients, approval.hit, approval.of) == ("quarantine", ("a", "b", "c"), 3, 4)
    assert (approval.word, approval.minutes, approval.incident) == (Word.PENDING, 60.0, "I0001")
    assert one.alerts()[-1]["done"] == ["waits for approval: quarantine"]
    one.now += 600
    said = Approvals(one.store).decide("A0001", Word.APPROVED, "Ada", one.now)
    assert carry_out(one.policy, one.store, said, one.now) == "quarantine for 3 clients"
    assert one.store.state("b").until == one.now + 3600
    assert one.rows("quarantine")[-1]["by"] == "Ada"
    assert [each["client"] for each in Incidents(one.store).get("I0001").measures] == ["a", "b", "c"]


def test_a_refusal_holds_until_the_case_is_forgotten(desk):
    one = desk("forget = 60\n")
    asked(one.store, "a", "b")
    one.ring(client="", suspects=("a", "b"))
    Approvals(one.store).decide("A0001", Word.REFUSED, "Ada", NOW)
    one.now += 3000
    one.ring(client="", suspects=("a", "b"))
    assert len(Approvals(one.store).all()) == 1
    one.now += 3601
    one.ring(client="", suspects=("a", "b"))
    assert [each.word for each in Approvals(one.store).all()] == [Word.REFUSED, Word.PENDING]


def test_one_client_after_another_adds_up_to_many(desk):
    one = desk("approval_above = 0.1\n")
    asked(one.store, *(f"c{number}" for number in range(20)))
    steps = [one.ring(client=f"c{number}") for number in range(5)]
    assert steps == [*[Step.QUARANTINE] * 3, Step.NONE, Step.NONE]


def test_where_clients_are_few_a_second_and_a_third_key_are_still_stopped(desk):
    one = desk("approval_above = 0.05\n")
    asked(one.store, *(f"c{number}" for number in range(5)))
    assert [one.ring(client=f"c{number}") for number in range(3)] == [Step.QUARANTINE] * 3


def test_freeze_audit_and_rollback(desk):
    books = '[[playbook]]\nname = "p"\nactions = ["log", "incident", "freeze", "audit", "rollback"]\n'
    one = desk(playbooks=books)
    one.store.write("risk", "ward-3", {"signals": {"class-ascent": 8.5}, "threshold": 3.0}, 0, what="risk", at=NOW)
    one.ring()
    one.now += 1
    one.ring()
    (evidence,) = one.store.documents("evidence")
    assert evidence.name == "I0001 row 2"
    assert evidence.facts["watch"] == {"ward-3": {"signals": {"class-ascent": 8.5}, "threshold": 3.0}}
    assert evidence.facts["alarm"]["records"] == 120
    assert Incidents(one.store).get("I0001").scores == {"class-ascent": 8.5}
    (due,) = one.store.documents("audit-due")
    assert (due.name, due.facts["open"]) == ("diag", True)
    assert "alarms of class-ascent, I0001" in due.facts["why"]
    (approval,) = Approvals(one.store).all()
    assert approval.what == "rollback"


def test_a_rollback_that_cannot_be_done_is_said_and_stops_nothing(desk):
    books = '[[playbook]]\nname = "p"\nactions = ["rollback", "quarantine", "alert"]\n'
    one = desk("approval_above = 1\n", books)
    assert one.ring() is Step.QUARANTINE
    for _ in range(200):
        if one.rows("not done"):
            break
        time.sleep(0.01)
    (row,) = one.rows("not done")
    assert row["deed"] == "rollback"
    assert one.said[-1] == row["why"]


def test_lost_alerts_are_counted_said_and_logged(desk):
    more = '[[alerts]]\nkind = "file"\npath = "nowhere/alerts.jsonl"\n'
    one = desk(more=more)
    lost = []
    one.responder.lost = lost.append
    one.responder.alerts.waits = ()
    one.ring()
    one.responder.alerts.close()
    assert lost == ["file"]
    assert "an alert was lost (file): No such file or directory" in one.said[-1]
    assert one.rows("alert lost")[0]["incident"] == "I0001"


# The commands --------------------------------------------------------------------------------------------------------


def test_the_commands_step_release_approve_and_refuse(desk, monkeypatch, capsys):
    one = desk()
    monkeypatch.chdir(one.folder)
    asked(one.store, "a", "b", "c")
    one.ring(client="", suspects=("a", "b"))
    assert main(["guard", "step", "c", "coarsen", "--minutes", "5", "--by", "Ada"]) == 0
    assert main(["guard", "step", "b", "refuse"]) == 0
    assert capsys.readouterr().out == "c: coarsen for 5 minutes.\nb: refuse until released.\n"
    assert one.store.state("c").step is Step.COARSEN
    assert one.store.state("b").until == FOREVER
    assert main(["guard", "clients"]) == 0
    out = capsys.readouterr().out
    assert "until released refuse" in out
    assert main(["guard", "approvals"]) == 0
    assert (
        "A0001  pending  quarantine 60 minutes  hits 2 of 3 clients  class-ascent  I0001  a, b"
        in capsys.readouterr().out
    )
    assert main(["guard", "approve", "A0001", "--by", "Ada"]) == 0
    assert "A0001 is approved; done: quarantine for 2 clients." in capsys.readouterr().out
    assert main(["guard", "release", "a"]) == 0
    assert one.store.state("a").step is Step.NONE
    capsys.readouterr()
    for words, trouble in (
        (["approve", "A0001", "--by", "Bob"], "A0001 was approved by Ada already; nothing was changed"),
        (["refuse", "A0007", "--by", "Bob"], "There is no approval 'A0007'. Did you mean 'A0001'?"),
        (["refuse", "A0001", "--by", " "], "An approval needs the name of who gives it; give --by NAME"),
        (["step", "a", "quarantin"], "There is no step 'quarantin'; use one of log"),
        (["step", "nobody", "log"], "There is no client 'nobody'"),
        (["step", "a", "log", "--minutes", "-1"], "--minutes is -1.0; give a number above 0"),
    ):
        assert main(["guard", *words]) == 2
        assert trouble in capsys.readouterr().err
    one.now += 1
    one.ring(client="", suspects=("x", "y"))
    assert main(["guard", "refuse", "A0002", "--by", "Ada"]) == 0
    assert main(["guard", "approvals"]) == 0
    assert capsys.readouterr().out.split("nothing is done.")[1] == "\nNothing waits for a person's word.\n"
    assert main(["guard", "approvals", "--all"]) == 0
    assert "A0002  refused by Ada" in capsys.readouterr().out


def test_a_long_list_of_clients_goes_below_and_who_is_held_already_is_counted(desk, monkeypatch, capsys):
    one, names = desk(), [f"practice-{number:02d}" for number in range(29)]
    monkeypatch.chdir(one.folder)
    asked(one.store, *names, "z")
    one.store.step("z", Step.COARSEN, NOW + 600, NOW)
    one.ring(client="", suspects=tuple(names))
    assert main(["guard", "approvals"]) == 0
    first, *below = capsys.readouterr().out.splitlines()
    assert "hits 30 of 30 clients, 1 of them held already  class-ascent" in first
    assert len(below) > 1
    assert all(len(line) <= 120 for line in [first, *below])
    assert ", ".join(line.strip().rstrip(",") for line in below).split(", ") == names
    assert main(["guard", "step", "z", "slow", "--minutes", "1"]) == 0
    assert capsys.readouterr().out == "z: slow for 1 minute.\n"


def test_playbooks_are_read_before_they_are_needed(desk, monkeypatch, capsys):
    one = desk()
    monkeypatch.chdir(one.folder)
    assert main(["guard", "playbooks"]) == 0
    assert capsys.readouterr().out == "default (for every alarm): quarantine, incident:high, alert\n"
    books = '[[playbook]]\nname = "p"\nmatch = {scope = "cohort", above = 2}\nactions = ["slow:90s", "incident"]\n'
    two = desk(playbooks=books)
    assert main(["guard", "playbooks"]) == 0
    assert capsys.readouterr().out == "p (for scope cohort, above 2): slow:90s, incident:medium\n"
    (two.folder / "playbooks.toml").write_text("oops")
    assert main(["guard", "playbooks"]) == 2
    with pytest.raises(InputError, match="is not valid TOML"):  # and no guard starts with it
        Responder(lambda: two.policy, two.store, two.said.append)


@pytest.mark.parametrize(
    ("actions", "trouble"),
    [
        ("bits = 41", "bits is 41; it must be at most 40"),
        ("bits = 0", "bits is 0; it must be at least 1"),
        ("approval_above = 1.5", r"approval_above is 1.5; it must be in \[0, 1\]"),
        ("forget = 0", "forget is 0.0; it must be above 0"),
        ("dryrun = true", r"no setting 'dryrun'.*Did you mean 'dry_run'\?"),
    ],
)
def test_what_is_wrong_in_actions_is_said(desk, actions, trouble):
    with pytest.raises(InputError, match=trouble):
        desk(actions + "\n")


# The challenge -------------------------------------------------------------------------------------------------------

KEY = b"k" * 32


def test_work_is_checked_against_a_literal_count_of_bits():
    for digest in (b"\x00\x01" + bytes(30), b"\xff" * 32, bytes(32), hashlib.sha256(b"x").digest()):
        bits = "".join(f"{byte:08b}" for byte in digest)
        assert zeros(digest) == len(bits) - len(bits.lstrip("0"))
    assert [needed(10, n) for n in (1, 2, 3, 4, 5, 1024)] == [10, 11, 12, 12, 13, 20]


def test_a_proof_is_for_one_client_one_question_and_ten_minutes():
    given = challenge(KEY, "ward-3", NOW)
    proof = solve(given, b"body", 8).encode()
    assert proves(KEY, "ward-3", NOW + 599, b"body", proof, 8)
    assert not proves(KEY, "ward-3", NOW + 600, b"body", proof, 8)
    assert not proves(KEY, "lab", NOW, b"body", proof, 8)
    assert not proves(b"x" * 32, "ward-3", NOW, b"body", proof, 8)
    other = [proves(KEY, "ward-3", NOW, b"other%d" % number, proof, 8) for number in range(200)]
    assert sum(other) <= 5  # by chance one of 256
    assert not proves(KEY, "ward-3", NOW, b"body", proof, 40)
    ends, mac, nonce = proof.split(b".")
    later = b".".join([str(int(ends) + 9).encode(), mac, nonce])
    for bad in (
        later,
        b"",
        b".",
        b"..",
        b"x" * 999,
        given.encode(),
        given.encode() + b".x",
        b"9" * 30 + b".a.1",
        proof + b" ",
    ):
        assert not proves(KEY, "ward-3", NOW, b"body", bad, 0), bad


def test_a_challenged_client_is_told_how_and_then_answered(tmp_path):
    digest = hashlib.sha256(b"pass-word").hexdigest()
    ward = f'[[clients.key]]\nid = "ward-3"\nsha256 = "{digest}"\n'
    (tmp_path / "guard.toml").write_text(HEAD + ward + "[actions]\nbits = 6\ndelay = 0\ntop_k = 1\ndecimals = 1\n")
    seen = []

    async def app(scope, receive, send):
        seen.append({name for name, _ in scope["headers"]})
        body = b'{"predictions": [[0.61, 0.39], [0.25, 0.75]]}'
        await send_answer(send, Answer(200, [(b"content-type", b"application/json")], body))

    guard = GuardMiddleware(app, tmp_path / "guard.toml", clock=lambda: NOW, say=lambda words: None)

    def ask(body, **headers):
        async def once():
            async with httpx.AsyncClient(transport=httpx.ASGITransport(guard), base_url="http://guard") as client:
                key = {"authorization": "Bearer pass-word", "content-type": "application/json"}
                return await client.post("/invocations", content=body, headers=key | headers)

        return asyncio.run(once())

    body = b'{"inputs": [[1.0], [2.0]]}'
    assert ask(body).json() == {"predictions": [[0.61, 0.39], [0.25, 0.75]]}
    guard.store.step("ward-3", Step.CHALLENGE, NOW + 60, NOW)
    refused = ask(body)
    problem = refused.json()
    assert (refused.status_code, problem["bits"]) == (401, 7)  # two records: twice the work
    assert refused.headers["www-authenticate"] == f'Safelight-Proof challenge="{problem["challenge"]}", bits=7'
    words = json.dumps(problem).lower()
    assert not [word for word in ("signal", "detector", "attack", "ascent", "suspic") if word in words]
    assert len(seen) == 1
    proof = solve(problem["challenge"], body, problem["bits"])
    answer = ask(body, **{"safelight-proof": proof})
    assert answer.json() == {"predictions": [[0.6, 0.0], [0.0, 0.8]]}  # coarser, since that step is below
    assert b"safelight-proof" not in seen[-1]
    assert ask(b'{"inputs": [[1.0], [3.0]]}', **{"safelight-proof": proof[:-1] + "x"}).status_code == 401
    assert guard.store.state("ward-3").total == 4  # refused calls cost nothing
    row = json.loads(guard.store.tail(1)[0].text)
    assert (row["verdict"], row["limit"]) == (Verdict.CHALLENGED.value, "challenge")
    guard.store.close()
