"""Signed words about the end of the log, kept where nobody who holds the guard's machine can change them.

The chain shows a change to all who lack guard.key. Whoever has that key, the guard's own machine above all, could write
the whole log anew. A checkpoint says "at this time the log had so many rows and ended in this digest", signed with
Ed25519 (RFC 8032), and goes elsewhere: a log written anew, cut short or put in another order contradicts the last one
that got there. The signature shows, to all who hold the public key, that a line elsewhere was not made up by somebody
who can write there and lacks the signing key.
"""

from __future__ import annotations

import json
import os
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safelight.errors import Changed, InputError, MissingExtra, StoreFailed
from safelight.guard.chain import Head
from safelight.guard.policy import Checkpoints, GuardPolicy
from safelight.guard.stores.base import Store
from safelight.guard.stores.ledger import Ledger

try:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
except ImportError:
    raise MissingExtra("cryptography", "guard", "Checkpoints of the log") from None

KIND, NAME = "checkpoint", "last"
PATIENCE = 5.0  # seconds that the place elsewhere may take
RECENT = 10_000  # rows that may lie between a checkpoint in the log and the row that it was signed for


@dataclass(frozen=True)
class Checkpoint:
    """One signed end of the log.

    Attributes:
        serial: 1, 2, 3, ...
        rows: of the log.
        digest: of the last one, hexadecimal.
        at: seconds since 1970, UTC.
        signature: of `signed`, hexadecimal.
    """

    serial: int
    rows: int
    digest: str
    at: float
    signature: str

    @property
    def signed(self) -> bytes:
        """What is signed."""
        return f"safelight log checkpoint {self.serial} {self.rows} {self.digest} {self.at:.3f}".encode()

    @property
    def line(self) -> str:
        """One line of JSON."""
        return json.dumps({"serial": self.serial, "rows": self.rows, "digest": self.digest, "at": self.at,
                           "signature": self.signature})  # fmt: skip


