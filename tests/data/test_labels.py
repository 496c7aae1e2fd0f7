"""Labels become class numbers in one order."""

from __future__ import annotations

import numpy as np
import pytest

from safelight.data.labels import number_labels, require_every_class
from safelight.errors import InputError


def test_words_are_sorted() -> None:
    y, classes = number_labels(np.array(["no", "yes", "no", "may be"]), "y")
    assert classes == ("may be", "no", "yes")
    assert y.tolist() == [1, 2, 1, 0]
    assert y.dtype == np.int64


def test_numbers_are_sorted_by_value() -> None:
    y, classes = number_labels(np.array([10, 2, 1]), "y")
    assert classes == ("1", "2", "10")
    assert y.tolist() == [2, 1, 0]


def test_other_files_keep_the_order_of_the_members() -> None:
    y, classes = number_labels(np.array(["b", "c"]), "y", classes=("c", "b", "a"))
    assert classes == ("c", "b", "a")
    assert y.tolist() == [1, 0]


def test_a_number_is_found_however_it_is_written() -> None:
    assert number_labels(np.array([1.0, 0.0]), "y", classes=("0", "1"))[0].tolist() == [1, 0]
    assert number_labels(np.array([1, 0]), "y", classes=("0.0", "1.0"))[0].tolist() == [1, 0]
    with pytest.raises(InputError):  # but a word stays a word
        number_labels(np.array(["01"]), "y", classes=("0", "1"))


def test_mixed_labels_are_words() -> None:
    assert number_labels(np.array([1, "a", 1], dtype=object), "y")[1] == ("1", "a")


def test_an_unknown_class_is_named() -> None:
    with pytest.raises(InputError, match=r"test.csv holds the class 'maybe'.*2 known classes \(may be, no\).*'may be'"):
        number_labels(np.array(["maybe"]), "test.csv", classes=("may be", "no"))


def test_a_class_with_no_member_is_named() -> None:
    require_every_class(np.array([0, 1, 1]), ("a", "b"), "train.csv")
    with pytest.raises(InputError, match=r"train.csv has no member of 1 of 3 classes \(b\)"):
        require_every_class(np.array([0, 2, 2]), ("a", "b", "c"), "train.csv")
