"""What is held of a client: the last records in their order, small, and the same however they come."""

import numpy as np
import pytest

from safelight.guard.directions import SKETCH
from safelight.guard.reference import MOST_CLASSES
from safelight.guard.window import LENGTH, SIZE, TEXTS, Facts, Window

PLAIN = np.array([0.0, 1.0])


def facts(rng, n, p=4, k=3, d=5, at=0.0, texts=()):
    return Facts(
        rng.normal(size=(n, p)),
        rng.dirichlet(np.ones(k), n) if k else np.empty((n, 0)),
        rng.random((n, 7)),
        rng.integers(3, size=(n, d)).astype(np.uint16),
        rng.integers(9, size=n).astype(np.uint16),
        rng.integers(1, 2**63, size=n).astype(np.uint64),
        at,
        texts,
    )


def test_the_last_records_are_held_in_order():
    rng, window = np.random.default_rng(0), Window(4, 3, 5)
    everything = [facts(rng, int(rng.integers(1, 9)), at=float(i)) for i in range(100)]
    for one in everything:
        window.append(one, PLAIN)
    whole = {
        name: np.concatenate([getattr(one, name) for one in everything])[-SIZE:] for name in ("z", "label", "digest")
    }
    assert len(window) == SIZE
    assert window.seen == sum(len(one) for one in everything)
    assert window.z == pytest.approx(whole["z"], abs=0.01)
    assert (window.label == whole["label"]).all()
    assert (window.digest == whole["digest"]).all()
    assert window.at[-1] == 99
    assert window.scores.sum(axis=1) == pytest.approx(np.ones(SIZE), abs=0.01)


def test_a_batch_leaves_what_single_records_leave():
    rng = np.random.default_rng(1)
    batch = facts(rng, 100)
    at_once, singly = Window(4, 3, 5), Window(4, 3, 5)
    at_once.append(batch, PLAIN)
    for row in range(100):
        singly.append(batch.piece(row, row + 1), PLAIN)
    for name in ("near", "partners", "repeat", "z", "at", "far"):
        assert (getattr(at_once, name) == getattr(singly, name)).all(), name
    assert at_once.minute == pytest.approx(singly.minute)


def test_the_long_window_of_a_cohort_compares_as_that_of_a_client_does():
    rng = np.random.default_rng(6)
    client, cohort = Window(4, 3, 5), Window(4, 3, 5, size=512)
    for row in range(700):
        one = facts(rng, 1)
        cohort.append(one, PLAIN)
        if row < SIZE:
            client.append(one, PLAIN)
        if row == SIZE - 1:
            assert (cohort.near == client.near).all()
    z = cohort.z.astype(np.float32)
    nearest = np.sqrt(((z[:-1] - z[-1]) ** 2).sum(axis=1).min())
    assert cohort.near[-1] == pytest.approx(np.clip(0.693147 - 1.609438 * np.log(nearest), 0, 8), abs=0.01)


def test_a_part_of_a_window_is_a_window():
    window = Window(4, 3, 5)
    window.append(facts(np.random.default_rng(2), 20), PLAIN)
    rows = np.arange(20) % 3 == 0
    assert (window.only(rows).z == window.z[rows]).all()
    assert len(window.only(rows)) == 7


def talk(window, number, prompt, said):
    none = np.empty((1, 0))
    window.append(Facts(none, none, np.zeros((1, 7)), none, np.zeros(1), np.array([number], np.uint64), 0.0,
                        ((prompt, said),)), PLAIN)  # fmt: skip


def test_a_part_of_a_window_has_the_texts_of_its_records_alone():
    window = Window(0, 0, 0, 512)
    for number in range(40):
        talk(window, number, f"ask {number}", f"say {number}")
    rows = np.arange(40) % 2 == 0
    assert window.only(rows).texts == [(f"ask {number}", f"say {number}") for number in range(8, 40, 2)]
    assert window.only(np.arange(40) < 8).texts == []


def test_texts_are_held_cut():
    window = Window(0, 0, 0)
    for number in range(TEXTS + 5):
        talk(window, number, f"{number} " * 300, "said")
    assert len(window.texts) == TEXTS
    assert window.texts[0][0][0] == "5"
    talk(window, 99, "word " * 3000, "said")
    assert max(len(prompt) for prompt, _ in window.texts) == LENGTH


@pytest.mark.parametrize("letter", ["a", "\u00e9", "\u4e2d", "\U0001f600"])
def test_long_texts_in_any_script_leave_a_client_below_64_kib(letter):
    window = Window(0, 0, 0)
    for number in range(300):
        talk(window, number, f"{number}" + letter * 5000, letter * 5000)
    assert window.texts[-1][0].startswith("299")
    assert len(window.texts) >= 3
    assert window.nbytes <= 64 * 1024


@pytest.mark.parametrize(("classes", "most"), [(10, 20), (40, 28), (100, 20)])
def test_a_client_takes_few_bytes(classes, most):
    """784 values; most KiB in all. A full window of 40 classes, the most scores but for 64, is above the mean."""
    rng = np.random.default_rng(3)
    kept = classes if classes <= MOST_CLASSES else 0
    window = Window(SKETCH, kept, 0)
    sizes = []
    for _ in range(200):
        window.append(facts(rng, 1, SKETCH, kept, 0), PLAIN)
        sizes.append(window.nbytes)
    assert max(sizes) <= most * 1024
    assert np.mean(sizes[:60]) <= 12 * 1024  # most clients ask about a few dozen


def test_the_widest_window_keeps_to_64_kib():
    window = Window(24, 64, 64)
    for seed in range(40):
        window.append(facts(np.random.default_rng(seed), 8, 24, 64, 64), PLAIN)
    assert window.nbytes <= 64 * 1024
