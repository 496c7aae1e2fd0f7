"""Weights of pairs of records after Fellegi and Sunter 1969 (JASA 64), learnt without one known pair.

A pair is graded column by column: words are equal, nearly equal or different; numbers equal, within 2 % or within half
of a standard deviation, or different; a missing value has no grade. m is the chance of a grade where both rows are
about the same person, u that of any pair. Half a match is added to each grade: the bare likelihood drives the m of what
no match shows to 0, and on a plain copy of a wide table out of the range of numbers, where a library may give up.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations

import numpy as np
import pandas as pd
from numpy import ndarray as Array
from numpy.random import Generator
from scipy.sparse import csr_matrix
from scipy.special import expit

from safelight.errors import InputError

MISSING = -1
SHORTEST = 4
"""Letters from which words can be nearly equal."""
_ROUNDS = 200
_CHANGE = 1e-4
_NEAR = (0.02, 0.5)


@dataclass(frozen=True)
class Column:
    """One column of both tables.

    Attributes:
        people: (n,) and released: (m,) values of numbers, NaN where missing, or numbers of words, `MISSING` likewise.
        width: standard deviation of the released numbers; 0 for words.
        near: which words are nearly equal, see `nearly_equal`; for numbers None.
    """

    people: Array
    released: Array
    width: float = 0.0
    near: csr_matrix | None = None

    @property
    def kinds(self) -> int:
        """How many grades there are; 0 is equal and the last one different."""
        return 3 if self.near is not None else 2 + len(_NEAR)

    def grades(self, rows: Array) -> Array:
        """Return the grades (c, m) int8 of the pairs of some people (c,) with all released rows."""
        left, right = self.people[rows][:, None], self.released[None]
        if self.near is not None:
            grade = np.where(left == right, 0, 2 - self.near[self.people[rows]].toarray()[:, self.released])
            return np.where((left < 0) | (right < 0), MISSING, grade).astype(np.int8)
        apart = np.abs(left - right)
        grade = (apart > 0).astype(np.int8)
        for share in _NEAR:
            grade += apart > share * self.width
        return np.where(np.isnan(apart), MISSING, grade).astype(np.int8)

    def rarity(self) -> Array:
        """Return the share (n,) of all rows of both tables that have each person's value; 1 where it is missing."""
        values = pd.Series(np.concatenate([self.people, self.released]))
        values = values.where(values >= 0) if self.near is not None else values
        shares = values.map(values.value_counts(normalize=True)).to_numpy()[: len(self.people)]
        return np.where(np.isnan(shares), 1.0, shares)


