"""Every signal: a planted pattern that it must see, normal traffic that it must not, and what it cannot see."""

import inspect
from pathlib import Path

import numpy as np
import pytest

from safelight.guard.fit import fit_reference
from safelight.guard.made_up import made_up
from safelight.guard.reference import tail
from safelight.guard.seen import Seen
from safelight.guard.signals.ascent import ClassAscent, rise
from safelight.guard.signals.base import all_signals
from safelight.guard.signals.budget import BudgetSpent
from safelight.guard.signals.distance import Distance
from safelight.guard.signals.enumeration import Enumeration
from safelight.guard.signals.evidence import LENGTHS, stretch
from safelight.guard.signals.held import HeldField
from safelight.guard.signals.made_up import MadeUp
from safelight.guard.signals.neighbours import Neighbours
from safelight.guard.signals.rate import Rate
from safelight.guard.signals.repeats import Repeats
from safelight.guard.signals.training import TrainingHits
from safelight.guard.track import Track

SECRET = b"s" * 32
BASE = np.random.default_rng(5).normal(size=(30, 120))
NAMES = np.array(["red", "green", "blue", "grey"], dtype=object)


def pictures(n, rng):
    """Records of 120 values with 30 heavy-tailed causes and some noise."""
    return 0.1 * rng.standard_t(4, size=(n, 30)) @ BASE / 5 + 0.02 * rng.normal(size=(n, 120))


def answers(n, rng, k=5):
    return rng.dirichlet(np.full(k, 0.3), n)


def table(n, rng):
    """Six numbers, one of two values, one of four words: as objects."""
    x = np.empty((n, 8), dtype=object)
    x[:, :6] = rng.normal(size=(n, 6)).round(2)
    x[:, 6] = rng.integers(2, size=n).astype(float)
    x[:, 7] = rng.choice(NAMES, n)
    return x


@pytest.fixture(scope="module")
def pictured():
    rng = np.random.default_rng(0)
    x = pictures(600, rng)
    return fit_reference(x, answers(600, rng), SECRET, rng, pictures(200, np.random.default_rng(77))).reference


@pytest.fixture(scope="module")
def tabled():
    rng = np.random.default_rng(1)
    return fit_reference(table(800, rng), rng.integers(3, size=800), SECRET, rng).reference


def seen(reference, x, said=None, every=600.0, at=1e9):
    """Ask about records one after the other; return the track."""
    track = Track(reference)
    said = answers(len(x), np.random.default_rng(9)) if said is None else said
    for row in range(len(x)):
        call = Seen("a", "", "m", at + every * row, x[row : row + 1], said[row : row + 1])
        list(track.take(reference.read(call), reference, ()))
    return track.window


def score(signal, reference, x, said=None, every=600.0):
    return signal.score(seen(reference, x, said, every), reference)


