"""What a model file itself holds of its training records, counted in a second: facts for who releases it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy import ndarray as Array

from safelight.attacks.disclosure.leaves import Leaves, count_leaves
from safelight.attacks.disclosure.observation import Observation
from safelight.attacks.disclosure.parameters import count_parameters
from safelight.attacks.disclosure.parts import Part, parts, taken
from safelight.attacks.disclosure.rare_words import word_counts
from safelight.attacks.disclosure.stored import inside, kept_rows
from safelight.data.records import Records
from safelight.errors import InputError
from safelight.targets.base import Model

SPARE = 10
"""Degrees of freedom that must be left over, as output checkers ask of a published regression."""


def check_structure(model: Model, members: Records, k: int = 10) -> tuple[Observation, ...]:
    """Count what the file of a model holds of its training records; nothing is trained or guessed for it.

    - stored_records: share of the training records that lie in the file as they are.
    - small_leaves: share of the leaves of its trees that fewer than k training records reach.
    - small_neighbourhoods: training records that one answer rests on, where neighbours answer.
    - class_disclosure: share of the leaves whose training records all have one class.
    - certain_answers: share of the training records that get a class probability of exactly 0 or 1 and the same answer
      as k - 1 others or more.
    - degrees_of_freedom: training records minus learnt numbers.
    - rare_words: words and categories kept by name that fewer than k training records hold.
    - not_looked_into: estimators of a kind that no check knows.

    A check appears where the model has what it counts. Thresholds are those of statistical disclosure control
    (Jefferson et al. 2022, arXiv:2211.01656; Smith et al. 2022, arXiv:2212.01233).

    Args:
        model: scikit-learn models are opened; of a torch network only the parameters are counted.
        members: all records that it was trained on.
        k: the fewest training records that may stand behind one published number (>= 2).

    Raises:
        InputError: k is below 2.
    """
    if k < 2:
        raise InputError(f"k is {k}; give the fewest records that may stand behind one number, at least 2.")
    if hasattr(model, "estimator"):
        estimator = model.estimator()
        x = taken(estimator, model.inputs, members.x)
        return tuple(_as_far_as_readable(_opened(estimator, x, members.y, k, bool(model.classes))))
    if hasattr(model, "module"):
        return tuple(_as_far_as_readable(_network(model, len(members))))
    text = "No model file is at hand, so nothing was counted in one."
    return (Observation("not_looked_into", None, None, None, text),)


def _as_far_as_readable(checks: Iterator[Observation]) -> Iterator[Observation]:
    """Yield what is seen up to the first error: a model that is built in a way unknown here must not end an audit."""
    try:
        yield from checks
    except (AttributeError, ImportError, LookupError, TypeError, ValueError) as error:  # Its text may hold a record.
        text = f"The rest of the file could not be read ({type(error).__name__}), so what it holds is not known."
        yield Observation("not_looked_into", None, None, None, text)


def _opened(estimator: Any, x: Any, y: Array, k: int, classifier: bool) -> Iterator[Observation]:
    """Yield what each check counts in a scikit-learn estimator; x are the training records as it takes them."""
    found = list(parts(estimator, x))
    strange = [type(part.estimator).__name__ for part in found if _strange(part)]
    yield _stored(found, len(y), bool(strange))
    leaves = count_leaves(found, y, k)
    if leaves is not None:
        yield _small_leaves(leaves, k)
    neighbours = [count for part in found if (count := _neighbours(part.estimator)) is not None]
    if neighbours:
        yield _neighbourhoods(min(neighbours), k)
    if leaves is not None and classifier:
        yield _one_class(leaves, k)
    if hasattr(estimator, "predict_proba"):
        yield _certain(estimator.predict_proba(x), k)
    yield _freedom(len(y), *count_parameters(found))
    words = word_counts(found)
    if len(words):
        yield _rare(words, k)
    if strange:
        yield _unknown(strange)


def _network(model: Any, records: int) -> Iterator[Observation]:
    network = model.module()
    yield _freedom(records, sum(weights.numel() for weights in network.parameters()), ())
    yield _unknown([type(network).__name__], " besides its numbers")


def _stored(found: Sequence[Part], records: int, strange: bool) -> Observation:
    kept = sum(rows.shape[0] for part in found if (rows := kept_rows(part.estimator)) is not None)
    count = int(inside(found, records).sum())
    if count:
        text = f"{count:,} of {records:,} training records lie in the file itself."
    elif kept:
        text = f"The file keeps {kept:,} rows, and none of them is one of these training records."
    else:
        text = "No training record lies in the file itself" + (", as far as it was looked into." if strange else ".")
    known = count > 0 or not (kept or strange)
    return Observation("stored_records", count / records, 0.0, count > 0 if known else None, text)


def _small_leaves(leaves: Leaves, k: int) -> Observation:
    text = (
        f"{leaves.small:,} of the {leaves.total:,} leaves of its trees hold fewer than {k} training records each; the "
        f"smallest holds {leaves.smallest:,}."
    )
    return Observation("small_leaves", leaves.small / leaves.total, 0.0, leaves.small > 0, text)


def _neighbourhoods(fewest: int, k: int) -> Observation:
    fewer = f", fewer than {k}" if fewest < k else ""
    text = f"The number of training records behind each answer is {fewest}{fewer}."
    return Observation("small_neighbourhoods", fewest, k, fewest < k, text)


def _one_class(leaves: Leaves, k: int) -> Observation:
    text = (
        f"{leaves.pure:,} of the {leaves.total:,} leaves hold training records of one class only, and "
        f"{leaves.large_pure:,} of these hold {k} or more: who was trained on and reaches such a leaf has that class."
    )
    return Observation("class_disclosure", leaves.pure / leaves.total, 0.0, leaves.pure > 0, text)


def _certain(scores: Array, k: int) -> Observation:
    sure = certain(scores, k)
    text = (
        f"{int(sure.sum()):,} of {len(sure):,} training records get a class probability of exactly 0 or 1, and the "
        f"same answer as {k - 1} others or more."
    )
    return Observation("certain_answers", float(sure.mean()), 0.0, bool(sure.any()), text)


def certain(scores: Array, k: int) -> Array:
    """Return which records (n,) get a probability of exactly 0 or 1, and the same scores as k - 1 others or more.

    Args:
        scores: (n, classes).
        k: records.
    """
    exact = np.flatnonzero(((scores == 0) | (scores == 1)).any(axis=1))
    group, size = np.unique(scores[exact], axis=0, return_inverse=True, return_counts=True)[1:]
    large = np.zeros(len(scores), dtype=bool)
    large[exact] = size[group.ravel()] >= k
    return large


def _freedom(records: int, learnt: int, uncounted: Sequence[str]) -> Observation:
    spare, kinds = records - learnt, " and ".join(uncounted)
    if uncounted and spare >= SPARE:
        text = f"How many numbers {kinds} learnt is not known here, so degrees of freedom are not counted."
        return Observation("degrees_of_freedom", None, SPARE, None, text)
    besides = f", and what {kinds} learnt is not even counted" if uncounted else ""
    text = f"{learnt:,} numbers were learnt from {records:,} training records: {spare:,} degrees of freedom{besides}."
    return Observation("degrees_of_freedom", spare, SPARE, spare < SPARE, text)


def _rare(counts: Array, k: int) -> Observation:
    rare = int((counts < k).sum())
    text = (
        f"{rare:,} of the {len(counts):,} words and categories that the file keeps by name occur in fewer than {k} "
        "training records."
    )
    return Observation("rare_words", rare, 0.0, rare > 0, text)


def _unknown(kinds: Sequence[str], besides: str = "") -> Observation:
    names = list(dict.fromkeys(kinds))
    text = f"What {', '.join(names)} holds{besides} was not looked into: no check knows it."
    return Observation("not_looked_into", len(names), None, None, text)


def _neighbours(estimator: Any) -> int | None:
    """Return how many records one answer rests on, for an estimator whose neighbours answer."""
    nearest = hasattr(estimator, "_fit_X") and hasattr(estimator, "predict")
    return getattr(estimator, "n_neighbors", None) if nearest else None


def _strange(part: Part) -> bool:
    """Return whether no check knows the estimator, or what reaches it cannot be told."""
    if not part.last:
        return False
    tells = any(hasattr(part.estimator, name) for name in ("predict", "vocabulary_", "categories_"))
    return not type(part.estimator).__module__.startswith("sklearn.") or (part.x is None and tells)
