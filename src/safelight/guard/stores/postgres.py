"""Budgets and the log in PostgreSQL, for guards on several machines: exact, with one chain and one writer at a time.

A call takes the lock of the log, reads, and writes with its commit: two round trips and one write to the disk of the
server. No call waits longer than two seconds; while the server is away calls fail at once.
"""

from __future__ import annotations

import contextlib
import hmac
import os
import socket
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from safelight.errors import InputError, MissingExtra, StoreFailed
from safelight.guard.chain import START, Row
from safelight.guard.judge import ClientState, Step
from safelight.guard.stores.base import End, Store, Walk
from safelight.guard.stores.books import BOOKS, Books
from safelight.guard.stores.keeper import PATIENCE, Keeper
from safelight.guard.stores.states import ACCOUNT, FIELDS, account_of, state_of

try:
    import psycopg
    from psycopg.conninfo import conninfo_to_dict
except ImportError:
    raise MissingExtra("psycopg", "replicas", "A guard that keeps its budgets in PostgreSQL") from None

LOCK = 7_319_014_552  # any number that all guards of one database share
VERSION = "1"
TABLES = """
CREATE SEQUENCE IF NOT EXISTS safelight_changes;
CREATE TABLE IF NOT EXISTS safelight_clients (client text PRIMARY KEY, arrival double precision NOT NULL,
  day bigint NOT NULL, today bigint NOT NULL, total bigint NOT NULL, until double precision NOT NULL,
  seen double precision NOT NULL, step smallint NOT NULL, changed bigint NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS safelight_clients_changed ON safelight_clients (changed);
CREATE TABLE IF NOT EXISTS safelight_accounts (account text PRIMARY KEY, arrival double precision NOT NULL,
  day bigint NOT NULL, today bigint NOT NULL, total bigint NOT NULL);
CREATE TABLE IF NOT EXISTS safelight_documents (kind text NOT NULL, name text NOT NULL, version bigint NOT NULL,
  text text NOT NULL, PRIMARY KEY (kind, name));
CREATE TABLE IF NOT EXISTS safelight_log (number bigint PRIMARY KEY, text text NOT NULL, digest bytea NOT NULL);
CREATE TABLE IF NOT EXISTS safelight_writers (writer text PRIMARY KEY, last bigint NOT NULL);
CREATE TABLE IF NOT EXISTS safelight_about (name text PRIMARY KEY, value text NOT NULL)
"""
KEEP = """
INSERT INTO safelight_clients (client, arrival, day, today, total, until, seen, step, changed)
VALUES (%(client)s, %(arrival)s, %(day)s, %(today)s, %(total)s, %(until)s, %(seen)s, %(step)s, 0)
ON CONFLICT (client) DO UPDATE SET arrival = %(arrival)s, day = %(day)s, today = %(today)s, total = %(total)s,
  until = %(until)s, seen = %(seen)s, step = %(step)s
"""
KEEP_ACCOUNT = """
INSERT INTO safelight_accounts VALUES (%(name)s, %(arrival)s, %(day)s, %(today)s, %(total)s)
ON CONFLICT (account) DO UPDATE SET arrival = %(arrival)s, day = %(day)s, today = %(today)s, total = %(total)s
"""
PUT = """
INSERT INTO safelight_documents VALUES (%(kind)s, %(name)s, %(version)s, %(text)s)
ON CONFLICT (kind, name) DO UPDATE SET version = %(version)s, text = %(text)s
"""
ROWS = "INSERT INTO safelight_log SELECT * FROM unnest(%s::bigint[], %s::text[], %s::bytea[])"
LAST = "SELECT number, digest FROM safelight_log ORDER BY number DESC LIMIT 1"
CLIENT = f"SELECT {FIELDS} FROM safelight_clients WHERE client = %s"
STRANGE = r"""
SELECT 'trigger', tgname FROM pg_trigger JOIN pg_class ON tgrelid = pg_class.oid
  WHERE NOT tgisinternal AND relname LIKE 'safelight\_%' AND pg_table_is_visible(pg_class.oid)
UNION SELECT 'rule', rulename FROM pg_rewrite JOIN pg_class ON ev_class = pg_class.oid
  WHERE relname LIKE 'safelight\_%' AND pg_table_is_visible(pg_class.oid)
"""
Database = psycopg.Connection[tuple[Any, ...]]