def pair_weights(people: pd.DataFrame, released: pd.DataFrame, pairs: int, rng: Generator) -> Iterator[Array]:
    """Yield the weights (c, m) of all pairs of some people with the released rows, in the order of the people.

    A weight is log2 of the odds that both rows are about the same person: the odds of any pair, where each row of the
    smaller table has one match, plus log2(m / u) of each column's grade. For equal values u is the share of rows that
    have the value: agreement on a rare one says more.

    Args:
        people: (n rows), released: (m rows); the same columns.
        pairs: how many pairs are learnt from, those of some people drawn by `rng`, and how many are held at once.

    Raises:
        InputError: a column holds numbers in one table and words in the other.
    """
    columns = [column_of(people[name], released[name]) for name in released.columns]
    n, m = len(people), len(released)
    step, match = max(1, pairs // m), 1 / max(n, m, 2)
    drawn = np.sort(rng.permutation(n)[:step])
    learnt = learn([column.grades(drawn) for column in columns], [column.kinds for column in columns], match)
    rarer = [np.log2(u_of[0] / column.rarity()) for column, (_, u_of) in zip(columns, learnt)]
    for start in range(0, n, step):
        rows = np.arange(start, min(start + step, n))
        weights = np.full((len(rows), m), np.log2(match / (1 - match)))
        for column, (m_of, u_of), more in zip(columns, learnt, rarer):
            grade = column.grades(rows)
            weights += np.append(np.log2(m_of / u_of), 0.0)[grade]  # a missing value, -1, reads the last place
            weights += np.where(grade == 0, more[rows, None], 0.0)
        yield weights


def learn(grades: list[Array], kinds: list[int], match: float) -> list[tuple[Array, Array]]:
    """Return m and u (grades,) of each column, by expectation maximisation (Winkler 1988) over the patterns of grades.

    Args:
        grades: (c, m) of each column.
        kinds: number of grades of each column.
        match: the share of pairs that match; it is held, since no likelihood tells few matches from many alike people.
    """
    pattern, count = _patterns(grades)
    u = [_shares(column, count, kind) for column, kind in zip(pattern, kinds)]
    m = [np.append(0.9, np.full(kind - 1, 0.1 / (kind - 1))) for kind in kinds]
    for _ in range(_ROUNDS):
        odds = np.full(len(count), np.log(match / (1 - match)))
        for column, m_of, u_of in zip(pattern, m, u):
            odds += np.append(np.log(m_of / u_of), 0.0)[column]
        before, m = m, [_shares(column, count * expit(odds), kind) for column, kind in zip(pattern, kinds)]
        if max(np.abs(new - old).max() for new, old in zip(m, before)) < _CHANGE:
            break
    return list(zip(m, u))


def _patterns(grades: list[Array]) -> tuple[list[Array], Array]:
    """Return the different combinations of grades, column by column (p,), and how many pairs have each (p,)."""
    code = np.zeros(grades[0].size, dtype=np.int64)
    for place, column in enumerate(grades, 1):
        code = code * 8 + column.ravel() + 1
        if place % 16 == 0:  # before 64 bits are full
            code = np.unique(code, return_inverse=True)[1].reshape(-1)
    _, first, count = np.unique(code, return_index=True, return_counts=True)
    return [column.ravel()[first] for column in grades], count.astype(float)


def _shares(grade: Array, weight: Array, kinds: int) -> Array:
    """Return the share of each grade by weight, with one half added to each, so that none is impossible."""
    counts = np.bincount(grade[grade >= 0], weight[grade >= 0], kinds) + 0.5
    return np.asarray(counts / counts.sum())


def column_of(people: pd.Series, released: pd.Series) -> Column:
    """Return a column of both tables; raises InputError where it holds numbers in one and words in the other."""
    kinds = [pd.api.types.is_numeric_dtype(values) and values.dtype != bool for values in (people, released)]
    if kinds[0] != kinds[1]:
        raise InputError(
            f"The column {released.name!r} holds numbers in the {'identified table' if kinds[0] else 'release'} and "
            f"words in the {'release' if kinds[0] else 'identified table'}; bring both to the same form."
        )
    if kinds[0]:
        left, right = (values.to_numpy(dtype=float, na_value=np.nan) for values in (people, released))
        return Column(left, right, float(np.nan_to_num(np.nanstd(right))) if np.isfinite(right).any() else 0.0)
    words = pd.concat([people, released], ignore_index=True)
    plain = words.astype(str).str.strip().str.casefold().where(words.notna())
    number, known = pd.factorize(plain)  # missing is -1
    return Column(number[: len(people)], number[len(people) :], near=nearly_equal(known.to_list()))


def nearly_equal(words: list[str]) -> csr_matrix:
    """Return 1 (w, w) where two different words become equal when one letter at the most is left out of each.

    That covers a letter that is wrong, missing, doubled or changed places with its neighbour. Words below four letters
    are not nearly equal to any other.
    """
    shorter: dict[str, list[int]] = {}
    for number, word in enumerate(words):
        if len(word) >= SHORTEST:
            for variant in {word, *(word[:place] + word[place + 1 :] for place in range(len(word)))}:
                shorter.setdefault(variant, []).append(number)
    pairs = {pair for numbers in shorter.values() for pair in permutations(numbers, 2)}
    rows, columns = np.array(sorted(pairs), dtype=int).reshape(-1, 2).T
    return csr_matrix((np.ones(len(rows), dtype=np.int8), (rows, columns)), (len(words), len(words)))
