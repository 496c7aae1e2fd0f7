"""Playbooks are read strictly, matched by plain words, and followed up a ladder that comes down again."""

import os
import time
import tomllib
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safelight.errors import InputError
from safelight.guard.alarm import Alarm
from safelight.guard.incidents import Severity
from safelight.guard.judge import ClientState, Step
from safelight.guard.playbooks import (
    DEFAULT,
    Action,
    Deed,
    Match,
    Playbook,
    Playbooks,
    first,
    parse_action,
    parse_playbooks,
)
from safelight.guard.policy import Actions
from safelight.guard.responses.ladder import FOREVER, WEEK, Case, Climb, case_of, next_rung
from safelight.guard.responses.plan import Known, plan

NOW = 1_800_000_000.0
ALARM = Alarm("ward-3", "wards", "diag", NOW, "class-ascent", 9.0, 3.0, 120)
SYBILS = replace(ALARM, client="", suspects=("a", "b"))
TEXT = """
[[playbook]]
name = "sybils"
match = {scope = "cohort"}
actions = ["challenge:1h", "incident:critical", "alert", "rollback", "freeze", "audit"]
[[playbook]]
name = "loud"
match = {signal = "class-ascent", above = 2, model = "diag", cohort = "wards"}
actions = ["coarsen:30m", "slow:90s", "quarantine", "refuse", "alert"]
[[playbook]]
name = "rest"
actions = ["log"]
"""


def parsed(text):
    return parse_playbooks(tomllib.loads(text), "playbooks.toml")


def test_a_whole_file_is_read_and_the_first_that_fits_wins():
    sybils, loud, rest = parsed(TEXT)
    assert sybils.actions == (
        Action(Step.CHALLENGE, 60.0),
        Action(Deed.INCIDENT, severity=Severity.CRITICAL),
        Action(Deed.ALERT),
        Action(Deed.ROLLBACK),
        Action(Deed.FREEZE),
        Action(Deed.AUDIT),
    )
    assert [action.minutes for action in loud.rungs] == [30.0, 1.5, None, None]
    assert [action.words for action in loud.rungs] == ["coarsen:30m", "slow:90s", "quarantine", "refuse"]
    assert Action(Step.CHALLENGE, 240.0).words == "challenge:4h"
    assert first((sybils, loud, rest), ALARM) is loud
    assert first((sybils, loud, rest), SYBILS) is sybils
    for other in ({"signal": "x"}, {"score": 6.0}, {"model": "x"}, {"cohort": ""}):
        assert first((sybils, loud, rest), replace(ALARM, **other)) is rest
    assert first((sybils, loud), replace(ALARM, signal="x")) is None
    assert first(DEFAULT, ALARM) is first(DEFAULT, SYBILS) is DEFAULT[0]


def test_words_are_words_and_no_patterns():
    assert not Match(signal=".*").fits(ALARM)
    assert Match(signal=".*").fits(replace(ALARM, signal=".*"))


