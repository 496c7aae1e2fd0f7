"""Constraint programming: put records into the leaves of trees so that every count comes out right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy import ndarray as Array
from scipy.stats import binom

from safelight.attacks.attributes.counts import Leaf, Test
from safelight.errors import MissingExtra

MOST_COPIES = 4
"""Where draws are to be found, a tree draws a record at most this often; 5 times or more happens to 0.4 % of them."""
RARE = 1e-4
"""Where draws are to be found, no record is drawn by fewer or more trees than one in this many would be."""


@dataclass(frozen=True)
class Unplaced:
    """What is known of the records to be placed.

    Attributes:
        labels: class of each (n,), or -1 for one that is to be found.
        copies: (trees, n) how often each tree drew each record, or None where that is to be found.
        total: records in the whole table; these may be those of one class.
        draws: how many records, with repeats, each tree drew from the whole table.
        alike: whether the records are of one class and can be swapped without changing a count.
    """

    labels: Array
    copies: Array | None
    total: int
    draws: int
    alike: bool


@dataclass(frozen=True)
class Placed:
    """What the solver found.

    Attributes:
        x: places in the values of each column (n, columns), or None where it found nothing.
        y: classes (n,).
        spent: seconds of the solver's own clock.
        impossible: whether it is proven that no records fit.
    """

    x: Array | None
    y: Array
    spent: float
    impossible: bool


def need_solver(wanted_for: str) -> None:
    """Raise MissingExtra where OR-tools is not installed."""
    try:
        import ortools.sat.python.cp_model  # noqa: F401
    except ImportError:
        raise MissingExtra("ortools", "forest", wanted_for) from None


def place(
    trees: Sequence[Sequence[Leaf]],
    records: Unplaced,
    held: Sequence[Array],
    groups: Sequence[Sequence[int]],
    effort: float,
    seed: int,
    other: Array | None = None,
) -> Placed:
    """Find records that fit all counts.

    Where it is known how often each tree drew each record, every count is an equation, and every solution is as good
    as another. Where it is not, the likelihood of the draws is maximised.

    Args:
        trees: the leaves of each tree.
        records: what is known of them.
        held: the values of each column, rising.
        groups: columns that encode one category: every record has just one of them above its least value.
        effort: seconds of the solver's own clock, which counts steps: the result is the same on every machine.
        seed: of the search.
        other: classes (n,) that are not looked for: at least one record has another.

    Raises:
        MissingExtra: OR-tools is not installed.
    """
    need_solver("Rebuilding a training table")
    from ortools.sat.python import cp_model

    program = _Program(cp_model.CpModel(), records, held, groups, len(trees[0][0].counts))
    largest = int(np.argmax([len(tree) for tree in trees]))
    for number, tree in enumerate(trees):
        program.add(tree, None if records.copies is None else records.copies[number], first=number == largest)
    program.finish(len(trees))
    if other is not None:
        program.model.add_bool_or([~row[label] for row, label in zip(program.y, other.tolist())])
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.max_deterministic_time = effort
    solver.parameters.random_seed = seed
    status = solver.solve(program.model)
    spent = float(solver.response_proto.deterministic_time)
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return Placed(None, records.labels, spent, status == cp_model.INFEASIBLE)
    x = np.array([[sum(map(solver.value, steps)) for steps in row] for row in program.x], dtype=int)
    y = [int(np.argmax([solver.value(each) for each in row])) for row in program.y]
    return Placed(x, np.array(y, dtype=int), spent, False)


class _Program:
    """A constraint program: `x[k][j][i]`: record k is above value i in column j; `y[k][c]`: its class is c."""

    def __init__(
        self, model: Any, records: Unplaced, held: Sequence[Array], groups: Sequence[Sequence[int]], classes: int
    ) -> None:
        self.model, self.records, self.held = model, records, held
        self.x = [[[model.new_bool_var("") for _ in values[1:]] for values in held] for _ in records.labels]
        self.y: list[list[Any]] = []
        self.drawn: list[list[Any]] = [[] for _ in records.labels]
        self.goal: list[Any] = []
        for label, row in zip(records.labels.tolist(), self.x):
            self.y.append([model.new_bool_var("") if label == -1 else int(label == c) for c in range(classes)])
            if label == -1:
                model.add_exactly_one(self.y[-1])
            for steps in row:
                for weaker, stronger in pairwise(steps):
                    model.add_implication(stronger, weaker)
            for group in groups:
                cut = [row[column][0] for column in group if row[column]]
                (model.add_exactly_one if len(cut) == len(group) else model.add_at_most_one)(cut)

    def add(self, leaves: Sequence[Leaf], copies: Array | None, first: bool) -> None:
        """Add one tree: every record that it drew lies in one leaf, and every count of a leaf comes out.

        Args:
            leaves: of the tree.
            copies: how often it drew each record (n,), or None.
            first: whether records that are alike are dealt out in the order of these leaves: that costs nothing and
                spares the solver to look at every order.
        """
        if copies is None:
            self._likely(leaves, first)
        elif first and self.records.alike:
            self._deal(leaves)
        else:
            self._exact(leaves, copies)

    def _deal(self, leaves: Sequence[Leaf]) -> None:
        """Put the first records that are alike and drawn once into the first leaf, and so on."""
        label, row = int(self.records.labels[0]), 0
        for leaf in leaves:
            for _ in range(leaf.counts[label]):
                self.model.add_bool_and([self._passes(row, test) for test in leaf.path])
                row += 1

    def _exact(self, leaves: Sequence[Leaf], copies: Array) -> None:
        labels = self.records.labels.tolist()
        inside: dict[int, list[Any]] = {row: [] for row in np.flatnonzero(copies).tolist()}
        for leaf in leaves:
            cells = [c for c in np.flatnonzero(leaf.counts).tolist() if c in labels or -1 in labels]
            here: list[Any] = []
            for c in cells:
                fitting = [row for row in inside if labels[row] in (-1, c) and copies[row] <= leaf.counts[c]]
                lies = [self._lies(row, leaf, c) for row in fitting]
                self.model.add(sum(int(copies[row]) * literal for row, literal in zip(fitting, lies)) == leaf.counts[c])
                here += lies
                for row, literal in zip(fitting, lies):
                    inside[row].append(literal)
            if cells and len(cells) == np.count_nonzero(leaf.counts):
                self.model.add(sum(here) == leaf.distinct)
        for options in inside.values():
            self.model.add_exactly_one(options)

    def _likely(self, leaves: Sequence[Leaf], first: bool) -> None:
        """Let a tree draw the records of one class as it likes, each at most once into one leaf."""
        label, dealt = int(self.records.labels[0]), 0
        inside: list[list[Any]] = [[] for _ in self.x]
        for leaf in leaves:
            if not leaf.counts[label]:
                continue
            lies = [self._lies(row, leaf, label) for row in range(len(self.x))]
            for options, literal in zip(inside, lies):
                options.append(literal)
            if np.count_nonzero(leaf.counts) > 1:
                self._repeated(leaf, label, lies)
                continue
            self.model.add(sum(lies) == leaf.distinct)
            if first:
                self.model.add_bool_and(lies[dealt : dealt + leaf.distinct])
                dealt += leaf.distinct
        for options, drawn in zip(inside, self.drawn):
            self.model.add_at_most_one(options)
            drawn += options

    def finish(self, trees: int) -> None:
        """Add what holds over all trees: how many of them drew a record, and the likelihood of the draws."""
        if self.records.copies is None:
            chance = 1 - (1 - 1 / self.records.total) ** self.records.draws
            low, high = (int(binom.ppf(q, trees, chance)) for q in (RARE, 1 - RARE))
            for literals in self.drawn:
                self.model.add_linear_constraint(sum(literals), low, high)
        if self.goal:
            self.model.maximize(sum(self.goal))

    def _lies(self, row: int, leaf: Leaf, label: int) -> Any:
        """Return a new literal: this record lies in this leaf and has this class."""
        lies = self.model.new_bool_var("")
        follows = [self._passes(row, test) for test in leaf.path]
        if self.records.labels[row] == -1:
            follows.append(self.y[row][label])
        self.model.add_bool_and(follows).only_enforce_if(lies)
        return lies

    def _passes(self, row: int, test: Test) -> Any:
        column, threshold, above = test
        place = int(np.searchsorted(self.held[column], threshold, side="right")) - 1
        steps = self.x[row][column]
        if 0 <= place < len(steps):
            return steps[place] if above else ~steps[place]
        return self.model.new_constant(above == (place < 0))

    def _repeated(self, leaf: Leaf, label: int, lies: list[Any]) -> None:
        """Let records of one class in a mixed leaf be drawn more than once; how many are different is not kept there.

        A tree draws a record c times with the chance of Binomial(draws, 1/n), and one draw more gains the log of the
        ratio of neighbouring chances.
        """
        count, others = int(leaf.counts[label]), int(leaf.counts.sum() - leaf.counts[label])
        kinds = np.count_nonzero(leaf.counts) - 1
        least, most = max(1, leaf.distinct - others), min(count, leaf.distinct - kinds)
        self.model.add_linear_constraint(sum(lies), least, most)
        chances = binom.logpmf(np.arange(MOST_COPIES + 1), self.records.draws, 1 / self.records.total)
        gains = np.rint(1000 * np.diff(chances)).astype(int).tolist()
        levels, every = lies, list(lies)
        self.goal += [gains[0] * literal for literal in lies]
        for gain in gains[1:] if count > least else ():
            more = [self.model.new_bool_var("") for _ in levels]
            for again, before in zip(more, levels):
                self.model.add_implication(again, before)
            self.goal += [gain * literal for literal in more]
            every += more
            levels = more
        self.model.add(sum(every) == count)
