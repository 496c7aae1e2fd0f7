"""Calibration on much traffic: read together as if one by one, and what new records of known people are worth."""

from dataclasses import fields, replace

import numpy as np
import pytest

import safelight.guard.calibrate as calibrating
from safelight.guard.calibrate import calibrate
from safelight.guard.days import read_all
from safelight.guard.fit import fit_reference
from safelight.guard.seen import Seen

SECRET = b"s" * 32
BASE = np.random.default_rng(5).normal(size=(10, 80))


def people(count, photos, rng):
    """Records (count * photos, 80): each person is a place, and photos lie close about it."""
    places = np.repeat(2 * rng.normal(size=(count, 10)), photos, axis=0)
    return (places + 0.3 * rng.normal(size=places.shape)) @ BASE + 0.05 * rng.normal(size=(len(places), 80))


def calls(x, answers, clients=30):
    for number in range(clients):
        rows = np.random.default_rng(number).integers(0, len(x), 20)
        for turn, row in enumerate(rows.tolist()):
            yield Seen(f"c{number}", "g", "m", 60.0 * turn + number, x[[row]], answers[[row]])


@pytest.mark.parametrize("words", [False, True])
def test_calls_that_are_read_together_give_the_facts_of_calls_read_one_by_one(words):
    rng = np.random.default_rng(0)
    x, answers = people(40, 4, rng), rng.dirichlet(np.ones(3), 160)
    if words:
        x = x[:, :8].astype(object)
        x[:, 0] = rng.choice(["north", "south"], 160)
    fitted = fit_reference(x, answers, SECRET, rng, x[:50])
    some = [Seen("c", "g", "m", 5.0 * row, x[[row, row + 1]], answers[[row, row + 1]]) for row in range(30)]
    some[7] = replace(some[7], answers=some[7].answers.argmax(axis=1))  # a label alone, among scores
    for one, call in zip(read_all(some, fitted), some, strict=True):
        alone = fitted.read(call)
        for item in fields(alone):
            if item.name in ("digest", "fields", "label"):
                assert np.array_equal(getattr(one, item.name), getattr(alone, item.name))
            elif item.name in ("z", "scores", "numbers"):
                assert getattr(one, item.name) == pytest.approx(
                    getattr(alone, item.name), abs=0.05
                )  # of 8, in single precision


def test_much_traffic_shows_a_part_of_itself(monkeypatch):
    rng = np.random.default_rng(1)
    x, answers = people(40, 4, rng), rng.dirichlet(np.ones(3), 160)
    sizes = []
    monkeypatch.setattr(calibrating, "SHOWN", 90)
    monkeypatch.setattr(calibrating, "fit_reference", lambda x, *rest: sizes.append(len(x)) or fit_reference(x, *rest))
    calibrate(calls(x, answers, 40), 50.0, secret=SECRET)
    assert sizes == [90]


def test_new_photos_of_known_people_are_normal_though_none_was_recorded():
    """Traffic of strangers shares no hash with the training; a person's other photos do, as leaving one out says."""
    rng = np.random.default_rng(2)
    everyone = people(60, 12, rng).reshape(60, 12, 80)
    known, strangers = everyone[:20], everyone[20:].reshape(-1, 80)
    training, fresh = known[:, :8].reshape(-1, 80), known[:, 8:]
    answers = np.eye(20)[np.random.default_rng(3).integers(0, 20, len(strangers))]
    fitted = fit_reference(strangers, answers, SECRET, np.random.default_rng(0), training)
    hits = [fitted.reference.hits(fitted.reference.sketch(x.astype(np.float32))[0]).mean() for x in fresh]
    assert fitted.reference.hits(fitted.reference.sketch(strangers.astype(np.float32))[0]).mean() < 0.05
    assert np.mean(hits) > 0.1
    assert fitted.reach > 0.8 * max(hits)
    told = calibrate(calls(strangers, answers), 50.0, training, secret=SECRET)["m"].clients
    untold = calibrate(calls(strangers, answers), 50.0, secret=SECRET)["m"].clients
    place = told.names.index("training records")
    assert told.spread[place] > 0.6 * fitted.reach - told.middle[place]
    assert told.spread[place] > untold.spread[place] == pytest.approx(0.2)
