"""Redis before PostgreSQL, for many calls a second on several machines.

Redis judges each call at one stroke, for all guards alike, so that budgets and steps are exact while it lives. It
spends nothing that PostgreSQL does not know of: PostgreSQL sets budget aside in batches before, keeps every step, and
takes over the rows of the log within a fraction of a second. A Redis that was started anew begins from there: what was
set aside and not spent is lost to the client, never given twice. Each guard keeps its rows in memory until PostgreSQL
has them; the log misses a row only where a guard and Redis die at once.
"""

from __future__ import annotations

import hmac
import os
import time
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from safelight.errors import InputError, StoreFailed
from safelight.guard.chain import text_of
from safelight.guard.judge import Account, Call, ClientState, Decision, Limit, Step, Verdict, accounts_of, whole_seconds
from safelight.guard.policy import Budget, GuardPolicy
from safelight.guard.stores.charges import costs_of, facts_of, kind_of
from safelight.guard.stores.keeper import PATIENCE, Keeper
from safelight.guard.stores.line import Line, dial, hang_up, push_steps, redis
from safelight.guard.stores.mover import Mover
from safelight.guard.stores.postgres import PostgresStore

BATCH = 100  # records that PostgreSQL sets aside at a time, for each account
LAG = 2.0  # seconds that rows may wait for PostgreSQL before calls fail
LIMITS = (Limit.RATE, Limit.DAY, Limit.LIFETIME)


