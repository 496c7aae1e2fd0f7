"""Redis before PostgreSQL, for many calls a second on several machines.

Redis judges each call at one stroke, for all guards alike, so that budgets and steps are exact while it lives. It never
holds what PostgreSQL does not know: PostgreSQL sets budget aside in batches before Redis may spend it, keeps every step,
and takes over the rows of the log within a fraction of a second. A Redis that was started anew begins from there: what
was set aside and not spent is lost to the client, never given twice. Each guard keeps its rows in memory until
PostgreSQL has them; the log misses a row only where a guard and Redis die at once.
"""

from __future__ import annotations

import hmac
import json
import math
import os
import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from safelight.errors import InputError, MissingExtra, StoreFailed
from safelight.guard.chain import text_of
from safelight.guard.judge import Account, Call, ClientState, Decision, Limit, Step, Verdict, accounts_of
from safelight.guard.policy import Budget, GuardPolicy
from safelight.guard.stores.base import facts_of
from safelight.guard.stores.keeper import PATIENCE, Keeper
from safelight.guard.stores.postgres import Database, PostgresStore
from safelight.guard.stores.script import GRANT, JUDGE, STEP

try:
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry
except ImportError:
    raise MissingExtra("redis", "replicas", "A guard that shares its budgets through Redis") from None

BATCH = 100  # records that PostgreSQL sets aside at a time, for each account
TICK = 0.05  # seconds between two looks for rows to take over
LAG = 2.0  # seconds that rows may wait for PostgreSQL before calls fail
SLOW = 0.5  # seconds after which a guard takes its own rows over from memory
GAP = 5.0  # seconds that a row waits for those before it
MOST = 1000  # rows that are taken over at once
LIMITS = (Limit.RATE, Limit.DAY, Limit.LIFETIME)


