"""Whether budgets and steps are as the log says: its rows against one another.

A row of an allowed call holds what its accounts had been spent of after it, and the step that stood. So the rows are
held to one another, which shows who lowers a budget for an hour and puts it back; and the last ones to the database
(`safelight.guard.stores.books`). With Redis a row is made before its call is judged: it names its accounts and what
they are charged, and rows "set aside" say what PostgreSQL had set aside for them, which calls may not exceed. Rows of
older logs say neither: what they add up to is the least that the database must hold.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from safelight.guard.judge import DAY, Step
from safelight.guard.stores.balances import CLOSE, Balance, Standing, same, step_words
from safelight.guard.stores.books import Books, compare
from safelight.guard.stores.charges import Entry, Key, key_of, unit_of, whose
from safelight.guard.words import counted

LATE = 600.0  # seconds after which Redis knows a step at the latest, whatever failed and however clocks differ
STEPS = {step.name.lower(): step for step in Step if step is not Step.NONE} | {"release": Step.NONE}


@dataclass
class Ledger:
    """Budgets and steps as the rows of a log say, while it is walked.

    Attributes:
        found: what does not agree, in the order in which it was found; the first hundred.
        more: how much else was found.
        budgets, steps: of how many clients, cohorts and models, and about how many clients, that were compared.
        unknown: budgets of cohorts and models that were charged by older rows, which do not say so.
    """

    found: list[str] = field(default_factory=list)
    more: int = 0
    budgets: int = 0
    steps: int = 0
    unknown: int = 0
    _clients: dict[str, Standing] = field(default_factory=dict, repr=False)
    _others: dict[Key, Balance] = field(default_factory=dict, repr=False)
    _old: int = 0  # the last row that does not say what was charged
    _days: tuple[float, float, int] = (0.0, 0.0, 0)  # from, to, and which: all calls of a day have the same

    @property
    def words(self) -> str:
        """What does not agree; else what was compared. In words."""
        if self.found:
            beside = len(self.found) + self.more - 1
            return self.found[0] + (f" (and {beside} more)" if beside else "")
        many, steps = counted(self.budgets, "budget"), counted(self.steps, "step")
        less = f"; {self.unknown} of cohorts and models could not be compared" if self.unknown else ""
        old = f"; rows up to {self._old} are older and do not say what was charged{less}" if self._old else ""
        return f"{many} and {steps} agree with the log{old}"

    def look(self, number: int, text: str) -> None:
        """Take in one row, which was found to fit."""
        try:
            facts = orjson.loads(text)
        except ValueError:  # halves of characters
            facts = json.loads(text)
        what = facts.get("what")
        if what == "call":
            self._call(number, facts)
        elif what == "set aside":
            self._set_aside(number, facts)
        elif what == "rows gone":
            had, found = facts["wrote"], facts["rows"]
            self._say(f"row {number}: a guard had written row {had} before, and found that the log ends at row {found}")
        elif what in STEPS and "until" in facts and "kind" not in facts:
            known = self._known(facts["client"])
            known.step, known.taken, known.until = STEPS[what], facts["at"], facts["until"]

    def trouble(self, books: Books) -> str:
        """Return what does not agree, rows and database alike, or ""; to be asked once, after the last row."""
        self.budgets, self.unknown = compare(books, self._clients, self._others, self._old, self._say)
        self.steps = sum(known.step is not Step.NONE for known in self._clients.values())
        return self.words if self.found else ""

    def _call(self, number: int, facts: Mapping[str, Any]) -> None:
        known, at, spent = self._known(facts["client"]), facts["at"], facts.get("spent")
        if "aside" in facts:  # from Redis, which the database hears nothing of but what it sets aside
            if facts["verdict"] == "allowed":
                for kind, cost in facts["aside"].items():
                    self._from_aside(number, kind, facts, known, cost)
                if known.step >= Step.QUARANTINE and known.taken + LATE < at < known.until - CLOSE:
                    self._judged(number, facts["client"], "none", known)
            return
        if at > known.high:
            known.high = at
        told, seen = facts.get("step", "none"), facts.get("seen")
        if spent is not None or seen is not None:
            self._seen(number, facts["client"], known, at if seen is None else seen)
        if spent is not None:
            begins, ends, first = self._days
            if begins <= known.low - CLOSE and known.low + CLOSE < ends:
                last = first
            else:
                last, first = self._day(known.low + CLOSE), self._day(known.low - CLOSE)
            for kind, entry in spent.items():
                balance = known.own if kind == "own" else self._other(kind, facts)
                self._charged(number, kind, facts, balance, entry, first, last)
        elif facts["verdict"] == "allowed":
            self._old = number
            known.own.add(int((at - CLOSE) // DAY), facts["records"])
            return
        if (spent is not None or told != "none") and (told != "none" or known.step is not Step.NONE):
            now = max(at, known.low) - CLOSE, known.high + CLOSE
            if told not in {known.stood(each) for each in now}:
                self._judged(number, facts["client"], told, known)

    def _seen(self, number: int, client: str, known: Standing, seen: float) -> None:
        """Take in when the database last saw a client: a later time would let it wait less."""
        if not known.low - CLOSE <= seen <= known.high + CLOSE:
            words = f"was seen at {seen} before it, and the rows before say {known.high}"
            self._say(f"row {number}: client {client!r} {words}")
        known.low = known.high = seen

    def _judged(self, number: int, client: str, told: str, known: Standing) -> None:
        right = step_words(known.step, known.until)
        self._say(f"row {number}: client {client!r} was judged with the step {told!r}, and the log says {right}")

    def _charged(
        self, number: int, kind: str, facts: Mapping[str, Any], balance: Balance, entry: Entry, first: int, last: int
    ) -> None:
        """Take in what an account held after a call, on a day from `first` to `last`, or a later one that it was on."""
        day, today, total, arrival, cost = entry[:5]
        day_before, today_before, before, arrival_before = balance.entry[:4]
        if balance.row < self._old:
            if total < balance.least + cost:
                self._before(number, kind, facts, "had spent {} {unit}", total - cost, f"{balance.least} at least")
            elif day == balance.day and today < balance.today + cost:
                self._before(number, kind, facts, "had spent {} {unit} of its day", today - cost, balance.today)
        elif total != before + cost:
            self._before(number, kind, facts, "had spent {} {unit}", total - cost, before)
        elif day < first or day < day_before or (day > last and day != day_before):
            self._before(number, kind, facts, "was on day {}", day, f"day {max(first, day_before)}")
        elif today != (today_before + cost if day == day_before else cost):
            right = today_before if day == day_before else 0
            self._before(number, kind, facts, "had spent {} {unit} of its day", today - cost, right)
        elif (then := entry[5] if len(entry) > 5 else arrival) != arrival_before:
            self._before(number, kind, facts, "had its rate free at {}", then, arrival_before)
        balance.add(day, cost)
        balance.row, balance.entry = number, entry

    def _from_aside(self, number: int, kind: str, facts: Mapping[str, Any], known: Standing, cost: int) -> None:
        """Take in what a call was charged of what had been set aside."""
        balance = known.own if kind == "own" else self._other(kind, facts)
        day = int((facts["at"] - CLOSE) // DAY)
        balance.add(day, cost)
        if balance.row < self._old:
            return
        last, today, total = balance.entry[:3]
        if balance.least > total:
            self._above(number, kind, facts, balance.least, "{unit}", total)
        elif day > last or (day == last == balance.day and balance.today > today):
            self._above(number, kind, facts, balance.today, "{unit} of its day", today if day == last else 0)

    def _set_aside(self, number: int, facts: Mapping[str, Any]) -> None:
        known = self._known(facts["client"])
        known.high = max(known.high, facts["at"])
        self._seen(number, facts["client"], known, facts["seen"])
        for kind, entry in facts["spent"].items():
            balance = known.own if kind == "own" else self._other(kind, facts)
            day, today, total, _, more = entry
            last, today_before = balance.entry[:2]
            least, exact = balance.floor(self._old)
            if not same(total - more, least, exact):
                self._before(number, kind, facts, "had {} {unit} set aside", total - more, least)
            elif day < last or (day == last and today < today_before):
                had = f"{today_before} of day {last}"
                self._before(number, kind, facts, f"had {{}} {{unit}} of day {day} set aside", today, had)
            balance.row, balance.entry = number, entry

    def _before(
        self, number: int, kind: str, facts: Mapping[str, Any], words: str, found: object, right: object
    ) -> None:
        """Say that a row contradicts those before it."""
        key = key_of(kind, facts)
        had = words.format(found, unit=unit_of(key))
        self._say(f"row {number}: {whose(key)} {had} before it, and the rows before say {right}")

    def _above(self, number: int, kind: str, facts: Mapping[str, Any], charged: int, words: str, aside: int) -> None:
        """Say that calls were charged more than had been set aside."""
        key = key_of(kind, facts)
        of = words.format(unit=unit_of(key))
        self._say(f"row {number}: {whose(key)} was charged {charged} {of}, and {aside} were set aside")

    def _known(self, client: str) -> Standing:
        known = self._clients.get(client)
        if known is None:
            known = self._clients[client] = Standing()
        return known

    def _other(self, kind: str, facts: Mapping[str, Any]) -> Balance:
        key = key_of(kind, facts)
        balance = self._others.get(key)
        if balance is None:
            balance = self._others[key] = Balance()
        return balance

    def _day(self, at: float) -> int:
        day = int(at // DAY)
        self._days = day * DAY, (day + 1) * DAY, day
        return day

    def _say(self, words: str) -> None:
        if len(self.found) < 100:
            self.found.append(words)
        else:
            self.more += 1
