"""From labels as the owner writes them to class numbers 0..c-1, in one order for members, nonmembers and public."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy import ndarray as Array

from safelight.errors import InputError, did_you_mean


def number_labels(labels: Array, where: str, classes: Sequence[str] | None = None) -> tuple[Array, tuple[str, ...]]:
    """Return class numbers (n,) int64 and the names of the classes in the order of those numbers.

    Args:
        labels: (n,) words, whole numbers, bools or real numbers.
        where: file or column, for errors.
        classes: names in the order to keep, such as those of the members; by default every label seen, sorted as
            scikit-learn sorts them: numbers by value, words by letter.

    Raises:
        InputError: a label is not among `classes`.
    """
    labels = np.asarray(labels)
    if labels.dtype.kind == "O":
        labels = labels.astype(str)
    seen, number = np.unique(labels, return_inverse=True)
    if classes is None:
        return number.reshape(-1).astype(np.int64), tuple(str(label) for label in seen.tolist())
    place = {name: index for index, name in enumerate(classes)}
    by_value = {_value(name): index for name, index in place.items()}
    places = []
    for label in seen.tolist():
        found = place.get(str(label))
        if found is None and not isinstance(label, str):
            found = by_value.get(_value(str(label)))  # 1 in one file, 1.0 in the other
        if found is None:
            raise InputError(
                f"{where} holds the class {str(label)!r}, which is not among the {len(classes)} known classes "
                f"({_some(classes)}); correct the label or add members of that class."
                f"{did_you_mean(str(label), classes)}"
            )
        places.append(found)
    return np.asarray(places, dtype=np.int64)[number.reshape(-1)], tuple(classes)


def require_every_class(y: Array, classes: Sequence[str], where: str) -> None:
    """Raise InputError when a class has no record among the class numbers `y` (n,)."""
    counts = np.bincount(np.asarray(y, dtype=int), minlength=len(classes))
    missing = [name for name, count in zip(classes, counts) if count == 0]
    if missing:
        raise InputError(
            f"{where} has no member of {len(missing)} of {len(classes)} classes ({_some(missing)}); "
            "add members of each class, or leave the class out of the model."
        )


def _value(name: str) -> float | str:
    try:
        return float(name)
    except ValueError:
        return name


def _some(names: Sequence[str], most: int = 8) -> str:
    shown = ", ".join(map(str, names[:most]))
    return shown if len(names) <= most else f"{shown}, ... and {len(names) - most} more"