@dataclass(frozen=True)
class Line:
    """A connection to one run of a Redis server, and the scripts that it was given.

    Attributes:
        wire: that is never connected anew by itself, since the server behind it could be another run.
        space: begins all keys of this run of this server.
        judge: handle of the script.
        grant: handle of the script.
        step: handle of the script.
    """

    wire: Any
    space: str
    judge: bytes
    grant: bytes
    step: bytes

    def client(self, client: str) -> str:
        """Return the key of a client."""
        return f"{self.space}:c:{client}"

    def ask(self, *words: Any) -> Any:
        """Return the answer to a command; raises redis.RedisError."""
        self.wire.send_command(*words)
        return self.wire.read_response()


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
        self._fast: Keeper[Line] = Keeper(self._dial, _hang_up, _hang_up, errors, "safelight-redis")
        self._writer = os.urandom(8).hex()
        self._sequence = 0
        self._unmoved: deque[tuple[int, str, float]] = deque()  # sequence, row, when; until PostgreSQL has them
        self._mover = _Mover(self)

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
        store._fast.watch()
        store._mover.start()
        return store

    def close(self) -> None:
        """Hand the last rows to PostgreSQL, and close both connections."""
        self._mover.stop()
        with self._lock:
            self._fast.stop()
        super().close()

    def decide(self, policy: GuardPolicy, call: Call, unread: str = "") -> Decision:
        """Judge a call in Redis; see `Store.decide`."""
        with self._lock:
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
                with self._lock, self._session(writes=False):
                    push_steps(line, self._open, -1, client)
            except (redis.RedisError, OSError) as error:
                self._fast.lost(error)

    def state(self, client: str) -> ClientState:
        """Return what is known of a client: budget that is set aside does not count where Redis knows what is spent."""
        known = super().state(client)
        with self._lock, suppress(redis.RedisError, OSError):
            line = self._fast.line
            if line is not None:
                query = ("arrival", "day", "today", "total", "seen")
                found = line.ask("HMGET", line.client(client), *query)
                if found[3] is not None:
                    arrival, seen = float(found[0]), float(found[4] or 0)
                    day, today, total = (int(found[place]) for place in (1, 2, 3))
                    return replace(known, arrival=arrival, day=day, today=today, total=total, seen=seen)
        return known

    def _decide(self, policy: GuardPolicy, call: Call, unread: str) -> Decision:
        line = self._fast.line
        if line is None:
            raise self._slow(self._fast.trouble)
        if self._unmoved and time.monotonic() - self._unmoved[0][2] > LAG:
            raise self._failed("it does not take the rows of the log")
        minute, skipped = self._refused.get(call.client, (-1, 0))
        others = accounts_of(policy, call)
        budgets = [policy.budget_of(call.client), *others.values()]
        keys = [line.client(call.client), *(f"{line.space}:a:{name}" for name in others)]
        text = text_of(facts_of(call, Decision(Verdict.ALLOWED), unread, skipped))
        if self._missed is not None:
            self._tell(line)
        sequence = self._sequence + 1
        values: list[Any] = [repr(call.at), call.records, self._writer, sequence, text, self._seal(sequence, text)]
        values.append("1" if call.proven else "")
        for budget in budgets:
            limits = (budget.per_minute, budget.per_day, budget.lifetime)
            values += ["" if limit is None else limit for limit in limits]
        begun = time.monotonic()
        while time.monotonic() - begun < PATIENCE:  # other guards may spend what was set aside before this one asks
            self._unmoved.append((sequence, text, time.monotonic()))
            said = line.ask("EVALSHA", line.judge, len(keys) + 1, *keys, self._stream(line), *values)
            verdict = said[0].decode()
            if verdict == "allowed":
                self._sequence = sequence
                self._refused.pop(call.client, None)
                spent = [int(number) for number in said[3:]]
                left = min(map(left_of, budgets, spent[::2], spent[1::2]))
                return Decision(Verdict.ALLOWED, step=Step(said[2]), left=left)
            self._unmoved.pop()
            if verdict == "load":
                self._load(line, policy, call, keys, dict(zip(("", *others), budgets)))
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
            decision = Decision(verdict, Limit.QUARANTINE, _seconds(wait), step)
        elif verdict is Verdict.CHALLENGED:
            decision = Decision(verdict, Limit.CHALLENGE, step=step)
        else:
            name, limit = names[int(said[3]) - 1], LIMITS[int(said[4]) - 1]
            whose = str(json.loads(name)[0]) if name else ""
            later = _seconds(wait) if verdict is Verdict.LATER else None
            decision = Decision(verdict, limit, later, whose=whose)
        if minute == int(call.at // 60):
            self._refused[call.client] = (minute, skipped + 1)
        else:
            self._push(line, text_of(facts_of(call, decision, unread, skipped)))
            self._answered(call, decision)
        return decision

    def _load(self, line: Line, policy: GuardPolicy, call: Call, keys: list[str], budgets: dict[str, Budget]) -> None:
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
            self._keep(call.client, replace(own, seen=now, others=others))
        line.ask("EVALSHA", line.step, 1, keys[0], changed, int(state.step), repr(state.until), repr(state.seen))
        for key, values in zip(keys, loaded):
            line.ask("EVALSHA", line.grant, 1, key, *values)

    def _more(self, line: Line, call: Call, key: str, name: str, budget: Budget, total: int, today: int, day: int) -> None:
        """Have PostgreSQL set more aside for an account that has spent `total`, and `today` on that day."""
        size = _batch(budget, today, total, call.records)
        with self._writing(call.client):
            state = self._state(call.client, [name] if name else [])
            account = _account(state, name)
            before = account.today if account.day == day else 0
            spent = replace(
                account,
                arrival=max(account.arrival, call.at + 60.0),
                day=max(account.day, day),
                today=max(before, today + size) if account.day <= day else account.today,
                total=max(account.total, total + size),
            )
            if name:
                state = replace(state, others={name: spent})
            else:
                state = replace(state, arrival=spent.arrival, day=spent.day, today=spent.today, total=spent.total)
            self._keep(call.client, replace(state, seen=max(state.seen, call.at)))
        line.ask("EVALSHA", line.grant, 1, key, total + size, day, "", "", "")

    def _unsure(self, call: Call, unread: str) -> None:
        """Keep the row of a call that Redis may have judged or not; if it has, the row in the stream is the one."""
        if self._unmoved and self._unmoved[-1][0] > self._sequence:
            sequence, _, when = self._unmoved.pop()
            facts = facts_of(call, Decision(Verdict.ALLOWED), unread, 0) | {"verdict": "unsure"}
            self._unmoved.append((sequence, text_of(facts), when))
            self._sequence = sequence

    def _tell(self, line: Line) -> None:
        missed = self._missed
        if missed is not None:
            row = {"what": "store back", "at": round(missed.since, 3), "calls": missed.calls}
            self._push(line, text_of(row | {"records": missed.records, "fail": missed.fail}))
            self._missed = None

    def _push(self, line: Line, text: str) -> None:
        """Hand a row over that was not judged."""
        self._sequence += 1
        self._unmoved.append((self._sequence, text, time.monotonic()))
        seal = self._seal(self._sequence, text)
        line.ask("XADD", self._stream(line), "*", "w", self._writer, "s", self._sequence, "t", text, "m", seal)

    def _seal(self, sequence: int, text: str, writer: str = "") -> bytes:
        """Return what shows that a row comes from a guard that has the key."""
        about = f"row {writer or self._writer} {sequence} {text}".encode()
        return hmac.digest(self.key, about, "sha256")

    def _stream(self, line: Line) -> str:
        return f"safelight:{self.about['space']}:rows"

    def _dial(self) -> Line:
        pool = redis.ConnectionPool.from_url(
            self._redis_url, socket_timeout=1.0, socket_connect_timeout=1.0, retry=Retry(NoBackoff(), 0)
        )
        wire: Any = pool.make_connection()
        wire.connect()
        try:
            wire.send_command("INFO", "server")
            server = wire.read_response()
            found = server if isinstance(server, bytes) else str(server).encode()
            run = next(line[7:].decode() for line in found.splitlines() if line.startswith(b"run_id:"))
            handles = []
            for script in (JUDGE, GRANT, STEP):
                wire.send_command("SCRIPT LOAD", script)
                handles.append(wire.read_response())
        except BaseException:
            wire.disconnect()
            raise
        return Line(wire, f"safelight:{self.about['space']}:{run}", *handles)

    def _slow(self, words: str) -> StoreFailed:
        return StoreFailed(f"Redis, beside {self.place}, cannot be read or written ({words}); mend it.")


class _Mover:
    """The thread that takes rows over to PostgreSQL, and steps to Redis, on connections of its own."""

    def __init__(self, store: SharedStore) -> None:
        self._store = store
        self._postgres = PostgresStore(store._url, store.key)
        self._redis: Keeper[Line] = Keeper(
            store._dial, _hang_up, _hang_up, (redis.RedisError, OSError), "safelight-redis-rows"
        )
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._pushed, self._run = -1, ""
        self._looked = 0.0

    def start(self) -> None:
        self._postgres.begin()
        self._redis.watch()
        self._thread = threading.Thread(target=self._work, name="safelight-rows", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()
            self._tick(last=True)
            self._thread = None
        self._redis.stop()
        self._postgres.close()

    def _work(self) -> None:
        while not self._stopped.wait(TICK):
            self._tick()

    def _tick(self, last: bool = False) -> None:
        with suppress(StoreFailed):
            try:
                self._rows(last)
                now = time.monotonic()
                if now - self._looked > 0.25:
                    self._looked = now
                    self._steps()
            except (redis.RedisError, OSError) as error:
                self._redis.lost(error)
                self._own(last)

    def _rows(self, last: bool) -> None:
        line, store = self._redis.line, self._store
        while line is not None and line.ask("XLEN", store._stream(line)):
            with self._postgres._lock, self._postgres._writing():
                found = line.ask("XRANGE", store._stream(line), "-", "+", "COUNT", MOST)
                seconds, _ = line.ask("TIME")
                rows = []
                for name, pairs in found:
                    facts = dict(zip(pairs[::2], pairs[1::2]))
                    old = int(seconds) - int(name.split(b"-")[0]) / 1000 > GAP
                    rows.append((facts[b"w"].decode(), int(facts[b"s"]), facts[b"t"].decode(), facts[b"m"], old))
                taken = self._take(rows)
            if not any(taken):
                break
            names = (name for (name, _), done in zip(found, taken) if done)
            line.ask("XDEL", store._stream(line), *names)
        self._own(last)

    def _take(self, rows: list[tuple[str, int, str, bytes, bool]]) -> list[bool]:
        """Write those rows to the log that it does not hold yet, in the order of each guard; return which are done with.

        A row before which others are missing waits for them: the guard that wrote them may have them in memory.
        """
        query = "SELECT writer, last FROM safelight_writers WHERE writer = ANY(%s)"
        known = self._postgres._open.execute(query, (list({row[0] for row in rows}),)).fetchall()
        done: dict[str, int] = {name: number for name, number in known}
        texts, taken = [], []
        for writer, sequence, text, seal, old in rows:
            before = done.get(writer, 0)
            taken.append(True)
            if not hmac.compare_digest(seal, self._store._seal(sequence, text, writer)):
                texts.append(text_of({"what": "forged row", "at": round(time.time(), 3), "writer": writer[:16]}))
            elif sequence > before + 1 and not old:
                taken[-1] = False
            elif sequence > before:
                if sequence > before + 1:
                    lost = {"what": "rows lost", "at": round(time.time(), 3), "rows": sequence - before - 1}
                    texts.append(text_of(lost | {"writer": writer}))
                texts.append(text)
                done[writer] = sequence
        if texts:
            self._postgres._append_texts(texts)
        keep = "INSERT INTO safelight_writers VALUES (%s, %s) ON CONFLICT (writer) DO UPDATE SET last = EXCLUDED.last"
        self._postgres._writes += [(keep, pair) for pair in done.items() if pair not in known]
        return taken

    def _own(self, last: bool = False) -> None:
        """Forget this guard's rows that the log holds, and take those over from memory that wait too long."""
        store = self._store
        if not store._unmoved:
            return
        with self._postgres._lock, self._postgres._session(writes=False):
            query = "SELECT last FROM safelight_writers WHERE writer = %s"
            done = int((self._postgres._open.execute(query, (store._writer,)).fetchone() or (0,))[0])
        self._forget(done)
        with store._lock:
            waiting = [row for row in store._unmoved if row[0] <= store._sequence]
        if waiting and (last or time.monotonic() - waiting[0][2] > SLOW):
            rows = [(store._writer, number, text, store._seal(number, text), True) for number, text, _ in waiting]
            with self._postgres._lock, self._postgres._writing():
                self._take(rows)
            self._forget(rows[-1][1])

    def _forget(self, done: int) -> None:
        rows = self._store._unmoved
        while rows and rows[0][0] <= done:
            rows.popleft()

    def _steps(self) -> None:
        """Bring steps to Redis that it may not know: all of them after it began anew."""
        line = self._redis.line
        if line is None:
            return
        if line.space != self._run:
            self._run, self._pushed = line.space, -1
        with self._postgres._lock, self._postgres._session(writes=False):
            self._pushed = push_steps(line, self._postgres._open, self._pushed)


def push_steps(line: Line, database: Database, after: int, client: str | None = None) -> int:
    """Bring steps that are younger than a change to Redis, of all clients or of one; return the youngest change."""
    about = "" if client is None else "AND client = %(client)s"
    query = f"""SELECT client, step, until, seen, changed FROM safelight_clients
        WHERE changed > %(after)s AND changed > 0 {about} ORDER BY changed"""
    for name, step, until, seen, changed in database.execute(query, {"after": after, "client": client}).fetchall():
        line.ask("EVALSHA", line.step, 1, line.client(name), changed, step, repr(until), repr(seen))
        after = changed
    return after


def left_of(budget: Budget, today: int, total: int) -> float:
    """Return the smallest share that is left of a day's or a lifetime's budget."""
    day = 1.0 if budget.per_day is None else 1 - today / budget.per_day
    return day if budget.lifetime is None else min(day, 1 - total / budget.lifetime)


def _batch(budget: Budget, today: int, total: int, n: int) -> int:
    """Return how many records to set aside: at least n, which were found to fit, and never beyond a limit."""
    size = max(BATCH, n)
    if budget.lifetime is not None:
        size = min(size, max(budget.lifetime - total, 0))
    if budget.per_day is not None:
        size = min(size, max(budget.per_day - today, 0))
    return size


def _account(state: ClientState, name: str) -> Account:
    if name:
        return state.others.get(name, Account())
    return Account(state.arrival, state.day, state.today, state.total)


def _seconds(wait: float) -> int:
    return max(1, math.ceil(wait - 1e-6))


def _hang_up(line: Line) -> None:
    with suppress(redis.RedisError, OSError):
        line.wire.disconnect()
