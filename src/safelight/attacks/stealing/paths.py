"""Tree path finding: walk along each column until the answer changes, and the leaf's box is known."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator

from safelight.attacks.stealing import ask
from safelight.attacks.stealing.space import Space
from safelight.errors import BudgetSpent
from safelight.evidence import Scores, WhatWouldItAnswer
from safelight.recipes.base import Recipe
from safelight.recipes.secret_rule import SecretRule
from safelight.targets.base import Images, Model, Side, Table, View
from safelight.threat import Access, Knows

HALVINGS = 12
"""Steps of the search for a threshold: it is found to 1 / 4,096 of the column's range."""

BATCH = 50
"""Public records that are asked at once to see whether the boxes hold."""

DIGITS = 9
"""Scores that are equal to this many decimals are taken for those of one leaf."""


@dataclass(frozen=True)
class TreePaths:
    """Find the paths of a decision tree: which box of inputs each of its leaves answers for.

    What it shows: whether the answers of a decision tree give the whole tree away, thresholds included.
    Who could do it: anyone who gets class scores and knows the range of each column.
    How to lower it: answer with labels or coarsely rounded scores, so that leaves look alike; limit queries.

    The scores of an answer are taken for the name of a leaf. From a record, each column is moved to both ends of its
    range; where the answer changes, halving finds the threshold, and the records just beyond it belong to other leaves,
    which are explored in turn; a column of words is tried with every word. Public records come first, so that a small
    budget finds the leaves that matter. Then public records are asked once more, and one that is not
    answered as its box says starts another box: leaves with equal scores can be taken for one. A record in several
    boxes belongs to that with the nearest start, one in none to the nearest box. A forest has too many boxes
    for this to be a good copy.

    Attributes:
        queries: most queries (>= 1).
    """

    code: ClassVar[str] = "S002"
    title: ClassVar[str] = "Tree path finding"
    needs: ClassVar[Access] = Access.SCORES
    knows: ClassVar[frozenset[Knows]] = frozenset({Knows.PUBLIC})
    answers: ClassVar[type] = WhatWouldItAnswer
    source: ClassVar[str] = "Tramer et al. 2016, USENIX Security, arXiv:1609.02943, section 4.2 and algorithm 1"
    deep: ClassVar[bool] = True

    queries: int = 3000

    def misfit(self, model: Model, side: Side) -> str:
        """Return why this attack cannot run on such a model, or an empty string."""
        return ask.misfit(model, side)

    def planted(self, inputs: Images | Table, leak: float) -> Recipe:
        """Return a recipe whose models are trees of eight leaves for a rule of their own, a share `leak` of them."""
        from sklearn.tree import DecisionTreeClassifier

        return SecretRule(inputs, DecisionTreeClassifier(max_leaf_nodes=8), leak)

    def run(self, view: View, question: WhatWouldItAnswer, rng: Generator) -> Scores:
        """Return the scores of the copy (n, classes); raises AccessDenied, InputError or BudgetSpent."""
        space = Space.of(view.side.public, view.inputs)
        tree = _Tree(view, space, space.read(question.records.x), ask.affordable(view, self.queries))
        public = rng.permutation(np.where(np.isnan(space.rows), np.nanmean(space.rows, axis=0), space.rows))
        try:
            for row in public:
                if not tree.holds(row[None])[0]:
                    tree.explore(row, tree.ask(row[None])[0])
            while tree.found:
                row, scores = tree.found.pop(0)
                if not tree.explains(row, scores):
                    tree.explore(row, scores)
            for rows in np.array_split(public, range(BATCH, len(public), BATCH)):
                for row, scores in zip(rows, tree.ask(rows)):
                    if not tree.explains(row, scores):
                        tree.explore(row, scores)
        except BudgetSpent:
            pass  # the leaves found so far are the copy
        answer = Scores(tree.answers(tree.records))
        view.keep(answer)
        return answer


@dataclass
class _Leaf:
    """A box of inputs that one answer stands for.

    Attributes:
        start: (c,) a row inside; scores: (classes,) its answer.
        low, high: (c,) ends of the box in columns of numbers.
        barred: (column, word) pairs that lie outside.
    """

    start: Array
    scores: Array
    low: Array
    high: Array
    barred: set[tuple[int, int]] = field(default_factory=set)