def film(n, rng):
    """A record that drifts a little from frame to frame, another after 25."""
    starts, way = np.repeat(pictures(n // 25 + 1, rng), 25, axis=0)[:n], 0.004 * rng.normal(size=(n, 120))
    return starts + way.cumsum(axis=0) - np.repeat(way.cumsum(axis=0)[::25], 25, axis=0)[:n]


def test_signals_are_found_by_being_there_and_say_what_they_cannot_see():
    names = [signal.name for signal in all_signals()]
    assert {"made-up records", "class ascent", "attribute enumeration", "training records"} <= set(names)
    assert names == sorted(set(names))
    for signal in all_signals():
        assert "What it cannot see:" in type(signal).__doc__
        assert "Source:" in type(signal).__doc__
        assert signal.spread > 0


def test_the_page_about_signals_says_what_they_say():
    page = " ".join((Path(__file__).parents[3] / "docs" / "signals.md").read_text("utf-8").split())
    for signal in all_signals():
        assert f"### {signal.name[0].upper()}{signal.name[1:]} " in page
        said = inspect.getdoc(type(signal)).partition("\n\nAttributes:")[0]
        for part in said.split("\n\n"):
            assert " ".join(part.split()) in page, f"{signal.name}: {part}"


def test_a_stretch_is_the_largest_mean_of_the_last_records_with_doubt():
    rng = np.random.default_rng(3)
    for n in (0, 1, 15, 16, 17, 100, 128):
        values = rng.normal(size=n)
        for weights in (np.ones(n), rng.random(n)):
            parts = [slice(n - m, n) for m in [*LENGTHS, n] if 0 < m <= n]
            slow = max(((weights * values)[part].sum() / (weights[part].sum() + 32) for part in parts), default=0.0)
            assert stretch(values, weights) == pytest.approx(slow)
        assert stretch(values) == pytest.approx(stretch(values, np.ones(n)))


def test_a_surprise_is_minus_the_log_of_the_share():
    values = np.random.default_rng(0).exponential(size=200_000)
    table = np.quantile(values, [0.5, 0.9])
    assert tail(table, np.array([np.log(2), np.log(10), np.log(100)])) == pytest.approx(
        [np.log(2), np.log(10), np.log(100)], abs=0.05
    )
    assert tail(table, values).mean() == pytest.approx(1.0, abs=0.05)


def test_distance_sees_noise_even_between_normal_records(pictured):
    rng = np.random.default_rng(11)
    normal = pictures(120, rng)
    noise = rng.normal(size=(120, 120)) * normal.std() * 3
    mixed = np.where((np.arange(120) % 5 == 0)[:, None], noise, normal)
    calm = max(score(Distance(), pictured, pictures(100, np.random.default_rng(seed))) for seed in range(200, 206))
    assert score(Distance(), pictured, noise) > calm + 2
    assert score(Distance(), pictured, mixed) > calm + 0.4


def test_distance_does_not_see_records_taken_from_life(pictured):
    one_query_a_record = pictures(100, np.random.default_rng(55))  # who asks whether each was in the training data
    assert score(Distance(), pictured, one_query_a_record) < 0.4


def test_made_up_sees_what_searching_attackers_make_of_public_records(pictured):
    public = pictures(150, np.random.default_rng(21))
    searched = made_up(public, np.random.default_rng(22), 100)
    noisy = pictures(100, np.random.default_rng(4))
    noisy += 0.3 * noisy.std() * np.random.default_rng(5).normal(size=noisy.shape)
    calm = [score(MadeUp(), pictured, pictures(100, np.random.default_rng(seed))) for seed in range(200, 206)]
    calm += [score(MadeUp(), pictured, noisy), score(MadeUp(), pictured, film(100, np.random.default_rng(6)))]
    assert score(MadeUp(), pictured, searched) > 2 * max(max(calm), 0.3)


def test_class_ascent_sees_a_climb_of_scores_and_of_labels_alone(pictured):
    rng = np.random.default_rng(2)
    x, up = pictures(100, rng), np.linspace(0.1, 0.9, 100)
    climb = np.column_stack([up, *[(1 - up) / 4] * 4]) + 0.05 * rng.random((100, 5))
    labels = (rng.random(100) < up).astype(int)
    calm = max(score(ClassAscent(), pictured, x, answers(100, np.random.default_rng(s))) for s in range(8))
    one_class = np.column_stack([np.full(100, 0.9), *[np.full(100, 0.025)] * 4])
    assert score(ClassAscent(), pictured, x, climb) > 0.4 > 4 * calm
    assert score(ClassAscent(), pictured, x, labels) > 2 * calm
    assert score(ClassAscent(), pictured, x, one_class) < 0.01


def test_a_rise_is_that_of_the_line_of_least_squares():
    rng = np.random.default_rng(8)
    heights = rng.random((40, 3)).astype(np.float32) + np.linspace(0, 1, 40)[:, None] * [0, 0.5, -1]
    slow = 0.0
    for column in heights.T:
        slope, offset = np.polyfit(np.linspace(-0.5, 0.5, 40), column, 1)
        left = column - (slope * np.linspace(-0.5, 0.5, 40) + offset)
        slow = max(slow, max(slope, 0) * (1 - left.var() / column.var()))
    assert rise(heights.astype(np.float32))[1][-1] == pytest.approx(slow, rel=1e-3)
    last = rise(heights[8:].astype(np.float32))[1][-1]
    assert rise(heights.astype(np.float32))[1].tolist() == pytest.approx([last, slow], rel=1e-3)


@pytest.mark.parametrize("column", [6, 7])
def test_enumeration_sees_a_binary_field_and_a_field_of_words(tabled, column):
    rng = np.random.default_rng(3)
    people, values = table(30, rng), ([0.0, 1.0] if column == 6 else list(NAMES))
    asked = np.concatenate([people] * len(values))
    asked[:, column] = np.repeat(np.array(values, dtype=object), 30)
    assert score(Enumeration(), tabled, asked) > 0.6
    assert score(Enumeration(), tabled, table(100, rng)) == 0.0
    retried = table(50, rng)[np.repeat(np.arange(50), 2)]
    assert score(Enumeration(), tabled, retried) == 0.0


def test_enumeration_counts_partners_as_a_slow_look_does(tabled):
    rng = np.random.default_rng(14)
    x = table(6, rng)[rng.integers(6, size=90)]
    x[:, 7] = rng.choice(NAMES, 90)
    window = seen(tabled, x)
    flags = np.zeros((90, 8), bool)
    for i in range(90):
        if any((x[j] == x[i]).all() for j in range(i)):
            continue  # a repetition is not looked at, though an earlier record may be its partner
        for j in range(i):
            differing = np.flatnonzero(x[i] != x[j])
            if len(differing) == 1:
                flags[[i, j], differing[0]] = True
    slow = flags.sum(axis=0).max() / (90 + 16)
    assert Enumeration().score(window, tabled) == pytest.approx(slow)


def test_held_field_sees_the_first_half_of_an_enumeration(tabled):
    rng = np.random.default_rng(6)
    first_half = table(60, rng)
    first_half[:, 6] = 1.0
    calm = max(score(HeldField(), tabled, table(60, np.random.default_rng(seed))) for seed in range(8))
    assert score(HeldField(), tabled, first_half) > 0.35 > 2 * calm
    one_record = table(1, rng)[np.zeros(60, int)]
    assert score(HeldField(), tabled, one_record) < 0.1
    assert score(Enumeration(), tabled, first_half) == 0.0


def test_neighbours_see_small_steps_and_not_the_same_record_again(pictured):
    rng = np.random.default_rng(7)
    around = pictures(1, rng) + 0.01 * rng.normal(size=(100, 120))
    normal = pictures(100, rng)
    assert score(Neighbours(), pictured, around) > 2
    assert score(Neighbours(), pictured, normal) < 0.4
    assert score(Neighbours(), pictured, normal[np.repeat(np.arange(25), 4)]) < 0.4
    assert score(Neighbours(), pictured, film(100, rng)) > 1, "films look the same; calibration must hold some"


def test_nearness_is_that_of_a_slow_search(pictured):
    x = pictures(40, np.random.default_rng(8))
    window = seen(pictured, x)
    z = window.z.astype(float)
    nearest = [np.sqrt(((z[:i] - z[i]) ** 2).sum(axis=1)).min() for i in range(1, 40)]
    assert window.near[1:] == pytest.approx(tail(pictured.nearness, -np.log(nearest)), abs=0.02)
    assert window.near[0] == 0


def test_training_hits_see_training_records_and_their_noisy_copies(pictured):
    training = pictures(200, np.random.default_rng(77))
    noisy = training[:80] + 0.005 * np.random.default_rng(1).normal(size=(80, 120))
    strangers = pictures(80, np.random.default_rng(78))
    assert score(TrainingHits(), pictured, training[:80]) > 0.6
    assert score(TrainingHits(), pictured, noisy) > 0.15
    assert score(TrainingHits(), pictured, strangers) < 0.05


def test_without_sketches_one_query_a_training_record_is_not_seen(pictured):
    rng = np.random.default_rng(0)
    blind = fit_reference(pictures(300, rng), answers(300, rng), SECRET, rng).reference
    training = seen(blind, pictures(200, np.random.default_rng(77))[:100])
    strangers = [seen(blind, pictures(100, np.random.default_rng(seed))) for seed in range(90, 96)]
    for signal in (Distance(), MadeUp(), Neighbours(), TrainingHits(), Repeats()):
        normal = [signal.score(window, blind) for window in strangers]
        assert signal.score(training, blind) <= max(normal) + signal.spread, signal.name


def test_repeats_budget_and_rate_count(pictured):
    x = pictures(40, np.random.default_rng(1))
    assert score(Repeats(), pictured, x[np.repeat(np.arange(10), 4)]) == pytest.approx(30 / (40 + 32), abs=0.08)
    assert score(Repeats(), pictured, x) == 0
    assert score(BudgetSpent(), pictured, x) == 40
    assert score(Rate(), pictured, x, every=0.0) == pytest.approx(40)
    assert score(Rate(), pictured, x, every=60.0) == pytest.approx(sum(np.exp(-np.arange(40))), rel=1e-6)


def test_a_new_day_starts_a_new_budget(pictured):
    x = pictures(30, np.random.default_rng(1))
    assert BudgetSpent().score(seen(pictured, x, every=3600.0, at=86400.0 * 10000), pictured) == 6
