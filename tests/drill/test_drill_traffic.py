"""Harmless clients: seeded, in the order of time, of five kinds, and of two crowds that are not alike."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ks_2samp, poisson

from safelight.data.records import Records
from safelight.drill.benign import FalseAlarms, false_alarms
from safelight.drill.clock import DAY, START
from safelight.drill.crowds import KINDS, Crowd, Regulars
from safelight.drill.traffic import as_seen, visits
from safelight.guard.alarm import Alarm
from safelight.guard.protocols.base import table as as_guard
from safelight.targets.base import Images
from safelight.targets.fake import LeakyRecords

RNG = np.random.default_rng(0)
PICTURES = Records.of(RNG.random((80, 1, 6, 6)), RNG.integers(0, 4, 80))
MODEL = LeakyRecords({}, np.array([0.1, 0.2, 0.3, 0.4]), Images((1, 6, 6)), tuple("abcd"))
ROWS = pd.DataFrame({"age": RNG.integers(20, 80, 90), "pay": RNG.normal(30, 5, 90), "town": RNG.choice(["a", "b"], 90)})
PEOPLE = Records.of(ROWS, RNG.integers(0, 2, 90))
CROWDS = (Regulars(clients=50, days=2), Crowd(clients=50, days=2))


def asked(crowd, seed=0, records=PICTURES):
    return list(visits(crowd, records, MODEL, np.random.default_rng(seed)))


@pytest.mark.parametrize("crowd", CROWDS, ids=["regulars", "crowd"])
def test_the_same_seed_asks_the_same_in_the_order_of_time(crowd):
    one, two, other = asked(crowd), asked(crowd), asked(crowd, seed=1)
    assert all(np.array_equal(a.x, b.x) and (a.client, a.at) == (b.client, b.at) for a, b in zip(one, two, strict=True))
    assert [visit.at for visit in one] != [visit.at for visit in other]
    assert all(a.at <= b.at for a, b in pairwise(one))
    assert {int((visit.at - START) // DAY) for visit in one} == {0, 1}
    assert {visit.kind for visit in one} == set(KINDS)
    assert len({visit.client for visit in one}) == 50
    for visit in one:
        assert visit.x.shape == (len(visit.answers), 36)
        assert visit.x.min() >= PICTURES.x.min() - 1e-6
        assert visit.x.max() <= PICTURES.x.max() + 1e-6


def of_kind(crowd, kind, records=PICTURES):
    found: dict[str, list] = {}
    for visit in asked(crowd, records=records):
        if visit.kind == kind:
            found.setdefault(visit.client, []).append(visit)
    return found.values()


@pytest.mark.parametrize("crowd", CROWDS, ids=["regulars", "crowd"])
def test_each_kind_does_what_its_name_says(crowd):
    flat = PICTURES.x.reshape(80, -1).astype(float)

    def nearest(x):
        return np.abs(flat[None] - x[:, None]).max(axis=2).min(axis=1)

    for each in of_kind(crowd, "iid"):
        assert max(nearest(visit.x).max() for visit in each) < 1e-6
    for each in of_kind(crowd, "one class"):
        classes = [PICTURES.y[np.abs(flat - row).max(axis=1).argmin()] for visit in each for row in visit.x]
        assert Counter(classes).most_common(1)[0][1] > 0.6 * len(classes)
    again = [np.array_equal(a.x, b.x) for each in of_kind(crowd, "retry") for a, b in pairwise(each)]
    assert 0.2 < np.mean(again) < 0.6
    for each in of_kind(crowd, "noisy"):
        assert np.mean(np.concatenate([nearest(visit.x) for visit in each]) > 1e-3) > 0.6
    steps = [np.abs(b.x - a.x).mean() for each in of_kind(crowd, "burst") for a, b in pairwise(each)]
    assert np.median(steps) > 0
    apart = np.abs(flat[RNG.integers(0, 80, 500)] - flat[RNG.integers(0, 80, 500)]).mean()
    if isinstance(crowd, Regulars):
        assert np.median(steps) < apart / 2


def test_the_two_crowds_are_not_alike():
    amounts = []
    for crowd in (Regulars(clients=300), Crowd(clients=300)):
        seen = Counter()
        for event in crowd.events(PICTURES, np.random.default_rng(0)):
            seen[event.client] += len(event.rows)
        amounts.append(list(seen.values()))
    assert ks_2samp(*amounts).pvalue < 1e-3
    assert max(amounts[1]) > 1.5 * max(amounts[0])
    sizes = [{len(event.rows) for event in crowd.events(PICTURES, np.random.default_rng(0))} for crowd in CROWDS]
    assert sizes == [{1}, {1, 2, 3, 4}]


@pytest.mark.parametrize("crowd", CROWDS, ids=["regulars", "crowd"])
def test_rows_of_a_table_keep_their_types(crowd):
    for event in crowd.events(PEOPLE, np.random.default_rng(0))[:200]:
        x = PEOPLE.take(event.rows).x
        for changed in (crowd.moved(x, 3, np.random.default_rng(1)), crowd.noisy(x, np.random.default_rng(1))):
            assert changed.dtypes.equals(x.dtypes)
            assert changed.town.tolist() == x.town.tolist()


def test_records_look_as_the_guard_sees_them():
    seen = as_seen(ROWS)
    there = as_guard([ROWS[name].to_numpy(object if name == "town" else None)[:, None] for name in ROWS])
    assert seen.dtype == there.dtype == object
    assert (seen == there).all()
    numbers = as_seen(ROWS[["age", "pay"]])
    assert numbers.dtype == np.float64
    assert np.array_equal(as_seen(PICTURES.x), as_guard([PICTURES.x]))


class Rings:
    """Rings for chosen clients each time, and once for a cohort."""

    def see(self, seen):
        alarms = []
        if seen.client in ("client-1", "client-2"):
            alarms.append(Alarm(seen.client, "", "m", seen.at, "bell", 2.0, 1.0, 1))
        if seen.client == "client-30":
            alarms.append(Alarm("", "site-1", "m", seen.at, "bell", 2.0, 1.0, 1, ("client-30", "client-31")))
        return alarms


def test_false_alarms_are_counted_once_a_client_and_day():
    counted = false_alarms(Rings(), asked(Crowd(clients=50, days=2)))
    assert counted.clients == 50
    assert counted.alarms == 2 * 4
    assert sum(alarms for _, alarms in counted.kinds.values()) == 8
    assert sum(clients for clients, _ in counted.kinds.values()) == 50


def test_the_interval_of_a_rate_is_the_exact_one():
    value, low, high = FalseAlarms(2000, 1.0, 3, {}).rate
    assert value == 1.5
    assert poisson.sf(2, 2 * low) == pytest.approx(0.025, rel=1e-6)
    assert poisson.cdf(3, 2 * high) == pytest.approx(0.025, rel=1e-6)
    assert FalseAlarms(1000, 1.0, 0, {}).rate[:2] == (0.0, 0.0)
    words = FalseAlarms(1000, 1.0, 0, {}).words
    assert words == "0 alarms of 1,000 harmless clients: 0.00 per 1,000 clients a day (0.00 to 3.69)."
