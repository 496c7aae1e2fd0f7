"""Budgets and the log in one SQLite file, from the standard library: several processes of one machine may share it.

Each call is one transaction (WAL, `synchronous = NORMAL`): it is on its way to the disk before the model is asked, so a
guard that is killed gives no budget back. A machine that loses power may lose the last moments; the chain stays whole.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from safelight.errors import InputError, StoreFailed
from safelight.guard.chain import START, Row, secret
from safelight.guard.judge import Account, ClientState, Step
from safelight.guard.stores.base import End, Store, Walk
from safelight.guard.stores.books import BOOKS, Books
from safelight.guard.stores.states import ACCOUNT, FIELDS, account_of, state_of

VERSION = 2  # of the tables, as PRAGMA user_version; 1 had no steps, accounts and documents, and says 0
TABLES = """
CREATE TABLE IF NOT EXISTS clients (client TEXT PRIMARY KEY, arrival REAL NOT NULL, day INTEGER NOT NULL,
  today INTEGER NOT NULL, total INTEGER NOT NULL, until REAL NOT NULL, seen REAL NOT NULL,
  step INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS accounts (account TEXT PRIMARY KEY, arrival REAL NOT NULL, day INTEGER NOT NULL,
  today INTEGER NOT NULL, total INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS documents (kind TEXT NOT NULL, name TEXT NOT NULL, version INTEGER NOT NULL,
  text TEXT NOT NULL, PRIMARY KEY (kind, name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS log (number INTEGER PRIMARY KEY, text TEXT NOT NULL, digest BLOB NOT NULL);
"""
STRANGE = "SELECT type, name FROM sqlite_master WHERE type IN ('trigger', 'view')"
PATIENCE = 2.0  # seconds that one process waits for another to finish writing
TIDY = 1000  # transactions after which the write-ahead log is moved into the file, beside the calls and not in one
REMEMBERED = 10_000  # clients and accounts that are kept in memory beside the file


class SqliteStore(Store):
    """An open SQLite file.

    What was read stays in memory as long as no other connection has written (PRAGMA data_version, asked while this
    one holds the right to write), so that a call reads nothing from the file.

    Attributes:
        path: of the file; its key lies beside it in a file that ends in .key.
    """

    def __init__(self, path: Path, key: bytes) -> None:
        super().__init__(key)
        self.path = path
        self._database: sqlite3.Connection | None = None
        self._written = 0
        self._tidying: threading.Thread | None = None
        self._seen_version = -1
        self._last: End | None = None
        self._clients: dict[str, ClientState] = {}
        self._accounts: dict[str, Account] = {}

    @classmethod
    def open(cls, path: Path, key: bytes | None = None) -> SqliteStore:
        """Open a file, or make it.

        Args:
            path: of the file.
            key: of the log; the one in the file beside it when left out.

        Raises:
            InputError: the file or its key cannot be made or used.
        """
        store = cls(path, secret(path.with_suffix(".key")) if key is None else key)
        try:
            store._connect()
        except sqlite3.Error as error:
            raise InputError(f"{path} cannot be used as the guard's database ({error}); name another file.") from None
        return store

    def close(self) -> None:
        """Close the file; the next call opens it again."""
        with self.lock:
            if self._tidying is not None:
                self._tidying.join()
            self._drop()

    @contextmanager
    def _session(self, writes: bool, client: str | None = None) -> Iterator[None]:
        try:
            database, self._writes_to = self._connect(), 0
            database.execute("BEGIN IMMEDIATE" if writes else "BEGIN")
            (version,) = database.execute("PRAGMA data_version").fetchone()
            try:
                if version != self._seen_version:
                    self._forget()
                    self._check()
                    self._seen_version = version
                yield
                database.execute("COMMIT")
            except BaseException:
                self._forget()
                with suppress(sqlite3.Error):
                    database.rollback()
                raise
            if writes:
                self._committed()
                self._tidy()
        except (sqlite3.Error, OSError) as error:
            self._drop()  # the next call tries again from the start
            raise StoreFailed(
                f"The guard's database {self.path} cannot be read or written ({error}); free space or mend it."
            ) from None

    def _state(self, client: str, accounts: Iterable[str] = ()) -> ClientState:
        state = self._clients.get(client)
        if state is None:
            query = f"SELECT {FIELDS} FROM clients WHERE client = ?"
            found = self._open.execute(query, (client,)).fetchone()
            state = state_of(found) if found else ClientState()
        others = {}
        for name in accounts:
            account = self._accounts.get(name)
            if account is None:
                query = f"SELECT {ACCOUNT} FROM accounts WHERE account = ?"
                row = self._open.execute(query, (name,)).fetchone()
                account = account_of(row) if row else None
            if account is not None:
                others[name] = account
        return replace(state, others=others) if others else state

    def _keep(self, client: str, state: ClientState) -> None:
        row = (client, state.arrival, state.day, state.today, state.total, state.until, state.seen, int(state.step))
        self._taken("INSERT OR REPLACE INTO clients VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
        for name, one in state.others.items():
            values = (name, one.arrival, one.day, one.today, one.total)
            self._taken("INSERT OR REPLACE INTO accounts VALUES (?, ?, ?, ?, ?)", values)
            self._accounts[name] = one
        if len(self._clients) + len(self._accounts) >= REMEMBERED:
            self._clients.clear()
            self._accounts.clear()
        self._clients[client] = replace(state, others={}) if state.others else state

    def _states(self) -> dict[str, ClientState]:
        found = self._open.execute(f"SELECT client, {FIELDS} FROM clients")
        return {str(row[0]): state_of(row[1:]) for row in found}

    def _census(self, now: float, since: float) -> tuple[int, frozenset[str]]:
        (active,) = self._open.execute("SELECT COUNT(*) FROM clients WHERE seen >= ?", (since,)).fetchone()
        query = "SELECT client FROM clients WHERE step >= ? AND until > ?"
        return int(active), frozenset(name for (name,) in self._open.execute(query, (int(Step.COARSEN), now)))

    def _end(self) -> End:
        if self._last is None:
            query = "SELECT number, digest FROM log ORDER BY number DESC LIMIT 1"
            self._last = self._open.execute(query).fetchone() or (0, START)
        return self._last

    def _insert(self, rows: Sequence[tuple[int, str, bytes]]) -> None:
        for row in rows:
            self._taken("INSERT INTO log VALUES (?, ?, ?)", row)
            self._last = (row[0], row[2])

    def _tail(self, count: int, client: str | None, before: int) -> list[Row]:
        about = "" if client is None else "AND json_extract(text, '$.client') = ?"
        query = f"SELECT number, text, digest FROM log WHERE number < ? {about} ORDER BY number DESC LIMIT ?"
        found = self._open.execute(query, (before, count) if client is None else (before, client, count))
        return [Row(*row) for row in found]

    @contextmanager
    def _log(self) -> Iterator[Walk]:
        try:
            database = sqlite3.connect(self.path, timeout=PATIENCE, isolation_level=None)
            try:
                database.execute("BEGIN")
                rows = database.execute("SELECT number, text, digest FROM log ORDER BY number")
                queries = (*(query.format("") for query in BOOKS), STRANGE)
                yield rows, lambda: Books(*(database.execute(query).fetchall() for query in queries))
            finally:
                database.close()
        except (sqlite3.Error, OSError) as error:
            raise StoreFailed(f"The guard's database {self.path} cannot be read ({error}); mend it.") from None

    def _find(self, kind: str, name: str) -> tuple[int, str] | None:
        query = "SELECT version, text FROM documents WHERE kind = ? AND name = ?"
        found: tuple[int, str] | None = self._open.execute(query, (kind, name)).fetchone()
        return found

    def _put(self, kind: str, name: str, version: int, text: str) -> None:
        self._open.execute("INSERT OR REPLACE INTO documents VALUES (?, ?, ?, ?)", (kind, name, version, text))

    def _all(self, kind: str) -> list[tuple[str, int, str]]:
        query = "SELECT name, version, text FROM documents WHERE kind = ? ORDER BY name"
        return self._open.execute(query, (kind,)).fetchall()

    def _taken(self, statement: str, values: Sequence[object]) -> None:
        """Write one row, and see that the table took it."""
        if self._open.execute(statement, values).rowcount != 1:
            raise sqlite3.DatabaseError("a row was not taken: somebody changed its table")

    def _check(self) -> None:
        """See that nothing acts when rows are written: it could take them out again, and no log would tell."""
        for kind, name in self._open.execute(STRANGE):
            raise sqlite3.DatabaseError(f"it has a {kind} {name!r}, which no guard made")

    @property
    def _open(self) -> sqlite3.Connection:
        assert self._database is not None
        return self._database

    def _connect(self) -> sqlite3.Connection:
        if self._database is None:
            _make(self.path)
            database = sqlite3.connect(self.path, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
            try:
                database.execute("PRAGMA page_size = 2048")  # of a new file: a call writes two or three whole pages
                database.execute("PRAGMA journal_mode = WAL")
                database.execute("PRAGMA synchronous = NORMAL")
                database.execute(f"PRAGMA wal_autocheckpoint = {40 * TIDY}")  # should the thread below fail
                _prepare(database, self.path)
            except BaseException:
                database.close()
                raise
            self._forget()
            self._seen_version = -1
            self._database = database
        return self._database

    def _drop(self) -> None:
        self._forget()
        if self._database is not None:
            self._database.close()
            self._database = None

    def _forget(self) -> None:
        self._last = None
        self._clients.clear()
        self._accounts.clear()

    def _tidy(self) -> None:
        """Have a thread move the write-ahead log into the file, now and then: it waits for the disk, calls do not."""
        self._written += 1
        if self._written >= TIDY and (self._tidying is None or not self._tidying.is_alive()):
            self._written = 0
            self._tidying = threading.Thread(target=_checkpoint, args=(self.path,), daemon=True)
            self._tidying.start()


def _make(path: Path) -> None:
    """Make a file that its owner alone can read, where there is none; SQLite makes -wal and -shm alike."""
    with suppress(OSError):  # it is there, or SQLite says what keeps it from being made
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))


def _prepare(database: sqlite3.Connection, path: Path) -> None:
    """Make the tables, or bring old ones up to date."""
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version == VERSION:
        return
    if version > VERSION:
        raise InputError(
            f"{path} was written by a newer Safelight (tables {version}, not {VERSION}); install that one."
        )
    database.execute("BEGIN IMMEDIATE")
    try:
        columns = [row[1] for row in database.execute("PRAGMA table_info(clients)")]
        if columns and "step" not in columns:  # made before there were steps: who was held was in quarantine
            database.execute("ALTER TABLE clients ADD COLUMN step INTEGER NOT NULL DEFAULT 0")
            database.execute("UPDATE clients SET step = ? WHERE until > 0", (int(Step.QUARANTINE),))
        for statement in TABLES.split(";")[:-1]:
            database.execute(statement)
        database.execute(f"PRAGMA user_version = {VERSION}")
        database.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            database.rollback()
        raise


def _checkpoint(path: Path) -> None:
    with suppress(sqlite3.Error):  # the next one does more
        database = sqlite3.connect(path, timeout=PATIENCE)
        try:
            database.execute("PRAGMA wal_checkpoint(PASSIVE)")
        finally:
            database.close()
