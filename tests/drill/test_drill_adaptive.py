"""Attackers who hide: they get the same answers, in the same order, and each disguise does what it says."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice

import numpy as np
import pandas as pd
import pytest

from safelight.data.records import Records
from safelight.drill.adaptive import ADAPTIVE, Attacker, Blinded, Plain, Rejecting, Slow, Sybil, hidden
from safelight.drill.clock import DAY, Clock
from safelight.drill.hands import Opens, Refused
from safelight.drill.scene import OTHERS, guard, rehearsed
from safelight.drill.server import ModelServer, serving
from safelight.errors import InputError
from safelight.guard.judge import Step
from safelight.guard.policy import Actions, Budget, GuardPolicy, Key, Protocol, Upstream
from safelight.targets.base import Images
from safelight.threat import Access

PIXELS = Images((1, 2, 2))
RNG = np.random.default_rng(0)
ASKED = RNG.random((30, 1, 2, 2)).astype(np.float32)
COVER = Records.of(RNG.random((40, 1, 2, 2)), np.zeros(40, int))
POLICY = GuardPolicy(Upstream("http://127.0.0.1:1", Protocol.OIP), clients={"0" * 64: Key("ward", sha256="0" * 64)})


class Mean:
    """Answers with the mean of a picture, and keeps what it was asked."""

    access, classes, inputs = Access.SCORES, ("dark", "light"), PIXELS

    def __init__(self) -> None:
        self.seen: list[np.ndarray] = []

    def scores(self, x: np.ndarray) -> np.ndarray:
        self.seen.append(x)
        mean = x.reshape(len(x), -1).mean(axis=1).astype(float)
        return np.stack([1 - mean, mean], axis=1)


@contextmanager
def door(way, policy=POLICY) -> Iterator[tuple]:
    model, clock = Mean(), Clock()
    keys = tuple(f"key-{number}" for number in range(way.keys))
    with (
        guard(ModelServer(model), rehearsed(policy, Protocol.OIP, keys, way.cohorts), clock) as app,
        serving(app) as url,
    ):
        opened = Opens(f"{url}/v2/models/model", model, {}, "authorization", keys, clock, days=30.0)
        attacker = Attacker(Access.SCORES, model.classes, PIXELS, way.sends(opened, COVER, np.random.default_rng(1)), 5)
        yield attacker, opened, model, app
        opened.close()


def clients(app) -> dict:
    return {name: state for name, state in app.store.clients().items() if name.startswith("attacker-")}


@pytest.mark.parametrize("way", [Plain(), replace(Blinded(), noise=0.0), *ADAPTIVE], ids=lambda way: way.name)
def test_every_record_gets_its_own_answer(way):
    with door(way) as (attacker, opened, _, app):
        answers = attacker.scores(ASKED)
        assert (
            attacker.labels(ASKED[:7]).tolist() == (ASKED[:7].mean(axis=(1, 2, 3)) > 0.5).tolist()
            or way.name == "blinded"
        )
        sent = sum(state.total for state in clients(app).values())
        assert attacker.answered == 37
        assert opened.answered == sent
    exact = getattr(way, "noise", 0.0) == 0.0 or way.name == "rejecting"
    error = np.abs(answers[:, 1] - ASKED.mean(axis=(1, 2, 3))).max()
    assert error < (1e-6 if exact else 0.2)
    assert exact or error > 1e-4


def test_a_slow_attacker_keeps_its_pace_and_comes_back_after_quarantine():
    with door(Slow(a_day=10.0, waits=2, hours=30.0)) as (attacker, opened, _, app):
        attacker.scores(ASKED)
        assert opened.clock.days == pytest.approx(3.0, abs=0.01)
        now = opened.clock.now()
        app.store.step("attacker-0", Step.QUARANTINE, now + 2.2 * DAY, now)
        attacker.scores(ASKED[:5])  # comes back after 30 and after 60 hours
        app.store.step("attacker-0", Step.QUARANTINE, opened.clock.now() + 10 * DAY, opened.clock.now())
        with pytest.raises(Refused, match="status 403"):
            attacker.scores(ASKED[:5])


def test_an_attacker_does_the_work_of_a_challenge_and_is_slowed_by_nothing():
    with door(Plain(), replace(POLICY, actions=Actions(bits=30, delay=30.0))) as (attacker, opened, _, app):
        now = opened.clock.now()
        app.store.step("attacker-0", Step.CHALLENGE, now + DAY, now)
        assert attacker.scores(ASKED).shape == (30, 2)
        assert attacker.answered == 30


def test_sybils_take_turns_and_the_last_one_standing_goes_on():
    way = Sybil(keys=4)
    with door(way, replace(POLICY, budget=Budget(lifetime=15))) as (attacker, opened, _, app):
        attacker.scores(ASKED[:20])
        assert sorted(state.total for state in clients(app).values()) == [5, 5, 5, 5]
        app.store.step("attacker-1", Step.QUARANTINE, opened.clock.now() + DAY, opened.clock.now())
        attacker.scores(ASKED[:20])
        assert clients(app)["attacker-1"].total == 5
        with pytest.raises(Refused, match="shut for every key"):
            attacker.scores(np.repeat(ASKED, 3, axis=0))
        assert sum(state.total for state in clients(app).values()) == 3 * 15 + 5
        assert attacker.answered == 3 * 15 + 5
        assert opened.last == 3 * 15 + 5 + 5  # what was refused before it was answered to another key counts once


def test_cohorts_are_shared_or_not():
    for shared, count in ((False, 1), (True, 3)):
        policy = rehearsed(POLICY, Protocol.OIP, ["a", "b", "c"], shared)
        assert len({key.cohort for key in policy.clients.values()}) == count


def test_a_blinded_attacker_hides_each_record_among_four():
    with door(Blinded(noise=0.0, among=4)) as (attacker, opened, model, _):
        attacker.scores(ASKED[:10])
        assert opened.answered == 50
        assert {len(x) for x in model.seen} == {5}
        own = np.concatenate(model.seen).reshape(50, -1)
        places = [int(np.flatnonzero((own == x.ravel()).all(axis=1))[0]) for x in ASKED[:10]]
        assert places != sorted(places)


def test_one_who_learns_from_refusals_hides_better_after_each():
    way = Rejecting(keys=3)
    assert list(islice(way.disguises(), 5)) == [(0.0, 0), (0.02, 1), (0.04, 2), (0.06, 4), (0.08, 8)]
    assert next(islice(way.disguises(), 40, None)) == (0.1, 32)
    with door(way, replace(POLICY, budget=Budget(lifetime=20))) as (attacker, _, _, app):
        attacker.scores(ASKED[:20])  # the first key, as it is
        attacker.scores(ASKED[:10])  # the second, among as many others
        with pytest.raises(Refused):
            attacker.scores(ASKED)  # the third, among twice as many: one question of 5 is 15
        assert {name: state.total for name, state in clients(app).items()} == {
            "attacker-0": 20, "attacker-1": 20, "attacker-2": 20,
        }  # fmt: skip


def test_rows_of_a_table_are_hidden_too_and_need_something_to_hide_among():
    table = pd.DataFrame({"age": [1, 2, 3], "town": ["a", "b", "c"]})
    rows = Records.of(table.iloc[[0, 1]], np.zeros(2, int))

    class Echo:
        def ask(self, x):
            return x.age.to_numpy()

    answers = hidden(Echo(), table, rows, 0.0, 3, np.random.default_rng(0))
    assert answers.tolist() == [1, 2, 3]
    with pytest.raises(InputError, match="no public records and no nonmembers to hide questions among"):
        hidden(Echo(), table, None, 0.0, 3, np.random.default_rng(0))


def test_there_are_others_beside_the_attacker():
    with door(Plain()) as (_, _, _, app):
        active, hindered = app.store.census(Clock().now(), Clock().now() - DAY)
        assert (active, hindered) == (OTHERS, frozenset())
