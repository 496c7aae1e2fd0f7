"""The blind gate: silent on random splits, loud on shifted ones, exact in its arithmetic."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from numpy.random import Generator
from scipy.stats import binom
from sklearn.linear_model import Ridge
from sklearn.metrics import roc_auc_score

from safelight.data.bundled import affairs, orl_faces
from safelight.data.gate import GateResult, blind_gate, deal_folds, fold_aucs, out_of_fold
from safelight.data.records import Records
from safelight.data.splits import disjoint_people, random_split

Pair = tuple[Records, Records]


@pytest.fixture(scope="module")
def faces() -> Records:
    return orl_faces((28, 23))


@pytest.fixture(scope="module")
def small() -> Records:
    """20 people in few pixels, for tests that run the gate hundreds of times."""
    records = orl_faces((12, 10))
    return records.take(records.y < 20)


@pytest.fixture(scope="module")
def survey() -> Records:
    table = affairs().sample(1500, random_state=0)
    return Records.of(table.drop(columns="rate_marriage"), table["rate_marriage"].to_numpy() - 1)


def nameless(records: Records) -> Records:
    return Records(records.x, records.y, records.ids)


def visits(rng: Generator) -> Records:
    """80 patients with 1 to 5 visits each, which are alike."""
    rows = rng.integers(1, 6, size=80)
    person = np.repeat(np.arange(80), rows)
    z = rng.standard_normal((80, 3))[person] + 0.3 * rng.standard_normal((len(person), 3))
    table = pd.DataFrame(z, columns=list("abc")).assign(visits=rows[person])
    return Records.of(table, (z[:, 0] > 0).astype(int), person=person)


# Arithmetic against slow, literal forms ------------------------------------------------------------------------------
def test_ridge_equals_scikit_learns_fold_by_fold() -> None:
    rng = np.random.default_rng(0)
    features, member, fold = rng.standard_normal((60, 7)), rng.random((60, 4)) < 0.6, rng.integers(0, 3, size=60)
    scores = out_of_fold(features, member, fold, ridge=0.3)
    for number in range(3):
        inside = fold != number
        model = Ridge(alpha=0.3 * inside.sum()).fit(features[inside], member[inside].astype(float))
        centred = model.predict(features[~inside]) - model.intercept_
        assert np.allclose(scores[:, ~inside].T, centred)


def test_auc_counts_pairs_within_folds() -> None:
    rng = np.random.default_rng(1)
    scores, member, fold = rng.standard_normal((3, 40)), rng.random((40, 3)) < 0.5, np.repeat([0, 1], 20)
    got = fold_aucs(scores, member, fold)
    for split in range(3):
        won = pairs = 0
        for number in (0, 1):
            mine, truth = scores[split, fold == number], member[fold == number, split]
            won += roc_auc_score(truth, mine) * truth.sum() * (~truth).sum()
            pairs += truth.sum() * (~truth).sum()
        assert got[split] == pytest.approx(won / pairs)


def test_folds_keep_groups_whole_and_are_even() -> None:
    group = np.repeat(np.arange(40), 10)
    fold = deal_folds(group, 5, np.random.default_rng(0))
    assert np.array_equal(np.bincount(fold), [80] * 5)
    assert all(len(set(fold[group == one])) == 1 for one in range(40))
    assert len(set(deal_folds(np.array([0, 0, 1]), 5, np.random.default_rng(0)))) == 2
    assert len(set(deal_folds(np.arange(12), 5, np.random.default_rng(0)))) == 3
    assert len(set(deal_folds(np.zeros(9, dtype=int), 5, np.random.default_rng(0)))) == 1


# Random splits pass --------------------------------------------------------------------------------------------------
RANDOM: dict[str, Callable[[Records, Records, Records, Generator], Pair]] = {
    "7 of 10 photos": lambda f, s, d, rng: random_split(f, 0.7, rng),
    "photos": lambda f, s, d, rng: random_split(f, 0.7, rng, within_class=False),
    "photos, people unknown": lambda f, s, d, rng: random_split(nameless(f), 0.7, rng, within_class=False),
    "other people": lambda f, s, d, rng: disjoint_people(f, rng, (0.7, 0.3)),
    "digits": lambda f, s, d, rng: random_split(d.take(np.arange(300)), 0.7, rng),
    "survey": lambda f, s, d, rng: random_split(s.take(rng.permutation(1500)[:300]), 0.7, rng, within_class=False),
    "visits": lambda f, s, d, rng: random_split(visits(rng), 0.7, rng, within_class=False),
    "patients": lambda f, s, d, rng: disjoint_people(visits(rng), rng, (0.7, 0.3)),
}


@pytest.mark.parametrize("kind", RANDOM)
def test_random_splits_are_refused_once_in_a_hundred(
    kind: str, small: Records, survey: Records, digits: Records
) -> None:
    p = []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        members, nonmembers = RANDOM[kind](small, survey, digits, rng)
        result = blind_gate(members, nonmembers, rng, permutations=299)
        assert result.p is not None
        assert result.passed is (result.p >= 0.01)
        p.append(result.p)
    # with 299 permutations p < .01 happens with probability 2/300; limits that chance crosses once in 10,000 kinds
    assert np.sum(np.array(p) < 0.01) <= binom.isf(1e-4, 100, 2 / 300)
    for level in (0.05, 0.5):
        assert np.sum(np.array(p) <= level) <= binom.isf(1e-4, 100, level)
        assert np.sum(np.array(p) <= level) >= binom.ppf(1e-4, 100, level)


# Shifted splits are refused ------------------------------------------------------------------------------------------
def lighter(records: Records, by: float) -> Records:
    return Records(records.x + np.float32(by), records.y, records.ids, records.person)


def later(records: Records, rng: Generator) -> Pair:
    """Members joined the survey earlier: the older a woman, the less likely is she one."""
    z = records.x["age"].rank().to_numpy() / len(records)
    member = rng.random(len(records)) < 1 - 0.6 * z
    return records.take(member), records.take(~member)


def other_mix(records: Records, rng: Generator) -> Pair:
    member = rng.random(len(records)) < np.where(records.y < 5, 0.8, 0.6)
    return records.take(member), records.take(~member)


def other_pairing(records: Records, rng: Generator) -> Pair:
    """Age and affairs are spread alike on both sides, but not together."""
    old = records.x["age"].to_numpy() > records.x["age"].median()
    member = rng.random(len(records)) < np.where(old == (records.x["affairs"] > 0).to_numpy(), 0.9, 0.5)
    return records.take(member), records.take(~member)


def other_camera(records: Records, rng: Generator) -> Pair:
    members, nonmembers = random_split(records, 0.7, rng)
    grain = 0.02 * rng.standard_normal(nonmembers.x.shape).astype(np.float32)
    return members, Records(nonmembers.x + grain, nonmembers.y, nonmembers.ids, nonmembers.person)


SHIFTED: dict[str, Callable[[Records, Records, Records, Generator], Pair]] = {
    "other people in other light": lambda f, s, d, rng: (
        (pair := disjoint_people(f, rng, (0.6, 0.4)))[0],
        lighter(pair[1], 0.12),
    ),
    "the same people in other light": lambda f, s, d, rng: (
        (pair := random_split(f, 0.7, rng))[0],
        lighter(pair[1], 0.03),
    ),
    "another camera": lambda f, s, d, rng: other_camera(f, rng),
    "time": lambda f, s, d, rng: later(s, rng),
    "labels": lambda f, s, d, rng: other_mix(d, rng),
    "two columns together": lambda f, s, d, rng: other_pairing(s, rng),
    "other people, unknown": lambda f, s, d, rng: (
        (pair := disjoint_people(f, rng, (0.7, 0.3)))[0].relabelled(np.zeros(280)),
        pair[1].relabelled(np.zeros(120)),
    ),
}


@pytest.mark.parametrize("kind", SHIFTED)
def test_shifted_splits_are_refused(kind: str, faces: Records, survey: Records, digits: Records) -> None:
    refused = []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        members, nonmembers = SHIFTED[kind](faces, survey, digits, rng)
        if kind.endswith("unknown"):
            members, nonmembers = nameless(members), nameless(nonmembers)
        result = blind_gate(members, nonmembers, rng)
        assert result.auc is not None
        refused.append(result.passed is False and result.auc > 0.5)
    assert sum(refused) >= 4


def test_people_are_told_apart_by_rows_but_not_by_persons(faces: Records) -> None:
    """Why folds are grouped: a random choice of people looks shifted to whoever takes photos for independent."""
    members, nonmembers = disjoint_people(faces, np.random.default_rng(1), (0.7, 0.3))
    members, nonmembers = members.relabelled(np.zeros(280)), nonmembers.relabelled(np.zeros(120))
    assert blind_gate(members, nonmembers, np.random.default_rng(0)).passed is True
    by_rows = blind_gate(nameless(members), nameless(nonmembers), np.random.default_rng(0))
    assert by_rows.passed is False
    assert by_rows.auc is not None
    assert by_rows.auc > 0.75


# What it says --------------------------------------------------------------------------------------------------------
def test_a_shift_of_the_detectable_size_is_refused_in_four_of_five_cases() -> None:
    refused, aucs, detectable = [], [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        table = pd.DataFrame(rng.standard_normal((600, 4)), columns=list("abcd"))
        members, others = random_split(Records.of(table, rng.integers(0, 2, 600)), 0.7, rng, within_class=False)
        # the gate does not know which column is shifted, so its AUC stays below the best possible .638
        shifted = Records.of(others.x.assign(a=others.x["a"] + 0.5), others.y)
        result = blind_gate(members, shifted, rng, permutations=299)
        refused.append(result.passed is False)
        aucs.append(result.auc)
        detectable.append(result.detectable)
    assert np.mean(aucs) == pytest.approx(np.mean(detectable), abs=0.015)
    assert 0.65 < np.mean(refused) < 0.95


def test_same_seed_same_answer_and_no_look_at_order(faces: Records) -> None:
    members, nonmembers = random_split(faces, 0.7, np.random.default_rng(0))
    left, right = (blind_gate(members, nonmembers, np.random.default_rng(1)) for _ in range(2))
    assert left == right
    assert left.p is not None
    assert left.reason.startswith("No difference found")
    assert f"AUC of {left.detectable:.3f} would have been seen" in left.reason


def test_the_refusal_says_what_to_do(faces: Records) -> None:
    members, nonmembers = random_split(faces, 0.7, np.random.default_rng(0))
    result = blind_gate(members, lighter(nonmembers, 0.3), np.random.default_rng(0))
    assert (result.passed, result.p) == (False, 0.001)
    assert "differ by themselves" in result.reason
    assert "draw both at random from one pool" in result.reason


def few(rows: int, people: int | None = None) -> Records:
    x = np.random.default_rng(rows).random((rows, 1, 2, 2))
    return Records.of(x, np.arange(rows) % 2, person=None if people is None else np.arange(rows) % people)


def test_constant_groups_and_equal_rows_are_no_difference() -> None:
    same = Records.of(pd.DataFrame({"a": [1] * 60}), [0] * 60)
    result = blind_gate(same.take(np.arange(40)), same.take(np.arange(20)), np.random.default_rng(0))
    assert result.passed is True


@pytest.mark.parametrize(
    ("members", "nonmembers", "says"),
    [
        (few(30), None, "there are no nonmembers"),
        (few(30), few(30).take(np.zeros(30, dtype=bool)), "there are no nonmembers"),
        (few(30), few(19), "30 members and 19 nonmembers, and the gate needs 20 of each"),
        (few(30, people=3), Records(*vars(few(40, people=2)).values()), "too few people"),
        (few(30, people=1), few(31, people=1), "belong to one person"),
    ],
)
def test_when_it_cannot_run(members: Records, nonmembers: Records | None, says: str) -> None:
    if nonmembers is not None and says == "too few people":
        nonmembers = Records(nonmembers.x, nonmembers.y, nonmembers.ids, np.asarray(nonmembers.person) + 10)
    result = blind_gate(members, nonmembers, np.random.default_rng(0))
    assert result == GateResult(None, None, None, None, result.reason)
    assert says in result.reason


def patients(count: int, shift: float, rng: Generator) -> Records:
    """30 rows for each patient, who differ much from each other."""
    person = np.repeat(np.arange(count), 30)
    z = rng.standard_normal((count, 2))[person] + 0.1 * rng.standard_normal((len(person), 2)) + shift
    return Records.of(
        pd.DataFrame(z, columns=["a", "b"]), np.zeros(len(person)), person=[f"{shift}{p}" for p in person]
    )


def test_few_people_carry_little_evidence() -> None:
    rng = np.random.default_rng(0)
    for count, shift, passed in ((3, 9.0, None), (8, 0.0, True), (8, 9.0, False)):
        result = blind_gate(patients(count, 0.0, rng), patients(count, shift + 0.001, rng), rng)
        assert result.passed is passed
    assert "too few people" in blind_gate(patients(3, 0.0, rng), patients(4, 9.0, rng), rng).reason


def test_a_large_split_is_sampled() -> None:
    rng = np.random.default_rng(0)
    pool = Records.of(pd.DataFrame(rng.standard_normal((3000, 3)), columns=list("abc")), rng.integers(0, 2, 3000))
    result = blind_gate(*random_split(pool, 0.7, rng), rng, most=400)
    assert result.passed is True
    assert result.detectable is not None
    assert 0.56 < result.detectable < 0.65  # as wide as 400 rows allow