@dataclass
class Signer:
    """Writes checkpoints as they fall due.

    Attributes:
        store: whose log is signed; each checkpoint is a row of it, too.
        settings: [checkpoints].
        folder: where relative paths start.
        say: takes words for the operator.
        clock: seconds since 1970.
    """

    store: Store
    settings: Checkpoints
    folder: Path
    say: Callable[[str], None]
    clock: Callable[[], float] = time.time

    def __post_init__(self) -> None:
        """Read the signing key; raises InputError."""
        if self.settings.key is None:
            raise InputError("[checkpoints] names no key that signs; give one with --key.")
        self._key = private_key(self.folder / self.settings.key)
        self._left: list[Checkpoint] = []  # that the place elsewhere has not got yet
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def sign(self, always: bool = False) -> Checkpoint | None:
        """Sign the end of the log if that is due, or in any case; return the checkpoint.

        Several guards on one database make one row of checkpoints together: who comes second leaves it.

        Raises:
            StoreFailed: the database failed.
        """
        last, head, now = self.store.read(KIND, NAME), self.store.head(), self.clock()
        rows, at = (int(last.facts["rows"]), float(last.facts["at"])) if last else (0, 0.0)
        fresh = head.rows - rows - (1 if last else 0)  # the row that the last checkpoint is counts for nothing
        if not always and (fresh < 1 or (fresh < self.settings.rows and now - at < self.settings.seconds)):
            return None
        serial = last.version + 1 if last else 1
        bare = Checkpoint(serial, head.rows, head.digest, round(now, 3), "")
        done = Checkpoint(serial, head.rows, head.digest, bare.at, self._key.sign(bare.signed).hex())
        facts: dict[str, Any] = {"rows": done.rows, "digest": done.digest, "at": done.at, "signature": done.signature}
        try:
            self.store.write(KIND, NAME, facts, serial - 1, what="checkpoint", **facts)
        except Changed:
            return None
        self._left.append(done)
        return done

    def send(self) -> None:
        """Bring what was signed elsewhere; what does not get there is tried again."""
        while self._left:
            try:
                self._send(self._left[0].line)
            except (OSError, urllib.error.URLError) as error:
                self.say(f"the checkpoint of row {self._left[0].rows} did not get to {self.settings.to} ({error})")
                return
            self._left.pop(0)

    def start(self) -> None:
        """Sign from now on, beside the calls."""
        self._thread = threading.Thread(target=self._work, name="safelight-checkpoints", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Sign a last time and stop."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
            self._once()

    def _work(self) -> None:
        while not self._stopped.wait(min(1.0, self.settings.seconds)):
            self._once()

    def _once(self) -> None:
        try:
            self.sign()
        except StoreFailed as error:
            self.say(str(error))
        self.send()

    def _send(self, line: str) -> None:
        to = self.settings.to
        if to == "-":
            print(line, flush=True)
        elif to.startswith(("http://", "https://")):
            request = urllib.request.Request(to, line.encode(), {"content-type": "application/json"}, method="POST")
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                answer.read()
        else:
            with (self.folder / to).open("a") as file:
                file.write(line + "\n")
                file.flush()
                os.fsync(file.fileno())


def signer_of(policy: GuardPolicy, store: Store, say: Callable[[str], None]) -> Signer | None:
    """Return what signs the log as [checkpoints] says, or None where it names no key; raises InputError."""
    settings = policy.checkpoints
    return None if settings is None or settings.key is None else Signer(store, settings, policy.folder, say)


def make_key(path: Path) -> str:
    """Make a signing key in a file that only its owner can read; return the public key, 64 hexadecimal digits.

    Raises:
        InputError: the file is there already, or cannot be made.
    """
    key = Ed25519PrivateKey.generate()
    formats = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise InputError(f"{path} is there already, and a key is never written over; name another file.") from None
    except OSError as error:
        raise InputError(f"{path} cannot be made ({error.strerror}); name another file.") from None
    with os.fdopen(handle, "wb") as file:
        file.write(key.private_bytes(*formats))
    return public_of(key)


def public_of(key: Ed25519PrivateKey) -> str:
    """Return the public key of a signing key, 64 hexadecimal digits."""
    return key.public_key().public_bytes_raw().hex()


def private_key(path: Path) -> Ed25519PrivateKey:
    """Read a signing key; raises InputError where there is none, or where others can read it."""
    try:
        if os.name == "posix" and path.stat().st_mode & 0o077:
            raise InputError(f"{path} can be read by others; run: chmod 600 {path}.")
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except OSError as error:
        raise InputError(
            f"The key of checkpoints, {path}, cannot be read ({error.strerror}); `safelight guard "
            "checkpoint-key` makes one."
        ) from None
    except (ValueError, TypeError):
        key = None  # type: ignore[assignment]
    if not isinstance(key, Ed25519PrivateKey):
        raise InputError(f"{path} holds no Ed25519 key; `safelight guard checkpoint-key` makes one.")
    return key


def public_key(digits: str) -> Ed25519PublicKey:
    """Read a public key; raises InputError."""
    try:
        return Ed25519PublicKey.from_public_bytes(bytes.fromhex(digits.strip()))
    except ValueError:
        raise InputError(
            f"The public key is {digits[:80]!r}; give the 64 hexadecimal digits that `safelight guard checkpoint-key` "
            "printed."
        ) from None


def read_checkpoints(path: Path, key: Ed25519PublicKey) -> Iterator[Checkpoint]:
    """Yield the checkpoints of a file; raises InputError where a line is none, or was not signed with this key."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise InputError(f"{path} cannot be read; name the file that checkpoints went to.") from None
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                facts = json.loads(line)
                found = Checkpoint(int(facts["serial"]), int(facts["rows"]), str(facts["digest"]), float(facts["at"]),
                                   str(facts["signature"]))  # fmt: skip
                key.verify(bytes.fromhex(found.signature), found.signed)
            except InvalidSignature:
                raise InputError(
                    f"{path}, line {number}, was not signed with this key; it, or the key, is false."
                ) from None
            except (ValueError, KeyError, TypeError):
                raise InputError(f"{path}, line {number}, is no checkpoint; put the file back as it was.") from None
            yield found


def verify_signed(
    store: Store,
    key: Ed25519PublicKey,
    elsewhere: Iterable[Checkpoint] = (),
    noted: Head | None = None,
    ledger: Ledger | None = None,
) -> tuple[Head, str, Checkpoint | None]:
    """Walk a log, hold it against checkpoints from elsewhere, and check the signatures of those that are rows of it.

    Args:
        store: whose log it is.
        key: that belongs to the signing key.
        elsewhere: checkpoints whose signatures were checked.
        noted: an earlier head, noted by hand.
        ledger: see `Store.verify`.

    Returns:
        (head, trouble, last): the last row that fits, what is wrong, or "", and the last checkpoint from elsewhere.

    Raises:
        StoreFailed: the database failed.
    """
    kept = list(elsewhere)
    marks = [Head(one.rows, one.digest) for one in kept] + ([noted] if noted else [])
    false: list[str] = []
    recent: dict[int, bytes] = {}

    def look(number: int, found: bytes, text: str) -> None:
        recent[number] = found
        recent.pop(number - RECENT, None)
        if '"what":"checkpoint"' not in text or false:
            return
        facts = json.loads(text)
        if facts.get("what") == "checkpoint":
            one = Checkpoint(facts["version"], facts["rows"], facts["digest"], facts["at"], facts["signature"])
            try:
                key.verify(bytes.fromhex(one.signature), one.signed)
            except (InvalidSignature, ValueError):
                false.append(f"row {number} is a checkpoint that was not signed with this key")
            if one.rows in recent and recent[one.rows].hex() != one.digest:
                false.append(f"row {one.rows} is not the one that the checkpoint in row {number} was signed for")

    head, trouble = store.verify(marks, look, ledger)
    last = max(kept, key=lambda one: one.rows, default=None)
    return head, trouble or "".join(false[:1]), last
