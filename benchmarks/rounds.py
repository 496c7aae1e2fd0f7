"""What rounds of asking several servers found: medians with intervals, and what each adds above the server alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import comb

import numpy as np
from asking import Asked


def middle(values: list[float]) -> tuple[float, float, float]:
    """Return the median, and the interval of it (95 %) that holds whatever the distribution.

    It lies between two of the sorted values (sign test); of fewer than 6 these are the least and the largest, with a
    coverage of 1 - 2 ** (1 - n): 94 % of five.
    """
    n, ordered = len(values), sorted(values)
    outside, rank = 2 / 2**n, 0
    while outside + 2 * comb(n, rank + 1) / 2**n <= 0.05 and rank + 1 < (n - 1) / 2:
        rank += 1
        outside += 2 * comb(n, rank) / 2**n
    return float(np.median(ordered)), ordered[rank], ordered[-1 - rank]


def shown(values: list[float], digits: int = 2) -> str:
    """Return "median [interval]"."""
    return "{0:,.{d}f} [{1:,.{d}f}, {2:,.{d}f}]".format(*middle(values), d=digits)


@dataclass
class Rounds:
    """Medians and 99th percentiles of servers that are asked in each round.

    Attributes:
        alone: name of the server that all others are set before.
        found: (how it was asked, setup) -> what came of it, round by round.
    """

    alone: str
    found: dict[tuple[str, str], list[Asked]] = field(default_factory=dict)

    def add(self, how: str, setup: str, asked: Asked) -> None:
        """Take in one round of one server."""
        self.found.setdefault((how, setup), []).append(asked)

    def all(self, how: str, setup: str, which: int) -> list[float]:
        """Return the median (0) or the 99th percentile (1) of each round, in milliseconds."""
        return [asked.p50_p99[which] for asked in self.found[how, setup]]

    def added(self, how: str, setup: str, which: int) -> list[float]:
        """Return what it adds above the server alone of the same round."""
        return [mine - base for mine, base in zip(self.all(how, setup, which), self.all(how, self.alone, which))]

    def rates(self, how: str, setup: str) -> list[float]:
        """Return the answers a second of each round."""
        return [asked.rate for asked in self.found[how, setup]]

    def times(self, how: str, more: str, less: str, which: int) -> list[float]:
        """Return how many times what `less` adds `more` adds; infinite where `less` added nothing in a round."""
        pairs = zip(self.added(how, more, which), self.added(how, less, which))
        return [high / low if low > 0 else np.inf for high, low in pairs]

    def table(self, order: Sequence[str], wide: int) -> None:
        """Print a line for each way of asking and each setup, in an order; the first column is so wide."""
        names = (("answer p50", 25), ("added p50", 25), ("p50 ratio", 10), ("answer p99", 25), ("added p99", 25))
        print(f"{'asked':<{wide}}{'setup':<28}" + "".join(f"{name:>{width}}" for name, width in names))
        ways = list(dict.fromkeys(how for how, _ in self.found))
        for how, setup in sorted(self.found, key=lambda one: (ways.index(one[0]), order.index(one[1]))):
            cells = [shown(values(how, setup, which)) for which in (0, 1) for values in (self.all, self.added)]
            ratio = np.median(np.divide(self.all(how, setup, 0), self.all(how, self.alone, 0)))
            p50, more50, p99, more99 = cells
            print(f"{how:<{wide}}{setup:<28}{p50:>25}{more50:>25}{ratio:>9.1f}x{p99:>25}{more99:>25}")
