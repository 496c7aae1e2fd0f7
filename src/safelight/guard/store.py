"""Budgets and the log in one SQLite file, from the standard library: several processes of one machine may share it.

Each call is one transaction (WAL, `synchronous = NORMAL`): it is on its way to the disk before the model is asked, so a
guard that is killed gives no budget back. A machine that loses power may lose the last moments; the chain stays whole.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from safelight.errors import Changed, InputError, StoreFailed
from safelight.guard.chain import START, Head, Row, digest, secret, text_of, verify
from safelight.guard.judge import Call, ClientState, Decision, Step, Verdict, judge
from safelight.guard.policy import GuardPolicy

TABLES = """
CREATE TABLE IF NOT EXISTS clients (client TEXT PRIMARY KEY, arrival REAL NOT NULL, day INTEGER NOT NULL,
  today INTEGER NOT NULL, total INTEGER NOT NULL, until REAL NOT NULL, seen REAL NOT NULL,
  step INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS documents (kind TEXT NOT NULL, name TEXT NOT NULL, version INTEGER NOT NULL,
  text TEXT NOT NULL, PRIMARY KEY (kind, name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS log (number INTEGER PRIMARY KEY, text TEXT NOT NULL, digest BLOB NOT NULL);
"""
PATIENCE = 2.0  # seconds that one process waits for another to finish writing
TIDY = 1000  # transactions after which the write-ahead log is moved into the file, beside the calls and not in one


FIELDS = "arrival, day, today, total, until, seen, step"


@dataclass(frozen=True)
class Document:
    """Facts beside budgets and log: an alias of a model, an incident, an approval.

    Attributes:
        kind: of document.
        name: of its own among its kind.
        version: 1, 2, 3, ...: how often it was written.
        facts: as JSON holds them.
    """

    kind: str
    name: str
    version: int
    facts: Mapping[str, Any]


@dataclass
class Store:
    """An open database.

    Attributes:
        path: the SQLite file; its key lies beside it in a file that ends in .key.
        key: of the log and of the hashes in it.
    """

    path: Path
    key: bytes = field(repr=False)
    _database: sqlite3.Connection | None = field(default=None, repr=False)
    _refused: dict[str, tuple[int, int]] = field(default_factory=dict, repr=False)  # client -> minute, rows left out
    _written: int = field(default=0, repr=False)
    _tidying: threading.Thread | None = field(default=None, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @classmethod
    def open(cls, path: Path) -> Store:
        """Open a database, or make it.

        Raises:
            InputError: the file or its key cannot be made or used.
        """
        store = cls(path, secret(path.with_suffix(".key")))
        try:
            store._connect()
        except sqlite3.Error as error:
            raise InputError(f"{path} cannot be used as the guard's database ({error}); name another file.") from None
        return store

    def decide(self, policy: GuardPolicy, call: Call, unread: str = "") -> Decision:
        """Judge a call, keep what it costs and log it, all or nothing.

        Of calls that are refused in a row within a minute the first is logged; the next row of that client counts the
        others, so that nobody fills the disk by asking.

        Args:
            policy: in force.
            call: to judge.
            unread: why the question was not understood, or "".

        Raises:
            StoreFailed: nothing was kept.
        """
        with self._transaction() as database:
            decision, state = judge(policy, _state(database, call.client), call)
            minute, skipped = self._refused.get(call.client, (-1, 0))
            if decision.verdict is not Verdict.ALLOWED and minute == int(call.at // 60):
                self._refused[call.client] = (minute, skipped + 1)
                return decision
            _keep(database, call.client, state)
            facts: dict[str, Any] = {"what": "call", "client": call.client, "cohort": call.cohort, "model": call.model}
            facts |= {"at": round(call.at, 3), "records": call.records, "body": call.body.hex()}
            facts |= {"verdict": decision.verdict.value, "limit": decision.limit.value}
            facts |= {name: value for name, value in (("unread", unread), ("refused_before", skipped)) if value}
            self._append(database, facts)
        if decision.verdict is Verdict.ALLOWED:
            self._refused.pop(call.client, None)
        else:
            self._refused[call.client] = (int(call.at // 60), 0)
        return decision

    def note(self, what: str, at: float, **facts: Any) -> None:
        """Write a row to the log; raises StoreFailed."""
        with self._transaction() as database:
            self._append(database, {"what": what, "at": round(at, 3), **facts})

    def quarantine(self, client: str, until: float, at: float) -> None:
        """Let nothing of a client through before `until` (seconds since 1970); raises StoreFailed."""
        self.step(client, Step.QUARANTINE if until > at else Step.NONE, until, at)

    def step(self, client: str, step: Step, until: float, at: float, **facts: Any) -> None:
        """Take a step about a client that holds before `until` (seconds since 1970); raises StoreFailed.

        Args:
            client: its id.
            step: NONE takes an earlier one back.
            until: when it ends by itself.
            at: now.
            facts: for the log: why, and by whom.
        """
        with self._transaction() as database:
            _keep(database, client, replace(_state(database, client), until=until, step=step))
            what = "release" if step is Step.NONE else step.name.lower()
            self._append(
                database, {"what": what, "client": client, "until": round(until, 3), "at": round(at, 3), **facts}
            )

    def read(self, kind: str, name: str) -> Document | None:
        """Return a document, or None; raises StoreFailed."""
        with self._transaction() as database:
            return _document(database, kind, name)

    def documents(self, kind: str) -> list[Document]:
        """Return all documents of a kind, by name; raises StoreFailed."""
        with self._transaction() as database:
            query = "SELECT name, version, text FROM documents WHERE kind = ? ORDER BY name"
            return [
                Document(kind, name, version, json.loads(text))
                for name, version, text in database.execute(query, (kind,))
            ]

    def write(
        self, kind: str, name: str, facts: Mapping[str, Any], expect: int, *, what: str, at: float, **logged: Any
    ) -> Document:
        """Write a document and its row of the log, all or nothing.

        Args:
            kind: of document.
            name: of its own among its kind.
            facts: as JSON holds them.
            expect: the version that it has now, 0 where there is none yet.
            what: was done, for the log.
            at: now.
            logged: more for the log.

        Raises:
            Changed: it has another version.
            StoreFailed: nothing was kept.
        """
        with self._transaction() as database:
            found = _document(database, kind, name)
            version = found.version if found else 0
            if version != expect:
                raise Changed(
                    f"The {kind} {name!r} was changed meanwhile (version {version}, not {expect}); look again."
                )
            document = Document(kind, name, version + 1, facts)
            row = (kind, name, version + 1, text_of(facts))
            database.execute("INSERT OR REPLACE INTO documents VALUES (?, ?, ?, ?)", row)
            about = {"what": what, "at": round(at, 3), "kind": kind, "name": name, "version": version + 1}
            self._append(database, about | logged)
        return document

    def state(self, client: str) -> ClientState:
        """Return what is known of a client; raises StoreFailed."""
        with self._transaction() as database:
            return _state(database, client)

    def clients(self) -> dict[str, ClientState]:
        """Return what is known of every client that ever asked; raises StoreFailed."""
        with self._transaction() as database:
            found = database.execute(f"SELECT client, {FIELDS} FROM clients")
            return {str(row[0]): _read(row[1:]) for row in found}

    def verify(self, noted: Head | None = None) -> tuple[Head, str]:
        """Walk the log; see `safelight.guard.chain.verify`. Raises StoreFailed."""
        with self._transaction() as database:
            found = database.execute("SELECT number, text, digest FROM log ORDER BY number")
            return verify(self.key, (Row(*row) for row in found), noted)

    def close(self) -> None:
        """Close the file; the next call opens it again."""
        with self._lock:
            if self._tidying is not None:
                self._tidying.join()
            if self._database is not None:
                self._database.close()
                self._database = None

    def _append(self, database: sqlite3.Connection, facts: dict[str, Any]) -> None:
        last = database.execute("SELECT number, digest FROM log ORDER BY number DESC LIMIT 1").fetchone()
        number, before = last or (0, START)
        text = text_of(facts)
        row = (number + 1, text, digest(self.key, before, number + 1, text))
        database.execute("INSERT INTO log VALUES (?, ?, ?)", row)

    def _connect(self) -> sqlite3.Connection:
        if self._database is None:
            database = sqlite3.connect(self.path, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
            try:
                database.execute("PRAGMA journal_mode = WAL")
                database.execute("PRAGMA synchronous = NORMAL")
                database.execute(f"PRAGMA wal_autocheckpoint = {20 * TIDY}")  # should the thread below fail
                database.executescript(TABLES)
            except sqlite3.Error:
                database.close()
                raise
            self._database = database
        return self._database

    def _tidy(self) -> None:
        """Have a thread move the write-ahead log into the file, now and then: it waits for the disk, calls do not."""
        self._written += 1
        if self._written >= TIDY and (self._tidying is None or not self._tidying.is_alive()):
            self._written = 0
            self._tidying = threading.Thread(target=_checkpoint, args=(self.path,), daemon=True)
            self._tidying.start()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                database = self._connect()
                database.execute("BEGIN IMMEDIATE")
                try:
                    yield database
                except BaseException:
                    database.rollback()
                    raise
                database.commit()
                self._tidy()
            except (sqlite3.Error, OSError) as error:
                if self._database is not None:
                    self._database.close()
                    self._database = None  # the next call tries again from the start
                raise StoreFailed(
                    f"The guard's database {self.path} cannot be read or written ({error}); free space or mend it."
                ) from None


def _state(database: sqlite3.Connection, client: str) -> ClientState:
    found = database.execute(f"SELECT {FIELDS} FROM clients WHERE client = ?", (client,)).fetchone()
    return _read(found) if found else ClientState()


def _read(row: Sequence[Any]) -> ClientState:
    *known, step = row
    return ClientState(*known, Step(step))


def _document(database: sqlite3.Connection, kind: str, name: str) -> Document | None:
    query = "SELECT version, text FROM documents WHERE kind = ? AND name = ?"
    found = database.execute(query, (kind, name)).fetchone()
    return Document(kind, name, found[0], json.loads(found[1])) if found else None


def _checkpoint(path: Path) -> None:
    with suppress(sqlite3.Error):  # the next one does more
        database = sqlite3.connect(path, timeout=PATIENCE)
        try:
            database.execute("PRAGMA wal_checkpoint(PASSIVE)")
        finally:
            database.close()


def _keep(database: sqlite3.Connection, client: str, state: ClientState) -> None:
    row = (client, state.arrival, state.day, state.today, state.total, state.until, state.seen, int(state.step))
    database.execute("INSERT OR REPLACE INTO clients VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
