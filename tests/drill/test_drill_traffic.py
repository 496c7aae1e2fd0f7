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
from safelight.drill.devices import again, filmed, seen_by
from safelight.drill.traffic import as_seen, visits
from safelight.drill.values import Values
from safelight.drill.visitors import COMMON, HABITS, Visitors
from safelight.guard.alarm import Alarm
from safelight.guard.protocols.base import table as as_guard
from safelight.targets.base import Images, Table
from safelight.targets.fake import LeakyRecords

RNG = np.random.default_rng(0)
PICTURES = Records.of(RNG.random((80, 1, 6, 6)), RNG.integers(0, 4, 80))
MODEL = LeakyRecords({}, np.array([0.1, 0.2, 0.3, 0.4]), Images((1, 6, 6)), tuple("abcd"))
ROWS = pd.DataFrame({"age": RNG.integers(20, 80, 90), "pay": RNG.normal(30, 5, 90), "town": RNG.choice(["a", "b"], 90)})
PEOPLE = Records.of(ROWS, RNG.integers(0, 2, 90))
MODEL_OF_ROWS = LeakyRecords({}, np.array([0.5, 0.5]), Table(("age", "pay", "town")), ("no", "yes"))
CROWDS = (Regulars(clients=50, days=2), Crowd(clients=50, days=2), Visitors(clients=50, days=2))
NAMES = ["regulars", "crowd", "visitors"]


def asked(crowd, seed=0, records=PICTURES):
    return list(visits(crowd, records, MODEL, np.random.default_rng(seed)))


