"""From leak against queries to a budget: how many questions a client may ask before an audit's attacks find too much.

The attacker is assumed to spend all questions of all accounts that work together on one secret, since who asks does not
say whom the question is about. What was learnt does not wear off, so that the budget is for life.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from safelight.errors import InputError
from safelight.measures.binomial import clopper_pearson
from safelight.measures.reidentification import mu_of_success, success_among

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Point:
    """What one attack found with so many questions about each secret.

    Attributes:
        code: of the attack.
        queries: records asked about for each secret (>= 1).
        right, guesses, k: its right guesses, of how many, among how many candidates each.
        labels: whether labels are all that it needs.
    """

    code: str
    queries: int
    right: int
    guesses: int
    k: int
    labels: bool = False

    def found(self, k: int, confidence: float = CONFIDENCE) -> float:
        """Return the upper limit of being found among k, on the scale of `measures.reidentification`."""
        high = clopper_pearson(self.right, self.guesses, 1 - 2 * (1 - confidence))[1]
        return success_among(mu_of_success(high, self.k), k)


@dataclass(frozen=True)
class Row:
    """The strongest attack at one number of questions a secret.

    Attributes:
        queries: a secret.
        point: what was measured of it, with as many questions or more.
        found: upper limit of being found among the limit's k.
    """

    queries: int
    point: Point
    found: float


@dataclass(frozen=True)
class Plan:
    """How many questions keep to a limit.

    Attributes:
        k, share: of the limit: found among k, at most this share.
        rows: from the fewest questions to the most that every attack was tried with.
        queries: about one secret that keep to the limit, or None: no number that was tried does.
    """

    k: int
    share: float
    rows: tuple[Row, ...]
    queries: int | None

    def lifetime(self, collude: int) -> int | None:
        """Return the questions of one client, where so many clients work together; None where not one is left."""
        each = (self.queries or 0) // collude
        return each or None


def plan(points: Sequence[Point], k: int, share: float, confidence: float = CONFIDENCE) -> Plan:
    """Find the largest number of questions a secret at which every attack keeps to the limit.

    At a number of questions, an attack counts with its nearest point of as many or more: fewer questions are taken to
    tell no more. Numbers are tried from the fewest up and the first that fails ends the search, and all attacks must
    pass, so that the confidence holds for the answer without a correction (a fixed sequence of intersection-union
    tests; Berger 1982, Technometrics 24).

    Args:
        points: of every attack that can be tried through the door.
        k: candidates to be found among (>= 2).
        share: largest share of right guesses among them.
        confidence: of the upper limits, one-sided.

    Raises:
        InputError: there are no points, or one of them has no guesses.
    """
    if not points or any(point.guesses < 1 for point in points):
        raise InputError("No attack of the audit guessed at such secrets; audit with attacks that do.")
    by_code: dict[str, list[Point]] = {}
    for point in points:
        by_code.setdefault(point.code, []).append(point)
    furthest = min(max(point.queries for point in own) for own in by_code.values())
    rows: list[Row] = []
    queries, whole = None, True
    for asked in sorted({point.queries for point in points if point.queries <= furthest}):
        worst = max((_row(asked, own, k, confidence) for own in by_code.values()), key=lambda row: row.found)
        rows.append(worst)
        whole = whole and worst.found <= share
        if whole:
            queries = asked
    return Plan(k, share, tuple(rows), queries)


def _row(asked: int, own: Sequence[Point], k: int, confidence: float) -> Row:
    nearest = min(point.queries for point in own if point.queries >= asked)
    each = [Row(asked, point, point.found(k, confidence)) for point in own if point.queries == nearest]
    return max(each, key=lambda row: row.found)
