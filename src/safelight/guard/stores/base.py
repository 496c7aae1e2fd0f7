"""What every store does, whatever database is below it: one transaction a call, one chain, nothing given back."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from safelight.errors import Changed, StoreFailed
from safelight.guard.chain import Head, Row, digest, text_of, verify
from safelight.guard.judge import Account, Call, ClientState, Decision, Step, Verdict, accounts_of, judge
from safelight.guard.policy import GuardPolicy
from safelight.guard.stores.books import Books
from safelight.guard.stores.charges import costs_of, facts_of, spent
from safelight.guard.stores.ledger import Ledger
from safelight.guard.stores.written import Written, seal

LAST = 2**62
"""A number that no row of a log reaches."""
End = tuple[int, bytes]
"""The last row of a log: its number (0 where there is none) and its digest."""
Walk = tuple[Iterator[tuple[int, str, bytes]], Callable[[], Books]]
"""The rows of a log, and what returns the budgets and steps of the same moment."""


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


@dataclass(frozen=True)
class Missed:
    """Calls that could not be judged while the database failed; the first row after its return says so.

    Attributes:
        since: when the first came, in seconds since 1970.
        calls: how many.
        records: that they asked about.
        fail: what the policy had done with them: "closed", "open" or "label-only".
    """

    since: float
    calls: int
    records: int
    fail: str

    @property
    def facts(self) -> dict[str, Any]:
        """Its row of the log."""
        told = {"calls": self.calls, "records": self.records, "fail": self.fail}
        return {"what": "store back", "at": round(self.since, 3), **told}


class Store(ABC):
    """An open database.

    Each call is one transaction, which is on its way to the disk before the model is asked: a guard that is killed
    gives no budget back. One writer at a time holds the end of the log.

    Attributes:
        key: of the log and of the hashes in it (32 bytes).
    """

    def __init__(self, key: bytes) -> None:
        self.key = key
        self.lock = threading.RLock()
        self._refused: dict[str, tuple[int, int]] = {}  # client -> minute, rows left out
        self._missed: Missed | None = None
        self._wrote = self._writes_to = 0  # number of the last row that was written from here, and of one on its way

    @staticmethod
    def open(path: Path, key: bytes | None = None) -> Any:  # a SqliteStore, which this file must not know
        """Open an SQLite file, or make it; see `safelight.guard.stores.sqlite.SqliteStore`.

        Raises:
            InputError: the file or its key cannot be made or used.
        """
        from safelight.guard.stores.sqlite import SqliteStore

        return SqliteStore.open(path, key)

    # What a kind of database has to do ------------------------------------------------------------------------------

    @abstractmethod
    def _session(self, writes: bool, client: str | None = None) -> AbstractContextManager[None]:
        """One transaction, all or nothing, about one client or others; raises StoreFailed."""

    @abstractmethod
    def _state(self, client: str, accounts: Iterable[str] = ()) -> ClientState:
        """Return what is known of a client, with those of these accounts that anything was charged to."""

    @abstractmethod
    def _keep(self, client: str, state: ClientState) -> None:
        """Write what is known of a client and of its other accounts."""

    @abstractmethod
    def _states(self) -> dict[str, ClientState]:
        """Return what is known of every client."""

    def _some(self, clients: Sequence[str]) -> dict[str, ClientState]:
        """Return what is known of each of these clients."""
        return {client: self._state(client) for client in clients}

    @abstractmethod
    def _census(self, now: float, since: float) -> tuple[int, frozenset[str]]:
        """See `census`."""

    @abstractmethod
    def _end(self) -> End:
        """Return the last row of the log."""

    @abstractmethod
    def _insert(self, rows: Sequence[tuple[int, str, bytes]]) -> None:
        """Write rows of the log."""

    @abstractmethod
    def _tail(self, count: int, client: str | None, before: int) -> list[Row]:
        """See `tail`."""

    @abstractmethod
    def _log(self) -> AbstractContextManager[Walk]:
        """Walk the log as it stands, beside the calls that go on, with what returns its budgets; raises StoreFailed."""

    @abstractmethod
    def _find(self, kind: str, name: str) -> tuple[int, str] | None:
        """Return version and text of a document."""

    @abstractmethod
    def _put(self, kind: str, name: str, version: int, text: str) -> None:
        """Write a document."""

    @abstractmethod
    def _all(self, kind: str) -> list[tuple[str, int, str]]:
        """Return (name, version, text) of the documents of a kind, by name."""

    @abstractmethod
    def close(self) -> None:
        """Close the database; raises nothing."""

    # What all of them do --------------------------------------------------------------------------------------------

    def decide(self, policy: GuardPolicy, call: Call, unread: str = "") -> Decision:
        """Judge a call, keep what it costs and log it, all or nothing.

        Of calls that are refused in a row within a minute the first is logged; the next row of that client counts the
        others, so that nobody fills the disk by asking.

        Args:
            policy: in force.
            call: to judge.
            unread: why the question was not understood, or "".

        Raises:
            StoreFailed: it may have been kept or not; the next row that is written says how many calls this befell.
        """
        try:
            session = (
                self._session(writes=True, client=call.client) if self._missed is None else self._writing(call.client)
            )
            with self.lock, session:
                others = accounts_of(policy, call)
                before = self._state(call.client, others)
                decision, state = judge(policy, before, call)
                minute, skipped = self._refused.get(call.client, (-1, 0))
                if decision.verdict is not Verdict.ALLOWED and minute == int(call.at // 60):
                    self._refused[call.client] = (minute, skipped + 1)
                    return decision
                self._keep(call.client, state)
                facts = facts_of(call, decision, unread, skipped)
                if state.seen != call.at:
                    facts["seen"] = round(state.seen, 3)
                if decision.verdict is Verdict.ALLOWED:
                    facts["spent"] = spent(before, state, costs_of(call.records, others))
                self._append(facts)
        except StoreFailed:
            self._miss(policy, call)
            raise
        self._answered(call, decision)
        return decision

    def note(self, what: str, at: float, **facts: Any) -> Head:
        """Write a row to the log and return the log's end, which it is; raises StoreFailed."""
        with self.lock, self._writing():
            return self._append({"what": what, "at": round(at, 3), **facts})

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
        with self.lock, self._writing(client):
            self._keep(client, replace(self._state(client), until=until, step=step))
            what = "release" if step is Step.NONE else step.name.lower()
            self._append({"what": what, "client": client, "until": round(until, 3), "at": round(at, 3), **facts})

    def read(self, kind: str, name: str) -> Document | None:
        """Return a document, or None; raises StoreFailed."""
        with self.lock, self._session(writes=False):
            found = self._find(kind, name)
        return Document(kind, name, found[0], read(found[1])) if found else None

    def documents(self, kind: str) -> list[Document]:
        """Return all documents of a kind, by name; raises StoreFailed."""
        with self.lock, self._session(writes=False):
            found = self._all(kind)
        return [Document(kind, name, version, read(text)) for name, version, text in found]

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
        with self.lock, self._writing():
            found = self._find(kind, name)
            version = found[0] if found else 0
            if version != expect:
                raise Changed(
                    f"The {kind} {name!r} was changed meanwhile (version {version}, not {expect}); look again."
                )
            text = text_of(facts)
            self._put(kind, name, version + 1, text)
            about = {"what": what, "at": round(at, 3), "kind": kind, "name": name, "version": version + 1}
            self._append(about | logged | {"seal": seal(self.key, kind, name, version + 1, read(text))})
        return Document(kind, name, version + 1, facts)

    def state(self, client: str) -> ClientState:
        """Return what is known of a client; raises StoreFailed."""
        with self.lock, self._session(writes=False):
            return self._state(client)

    def states(self, clients: Iterable[str]) -> dict[str, ClientState]:
        """Return what is known of each of these clients, all of one moment; raises StoreFailed."""
        with self.lock, self._session(writes=False):
            return self._some(list(clients))

    def account(self, name: str) -> Account:
        """Return what an account beside a client's own was charged; see `judge.accounts_of`. Raises StoreFailed.

        With Redis before the database it is what was set aside, which is the most that it can be.
        """
        with self.lock, self._session(writes=False):
            return self._state("", [name]).others.get(name, Account())

    def clients(self) -> dict[str, ClientState]:
        """Return what is known of every client that ever asked; raises StoreFailed."""
        with self.lock, self._session(writes=False):
            return self._states()

    def census(self, now: float, since: float) -> tuple[int, frozenset[str]]:
        """Return how many clients asked since a time, and those that a step from COARSEN on holds for now.

        Raises StoreFailed.
        """
        with self.lock, self._session(writes=False):
            return self._census(now, since)

    def head(self) -> Head:
        """Return the end of the log; raises StoreFailed."""
        with self.lock, self._session(writes=False):
            number, last = self._end()
        return Head(number, last.hex())

    def tail(self, count: int, client: str | None = None, before: int = LAST) -> list[Row]:
        """Return the last rows of the log, newest first, of all or of one client; raises StoreFailed.

        Args:
            count: rows at most.
            client: whose rows, or None for all.
            before: the number of a row that is left out with all after it.
        """
        with self.lock, self._session(writes=False):
            return self._tail(count, client, before)

    def verify(
        self,
        noted: Head | Iterable[Head] | None = None,
        look: Callable[[int, bytes, str], None] | None = None,
        ledger: Ledger | None = None,
    ) -> tuple[Head, str]:
        """Walk the log, beside calls that go on, and lay documents, budgets and steps beside it.

        Args:
            noted: see `safelight.guard.chain.verify`.
            look: see there.
            ledger: takes the budgets and steps of the log, and says afterwards what was compared.

        Returns:
            (head, trouble): see there.

        Raises:
            StoreFailed: the database failed.
        """
        marks, written = (noted,) if isinstance(noted, Head) else noted or (), Written(self.key)
        books = Ledger() if ledger is None else ledger

        def seen(number: int, found: bytes, text: str) -> None:
            written.look(text)
            books.look(number, text)
            if look is not None:
                look(number, found, text)

        with self._log() as (walked, books_there):
            head, trouble = verify(self.key, walked, marks, seen)
            disagrees = "" if trouble else books.trouble(books_there())
        trouble = trouble or written.torn
        for kind in () if trouble else sorted({kind for kind, _ in written.last}):
            kept = {each.name: (each.version, each.facts) for each in self.documents(kind)}
            trouble = trouble or written.trouble(kind, kept, self.head().rows > head.rows)
        return head, trouble or disagrees

    # Below are the parts of the above -------------------------------------------------------------------------------

    @contextmanager
    def _writing(self, client: str | None = None) -> Iterator[None]:
        """A transaction that first tells the log what was missed."""
        missed = self._missed
        with self._session(writes=True, client=client):
            if missed is not None:
                self._append(missed.facts)
            yield
        if missed is not None:
            self._missed = None

    def _append(self, facts: Mapping[str, Any]) -> Head:
        return self._append_texts([text_of(facts)])

    def _append_texts(self, texts: Iterable[str]) -> Head:
        number, last = self._end()
        rows = []
        if number < self._wrote:  # somebody cut the log, or put an older copy of the database back
            gone = {"what": "rows gone", "at": round(time.time(), 3), "rows": number, "wrote": self._wrote}
            texts = [text_of(gone), *texts]
        for text in texts:
            number += 1
            last = digest(self.key, last, number, text)
            rows.append((number, text, last))
        self._insert(rows)
        self._writes_to = number
        return Head(number, last.hex())

    def _committed(self) -> None:
        """Remember how far the log goes now."""
        self._wrote, self._writes_to = self._writes_to or self._wrote, 0

    def _answered(self, call: Call, decision: Decision) -> None:
        """Remember that a row was written for a call."""
        if decision.verdict is Verdict.ALLOWED:
            self._refused.pop(call.client, None)
        else:
            self._refused[call.client] = (int(call.at // 60), 0)

    def _miss(self, policy: GuardPolicy, call: Call) -> None:
        with self.lock:
            old = self._missed or Missed(call.at, 0, 0, policy.fail.value)
            self._missed = Missed(old.since, old.calls + 1, old.records + call.records, policy.fail.value)


def read(text: str) -> Mapping[str, Any]:
    """Return the facts of a document's text."""
    import orjson

    found: Mapping[str, Any] = orjson.loads(text)
    return found