@pytest.mark.parametrize("crowd", CROWDS, ids=NAMES)
def test_the_same_seed_asks_the_same_in_the_order_of_time(crowd):
    one, two, other = asked(crowd), asked(crowd), asked(crowd, seed=1)
    assert all(np.array_equal(a.x, b.x) and (a.client, a.at) == (b.client, b.at) for a, b in zip(one, two, strict=True))
    assert [visit.at for visit in one] != [visit.at for visit in other]
    assert all(a.at <= b.at for a, b in pairwise(one))
    assert {int((visit.at - START) // DAY) for visit in one} >= {0, 1}
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


@pytest.mark.parametrize("crowd", CROWDS, ids=NAMES)
def test_each_kind_does_what_its_name_says(crowd):
    flat = PICTURES.x.reshape(80, -1).astype(float)

    def nearest(x):
        return np.abs(flat[None] - x[:, None]).max(axis=2).min(axis=1)

    for each in of_kind(crowd, "iid"):
        assert max(nearest(visit.x).max() for visit in each) < 1e-6
    for each in of_kind(crowd, "one class"):
        classes = [PICTURES.y[np.abs(flat - row).max(axis=1).argmin()] for visit in each for row in visit.x]
        assert Counter(classes).most_common(1)[0][1] > 0.6 * len(classes)
    repeats = [np.array_equal(a.x, b.x) for each in of_kind(crowd, "retry") for a, b in pairwise(each)]
    assert 0.1 < np.mean(repeats) < 0.6
    for each in of_kind(crowd, "noisy"):
        assert np.mean(np.concatenate([nearest(visit.x) for visit in each]) > 1e-3) > 0.6
    steps = [np.abs(b.x - a.x).mean() for each in of_kind(crowd, "burst") for a, b in pairwise(each)]
    assert np.median(steps) > 0
    apart = np.abs(flat[RNG.integers(0, 80, 500)] - flat[RNG.integers(0, 80, 500)]).mean()
    if isinstance(crowd, Regulars):
        assert np.median(steps) < apart / 2


def test_the_crowds_are_not_alike():
    amounts = []
    for crowd in (Regulars(clients=300), Crowd(clients=300), Visitors(clients=300)):
        seen = Counter()
        for event in crowd.events(PICTURES, np.random.default_rng(0)):
            seen[event.client] += len(event.rows)
        amounts.append(list(seen.values()))
    for one, two in pairwise(amounts):
        assert ks_2samp(one, two).pvalue < 1e-3
    assert max(amounts[1]) > 1.5 * max(amounts[0])
    assert min(amounts[2]) >= 8  # each of them is judged
    sizes = [{len(event.rows) for event in crowd.events(PICTURES, np.random.default_rng(0))} for crowd in CROWDS[:2]]
    assert sizes == [{1}, {1, 2, 3, 4}]


def test_visitors_come_by_day_and_most_ask_little():
    events = Visitors(clients=400).events(PICTURES, np.random.default_rng(0))
    hours = np.array([(event.at - START) % DAY / 3600 for event in events])
    assert np.mean((hours > 8) & (hours < 18)) > 0.7
    assert Counter(event.kind for event in events).keys() == set(COMMON)
    amounts = Counter()
    for event in events:
        amounts[event.client] += len(event.rows)
    ranked = sorted(amounts.values(), reverse=True)
    assert sum(ranked[:40]) > 0.3 * sum(ranked)  # a tenth of them asks more than a third


def test_habits_are_forms_sent_again_jobs_of_the_night_and_monitors():
    seen: dict[str, dict[str, list]] = {kind: {} for kind in HABITS}
    for visit in visits(Visitors(0, 40), PEOPLE, MODEL_OF_ROWS, np.random.default_rng(2)):
        seen[visit.kind].setdefault(visit.client, []).append(visit)
    changed = [sum(a != b for a, b in zip(one.x[0], two.x[0])) for each in seen["what if"].values()
               for one, two in pairwise(each)]  # fmt: skip
    assert Counter(changed).keys() <= {0, 1, 2, 3}
    assert np.mean([count in (1, 2) for count in changed]) > 0.3
    for each in seen["batch"].values():
        assert max(len(visit.x) for visit in each) >= 8
        assert each[-1].at - each[0].at < DAY / 4
    for each in seen["monitor"].values():
        assert len({tuple(visit.x[0]) for visit in each}) <= 3
        assert len(each) >= 96


def test_a_device_and_a_film_are_the_same_each_time_and_stay_close():
    about = Values.of(PICTURES.x)
    still = about.take(np.arange(3))
    film = [filmed(still[:1], frame, about, 7) for frame in range(30)]
    assert np.array_equal(film[9], filmed(still[:1], 9, about, 7))
    steps = [np.abs(b - a).mean() for a, b in pairwise(film)]
    apart = np.abs(PICTURES.x[:40] - PICTURES.x[40:]).mean()
    assert 0 < np.median(steps) < apart / 3
    one, two = (seen_by(still, np.array([1, 2, 3]), about, seed) for seed in (1, 2))
    assert np.array_equal(one, seen_by(still, np.array([1, 2, 3]), about, 1))
    assert np.abs(one - two).mean() > 0.01
    for seen in (one, two, again(still, about, 3)):
        assert seen.shape == still.shape
        assert about.low <= seen.min()
        assert seen.max() <= about.high


@pytest.mark.parametrize("crowd", CROWDS, ids=NAMES)
def test_rows_of_a_table_keep_their_types(crowd):
    about = Values.of(ROWS)
    for event in crowd.events(PEOPLE, np.random.default_rng(0))[:200]:
        x = about.put(event.rows, crowd.changed(event, about.take(event.rows), about), event.edits)
        assert x.dtypes.equals(ROWS.dtypes)
        assert x.town.tolist() == ROWS.town.iloc[event.rows].tolist()


@pytest.mark.parametrize("crowd", CROWDS, ids=NAMES)
def test_a_table_of_numbers_alone_is_asked_about_and_stays_as_it_is(crowd):
    numbers = pd.DataFrame({"pay": RNG.normal(30, 5, 90), "height": RNG.normal(170, 9, 90)})
    before, people = numbers.copy(), Records.of(numbers, RNG.integers(0, 2, 90))
    model = LeakyRecords({}, np.array([0.5, 0.5]), Table(("pay", "height")), ("no", "yes"))
    assert {visit.x.shape[1] for visit in visits(crowd, people, model, np.random.default_rng(3))} == {2}
    about = Values.of(numbers)
    taken = about.take(np.array([4, 5]))
    taken += 1.0  # pandas lends such a table out to be read alone
    assert numbers.equals(before)


def test_an_edited_field_has_the_value_of_another_record():
    about, rows = Values.of(ROWS), np.array([4, 5])
    x = about.put(rows, about.take(rows), [(1, 2, 9), (0, 0, 7)])
    assert x.town.tolist() == [ROWS.town[4], ROWS.town[9]]
    assert x.age.tolist() == [ROWS.age[7], ROWS.age[5]]
    assert x.pay.tolist() == ROWS.pay[[4, 5]].tolist()


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
