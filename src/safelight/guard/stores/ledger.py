"""Whether budgets and steps in the database are as the log says, from row to row and at its end.

A row of an allowed call holds what its accounts had been spent of after it, and the step that stood. So the rows are
held to one another, which shows who lowers a budget for an hour and puts it back; and the last ones to the database.
With Redis a row is made before its call is judged: it names its accounts and what they are charged, and rows "set
aside" say what PostgreSQL had set aside for them, which calls may not exceed. Rows of older logs say neither: what they
add up to is the least that the database must hold.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson

from safelight.guard.judge import DAY, Step
from safelight.guard.stores.charges import Key, Said, key_named, key_of, unit_of, whose

LATE = 600.0  # seconds after which Redis knows a step at the latest, whatever failed and however clocks differ
CLOSE = 0.002  # seconds: rows hold thousandths of a second
FOR_GOOD = 4e9  # seconds since 1970: steps that end later hold until somebody releases the client
BOOKS = (
    "SELECT client, day, today, total, arrival, until, seen, step FROM {}clients",
    "SELECT account, day, today, total, arrival FROM {}accounts",
)
"""Where a database says it; its tables may have a word before their names."""
STEPS = {step.name.lower(): step for step in Step if step is not Step.NONE} | {"release": Step.NONE}


@dataclass(frozen=True)
class Books:
    """What a database says, as it says it: whoever changed it may have written anything.

    Attributes:
        clients: (client, day, today, total, arrival, until, seen, step).
        accounts: (account, day, today, total, arrival).
        strange: (what it is, name) of what acts when tables are written, of which the guard makes none.
    """

    clients: Iterable[Sequence[Any]]
    accounts: Iterable[Sequence[Any]]
    strange: Iterable[Sequence[Any]]


@dataclass(slots=True)
class Line:
    """What the rows so far say of one account.

    Attributes:
        row: that last said what it holds, or 0.
        said: by that row.
        least: records of all calls that were charged to it.
        day: of the latest of them.
        today: records of the calls of that day.
    """

    row: int = 0
    said: Said = (0, 0, 0, 0.0, 0)
    least: int = 0
    day: int = 0
    today: int = 0

    def add(self, day: int, records: int) -> None:
        """Take in a call."""
        self.least += records
        if day > self.day:
            self.day, self.today = day, 0
        if day == self.day:
            self.today += records


@dataclass(slots=True)
class Known:
    """What the rows so far say of one client.

    Attributes:
        own: its own account.
        low, high: the database last saw it at this time at least, and at most.
        step: that stands.
        taken: when it was.
        until: it ends.
    """

    own: Line = field(default_factory=Line)
    low: float = 0.0
    high: float = 0.0
    step: Step = Step.NONE
    taken: float = 0.0
    until: float = 0.0

    def stood(self, at: float) -> str:
        """Return the step that a call is judged by, in a word."""
        return self.step.name.lower() if at < self.until else "none"


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
    _clients: dict[str, Known] = field(default_factory=dict, repr=False)
    _others: dict[Key, Line] = field(default_factory=dict, repr=False)
    _old: int = 0  # the last row that does not say what was charged
    _days: tuple[float, float, int] = (0.0, 0.0, 0)  # from, to, and which: all calls of a day have the same

    @property
    def words(self) -> str:
        """What does not agree; else what was compared. In words."""
        if self.found:
            beside = len(self.found) + self.more - 1
            return self.found[0] + (f" (and {beside} more)" if beside else "")
        many = f"{self.budgets} budget{'' if self.budgets == 1 else 's'}"
        steps = f"{self.steps} step{'' if self.steps == 1 else 's'}"
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
        """Return what does not agree, rows and database alike, or ""."""
        for kind, name in books.strange:
            self._say(f"the database has a {kind} {name!r}, which no guard made")
        there: dict[Key, Said] = {}
        states: dict[str, Sequence[Any]] = {}
        for client, *rest in books.clients:
            states[client] = rest[4:]
            self._enter(there, ("own", client), rest[:4])
        for name, *rest in books.accounts:
            self._enter(there, key_named(name), rest)
        lines = self._others | {("own", name): known.own for name, known in self._clients.items()}
        for key in sorted(there.keys() | lines.keys(), key=lambda key: (key[0] != "own", repr(key))):
            self._compare(key, lines.get(key), there.get(key))
        for client in sorted(states.keys() | self._clients.keys(), key=repr):
            self._compare_state(client, self._clients.get(client) or Known(), states.get(client))
        self.steps = sum(known.step is not Step.NONE for known in self._clients.values())
        return self.words if self.found else ""

    # Rows -----------------------------------------------------------------------------------------------------------

    def _call(self, number: int, facts: Mapping[str, Any]) -> None:
        known, at, said = self._known(facts["client"]), facts["at"], facts.get("spent")
        if "aside" in facts:  # from Redis, which the database hears nothing of but what it sets aside
            if facts["verdict"] == "allowed":
                for kind, cost in facts["aside"].items():
                    self._from_aside(number, kind, facts, cost)
                if known.step >= Step.QUARANTINE and known.taken + LATE < at < known.until - CLOSE:
                    self._judged(number, facts["client"], "none", known)
            return
        if at > known.high:
            known.high = at
        told, seen = facts.get("step", "none"), facts.get("seen")
        if said is not None or seen is not None:
            self._seen(number, facts["client"], known, at if seen is None else seen)
        if said is not None:
            begins, ends, first = self._days
            if begins <= known.low - CLOSE and known.low + CLOSE < ends:
                last = first
            else:
                last, first = self._day(known.low + CLOSE), self._day(known.low - CLOSE)
            for kind, one in said.items():
                line = known.own if kind == "own" else self._other(key_of(kind, facts))
                self._charged(number, kind, facts, line, one, first, last)
        elif facts["verdict"] == "allowed":
            self._old = number
            known.own.add(int((at - CLOSE) // DAY), facts["records"])
            return
        if (said is not None or told != "none") and (told != "none" or known.step is not Step.NONE):
            now = max(at, known.low) - CLOSE, known.high + CLOSE
            if told not in {known.stood(each) for each in now}:
                self._judged(number, facts["client"], told, known)

    def _seen(self, number: int, client: str, known: Known, seen: float) -> None:
        """Take in when the database last saw a client: a later time would let it wait less."""
        if not known.low - CLOSE <= seen <= known.high + CLOSE:
            words = f"was seen at {seen} before it, and the rows before say {known.high}"
            self._say(f"row {number}: client {client!r} {words}")
        known.low = known.high = seen

    def _judged(self, number: int, client: str, told: str, known: Known) -> None:
        right = _step_words(known.step, known.until)
        self._say(f"row {number}: client {client!r} was judged with the step {told!r}, and the log says {right}")

    def _charged(
        self, number: int, kind: str, facts: Mapping[str, Any], line: Line, said: Said, first: int, last: int
    ) -> None:
        """Take in what an account held after a call, on a day from `first` to `last`, or a later one that it was on."""
        day, today, total, arrival, cost = said[:5]
        day_before, today_before, before, arrival_before = line.said[:4]
        if line.row < self._old:
            if total < line.least + cost:
                self._before(number, kind, facts, "had spent {} {unit}", total - cost, f"{line.least} at least")
            elif day == line.day and today < line.today + cost:
                self._before(number, kind, facts, "had spent {} {unit} of its day", today - cost, line.today)
        elif total != before + cost:
            self._before(number, kind, facts, "had spent {} {unit}", total - cost, before)
        elif day < first or day < day_before or (day > last and day != day_before):
            self._before(number, kind, facts, "was on day {}", day, f"day {max(first, day_before)}")
        elif today != (today_before + cost if day == day_before else cost):
            right = today_before if day == day_before else 0
            self._before(number, kind, facts, "had spent {} {unit} of its day", today - cost, right)
        elif (said[5] if len(said) > 5 else arrival) != arrival_before:
            self._before(
                number, kind, facts, "had its rate free at {}", said[-1] if len(said) > 5 else arrival, arrival_before
            )
        line.add(day, cost)
        line.row, line.said = number, said

    def _from_aside(self, number: int, kind: str, facts: Mapping[str, Any], cost: int) -> None:
        key = key_of(kind, facts)
        line = self._known(key[1]).own if kind == "own" else self._other(key)
        day = int((facts["at"] - CLOSE) // DAY)
        line.add(day, cost)
        if line.row >= self._old:
            last, today, total = line.said[:3]
            if line.least > total:
                words = f"was charged {line.least} {unit_of(key)}, and {total} were set aside"
                self._say(f"row {number}: {whose(key)} {words}")
            elif day > last or (day == last == line.day and line.today > today):
                right = today if day == last else 0
                words = f"was charged {line.today} {unit_of(key)} of its day, and {right} were set aside"
                self._say(f"row {number}: {whose(key)} {words}")

    def _set_aside(self, number: int, facts: Mapping[str, Any]) -> None:
        known = self._known(facts["client"])
        known.high = max(known.high, facts["at"])
        self._seen(number, facts["client"], known, facts["seen"])
        for kind, said in facts["spent"].items():
            line = known.own if kind == "own" else self._other(key_of(kind, facts))
            day, today, total, _, more = said
            last, today_before, before = line.said[:3]
            exact = line.row >= self._old
            least = before if exact else max(before, line.least)
            if not _same(total - more, least, exact):
                self._before(number, kind, facts, "had {} {unit} set aside", total - more, least)
            elif day < last or (day == last and today < today_before):
                had = f"{today_before} of day {last}"
                self._before(number, kind, facts, f"had {{}} {{unit}} of day {day} set aside", today, had)
            line.row, line.said = number, said

    def _before(
        self, number: int, kind: str, facts: Mapping[str, Any], words: str, found: object, right: object
    ) -> None:
        """Say that a row contradicts those before it."""
        key = key_of(kind, facts)
        had = words.format(found, unit=unit_of(key))
        self._say(f"row {number}: {whose(key)} {had} before it, and the rows before say {right}")

    def _known(self, client: str) -> Known:
        known = self._clients.get(client)
        if known is None:
            known = self._clients[client] = Known()
        return known

    def _other(self, key: Key) -> Line:
        line = self._others.get(key)
        if line is None:
            line = self._others[key] = Line()
        return line

    def _day(self, at: float) -> int:
        day = int(at // DAY)
        self._days = day * DAY, (day + 1) * DAY, day
        return day

    # The database ---------------------------------------------------------------------------------------------------

    def _enter(self, there: dict[Key, Said], key: Key, said: Said) -> None:
        if key in there:
            self._say(f"{whose(key)} is in the database twice")
        there[key] = said

    def _compare(self, key: Key, line: Line | None, there: Said | None) -> None:
        if line is None:
            if key[0] != "own" and self._old and there is not None:
                self.unknown += 1
                return
            line = Line()
        charged = max(line.least, line.said[2])
        if there is None and charged:
            self._say(f"{whose(key)} has no {unit_of(key)} in the database, and the log says {charged}")
            return
        self.budgets += line.row > 0 or line.least > 0
        day, today, total, arrival = there or (0, 0, 0, 0.0)
        exact = line.row >= self._old
        last, today_said, total_said, arrival_said = line.said[:4]
        least = total_said if exact else max(total_said, line.least)
        if not _same(total, least, exact):
            self._say(f"{whose(key)} has spent {total} {unit_of(key)} in the database, and {least} in the log")
            return
        last = last if exact else max(last, line.day)
        if not _same(day, last, exact):
            self._say(f"{whose(key)} is on day {day} in the database, and on day {last} in the log")
        elif day == last:
            spent_today = [today_said] * (last == line.said[0]) + [line.today] * (not exact and last == line.day)
            if not _same(today, max(spent_today, default=0), exact):
                now = max(spent_today, default=0)
                self._say(
                    f"{whose(key)} has spent {today} {unit_of(key)} of its day in the database, and {now} in the log"
                )
            elif exact and arrival != arrival_said:
                said = f"has its rate free at {arrival} in the database, and at {arrival_said} in the log"
                self._say(f"{whose(key)} {said}")

    def _compare_state(self, client: str, known: Known, there: Sequence[Any] | None) -> None:
        step, ends, low, high = known.step, known.until, known.low, known.high
        if there is None:
            if ends:
                self._say(f"client {client!r} is gone from the database, and the log says {_step_words(step, ends)}")
            return
        until, seen, stands = there
        if not (_near(until, ends) and (stands == step or step is Step.NONE)):
            found = _step_words(stands, until)
            self._say(f"client {client!r} has {found} in the database, and {_step_words(step, ends)} in the log")
            return
        if not (isinstance(seen, (int, float)) and low - CLOSE <= seen <= high + CLOSE):
            self._say(f"client {client!r} was last seen at {seen} in the database, and at {high} in the log")

    def _say(self, words: str) -> None:
        if len(self.found) < 100:
            self.found.append(words)
        else:
            self.more += 1


def _same(value: Any, right: float, exact: bool) -> bool:
    return isinstance(value, int) and (value == right or (value > right and not exact))


def _near(value: Any, right: float) -> bool:
    return isinstance(value, (int, float)) and abs(value - right) <= CLOSE


def _step_words(step: Any, until: Any) -> str:
    """Return a step and its end in words, also where a database holds nonsense."""
    try:
        name = Step(step)
        if name is Step.NONE or not until:
            return "no step"
        ends = "until released" if until > FOR_GOOD else f"until {datetime.fromtimestamp(until, UTC):%Y-%m-%d %H:%M:%S}"
    except (ValueError, TypeError, OverflowError, OSError):
        return f"the step {step!r} until {until!r}"
    return f"the step {name.name.lower()!r} {ends}"