class PostgresStore(Store):
    """An open PostgreSQL database.

    Args:
        url: postgresql://USER@HOST/DATABASE; the password may come from PGPASSWORD or ~/.pgpass, as for psql.
        key: of the log, the same for all guards.
    """

    def __init__(self, url: str, key: bytes) -> None:
        super().__init__(key)
        self.url = url
        self._keeper: Keeper[Database] = Keeper(
            self._connect, _cut, lambda line: line.close(), (psycopg.Error, OSError), "safelight-postgres"
        )
        self._writes: list[tuple[str, Any]] = []
        self._last: End | None = None
        self._ahead: tuple[str, ClientState] | None = None  # the client that was read together with the lock
        self.about: dict[str, str] = {}

    @classmethod
    def open(cls, url: str, key: bytes) -> PostgresStore:  # type: ignore[override]
        """Open a database, and make the tables where there are none.

        Raises:
            InputError: it cannot be used, or its log was written with another key.
        """
        store = cls(url, key)
        store.begin()
        return store

    def begin(self) -> None:
        """Connect, make the tables, compare keys; raises InputError."""
        try:
            self._keeper.start()
            self._prepare()
        except (psycopg.Error, OSError, StoreFailed) as error:
            self._keeper.stop()
            words = str(error).strip().splitlines()[0]
            raise InputError(f"{self.place} cannot be used as the guard's database ({words}); check [store].") from None
        except InputError:
            self._keeper.stop()
            raise

    @property
    def place(self) -> str:
        """Where the database is, without a password."""
        parts = urlsplit(self.url)
        return f"postgresql://{parts.hostname or ''}{parts.path}"

    def close(self) -> None:
        """Close the connection."""
        with self.lock:
            self._keeper.stop()

    @contextmanager
    def _session(self, writes: bool, client: str | None = None) -> Iterator[None]:
        database = self._keeper.line
        if database is None:
            raise self._failed(self._keeper.trouble)
        self._keeper.begin()
        try:
            self._writes, self._last, self._ahead, self._writes_to = [], None, None, 0
            with database.pipeline():
                database.execute("BEGIN" if writes else "BEGIN READ ONLY")
                if writes:
                    database.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
                    last = database.execute(LAST)
                if client is not None:
                    known = database.execute(CLIENT, (client,))
            if writes:
                number, found = last.fetchone() or (0, START)
                self._last = (number, bytes(found))
            if client is not None:
                row = known.fetchone()
                self._ahead = (client, state_of(row) if row else ClientState())
            try:
                yield
            except (psycopg.Error, OSError):
                raise
            except BaseException:
                database.execute("ROLLBACK")
                raise
            with database.pipeline():
                done = [database.execute(query, values) for query, values in self._writes]
                database.execute("COMMIT")
            if any(cursor.rowcount == 0 for cursor in done):
                raise psycopg.DatabaseError("a row was not taken: its table has a trigger or a rule that no guard made")
            self._committed()
        except (psycopg.Error, OSError) as error:
            self._keeper.lost(error)
            raise self._failed(self._keeper.trouble) from None
        finally:
            self._keeper.end()

    def _state(self, client: str, accounts: Iterable[str] = ()) -> ClientState:
        if self._ahead is not None and self._ahead[0] == client:
            state = self._ahead[1]
        else:
            row = self._open.execute(CLIENT, (client,)).fetchone()
            state = state_of(row) if row else ClientState()
        names = list(accounts)
        if not names:
            return state
        query = f"SELECT account, {ACCOUNT} FROM safelight_accounts WHERE account = ANY(%s)"
        others = {row[0]: account_of(row[1:]) for row in self._open.execute(query, (names,))}
        return replace(state, others=others)

    def _keep(self, client: str, state: ClientState) -> None:
        values = {"client": client, "arrival": state.arrival, "day": state.day, "today": state.today}
        values |= {"total": state.total, "until": state.until, "seen": state.seen, "step": int(state.step)}
        self._writes.append((KEEP, values))
        if self._ahead is None or (state.until, state.step) != (self._ahead[1].until, self._ahead[1].step):
            change = "UPDATE safelight_clients SET changed = nextval('safelight_changes') WHERE client = %s"
            self._writes.append((change, (client,)))
        for name, one in state.others.items():
            account = {"name": name, "arrival": one.arrival, "day": one.day, "today": one.today, "total": one.total}
            self._writes.append((KEEP_ACCOUNT, account))

    def _states(self) -> dict[str, ClientState]:
        found = self._open.execute(f"SELECT client, {FIELDS} FROM safelight_clients")
        return {str(row[0]): state_of(row[1:]) for row in found}

    def _some(self, clients: Sequence[str]) -> dict[str, ClientState]:
        query = f"SELECT client, {FIELDS} FROM safelight_clients WHERE client = ANY(%s)"
        found = {str(row[0]): state_of(row[1:]) for row in self._open.execute(query, (list(clients),))}
        return {client: found.get(client, ClientState()) for client in clients}

    def _census(self, now: float, since: float) -> tuple[int, frozenset[str]]:
        active = self._open.execute("SELECT COUNT(*) FROM safelight_clients WHERE seen >= %s", (since,)).fetchone()
        query = "SELECT client FROM safelight_clients WHERE step >= %s AND until > %s"
        held = frozenset(name for (name,) in self._open.execute(query, (int(Step.COARSEN), now)))
        return (int(active[0]) if active else 0), held

    def _end(self) -> End:
        if self._last is None:
            number, found = self._open.execute(LAST).fetchone() or (0, START)
            return number, bytes(found)
        return self._last

    def _insert(self, rows: Sequence[tuple[int, str, bytes]]) -> None:
        if rows:
            self._writes.append((ROWS, tuple(map(list, zip(*rows)))))
            self._last = (rows[-1][0], rows[-1][2])

    def _tail(self, count: int, client: str | None, before: int) -> list[Row]:
        about = "" if client is None else "AND text::jsonb ->> 'client' = %s"
        query = f"SELECT number, text, digest FROM safelight_log WHERE number < %s {about} ORDER BY 1 DESC LIMIT %s"
        found = self._open.execute(query, (before, count) if client is None else (before, client, count))
        return [Row(number, text, bytes(digest)) for number, text, digest in found]

    @contextmanager
    def _log(self) -> Iterator[Walk]:
        try:
            with (
                contextlib.closing(self._connect(slow=True)) as database,
                database.cursor("log", binary=True) as cursor,
            ):
                cursor.itersize = 5000
                cursor.execute("SELECT number, text, digest FROM safelight_log ORDER BY number")
                queries = (*(query.format("safelight_") for query in BOOKS), STRANGE)
                yield iter(cursor), lambda: Books(*(database.execute(query).fetchall() for query in queries))
        except (psycopg.Error, OSError) as error:
            raise self._failed(str(error).strip().splitlines()[0]) from None

    def _find(self, kind: str, name: str) -> tuple[int, str] | None:
        query = "SELECT version, text FROM safelight_documents WHERE kind = %s AND name = %s"
        row = self._open.execute(query, (kind, name)).fetchone()
        return (row[0], row[1]) if row else None

    def _put(self, kind: str, name: str, version: int, text: str) -> None:
        self._writes.append((PUT, {"kind": kind, "name": name, "version": version, "text": text}))

    def _all(self, kind: str) -> list[tuple[str, int, str]]:
        query = "SELECT name, version, text FROM safelight_documents WHERE kind = %s ORDER BY name"
        return [(row[0], row[1], row[2]) for row in self._open.execute(query, (kind,))]

    @property
    def _open(self) -> Database:
        if self._keeper.line is None:  # it was cut meanwhile
            raise psycopg.OperationalError(self._keeper.trouble)
        return self._keeper.line

    def _connect(self, slow: bool = False) -> Database:
        """Return a connection; `slow` is for reading the whole log and all budgets as of one moment."""
        limit = "0" if slow else str(int(1000 * PATIENCE))
        options = f"-c statement_timeout={limit} -c lock_timeout={limit} -c idle_in_transaction_session_timeout={limit}"
        given = str(conninfo_to_dict(self.url).get("options") or "")
        database = psycopg.connect(
            self.url,
            autocommit=not slow,
            connect_timeout=2,
            tcp_user_timeout=int(1000 * PATIENCE),
            application_name="safelight guard",
            options=f"{given} {options} -c synchronous_commit=on",
        )
        if slow:
            database.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        return database

    def _prepare(self) -> None:
        database = self._open
        with database.transaction():
            database.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
            if database.execute("SELECT to_regclass('safelight_about')").fetchone() == (None,):
                for statement in TABLES.split(";"):
                    database.execute(statement)
                mark = hmac.digest(self.key, b"the key of this log", "sha256").hex()
                for about in (("version", VERSION), ("key", mark), ("space", os.urandom(8).hex())):
                    database.execute("INSERT INTO safelight_about VALUES (%s, %s)", about)
            self.about = dict(database.execute("SELECT name, value FROM safelight_about").fetchall())  # type: ignore[arg-type]
        if self.about["version"] != VERSION:
            raise InputError(f"{self.place} was written by another version of Safelight (tables "
                             f"{self.about['version']}, not {VERSION}); use that one.")  # fmt: skip
        if not hmac.compare_digest(self.about["key"], hmac.digest(self.key, b"the key of this log", "sha256").hex()):
            raise InputError(
                f"The log in {self.place} was written with another key; copy guard.key from the first machine, or set "
                "key_env in [store]."
            )

    def _failed(self, words: str) -> StoreFailed:
        return StoreFailed(f"The guard's database {self.place} cannot be read or written ({words}); mend it.")


def _cut(database: Database) -> None:
    """End whatever a connection waits for."""
    with suppress(psycopg.Error, OSError, ValueError), socket.socket(fileno=os.dup(database.pgconn.socket)) as line:
        line.shutdown(socket.SHUT_RDWR)
