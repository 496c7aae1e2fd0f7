"""Copies and persons form groups; common values do not."""

from __future__ import annotations

import numpy as np
import pandas as pd

from safelight.data.bundled import digits, orl_faces
from safelight.data.copies import copies
from safelight.data.records import Records


def same(left: np.ndarray, right: list[int]) -> bool:
    """Whether two numberings describe the same groups."""
    pairs = set(zip(left.tolist(), right))
    return len(pairs) == len(set(left.tolist())) == len(set(right))


def test_equal_rows_are_copies() -> None:
    table = pd.DataFrame({"a": [1, 2, 1, 1], "b": ["x", "x", "x", "y"]})
    assert same(copies(Records.of(table, [0, 1, 1, 0])), [0, 1, 0, 2])


def test_people_and_copies_are_joined() -> None:
    table = pd.DataFrame({"a": [1, 2, 1, 3, 4]})
    # row 0 and 2 are copies, 2 and 3 are one person, so 0, 2 and 3 stay together
    assert same(copies(Records.of(table, np.zeros(5)), np.array([0, 1, 2, 2, 3])), [0, 1, 0, 0, 2])


def test_a_common_value_is_no_copy() -> None:
    table = pd.DataFrame({"site": ["north"] * 11 + ["south"] * 10})
    assert same(copies(Records.of(table, np.zeros(21))), [*range(11), *([11] * 10)])


def test_noisy_copies_of_pictures_are_found_and_other_photos_are_not() -> None:
    faces = orl_faces()
    rng = np.random.default_rng(0)
    noisy = faces.x[:5] + 0.02 * rng.standard_normal(faces.x[:5].shape).astype(np.float32)
    x = np.concatenate([faces.x, faces.x[:5], noisy])
    group = copies(Records.of(x, np.zeros(410)))
    alone = np.arange(400)
    alone[faces.ids == "s33/10"] = alone[faces.ids == "s33/2"]  # nearly the same photo
    assert same(group, [*alone, *range(5), *range(5)])
    assert same(copies(faces, np.asarray(faces.person)), np.repeat(np.arange(40), 10).tolist())
    assert len(np.unique(copies(digits()))) == 1797


def test_a_chain_through_everything_is_not_followed() -> None:
    x = np.zeros((60, 1, 2, 2), np.float32) + np.linspace(0, 1, 60, dtype=np.float32)[:, None, None, None]
    assert len(np.unique(copies(Records.of(x, np.zeros(60))))) == 60
