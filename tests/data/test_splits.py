"""Random splits: shares, order, people, seeds."""

from __future__ import annotations

import numpy as np
import pytest

from safelight.data.records import Records
from safelight.data.splits import disjoint_people, random_split
from safelight.errors import InputError


def photos() -> Records:
    people = np.repeat(np.arange(8), 10)
    return Records.of(np.arange(80, dtype=float).reshape(80, 1, 1, 1), people, person=people)


def test_seven_of_ten_photos_of_every_person() -> None:
    members, nonmembers = random_split(photos(), 0.7, np.random.default_rng(0))
    assert np.array_equal(np.bincount(members.y), [7] * 8)
    assert np.array_equal(np.bincount(nonmembers.y), [3] * 8)
    assert sorted([*members.ids, *nonmembers.ids]) == list(range(80))
    assert (np.diff(members.ids) > 0).all()


def test_over_all_records() -> None:
    members, nonmembers = random_split(photos(), 0.7, np.random.default_rng(0), within_class=False)
    assert (len(members), len(nonmembers)) == (56, 24)
    assert len(set(np.bincount(members.y))) > 1
    real = photos().relabelled(np.arange(80) / 7)
    assert len(random_split(real, 0.7, np.random.default_rng(0))[0]) == 56


def test_every_record_may_be_a_member_and_one_seed_gives_one_split() -> None:
    often = np.zeros(80)
    for seed in range(200):
        members, _ = random_split(photos(), 0.7, np.random.default_rng(seed))
        often[members.ids] += 1
    assert abs(often / 200 - 0.7).max() < 0.13  # 4 standard errors
    again = [random_split(photos(), 0.7, np.random.default_rng(5))[0].ids for _ in range(2)]
    assert np.array_equal(*again)


def test_people_are_never_on_two_sides() -> None:
    groups = disjoint_people(photos(), np.random.default_rng(0), (0.5, 0.25, 0.25))
    assert [len(np.unique(group.person)) for group in groups] == [4, 2, 2]
    assert len(set(np.concatenate([np.unique(group.person) for group in groups]))) == 8
    assert sum(map(len, disjoint_people(photos(), np.random.default_rng(0), (0.25, 0.25)))) == 40


@pytest.mark.parametrize("share", [0, 1, -0.2])
def test_a_share_must_leave_both_sides(share: float) -> None:
    with pytest.raises(InputError, match="above 0 and below 1"):
        random_split(photos(), share, np.random.default_rng(0))


@pytest.mark.parametrize("shares", [(0.7, 0.7), (), (0.5, 0)])
def test_shares_of_people_must_fit(shares: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="sum of at most 1"):
        disjoint_people(photos(), np.random.default_rng(0), shares)


def test_people_must_be_known_and_enough() -> None:
    nameless = Records.of(np.zeros((4, 1, 1, 1)), [0, 1, 0, 1])
    with pytest.raises(InputError, match="name no person"):
        disjoint_people(nameless, np.random.default_rng(0))
    with pytest.raises(InputError, match="8 people are too few"):
        disjoint_people(photos(), np.random.default_rng(0), (0.95, 0.05))
