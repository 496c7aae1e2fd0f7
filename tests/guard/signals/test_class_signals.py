"""Signals about classes: another mix, classes that look like others; and the harmless clients that they leave be."""

import numpy as np
import pytest
from scipy.linalg import sqrtm
from scipy.spatial.distance import jensenshannon

from safelight.guard.calibrate import calibrate
from safelight.guard.fit import fit_reference
from safelight.guard.scale import fit_scale, statistic
from safelight.guard.seen import Seen
from safelight.guard.signals.discrepancy import ClassDiscrepancy, discrepancies
from safelight.guard.signals.evidence import NEAR, unlike
from safelight.guard.signals.mix import LabelMix, apart
from safelight.guard.track import Track
from safelight.guard.window import SIZE

RNG = np.random.default_rng(5)
BASE, CENTRES = RNG.normal(size=(24, 60)), 1.2 * RNG.normal(size=(6, 24))
SHARES = np.array([0.3, 0.25, 0.2, 0.15, 0.08, 0.02])
SIGNALS = (LabelMix(), ClassDiscrepancy())


def pictures(classes, rng):
    """Records of 60 values of these classes."""
    causes = CENTRES[classes] + rng.standard_t(5, size=(len(classes), 24))
    return causes @ BASE + 0.3 * rng.normal(size=(len(classes), 60))


def usual(n, rng):
    return rng.choice(6, n, p=SHARES)


