"""Incidents take legal steps alone, each a row in the log; clocks and drafts say what is known and what is not."""

import json
import threading
import time
from dataclasses import replace

import pytest

from safelight.cli import main
from safelight.errors import Changed, InputError
from safelight.guard.alarm import Alarm
from safelight.guard.chain import Head
from safelight.guard.clocks import AI_ACT, GDPR, clocks, span
from safelight.guard.incidents import (
    NEXT,
    Incident,
    Incidents,
    Serious,
    Severity,
    Stage,
    concerns,
    joined,
    moved,
    stage_of,
)
from safelight.guard.registry.embedded import Embedded
from safelight.guard.registry.pointing import Move, Pointed
from safelight.guard.responses.gdpr33 import GAP, draft
from safelight.guard.store import Store

NOW = 1_800_000_000.0
HOUR, DAY = 3600, 86400
ALARM = Alarm("ward-3", "wards", "diag", NOW, "class-ascent", 9.0, 3.0, 120)
NEW = joined(Incident("", NOW, Severity.HIGH, "ward-3", "wards", playbook="default"), ALARM, Head(7, "ab" * 32))


@pytest.fixture
def store(tmp_path):
    opened = Store.open(tmp_path / "guard.db")
    yield opened
    opened.close()


def rows(store):
    return [json.loads(row.text) for row in reversed(store.tail(1000))]


# Steps ---------------------------------------------------------------------------------------------------------------


def test_every_step_that_is_not_legal_is_refused():
    for stage in Stage:
        for to in Stage:
            incident = replace(NEW, name="I0001", stage=stage)
            if to in NEXT[stage]:
                assert moved(incident, to, "Ada", "", NOW).stage is to
            else:
                with pytest.raises(
                    InputError, match=f"I0001 is {stage.value} and cannot become {to.value}; it goes to"
                ):
                    moved(incident, to, "Ada", "", NOW)
    with pytest.raises(InputError, match="needs the name of who takes it; give --by NAME"):
        moved(NEW, Stage.TRIAGED, " ", "", NOW)
    with pytest.raises(InputError, match=r"no stage 'triage'; use one of opened, .* Did you mean 'triaged'\?"):
        stage_of("triage")


def test_the_whole_way_is_one_row_a_step_and_comes_back_from_the_file(store):
    incidents = Incidents(store)
    name = incidents.open(NEW).name
    way = [Stage.TRIAGED, Stage.CONTAINED, Stage.ERADICATED, Stage.RECOVERED, Stage.CLOSED]
    for hours, stage in enumerate(way, start=1):
        incidents.move(name, stage, "Ada", f"note {hours}", NOW + hours * HOUR)
    store.close()
    again = Incidents(Store.open(store.path)).get(name)
    assert (again.name, again.stage, again.open, again.version) == ("I0001", Stage.CLOSED, False, 6)
    assert [step["to"] for step in again.steps] == [stage.value for stage in way]
    assert replace(again, stage=Stage.OPENED, steps=(), aware=None, version=0) == replace(NEW, name="I0001")
    logged = rows(store)
    assert [row["what"] for row in logged] == ["incident opened", *(f"incident {stage.value}" for stage in way)]
    assert all(row["by"] == "Ada" and row["note"] for row in logged[1:])
    assert store.verify()[1] == ""


