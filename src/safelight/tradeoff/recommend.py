"""Find the setting that meets a limit and costs least accuracy, and confirm it on coins that no choice has seen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from safelight.defences.base import Defence
from safelight.errors import InputError, SafelightError
from safelight.measures.base import Measurement
from safelight.measures.reidentification import guesses_needed, most_found, mu_of_success, success_among
from safelight.runner.coin_runs import Pool
from safelight.targets.base import Target
from safelight.tradeoff.case import Case, name_of
from safelight.tradeoff.limit import Limit
from safelight.tradeoff.measure import accuracy, promise

CONFIDENCE = 0.95
FRESH = 1_000_003
"""Added to the seed for coins that no choice has seen."""


@dataclass(frozen=True)
class Tried:
    """One setting, as far as the search looked at it.

    Attributes:
        name: of the defences.
        accuracy: on the nonmembers.
        right, guesses: of the best attack.
        found: how often that finds one of the limit's k, estimated.
        most: its upper limit on the coins that no choice has seen; None where it was not put to them.
        attack: code of the best attack.
        why_not: why it is out, or "".
        guarantee: what differential privacy promises, or "".
    """

    name: str
    accuracy: Measurement
    right: int = 0
    guesses: int = 0
    found: float = math.nan
    most: float | None = None
    attack: str = ""
    why_not: str = ""
    guarantee: str = ""


@dataclass(frozen=True)
class Recommendation:
    """What the search came to.

    Attributes:
        limit, min_accuracy: as asked.
        chosen: the setting that met the limit on fresh coins, or None.
        closest: the best of the others where none is chosen, or None where nothing was accurate enough.
        reason: why nothing is chosen, or "".
        tried: every setting, the best first.
    """

    limit: Limit
    min_accuracy: float
    chosen: Tried | None
    closest: Tried | None
    reason: str
    tried: tuple[Tried, ...]


def recommend(
    case: Case,
    chains: Sequence[tuple[Defence, ...]],
    limit: Limit,
    min_accuracy: float,
    *,
    start: int = 2,
    runs: int = 10,
    confirmations: int = 3,
) -> Recommendation:
    """Search by successive halving, then confirm on fresh coins.

    A round gives every setting still in as many coin runs, keeps the better half and doubles the runs, until few are
    left or `runs` are done. Settings that seem to meet the limit come first, the most accurate before the others; the
    rest by how often they are found. Then the best are put, one after another, to coins of another seed, until the
    upper limit of one meets the limit for every attack; the confidence of 95 % is shared among all that may be put to
    them. The search itself can only pick badly: it never decides.

    What the confirmation does not cover: the accuracy is not confirmed, since settings are chosen on the same
    nonmembers that it is reported on. The records are the same too: only the coins and the trainings are fresh. And the
    guesses of one training share a model, while Clopper and Pearson assume that they are independent: in
    `benchmarks/bench_recommend.py` the limit held on a further audit in 84 of 84 confirmed settings, and the upper
    limit printed with it in 83.

    Args:
        case: what is defended, against whom.
        chains: settings to choose among; the undefended model is always one of them.
        limit: on these attacks.
        min_accuracy: least accuracy on nonmembers, in (0, 1).
        start: coin runs of the first round (>= 1).
        runs: coin runs of the last round, and at least as many for a confirmation.
        confirmations: how many settings may be put to fresh coins (>= 1).

    Raises:
        InputError: a bound is impossible, or no attack speaks about the limit.
    """
    if not 0 < min_accuracy < 1:
        raise InputError(f"The least accuracy is {min_accuracy}; give a share between 0 and 1, such as 0.9.")
    if min(start, runs, confirmations) < 1:
        raise InputError(f"start, runs and confirmations must be at least 1, and are {start}, {runs}, {confirmations}.")
    search = _Search(case, limit, min_accuracy)
    race = [chain for chain in dict.fromkeys([(), *chains]) if search.enters(chain)]
    rounds = start
    while race:
        for chain in race:
            search.look(chain, rounds)
        race.sort(key=search.rank)
        if len(race) <= confirmations or rounds >= runs:
            break
        race, rounds = race[: max(confirmations, math.ceil(len(race) / 2))], min(2 * rounds, runs)
    chosen = None
    confidence = 1 - (1 - CONFIDENCE) / confirmations
    for chain in race[:confirmations]:
        if search.tried[chain].found <= limit.share and search.confirm(chain, runs, confidence):
            chosen = search.tried[chain]
            break
    every = tuple(search.tried[chain] for chain in sorted(search.tried, key=search.rank))
    accurate = [one for one in every if not one.why_not]
    closest = None if chosen is not None else next(iter(accurate), None)
    return Recommendation(limit, min_accuracy, chosen, closest, search.reason(chosen, closest, confidence), every)


class _Search:
    """Keeps what is known of each setting."""

    def __init__(self, case: Case, limit: Limit, min_accuracy: float) -> None:
        self.case, self.limit, self.min_accuracy = case, limit, min_accuracy
        self.tried: dict[tuple[Defence, ...], Tried] = {}
        self._targets: dict[tuple[Defence, ...], Target] = {}
        self._per_run = 1

    def enters(self, chain: tuple[Defence, ...]) -> bool:
        """Train it once on all members; whether it is accurate enough to be attacked."""
        name = name_of(chain)
        assert self.case.splits.nonmembers is not None
        try:
            recipe = self.case.defended(chain)
            target = recipe.fit(self.case.splits.members, self.case.seed)
        except SafelightError as refusal:
            self.tried[chain] = Tried(name, Measurement("accuracy", None), why_not=str(refusal))
            return False
        good = accuracy([target], self.case.splits.nonmembers)
        self._targets[chain] = target
        short = good.value is None or good.value < self.min_accuracy
        why = f"its accuracy of {100 * (good.value or 0):.1f} % is below the least" if short else ""
        self.tried[chain] = Tried(name, good, why_not=why, guarantee=promise(chain, self.case))
        return not short

    def look(self, chain: tuple[Defence, ...], runs: int) -> None:
        """Estimate how often the best attack finds one of k."""
        tried = self.tried[chain]
        self.case.say(f"{tried.name}: {runs} runs")
        code, pool = max(self._pools(self.case, chain, runs), key=lambda item: _share(item[1]))
        total = pool.total()
        self._per_run = total.guesses // len(pool.guesses)
        found = success_among(min(mu_of_success(_share(pool)), 40.0), self.limit.k)
        self.tried[chain] = replace(tried, right=total.right, guesses=total.guesses, found=found, attack=code)

    def confirm(self, chain: tuple[Defence, ...], runs: int, confidence: float) -> bool:
        """Put a setting to coins of another seed; whether every attack's upper limit meets the limit."""
        fresh = replace(self.case, seed=self.case.seed + FRESH, out=None)
        self.case.say(f"{self.tried[chain].name}: confirmed on {runs} runs of fresh coins")
        worst, attack, counts = 0.0, "", (0, 0)
        for code, pool in self._pools(fresh, chain, runs):
            total = pool.total()
            most = most_found(total.right, total.guesses, self.limit.k, confidence)
            if most >= worst:
                worst, attack, counts = most, code, (total.right, total.guesses)
        self.tried[chain] = replace(self.tried[chain], most=worst, attack=attack, right=counts[0], guesses=counts[1])
        return worst <= self.limit.share

    def rank(self, chain: tuple[Defence, ...]) -> tuple[bool, bool, float, float]:
        tried = self.tried[chain]
        good = -(tried.accuracy.value or 0.0)
        meets = tried.found <= self.limit.share
        return bool(tried.why_not), not meets, good if meets else tried.found, good

    def reason(self, chosen: Tried | None, closest: Tried | None, confidence: float) -> str:
        if chosen is not None:
            return ""
        if closest is None:
            return f"no setting has an accuracy of {100 * self.min_accuracy:g} %"
        if closest.found > self.limit.share:
            return "no setting meets the limit"
        needed = guesses_needed(self.limit.share, self.limit.k, confidence)
        if needed is None or closest.guesses < needed:
            more = "no number of guesses" if needed is None else f"{math.ceil(needed / self._per_run)} runs"
            return f"the audit is too small to tell: {more} would do, if the attacks stay at chance"
        return "the setting that seemed to meet the limit did not meet it on fresh coins"

    def _pools(self, case: Case, chain: tuple[Defence, ...], runs: int) -> list[tuple[str, Pool]]:
        name = name_of(chain)
        found = [
            (claim.attack.code, pool)
            for claim, pool in case.attacked(name, case.defended(chain), self._targets[chain], runs)
            if claim.coins is not None and claim.coins.claim in self.limit.claims and pool.guesses and not pool.failed
        ]
        if any(pool.total().k > 2 for _, pool in found):
            raise InputError(
                f"The secret has {max(pool.total().k for _, pool in found)} values and a limit speaks of two; "
                "audit a column with two values."
            )
        if not found:
            raise InputError(
                f"No attack on {name} speaks about {self.limit.what} through this attacker's door; grant more access, "
                "or name other attacks."
            )
        return found


def _share(pool: Pool) -> float:
    total = pool.total()
    return total.right / total.guesses