class SharedStore(PostgresStore):
    """An open PostgreSQL database with Redis before it.

    Args:
        url: of PostgreSQL.
        key: of the log, the same for all guards.
        redis_url: redis://HOST:PORT/NUMBER, rediss:// or unix://.
    """

    def __init__(self, url: str, key: bytes, redis_url: str) -> None:
        super().__init__(url, key)
        self._redis_url = redis_url
        errors = (redis.RedisError, OSError)
        self._fast: Keeper[Line] = Keeper(self.dial, hang_up, hang_up, errors, "safelight-redis")
        self.writer = os.urandom(8).hex()
        self.sequence = 0
        self.unmoved: deque[tuple[int, str, float]] = deque()  # sequence, row, when; until PostgreSQL has them
        self._mover = Mover(self)
        self._told: Line | None = None  # the line over which Redis was told of all steps that stand

    @classmethod
    def open(cls, url: str, key: bytes, redis_url: str) -> SharedStore:  # type: ignore[override]
        """Open both; a Redis that does not answer yet is asked again and again.

        Raises:
            InputError: PostgreSQL cannot be used, or its log was written with another key, or an address is none.
        """
        store = cls(url, key, redis_url)
        try:
            redis.ConnectionPool.from_url(redis_url)
        except (ValueError, redis.RedisError) as error:
            raise InputError(f"The address of Redis in [store] cannot be read ({error}).") from None
        store.begin()
        store._fast.try_start()
        store._mover.start()
        return store

    def close(self) -> None:
        """Hand the last rows to PostgreSQL, and close both connections."""
        self._mover.stop()
        with self.lock:
            self._fast.stop()
        super().close()

    def decide(self, policy: GuardPolicy, call: Call, unread: str = "") -> Decision:
        """Judge a call in Redis; see `Store.decide`."""
        with self.lock:
            try:
                return self._decide(policy, call, unread)
            except (redis.RedisError, OSError) as error:
                self._fast.lost(error)
                self._unsure(call, unread)
                self._miss(policy, call)
                raise self._slow(self._fast.trouble) from None
            except StoreFailed:
                self._miss(policy, call)
                raise

    def step(self, client: str, step: Step, until: float, at: float, **facts: Any) -> None:
        """Take a step; see `Store.step`. PostgreSQL keeps it, and Redis hears of it at once or when it is back."""
        super().step(client, step, until, at, **facts)
        line = self._fast.line
        if line is not None:
            try:
                with self.lock, self._session(writes=False):
                    push_steps(line, self._open, -1, client)
            except (redis.RedisError, OSError) as error:
                self._fast.lost(error)

    def state(self, client: str) -> ClientState:
        """Return what is known of a client: budget that is set aside does not count where Redis knows what is spent."""
        return self.states([client])[client]

    def states(self, clients: Iterable[str]) -> dict[str, ClientState]:
        """Return what is known of each of these clients; see `state`."""
        known = super().states(clients)
        with self.lock, suppress(redis.RedisError, OSError):
            line = self._fast.line
            if line is not None:
                return {client: _spent(line, client, state) for client, state in known.items()}
        return known

    def _decide(self, policy: GuardPolicy, call: Call, unread: str) -> Decision:
        line = self._fast.line
        if line is None:
            raise self._slow(self._fast.trouble)
        if self.unmoved and time.monotonic() - self.unmoved[0][2] > LAG:
            raise self._failed("it does not take the rows of the log")
        if line is not self._told:  # it may have been away when a step was taken
            with self._session(writes=False):
                push_steps(line, self._open, -1, standing=call.at)
            self._told = line
        minute, skipped = self._refused.get(call.client, (-1, 0))
        others = accounts_of(policy, call)
        budgets = [policy.budget_of(call.client), *others.values()]
        keys = [line.client(call.client), *(f"{line.space}:a:{name}" for name in others)]
        charged = {"aside": costs_of(call.records, others)}
        text = text_of(facts_of(call, Decision(Verdict.ALLOWED), unread, skipped) | charged)
        self._tell(line)
        sequence = self.sequence + 1
        values: list[Any] = [repr(call.at), call.records, self.writer, sequence, text, self.seal(sequence, text)]
        values.append("1" if call.proven else "")
        for budget in budgets:
            limits = (budget.per_minute, budget.per_day, budget.lifetime)
            values += [*("" if limit is None else limit for limit in limits), budget.each]
        begun = time.monotonic()
        while time.monotonic() - begun < PATIENCE:  # other guards may spend what was set aside before this one asks
            self.unmoved.append((sequence, text, time.monotonic()))
            said = line.ask("EVALSHA", line.judge, len(keys) + 1, *keys, self.stream, *values)
            verdict = said[0].decode()
            if verdict == "allowed":
                self.sequence = sequence
                self._refused.pop(call.client, None)
                spent = [int(number) for number in said[3:]]
                left = min(map(left_of, budgets, spent[::2], spent[1::2]))
                return Decision(Verdict.ALLOWED, step=Step(said[2]), left=left)
            self.unmoved.pop()
            if verdict == "load":
                self._load(line, call, keys, dict(zip(("", *others), budgets)))
            elif verdict == "more":
                place = int(said[1]) - 1
                name = ("", *others)[place]
                self._more(line, call, keys[place], name, budgets[place], *(int(number) for number in said[2:5]))
            else:
                return self._refuse(line, call, unread, said, ("", *others), minute, skipped)
        raise self._failed("budget was set aside again and again, and is not there")

    def _refuse(
        self, line: Line, call: Call, unread: str, said: Any, names: Sequence[str], minute: int, skipped: int
    ) -> Decision:
        verdict, wait, step = Verdict(said[0].decode()), float(said[1]), Step(said[2])
        if verdict is Verdict.QUARANTINED:
            decision = Decision(verdict, Limit.QUARANTINE, whole_seconds(wait), step)
        elif verdict is Verdict.CHALLENGED:
            decision = Decision(verdict, Limit.CHALLENGE, step=step)
        else:
            name, limit = names[int(said[3]) - 1], LIMITS[int(said[4]) - 1]
            whose = kind_of(name) if name else ""
            later = whole_seconds(wait) if verdict is Verdict.LATER else None
            decision = Decision(verdict, limit, later, whose=whose)
        if minute == int(call.at // 60):
            self._refused[call.client] = (minute, skipped + 1)
        else:
            self._push(line, text_of(facts_of(call, decision, unread, skipped) | {"aside": {}}))
            self._answered(call, decision)
        return decision

    def _load(self, line: Line, call: Call, keys: list[str], budgets: dict[str, Budget]) -> None:
        """Bring what PostgreSQL knows of all accounts of a call to Redis, with budget that is set aside for it."""
        with self._writing(call.client):
            state = self._state(call.client, [name for name in budgets if name])
            query = "SELECT changed FROM safelight_clients WHERE client = %s"
            changed = (self._open.execute(query, (call.client,)).fetchone() or (0,))[0]
            now = max(call.at, state.seen)
            loaded, own, others = [], state, {}
            for name, budget in budgets.items():
                account = _account(state, name)
                day = max(account.day, int(now // 86400))
                today = account.today if account.day == day else 0
                granted = account.total + _batch(budget, today, account.total, call.records)
                # How much of its rate it had used is not known: as much as can be, wherever it used any.
                arrival = now + 60.0 if account.total else 0.0
                spent = replace(account, arrival=arrival, day=day, today=today + granted - account.total, total=granted)
                if name:
                    others[name] = spent
                else:
                    own = replace(state, arrival=arrival, day=day, today=spent.today, total=granted, others={})
                loaded.append((granted, day, repr(arrival), today, account.total))
            self._set_aside(call, state, replace(own, seen=now, others=others), budgets)
        line.ask("EVALSHA", line.step, 1, keys[0], changed, int(state.step), repr(state.until), repr(state.seen))
        for key, values in zip(keys, loaded):
            line.ask("EVALSHA", line.grant, 1, key, *values)

    def _more(
        self, line: Line, call: Call, key: str, name: str, budget: Budget, total: int, today: int, day: int
    ) -> None:
        """Have PostgreSQL set more aside for an account that has spent `total`, and `today` on that day."""
        size = _batch(budget, today, total, call.records)
        with self._writing(call.client):
            state = self._state(call.client, [name] if name else [])
            account = _account(state, name)
            before = account.today if account.day == day else 0
            granted = max(account.total, total + size)
            spent = replace(
                account,
                arrival=max(account.arrival, call.at + 60.0),
                day=max(account.day, day),
                # Of this day may be spent whatever is set aside by now, also what was set aside on an earlier day.
                today=max(before, today + granted - total) if account.day <= day else account.today,
                total=granted,
            )
            if name:
                after = replace(state, others={name: spent})
            else:
                after = replace(state, arrival=spent.arrival, day=spent.day, today=spent.today, total=spent.total)
            if spent != account:
                self._set_aside(call, state, replace(after, seen=max(state.seen, call.at)), [name])
        line.ask("EVALSHA", line.grant, 1, key, total + size, day, "", "", "")

    def _set_aside(self, call: Call, before: ClientState, after: ClientState, names: Iterable[str]) -> None:
        """Keep what is known of a client, in which budget was set aside for these accounts, and say so in the log."""
        self._keep(call.client, after)
        spent = {}
        for name in names:
            one, had = _account(after, name), _account(before, name)
            held = (one.day, one.today, one.total, one.arrival, one.total - had.total)
            spent[kind_of(name) if name else "own"] = held
        about = {"what": "set aside", "client": call.client, "cohort": call.cohort, "model": call.model}
        self._append(about | {"at": round(call.at, 3), "seen": round(after.seen, 3), "spent": spent})

    def _unsure(self, call: Call, unread: str) -> None:
        """Keep the row of a call that Redis may have judged or not; if it has, the row in the stream is the one."""
        if self.unmoved and self.unmoved[-1][0] > self.sequence:
            sequence, _, when = self.unmoved.pop()
            facts = facts_of(call, Decision(Verdict.ALLOWED), unread, 0) | {"verdict": "unsure", "aside": {}}
            self.unmoved.append((sequence, text_of(facts), when))
            self.sequence = sequence

    def _tell(self, line: Line) -> None:
        if self._missed is not None:
            self._push(line, text_of(self._missed.facts))
            self._missed = None

    def _push(self, line: Line, text: str) -> None:
        """Hand a row over that was not judged."""
        self.sequence += 1
        self.unmoved.append((self.sequence, text, time.monotonic()))
        seal = self.seal(self.sequence, text)
        line.ask("XADD", self.stream, "*", "w", self.writer, "s", self.sequence, "t", text, "m", seal)

    def seal(self, sequence: int, text: str, writer: str = "") -> bytes:
        """Return what shows that a row comes from a guard that has the key."""
        about = f"row {writer or self.writer} {sequence} {text}".encode()
        return hmac.digest(self.key, about, "sha256")

    @property
    def stream(self) -> str:
        """The key of the stream of rows."""
        return f"safelight:{self.about['space']}:rows"

    def dial(self) -> Line:
        """Return a new line; raises redis.RedisError or OSError."""
        return dial(self._redis_url, f"safelight:{self.about['space']}")

    def _slow(self, words: str) -> StoreFailed:
        return StoreFailed(f"Redis, beside {self.place}, cannot be read or written ({words}); mend it.")


def _spent(line: Line, client: str, known: ClientState) -> ClientState:
    """Return what is known of a client, with what it spent as Redis knows it."""
    found = line.ask("HMGET", line.client(client), "arrival", "day", "today", "total", "seen")
    if found[3] is None:
        return known
    day, today, total = (int(found[place]) for place in (1, 2, 3))
    return replace(known, arrival=float(found[0]), day=day, today=today, total=total, seen=float(found[4] or 0))


def left_of(budget: Budget, today: int, total: int) -> float:
    """Return the smallest share that is left of a day's or a lifetime's budget."""
    day = 1.0 if budget.per_day is None else 1 - today / budget.per_day
    return day if budget.lifetime is None else min(day, 1 - total / budget.lifetime)


def _batch(budget: Budget, today: int, total: int, n: int) -> int:
    """Return how much to set aside: enough for n records, which were found to fit, and never beyond a limit."""
    size = max(BATCH, n) * budget.each
    if budget.lifetime is not None:
        size = min(size, max(budget.lifetime - total, 0))
    if budget.per_day is not None:
        size = min(size, max(budget.per_day - today, 0))
    return size


def _account(state: ClientState, name: str) -> Account:
    if name:
        return state.others.get(name, Account())
    return Account(state.arrival, state.day, state.today, state.total)