@pytest.mark.parametrize(
    ("text", "trouble"),
    [
        ("", r"playbooks.toml holds no playbook; write \[\[playbook\]\]"),
        ("[playbook]\nname = 'x'", r"holds no playbook"),
        ("[[playbooks]]\nname = 'x'", r"unknown key 'playbooks'. Did you mean 'playbook'\?"),
        ("[[playbook]]\nname = 'x'\nacts = ['log']", r"playbook 1 has an unknown key 'acts'. Did you mean 'actions'\?"),
        ("[[playbook]]\nname = ' '\nactions = ['log']", "has no name; give it one"),
        ("[[playbook]]\nname = 'x'\nactions = []", r"\(x\) has no actions"),
        ("[[playbook]]\nname = 'x'\nactions = [1]", "1 is no action; write words"),
        ("[[playbook]]\nname = 'x'\nactions = ['quarantin:1h']", r"no action 'quarantin'.*Did you mean 'quarantine'\?"),
        ("[[playbook]]\nname = 'x'\nactions = ['none']", "there is no action 'none'"),
        ("[[playbook]]\nname = 'x'\nactions = ['slow:1w']", "the time is '1w'; write a whole number"),
        ("[[playbook]]\nname = 'x'\nactions = ['slow:0m']", "the time is '0m'"),
        ("[[playbook]]\nname = 'x'\nactions = ['slow:-5m']", "the time is '-5m'"),
        ("[[playbook]]\nname = 'x'\nactions = ['slow:367d']", "a year at most"),
        ("[[playbook]]\nname = 'x'\nactions = ['slow:²m']", "the time is"),
        ("[[playbook]]\nname = 'x'\nactions = ['incident:hgh']", r"the severity is 'hgh'.*Did you mean 'high'\?"),
        ("[[playbook]]\nname = 'x'\nactions = ['alert:loud']", "alert takes nothing after it"),
        ("[[playbook]]\nname = 'x'\nactions = ['alert', 'alert']", "has the action alert twice"),
        ("[[playbook]]\nname = 'x'\nactions = ['log']\nmatch = {signl = 'a'}", r"key 'signl'. Did you mean 'signal'\?"),
        (
            "[[playbook]]\nname = 'x'\nactions = ['log']\nmatch = {above = 'a'}",
            "above is 'a'; give times the threshold",
        ),
        ("[[playbook]]\nname = 'x'\nactions = ['log']\nmatch = {above = true}", "above is True"),
        ("[[playbook]]\nname = 'x'\nactions = ['log']\nmatch = {model = 3}", "model is 3; give a word"),
        ("[[playbook]]\nname = 'x'\nactions = ['log']\nmatch = {scope = 'cohrt'}", r"Did you mean 'cohort'\?"),
        ("[[playbook]]\nname = 'x'\nactions = ['log']\nmatch = 3", "match is 3; write match"),
        (2 * "[[playbook]]\nname = 'x'\nactions = ['log']\n", "two playbooks named 'x'"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_in_one_sentence(text, trouble):
    with pytest.raises(InputError, match=trouble):
        parsed(text)


@given(st.text(max_size=30))
def test_no_text_breaks_the_reading_of_an_action(text):
    with suppress(InputError):
        assert isinstance(parse_action(text, "here"), Action)


def test_a_file_is_followed_and_a_broken_one_leaves_the_old_ones(tmp_path, rewrite):
    said, path = [], tmp_path / "playbooks.toml"
    books = Playbooks(said.append)
    assert books.now(None) is DEFAULT
    assert books.now(path) is DEFAULT
    assert "cannot be read" in said[-1]
    rewrite(path, TEXT)
    assert [book.name for book in books.now(path)] == ["sybils", "loud", "rest"]
    rewrite(path, TEXT + "oops")
    assert len(books.now(path)) == len(books.now(path)) == 3
    assert "the old playbooks stay in force" in said[-1]
    assert len(said) == 3
    path.write_bytes(b"\xff")
    assert len(books.now(path)) == 3
    assert len(said) == 3  # it may still be being written
    os.utime(path, (1e9, 1e9))
    assert len(books.now(path)) == 3
    assert "no text in UTF-8" in said[-1]
    rewrite(path, TEXT)
    assert len(books.now(path)) == 3
    path.write_text(TEXT[: TEXT.rindex("[[playbook]]")])
    assert len(books.now(path)) == 3  # half of them, valid
    time.sleep(0.15)
    assert len(books.now(path)) == 3
    assert books.now(None) is DEFAULT


# The ladder ----------------------------------------------------------------------------------------------------------

RUNGS = (Action(Step.COARSEN, 30.0), Action(Step.SLOW, 30.0), Action(Step.QUARANTINE))


def climbed(rungs, alarms, gap=1.0):
    climb, state, taken = None, ClientState(), []
    for number in range(alarms):
        now = NOW + number * gap
        rung = next_rung(rungs, climb, state, now, now, 60.0)
        climb, state = rung.climb, replace(state, step=rung.step, until=rung.until)
        taken.append((rung.step, round((rung.until - now) / 60, 3)))
    return taken


def test_each_alarm_takes_the_next_rung_and_the_last_one_doubles_up_to_a_week():
    taken = climbed(RUNGS, 14)
    assert taken[:5] == [
        (Step.COARSEN, 30),
        (Step.SLOW, 30),
        (Step.QUARANTINE, 60),
        (Step.QUARANTINE, 120),
        (Step.QUARANTINE, 240),
    ]
    assert taken[-1] == (Step.QUARANTINE, WEEK)
    assert climbed((Action(Step.REFUSE),), 1) == [(Step.REFUSE, round((FOREVER - NOW) / 60, 3))]
    assert climbed((Action(Step.QUARANTINE, 2 * WEEK),), 3)[-1] == (
        Step.QUARANTINE,
        2 * WEEK,
    )  # never shorter than said


def test_calls_that_were_on_their_way_climb_nothing():
    climb, state = Climb(0, NOW, NOW + 1800), ClientState(step=Step.COARSEN, until=NOW + 1800)
    assert next_rung(RUNGS, climb, state, NOW - 0.1, NOW + 5, 60.0) is None
    assert next_rung(RUNGS, climb, state, NOW + 0.1, NOW + 5, 60.0).step is Step.SLOW


def test_a_release_and_a_quiet_time_bring_it_to_the_foot_and_an_end_does_not():
    climb = Climb(1, NOW, NOW + 1800)
    released, ended = ClientState(step=Step.NONE, until=NOW + 60), ClientState(step=Step.SLOW, until=NOW + 1800)
    assert next_rung(RUNGS, climb, released, NOW + 90, NOW + 90, 60.0).step is Step.COARSEN
    assert next_rung(RUNGS, climb, ended, NOW + 2000, NOW + 2000, 60.0).step is Step.QUARANTINE
    facts = Case(NOW, "loud", {"ward-3": climb}, done=("freeze",)).facts
    assert case_of(facts, "loud", NOW + 3600, 3600).climbs == {"ward-3": climb}
    assert case_of(facts, "loud", NOW + 3601, 3600) == Case(playbook="loud")
    assert case_of(facts, "rest", NOW, 3600) == Case(playbook="rest")


def test_what_an_operator_did_is_never_made_milder_or_shorter():
    refused = ClientState(step=Step.REFUSE, until=FOREVER)
    rung = next_rung(RUNGS, None, refused, NOW, NOW, 60.0)
    assert (rung.step, rung.until) == (Step.REFUSE, FOREVER)
    longer = ClientState(step=Step.COARSEN, until=NOW + 9999)
    assert next_rung(RUNGS, None, longer, NOW, NOW, 60.0).until == NOW + 9999


# The plan ------------------------------------------------------------------------------------------------------------


def planned(
    alarm, actions=("quarantine", "incident", "alert"), active=1000, hindered=(), case=None, above=0.05, now=NOW
):
    book = Playbook("p", Match(), tuple(parse_action(text, "") for text in actions))
    clients = (alarm.client,) if alarm.client else alarm.suspects
    states = {client: ClientState() for client in clients}
    known = Known(case or Case(playbook="p"), states, frozenset(hindered), active, now)
    return plan(book, alarm, Actions(approval_above=above), known)


def test_one_client_is_never_too_many_and_a_share_of_them_is():
    assert set(planned(ALARM, active=1).rungs) == {"ward-3"}
    assert set(planned(SYBILS, active=40).rungs) == {"a", "b"}  # 2 of 40 is the share
    much = planned(SYBILS, active=39)
    assert (set(much.rungs), set(much.waiting), much.hit) == (set(), {"a", "b"}, 2)
    assert [action.what for action in much.deeds] == [Deed.INCIDENT, Deed.ALERT]
    assert set(planned(ALARM, active=5, hindered=("x", "y")).rungs) == {"ward-3"}  # three, one after the other
    assert set(planned(ALARM, active=80, hindered=("x", "y", "z")).rungs) == {"ward-3"}
    assert planned(ALARM, active=79, hindered=("x", "y", "z")).hit == 4  # one at a time adds up
    assert set(planned(ALARM, active=79, hindered=("x", "y", "z", "ward-3")).rungs) == {"ward-3"}  # it is held already
    assert planned(SYBILS, ("log",), active=2).rungs  # a log entry hits nobody


def test_where_no_client_is_named_all_of_them_wait_for_a_word():
    everyone = replace(ALARM, client="everyone")
    assert planned(everyone, active=1).waiting
    assert planned(everyone, active=1, above=1.0).rungs


def test_a_rollback_waits_and_is_asked_for_once_a_case():
    first_one = planned(ALARM, ("log", "rollback", "freeze", "audit", "alert"))
    assert first_one.asked
    assert [action.what for action in first_one.deeds] == [Deed.FREEZE, Deed.AUDIT, Deed.ALERT]
    again = planned(replace(ALARM, at=NOW + 9), ("log", "rollback", "freeze", "audit", "alert"), case=first_one.case)
    assert not again.asked
    assert Deed.FREEZE not in [action.what for action in again.deeds]
    sure = planned(ALARM, ("rollback",), above=1.0)
    assert (sure.asked, sure.deeds) == (False, (Action(Deed.ROLLBACK),))


def test_alarms_that_change_nothing_are_told_once_in_ten_minutes():
    told = planned(ALARM, ("alert",))
    assert told.deeds
    assert not planned(ALARM, ("alert",), case=told.case, now=NOW + 599).deeds
    assert planned(ALARM, ("alert",), case=told.case, now=NOW + 600).deeds
