"""Label-only membership: distances against a model whose boundary is known, queries counted, words kept as words."""

import numpy as np
import pandas as pd
import pytest

from safelight.attacks.membership.boundary import distances, queries_each
from safelight.attacks.membership.label_only import LabelOnly, Moves, disturbed
from safelight.data.records import Records
from safelight.errors import AccessDenied
from safelight.evidence import WhoWasIn
from safelight.targets.base import Images, Side, Table, Target
from safelight.threat import Access, ThreatModel


class HalfSpace:
    """Says 1 where the mean of the pixels is above a half, or the first column is above 0."""

    access = Access.LABEL
    classes = ("below", "above")

    def __init__(self, inputs):
        self.inputs = inputs

    def labels(self, x):
        if isinstance(x, pd.DataFrame):
            return (x.iloc[:, 0].to_numpy() > 0).astype(int)
        return (np.asarray(x).reshape(len(x), -1).mean(axis=1) > 0.5).astype(int)


@pytest.fixture
def pictures():
    rng = np.random.default_rng(0)
    level = rng.uniform(0.2, 0.8, 80)
    x = np.clip(level[:, None, None, None] + rng.uniform(-0.1, 0.1, (80, 1, 4, 4)), 0, 1).astype(np.float32)
    return Records.of(x, (x.reshape(80, -1).mean(axis=1) > 0.5).astype(int))


def view(inputs, public, queries=None):
    return Target("half", HalfSpace(inputs)).view(ThreatModel(Access.LABEL, queries=queries), Side(public))


def test_the_distance_to_a_plane_is_found(pictures):
    asked, public = pictures.take(np.arange(40)), pictures.take(np.arange(40, 80))
    door = view(Images((1, 4, 4)), public)
    found = distances(door, asked, steps=8, directions=100, rng=np.random.default_rng(1))
    true = np.abs(asked.x.reshape(40, -1).mean(axis=1) - 0.5) * 4  # the plane's normal has length sqrt(1/16)
    assert (found >= true - 1e-3).all(), "no point beyond the boundary is nearer than the boundary"
    assert np.median(found / true) < 1.15
    assert door.spent == 40 + 40 * (queries_each(8, 100) - 1), "with the labels of 40 public records"


def test_columns_of_numbers_are_scaled_by_their_deviation():
    rng = np.random.default_rng(2)
    x = pd.DataFrame({"a": rng.normal(0, 5, 60), "b": rng.normal(0, 1000, 60)})
    records = Records.of(x, (x.a > 0).astype(int))
    asked, public = records.take(np.arange(30)), records.take(np.arange(30, 60))
    found = distances(view(Table(("a", "b")), public), asked, 8, 60, rng)
    true = np.abs(asked.x.a.to_numpy()) / asked.x.a.std(ddof=0)
    assert np.median(found / true) < 1.1


def test_words_have_no_straight_way_between_them():
    x = pd.DataFrame({"a": [1.0, -1.0], "b": ["x", "y"]})
    records = Records.of(x, [1, 0])
    with pytest.raises(AccessDenied, match="no straight way between the words of column 'b'; use moves = \"noise\""):
        distances(view(Table(("a", "b")), records), records, 1, 5, np.random.default_rng(0))


def test_public_records_of_one_label_are_no_start(pictures):
    low = pictures.take(pictures.y == 0)
    with pytest.raises(AccessDenied, match="have the label below; name others"):
        distances(view(Images((1, 4, 4)), low), low, 1, 5, np.random.default_rng(0))


@pytest.mark.parametrize("moves", list(Moves))
def test_a_record_that_the_model_gets_wrong_comes_below_all_others(pictures, moves):
    wrong = pictures.relabelled(np.where(np.arange(80) < 10, 1 - pictures.y, pictures.y))
    scores = LabelOnly(moves).run(view(Images((1, 4, 4)), pictures), WhoWasIn(wrong), np.random.default_rng(0)).values
    assert scores[:10].max() < scores[10:].min()


def test_noise_keeps_the_label_longer_far_from_the_boundary(pictures):
    door = view(Images((1, 4, 4)), pictures, queries=80 * 51)
    scores = LabelOnly().run(door, WhoWasIn(pictures), np.random.default_rng(0)).values[:, 0]
    true = np.abs(pictures.x.reshape(80, -1).mean(axis=1) - 0.5)
    assert np.corrcoef(scores, true)[0, 1] > 0.75
    assert door.spent == 80 * 51


def test_disturbed_rows_keep_their_types_and_their_words():
    rng = np.random.default_rng(0)
    x = pd.DataFrame({"n": rng.integers(0, 50, 200), "r": rng.random(200), "w": rng.choice(list("abc"), 200),
                      "t": rng.random(200) < 0.5})  # fmt: skip
    moved = disturbed(x, 0.2, rng)
    assert (moved.dtypes == x.dtypes).all()
    assert set(moved.w) <= set("abc")
    assert 0.05 < (moved.w != x.w).mean() < 0.25, "one word in five is that of another row, which may be the same"
    assert (moved.r - x.r).std() == pytest.approx(0.2 * x.r.std(), rel=0.2)