def film(n, rng, length, step):
    """Records that move a little from frame to frame, each film of one class."""
    labels = usual(-(-n // length), rng)
    x = pictures(labels, rng)
    way = step(rng.normal(size=(len(x), 1, 60)), np.arange(length)[None, :, None])
    return (x[:, None] + way).reshape(-1, 60)[:n], np.repeat(labels, length)[:n]


@pytest.fixture(scope="module")
def reference():
    rng = np.random.default_rng(0)
    y = usual(900, rng)
    return fit_reference(pictures(y, rng), y, b"s" * 32, rng).reference


def window(reference, x, y):
    track = Track(reference)
    for start in range(0, len(x), 8):
        rows = slice(start, start + 8)
        list(track.take(reference.read(Seen("a", "", "m", 1e9, x[rows], y[rows])), reference, ()))
    return track.window


def score(signal, reference, y, rng, x=None):
    return signal.score(window(reference, pictures(y, rng) if x is None else x, y), reference)


def test_rare_classes_asked_like_others_show_in_the_mix_and_usual_shares_do_not(reference):
    rng, signal = np.random.default_rng(3), LabelMix()
    calm = max(score(signal, reference, usual(120, rng), rng) for _ in range(8))
    rare = np.repeat([4, 5], 60)
    assert score(signal, reference, rare, rng) > calm + 2 * signal.spread
    in_shares = np.repeat(np.arange(6), (SHARES * 120).round().astype(int))
    assert score(signal, reference, in_shares, rng) < calm + signal.spread, "not seen: classes in usual shares"


def test_the_divergence_is_that_of_scipy():
    rng = np.random.default_rng(4)
    for _ in range(5):
        p, q = rng.dirichlet(np.full(4, 0.5), 2)
        assert apart(p, q) == pytest.approx(jensenshannon(p, q) ** 2, abs=1e-9)
    assert apart(np.array([1.0, 0]), np.array([0, 1.0])) == pytest.approx(np.log(2))


def test_strangers_that_are_forced_into_classes_show_and_real_records_do_not(reference):
    rng, signal = np.random.default_rng(6), ClassDiscrepancy()
    calm = max(score(signal, reference, usual(120, rng), rng) for _ in range(8))
    y = usual(120, rng)
    strangers = pictures((y + 1) % 6, rng)  # each is like some normal record, and is called something else
    assert score(signal, reference, y, rng, strangers) > calm + 2 * signal.spread
    assert score(signal, reference, np.zeros(120, int), rng) < calm + signal.spread, "not seen: real ones of one class"


def test_a_few_very_odd_records_leave_a_class_where_it_is(reference):
    rng, signal = np.random.default_rng(7), ClassDiscrepancy()
    y = usual(120, rng)
    x = pictures(y, rng)
    before = score(signal, reference, y, rng, x)
    x[::10] *= 40
    assert score(signal, reference, y, rng, x) == pytest.approx(before, abs=0.03)


def test_a_discrepancy_is_a_frechet_distance_less_the_part_of_chance():
    rng = np.random.default_rng(8)
    z, label = rng.normal(size=(40, 5)), rng.integers(2, size=40)
    means, spreads = rng.normal(size=(2, 5)), rng.uniform(0.5, 2, (2, 5))
    for one, fast in enumerate(discrepancies(z, label, np.arange(2), means, spreads)):
        own = z[label == one]
        a, b = np.diag(own.var(axis=0, ddof=1)), np.diag(spreads[one] ** 2)
        slow = ((own.mean(axis=0) - means[one]) ** 2).sum() + np.trace(a + b - 2 * sqrtm(a @ b).real)
        assert fast == pytest.approx(slow - np.trace(b) / len(own), rel=1e-4)


def test_what_is_unlike_leaves_out_repeats_and_near_copies(reference):
    rng = np.random.default_rng(9)
    x = pictures(usual(30, rng), rng)
    held = window(reference, np.concatenate([x, x, x + 0.01 * rng.normal(size=x.shape)]), np.zeros(90, int))
    assert (unlike(held)[:30] == (held.near[:30] < NEAR)).all()
    assert not unlike(held)[30:].any()


def test_more_than_64_classes_and_predictions_say_nothing(reference):
    rng = np.random.default_rng(10)
    x = pictures(usual(200, rng), rng)
    for answers in (np.arange(200), rng.random(200)):
        other = fit_reference(x, answers, b"s" * 32, rng).reference
        assert not len(other.mix)
        held = window(other, x[:100], answers[:100])
        assert [signal.score(held, other) for signal in (LabelMix(), ClassDiscrepancy())] == [0, 0]


def test_classes_are_learnt_from_calls_that_were_answered_as_most_were():
    rng = np.random.default_rng(12)
    calls = []
    for number in range(40):
        y = usual(16, rng)
        said = rng.dirichlet(np.ones(6), 16) if number % 4 == 3 else y
        calls.append(Seen(f"c{number}", "", "m", 1e9 + number, pictures(y, rng), said))
    mix = calibrate(calls, 50.0, secret=b"s" * 32)["m"].reference.mix
    assert mix.sum() == pytest.approx(1)
    assert len(mix) in (5, 6)


def asked(kind, rng, other):
    """A harmless client's day; those of the `other` crowd differ in how much they ask, move and spoil."""
    n = int(rng.integers(40, 100)) if other else int(rng.integers(16, 80))
    y = usual(n, rng)
    if kind == "one class":
        y = np.where(rng.random(n) < (0.85 if other else 1.0), y[0], y)
    x = pictures(y, rng)
    if kind == "retry":
        again = np.maximum.accumulate(np.where(rng.random(n) < 0.3, 0, np.arange(n)))
        x, y = x[again], y[again]
    if kind == "burst":

        def moved(way, frame):
            return 0.05 * np.sin(0.7 * frame) * way if other else 0.02 * frame * way

        x, y = film(n, rng, 25 if other else 15, moved)
    if kind == "noisy":
        x = np.where(rng.random(x.shape) < 0.05, 8.0, x) if other else x + 0.4 * rng.normal(size=x.shape)
    return x, y


def test_harmless_clients_of_another_crowd_keep_below_the_line_and_strangers_do_not(reference):
    rng, kinds = np.random.default_rng(11), ("iid", "one class", "retry", "burst", "noisy")

    def said(x, y):
        track, rows = Track(reference, SIZE), []
        for start in range(0, len(x), 8):
            call = Seen("a", "", "m", 1e9, x[start : start + 8], y[start : start + 8])
            rows += list(track.take(reference.read(call), reference, SIGNALS))
        return np.array(rows).reshape(-1, len(SIGNALS))

    normal = [said(*asked(kinds[number % 5], rng, False)) for number in range(150)]
    least = np.array([signal.spread for signal in SIGNALS])
    names = [signal.name for signal in SIGNALS]
    scale = fit_scale(names, least, np.zeros(len(SIGNALS)), normal[:50], normal[50:], 0.0003, 1.5)
    for number in range(100):
        assert statistic(scale, said(*asked(kinds[number % 5], rng, True))) < scale.threshold, kinds[number % 5]
    y = usual(240, rng)
    assert statistic(scale, said(pictures((y + 1) % 6, rng), y)) > scale.threshold