def test_a_step_that_cannot_be_logged_is_not_taken(store, monkeypatch):
    incidents = Incidents(store)
    incidents.open(NEW)
    monkeypatch.setattr(store, "_append", lambda facts: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        incidents.move("I0001", Stage.TRIAGED, "Ada", "", NOW)
    assert incidents.get("I0001").stage is Stage.OPENED


def test_many_hands_at_once_lose_nothing(store):
    incidents = Incidents(store)
    incidents.open(NEW)

    def ring(number):
        mine = Store.open(store.path)
        for _ in range(10):
            while True:
                try:
                    Incidents(mine).change(
                        "I0001", lambda before: joined(before, ALARM, Head(number, "cd" * 32)), what="joined", at=NOW
                    )
                except Changed:
                    continue
                break
        mine.close()

    threads = [threading.Thread(target=ring, args=(number,)) for number in (1, 2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert incidents.get("I0001").alarms == 31
    assert len(incidents.get("I0001").rows) == 31
    names = {incidents.open(NEW).name, incidents.open(NEW).name}
    assert names == {"I0002", "I0003"}


def test_evidence_is_frozen_once_and_rows_end_at_a_thousand():
    later = joined(NEW, replace(ALARM, signal="near-duplicates", score=4.0), Head(9, "ef" * 32))
    assert (later.head, later.last) == (f"7:{'ab' * 32}", f"9:{'ef' * 32}")
    assert (later.rows, later.alarms, later.models) == ((7, 9), 2, ("diag",))
    assert later.signals == {"class-ascent": 9.0, "near-duplicates": 4.0}
    many = later
    for number in range(2000):
        many = joined(many, ALARM, Head(number, ""))
    assert (len(many.rows), many.alarms) == (1000, 2002)


def test_what_a_person_found_is_kept_with_a_name(store):
    incidents = Incidents(store)
    incidents.open(NEW)
    found = incidents.decide("I0001", "Ada", NOW, people=40, serious=Serious.WIDESPREAD, severity=Severity.CRITICAL)
    assert (found.people, found.serious, found.severity) == (40, Serious.WIDESPREAD, Severity.CRITICAL)
    assert rows(store)[-1]["found"] == {"people": 40, "serious": "widespread", "severity": "critical"}
    for by, people, trouble in (("", 4, "give --by NAME"), ("Ada", -1, "The number of people is -1")):
        with pytest.raises(InputError, match=trouble):
            incidents.decide("I0001", by, NOW, people=people)
    with pytest.raises(InputError, match=r"no incident 'I0002'. Did you mean 'I0001'\?"):
        incidents.get("I0002")


# Clocks --------------------------------------------------------------------------------------------------------------


def test_clocks_count_from_who_was_aware_and_carefully_before():
    gdpr, ai = clocks(NEW)
    assert (gdpr.due - NOW, gdpr.sure, ai.due - NOW, ai.sure) == (72 * HOUR, False, 15 * DAY, False)
    seen = moved(NEW, Stage.TRIAGED, "Ada", "", NOW + HOUR)
    gdpr, ai = clocks(seen)
    assert (gdpr.due - NOW, gdpr.sure, ai.sure) == (73 * HOUR, True, False)
    assert (gdpr.words(NOW + 73 * HOUR), gdpr.words(NOW + 75 * HOUR)) == ("0 h 0 min left", "OVERDUE by 2 h 0 min")
    assert clocks(moved(replace(NEW, aware=NOW - HOUR), Stage.TRIAGED, "Ada", "", NOW))[0].start == NOW - HOUR
    told = clocks(replace(seen, notified={GDPR: NOW + 70 * HOUR}))[0]
    assert told.words(NOW + 99 * HOUR) == "told in time"
    late = clocks(replace(seen, notified={GDPR: NOW + 76 * HOUR}))[0]
    assert late.words(NOW + 99 * HOUR) == "told 3 h 0 min late"
    assert span(2 * DAY + 4 * HOUR + 59) == "2 d 4 h"


@pytest.mark.parametrize(
    ("serious", "days", "title"),
    [
        (Serious.YES, 15, "AI Act Art. 73(2), 15 days"),
        (Serious.WIDESPREAD, 2, "AI Act Art. 73(3), 2 days"),
        (Serious.CRITICAL, 2, "AI Act Art. 73(3), 2 days"),
        (Serious.DEATH, 10, "AI Act Art. 73(4), 10 days"),
        (Serious.NO, None, ""),
    ],
)
def test_the_term_of_the_ai_act_depends_on_what_a_person_decided(serious, days, title):
    found = [clock for clock in clocks(replace(NEW, serious=serious, aware=NOW)) if clock.law == AI_ACT]
    assert [(clock.due - NOW, clock.title, clock.sure) for clock in found] == (
        [(days * DAY, title, True)] if days else []
    )


# The draft -----------------------------------------------------------------------------------------------------------


def test_whom_it_is_about_and_how_often_it_rang_is_said():
    assert NEW.about == "client ward-3"
    assert replace(NEW, client="", cohort="wards").about == "cohort wards"
    assert replace(NEW, client="", cohort="").about == "clients without a cohort"
    assert replace(NEW, client="", clients=("a", "b")).about == "clients a, b"
    assert "training data: 1 alarm\n" in draft(replace(NEW, name="I0001"), NOW)
    assert "training data: 2 alarms\n" in draft(replace(NEW, name="I0001", alarms=2), NOW)


def test_a_draft_holds_the_facts_marks_the_gaps_and_names_no_client():
    measure = {"at": NOW, "what": "quarantine", "client": "ward-3", "until": NOW + HOUR}
    bare = draft(replace(NEW, name="I0001", measures=(measure,)), NOW + HOUR)
    for part in ("(a) Nature", "(b) Contact", "(c) Likely consequences", "(d) Measures", "Art. 33(1)", "Art. 33(4)"):
        assert part in bare
    assert "ward-3" not in bare
    assert "quarantine, until 2027-01-15 09:00 UTC" in bare
    assert f"Number of data subjects: {GAP.format('approximate number')}" in bare
    assert "Reasons for the delay" not in bare
    assert f"7:{'ab' * 32}" in bare
    known = replace(NEW, name="I0001", people=40, aware=NOW, versions=("3",))
    late = draft(known, NOW + 80 * HOUR)
    assert "about 40 (an estimate)" in late
    assert "versions 3" in late
    assert "OVERDUE by 8 h" in late
    assert "Reasons for the delay: [to be filled in by a person" in late


# The commands --------------------------------------------------------------------------------------------------------


@pytest.fixture
def shop(tmp_path, monkeypatch, store):
    monkeypatch.chdir(tmp_path)
    text = (
        '[upstream]\nurl = "http://127.0.0.1:1"\nprotocol = "oip"\n[[alerts]]\nkind = "file"\npath = "alerts.jsonl"\n'
    )
    (tmp_path / "guard.toml").write_text(text)
    store.quarantine("ward-3", NOW - 1, NOW - 2)  # so that it is known
    Incidents(store).open(replace(NEW, opened=time.time() - 60))
    return tmp_path


def test_the_commands_take_an_incident_to_its_end_and_say_so(shop, capsys):
    assert main(["guard", "incidents"]) == 0
    out = capsys.readouterr().out
    assert "I0001     opened      high      ward-3" in out
    assert "gdpr33 2 d 23 h left ?" in out
    assert main(["guard", "incident", "I0001", "--to", "closed", "--by", "Ada"]) == 2
    assert "it goes to triaged" in capsys.readouterr().err
    more = ["--people", "40", "--serious", "widespread", "--model-version", "3", "--notified", "gdpr33"]
    assert main(["guard", "incident", "I0001", "--to", "triaged", "--by", "Ada", "--note", "looked", *more]) == 0
    out = capsys.readouterr().out
    assert "I0001: triaged, high, client ward-3, by playbook default" in out
    assert "people      40; serious: widespread" in out
    assert "72 hours" in out
    assert "told in time" in out
    assert "triaged by Ada looked" in out
    assert "next        contained, closed" in out
    assert main(["guard", "incident", "I0001", "--draft", "gdpr33"]) == 0
    assert "about 40 (an estimate)" in capsys.readouterr().out
    assert not (shop / "alerts.jsonl").exists()
    assert main(["guard", "incident", "I0001", "--to", "closed", "--by", "Ada", "--note", "false alarm"]) == 0
    alert = json.loads((shop / "alerts.jsonl").read_text())
    assert (alert["resolved"], alert["incident"], alert["client"]) == (True, "I0001", "")
    capsys.readouterr()
    assert main(["guard", "incidents"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1
    assert main(["guard", "incidents", "--all"]) == 0
    assert "closed" in capsys.readouterr().out


def test_an_incident_is_opened_by_hand_with_all_that_an_alarm_gives_it(shop, store, capsys):
    keys = '[[clients.key]]\nid = "{}"\nsha256 = "{}"\ncohort = "wards"\n'
    policy = shop / "guard.toml"
    policy.write_text(policy.read_text() + keys.format("ward-4", "a" * 64) + keys.format("ward-5", "b" * 64))
    text = policy.read_text().replace('"oip"', '"oip"\nmodel = "diag@champion"')
    versions = "".join(f'[[upstream.version]]\nid = "{n}"\nurl = "http://127.0.0.1:{n}"\n' for n in (1, 2))
    policy.write_text(text.replace("[[alerts]]", versions + "[[alerts]]", 1))
    Embedded(store).move("diag@champion", Move(NOW, "promote", "", "2"), Pointed())
    store.write("risk", "ward-4", {"signals": {"rate": 0.7}, "threshold": 1.0}, 0, what="risk", at=NOW)
    before = store.head()
    words = ["guard", "incident", "--open", "--client", "ward-4", "--by", "Ada", "--note", "odd questions by phone"]
    assert main([*words, "--severity", "high", "--people", "3"]) == 0
    out = capsys.readouterr().out
    assert "I0002: opened, high, client ward-4, opened by hand" in out
    assert "GDPR Art. 33(1), 72 hours" in out
    assert "AI Act Art. 73(2), 15 days" in out
    found = Incidents(store).get("I0002")
    assert (found.client, found.cohort, found.models, found.versions) == ("ward-4", "wards", ("diag@champion",), ("2",))
    assert (found.scores, found.alarms, found.people) == ({"rate": 0.7}, 0, 3)
    assert found.head == f"{before.rows}:{before.digest}"
    assert (found.steps[0]["by"], found.steps[0]["note"]) == ("Ada", "odd questions by phone")
    (evidence,) = store.documents("evidence")
    assert evidence.facts["watch"]["ward-4"]["signals"] == {"rate": 0.7}
    assert evidence.facts["clients"]["ward-4"]["step"] == "none"
    assert (evidence.facts["why"], evidence.facts["by"]) == ("odd questions by phone", "Ada")
    logged = {row["what"]: row for row in rows(store)}
    assert (logged["incident opened"]["by"], logged["incident opened"]["client"]) == ("Ada", "ward-4")
    assert store.verify(before)[1] == ""
    (alert,) = [json.loads(line) for line in (shop / "alerts.jsonl").read_text().splitlines()]
    assert (alert["incident"], alert["severity"], alert["resolved"], alert["scope"]) == (
        "I0002",
        "high",
        False,
        "client",
    )
    assert "Opened by a person" in draft(found, time.time())
    assert main(words) == 2
    assert "I0002 is open about client ward-4 already" in capsys.readouterr().err
    assert main([*words, "--client", "ward-5", "--model", "other"]) == 0
    assert "I0003: opened, medium, clients ward-4, ward-5, opened by hand" in capsys.readouterr().out
    both = Incidents(store).get("I0003")
    assert (both.clients, both.client, both.versions) == (("ward-4", "ward-5"), "", ())
    assert concerns(both, replace(ALARM, client="ward-5"))
    assert not concerns(both, replace(ALARM, client="", cohort="wards"))
    message = json.loads((shop / "alerts.jsonl").read_text().splitlines()[-1])
    assert message["summary"] == "MEDIUM: I0003 of the guard: a person's suspicion of several clients at model other"


def test_a_term_that_is_over_is_exit_code_one(shop, capsys):
    assert main(["guard", "incident", "I0001", "--aware", "2020-01-01T09:30", "--by", "Ada"]) == 0
    assert main(["guard", "incidents"]) == 1
    assert "OVERDUE" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "trouble"),
    [
        (["I0009"], "There is no incident 'I0009'"),
        (["I0001", "--aware", "soon", "--by", "A"], "--aware is 'soon'; give \"now\" or a time"),
        (["I0001", "--aware", "2999-01-01", "--by", "A"], "which is still to come"),
        (["I0001", "--severity", "hgh", "--by", "A"], "Did you mean 'high'?"),
        (["I0001", "--serious", "maybe", "--by", "A"], "--serious is 'maybe'; use one of undecided, no, yes"),
        (["I0001", "--notified", "gdpr", "--by", "A"], "--notified is 'gdpr'; use one of gdpr33, aiact73"),
        (["I0001", "--people", "4"], "give --by NAME"),
        (["I0001", "--draft", "gdpr34"], "--draft is 'gdpr34'; there is gdpr33"),
        ([], "Give the NAME of an incident, such as I0001"),
        (["I0001", "--client", "ward-3"], "--client and --model go with --open"),
        (["I0001", "--open"], "--open begins a new incident"),
        (["--open", "--by", "A", "--note", "w"], "An incident needs at least one client"),
        (["--open", "--client", "ward-9", "--by", "A", "--note", "w"], "There is no client 'ward-9'"),
        (["--open", "--client", "ward-3", "--note", "w"], "needs the name of who opens it, and why"),
        (["--open", "--client", "ward-3", "--by", "A"], "needs the name of who opens it, and why"),
        (["--open", "--client", "ward-3", "--by", "A", "--note", "w", "--people", "-1"], "people is -1"),
    ],
)
def test_what_cannot_be_done_is_said(shop, capsys, words, trouble):
    assert main(["guard", "incident", *words]) == 2
    assert trouble in capsys.readouterr().err.replace("\n", " ")
