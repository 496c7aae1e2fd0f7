"""The way of rows from Redis to the log in PostgreSQL, and of steps from PostgreSQL to Redis."""

from __future__ import annotations

import hmac
import threading
import time
from collections import deque
from contextlib import suppress
from typing import Any, Protocol

from safelight.errors import StoreFailed
from safelight.guard.chain import text_of
from safelight.guard.stores.keeper import Keeper
from safelight.guard.stores.line import Line, hang_up, push_steps, redis
from safelight.guard.stores.postgres import PostgresStore

TICK = 0.05  # seconds between two looks for rows to take over
SLOW = 0.5  # seconds after which a guard takes its own rows over from memory
GAP = 5.0  # seconds that a row waits for those before it
MOST = 1000  # rows that are taken over at once


class Moved(Protocol):
    """The store whose rows and steps are moved.

    Attributes:
        url: of PostgreSQL.
        key: of the log.
        lock: held while `unmoved` and `sequence` change.
        writer: name of this guard's rows.
        sequence: number of its last row.
        unmoved: (sequence, row, when) of its rows that PostgreSQL may not have yet.
    """

    url: str
    key: bytes
    lock: Any
    writer: str
    sequence: int
    unmoved: deque[tuple[int, str, float]]

    @property
    def stream(self) -> str:
        """The key of the stream of rows."""
        ...

    def dial(self) -> Line:
        """Return a new line to Redis."""
        ...

    def seal(self, sequence: int, text: str, writer: str = "") -> bytes:
        """Return what shows that a row comes from a guard that has the key."""
        ...


class Mover:
    """The thread that takes rows over to PostgreSQL, and steps to Redis, on connections of its own."""

    def __init__(self, store: Moved) -> None:
        self._store = store
        self._postgres = PostgresStore(store.url, store.key)
        self._redis: Keeper[Line] = Keeper(
            store.dial, hang_up, hang_up, (redis.RedisError, OSError), "safelight-redis-rows"
        )
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._pushed, self._run = -1, ""
        self._looked = 0.0

    def start(self) -> None:
        """Begin; raises InputError."""
        self._postgres.begin()
        self._redis.try_start()
        self._thread = threading.Thread(target=self._work, name="safelight-rows", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Take over what is left, and end."""
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
        while line is not None and line.ask("XLEN", store.stream):
            with self._postgres.lock, self._postgres._writing():
                found = line.ask("XRANGE", store.stream, "-", "+", "COUNT", MOST)
                seconds, _ = line.ask("TIME")
                taken = self._take([_row(name, pairs, int(seconds)) for name, pairs in found])
            if not any(taken):
                break
            names = (name for (name, _), done in zip(found, taken) if done)
            line.ask("XDEL", store.stream, *names)
        self._own(last)

    def _take(self, rows: list[tuple[str, int, str, bytes, bool]]) -> list[bool]:
        """Write those rows to the log that it does not hold yet, in the order of each guard; say which are done with.

        A row before which others are missing waits for them: the guard that wrote them may have them in memory.
        """
        query = "SELECT writer, last FROM safelight_writers WHERE writer = ANY(%s)"
        known = self._postgres._open.execute(query, (list({row[0] for row in rows}),)).fetchall()
        done: dict[str, int] = dict(known)  # type: ignore[arg-type]
        texts, taken = [], []
        for writer, sequence, text, seal, old in rows:
            before = done.get(writer, 0)
            taken.append(True)
            if not hmac.compare_digest(seal, self._store.seal(sequence, text, writer)):
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
        if not store.unmoved:
            return
        with self._postgres.lock, self._postgres._session(writes=False):
            query = "SELECT last FROM safelight_writers WHERE writer = %s"
            done = int((self._postgres._open.execute(query, (store.writer,)).fetchone() or (0,))[0])
        self._forget(done)
        with store.lock:
            waiting = [row for row in store.unmoved if row[0] <= store.sequence]
        if waiting and (last or time.monotonic() - waiting[0][2] > SLOW):
            rows = [(store.writer, number, text, store.seal(number, text), True) for number, text, _ in waiting]
            with self._postgres.lock, self._postgres._writing():
                self._take(rows)
            self._forget(rows[-1][1])

    def _forget(self, done: int) -> None:
        rows = self._store.unmoved
        while rows and rows[0][0] <= done:
            rows.popleft()

    def _steps(self) -> None:
        """Bring steps to Redis that it may not know: all of them after it began anew."""
        line = self._redis.line
        if line is None:
            return
        if line.space != self._run:
            self._run, self._pushed = line.space, -1
        with self._postgres.lock, self._postgres._session(writes=False):
            self._pushed = push_steps(line, self._postgres._open, self._pushed)


def _row(name: bytes, pairs: list[bytes], now: int) -> tuple[str, int, str, bytes, bool]:
    """Return an entry of the stream as (writer, sequence, row, seal, whether it waited long); a false seal for junk."""
    facts = dict(zip(pairs[::2], pairs[1::2]))
    old = now - int(name.split(b"-")[0]) / 1000 > GAP
    try:
        return facts[b"w"].decode(), int(facts[b"s"]), facts[b"t"].decode(), facts[b"m"], old
    except (KeyError, ValueError):
        return "", 0, "", b"", old