@dataclass
class _Tree:
    """The leaves found so far.

    Attributes:
        records: (n, c) in question, for the fidelity curve.
        most: queries that may be sent; asked: those that were.
        found: rows with their scores that lie in other leaves than the one from which they were found.
    """

    view: View
    space: Space
    records: Array
    most: int
    asked: int = 0
    leaves: list[_Leaf] = field(default_factory=list)
    found: list[tuple[Array, Array]] = field(default_factory=list)

    def ask(self, rows: Array) -> Array:
        """Return the scores of rows (n, c); raises BudgetSpent where not all may be asked."""
        if self.asked + len(rows) > self.most:
            raise BudgetSpent(f"{len(rows)} more questions are over the {self.most} queries of this attack.")
        self.asked += len(rows)
        return self.view.scores(self.space.records(rows))

    def explore(self, row: Array, scores: Array) -> None:
        """Find the box of the leaf that a row (c,) with these scores lies in."""
        before = self.asked
        leaf = _Leaf(row, scores, np.full(len(row), -np.inf), np.full(len(row), np.inf))
        self.leaves.append(leaf)
        words = self.space.words
        moves: list[tuple[int, float]] = []
        for place, levels in enumerate(self.space.levels):
            others = range(len(levels)) if words[place] else (self.space.low[place], self.space.high[place])
            moves += [(place, float(value)) for value in others if value != row[place]]
        answers = self.ask(_moved(row, moves))
        other = [move for move, answer in zip(moves, answers) if not _same(answer, scores)]
        self.found += [(_moved(row, [move])[0], answers[moves.index(move)]) for move in other if words[move[0]]]
        leaf.barred |= {(place, int(word)) for place, word in other if words[place]}
        self._bound(leaf, [move for move in other if not words[move[0]]])
        if any(before < mark <= self.asked for mark in ask.MARKS):
            self.view.keep(Scores(self.answers(self.records)))

    def _bound(self, leaf: _Leaf, ends: list[tuple[int, float]]) -> None:
        """Halve the ways from a leaf's start to ends (column, value) outside it, all at once."""
        places = np.array([place for place, _ in ends], dtype=int)
        near, far = leaf.start[places], np.array([value for _, value in ends])
        beyond: dict[int, tuple[Array, Array]] = {}
        least = np.maximum((self.space.high - self.space.low) / 2**HALVINGS, self.space.whole)[places]
        while (open_ := np.flatnonzero(np.abs(far - near) > least)).size:
            middle = (near + far)[open_] / 2
            rows = self.space.sent(_moved(leaf.start, [*zip(places[open_].tolist(), middle.tolist())]))
            values = rows[np.arange(len(open_)), places[open_]]
            for way, row, value, answer in zip(open_.tolist(), rows, values, self.ask(rows)):
                if _same(answer, leaf.scores):
                    near[way] = value
                else:
                    far[way], beyond[way] = value, (row, answer)
        for place, inside, outside in zip(places, near, far):
            side = leaf.low if outside < inside else leaf.high
            side[place] = (inside + outside) / 2
        self.found += beyond.values()

    def holds(self, rows: Array) -> Array:
        """Return which rows (n, c) lie in some box."""
        return np.asarray((self._distances(rows) == 0).any(axis=1)) if self.leaves else np.zeros(len(rows), bool)

    def explains(self, row: Array, scores: Array) -> bool:
        """Whether a row (c,) lies in a box and is answered as the copy would."""
        return bool(self.holds(row[None])[0]) and _same(self.answers(row[None])[0], scores)

    def answers(self, rows: Array) -> Array:
        """Return the scores (n, classes) of the nearest box; among boxes with a row, the one of the nearest start."""
        away, apart = self._distances(rows), np.empty((len(rows), len(self.leaves)))
        for number, leaf in enumerate(self.leaves):
            moved = np.where(self.space.words, rows != leaf.start, np.abs(rows - leaf.start) / self._size)
            apart[:, number] = moved.sum(axis=1)
        nearest = np.lexsort((apart, away), axis=1)[:, 0]
        return np.stack([leaf.scores for leaf in self.leaves])[nearest]

    def _distances(self, rows: Array) -> Array:
        """Return how far rows (n, c) lie outside each box (n, leaves): parts of the columns' ranges, 1 for a word."""
        away = np.empty((len(rows), len(self.leaves)))
        for number, leaf in enumerate(self.leaves):
            outside = np.maximum(np.maximum(leaf.low - rows, rows - leaf.high), 0) / self._size
            away[:, number] = outside.sum(axis=1)
            for place, word in leaf.barred:
                away[:, number] += rows[:, place] == word
        return away

    @property
    def _size(self) -> Array:
        """The range of each column (c,)."""
        return np.where(self.space.high > self.space.low, self.space.high - self.space.low, 1.0)


def _moved(row: Array, moves: list[tuple[int, float]]) -> Array:
    """Return copies of a row (c,), one a move, each with one column set to a value."""
    rows = np.tile(row, (len(moves), 1))
    for number, (place, value) in enumerate(moves):
        rows[number, place] = value
    return rows


def _same(one: Array, other: Array) -> bool:
    return bool(np.abs(one - other).max() < 10**-DIGITS)
