"""guard.toml: what the guard lets through, read strictly. An unknown key is an error with a suggestion."""

from __future__ import annotations

import hashlib
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from enum import Enum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from safelight.defences.outputs.policy import OutputPolicy
from safelight.errors import InputError, did_you_mean
from safelight.settings import filled


class Protocol(Enum):
    """What the model server speaks."""

    OIP = "oip"
    KSERVE = "kserve-v1"
    MLFLOW = "mlflow"


class Fail(Enum):
    """What becomes of a call that the guard cannot judge: refused, let through, or let through as a bare label."""

    CLOSED = "closed"
    OPEN = "open"
    LABEL_ONLY = "label-only"


@dataclass(frozen=True)
class Upstream:
    """[upstream]: the model server.

    Attributes:
        url: http(s) address that the protocol's own paths are joined to.
        protocol: "oip", "kserve-v1" or "mlflow".
        model: name for the log where the path holds none (mlflow).
    """

    url: str
    protocol: Protocol
    model: str | None = None


@dataclass(frozen=True)
class Key:
    """[[clients.key]]: one client. Either `sha256` or `env` says how its key looks; the file never holds the key.

    Attributes:
        id: name of the client in the log.
        sha256: of the key, 64 hexadecimal digits.
        env: environment variable that holds the key.
        cohort: name of the group of clients that it belongs to.
    """

    id: str
    sha256: str | None = None
    env: str | None = None
    cohort: str = ""

    @property
    def digest(self) -> str:
        """The SHA-256 of the key; raises InputError where the variable is empty."""
        if self.sha256 is not None:
            return self.sha256.lower()
        value = os.environ.get(self.env or "", "").strip()
        if not value:
            raise InputError(
                f"The environment variable {self.env} of the client {self.id!r} is empty; put its key there."
            )
        return hashlib.sha256(value.encode()).hexdigest()


@dataclass(frozen=True)
class Budget:
    """[budget]: records that one client may ask about; a batch of n records counts n. Left out, there is no limit.

    Attributes:
        per_minute: this many at once, then as many a minute (>= 1).
        per_day: from midnight to midnight, UTC (>= 1).
        lifetime: in all (>= 1).
    """

    per_minute: int | None = None
    per_day: int | None = None
    lifetime: int | None = None


@dataclass(frozen=True)
class Outputs:
    """[outputs]: what an answer still holds.

    Attributes:
        top_k: largest scores that stay (>= 1), the rest read 0.
        decimals: to which scores and real predictions are rounded (>= 0).
        label_only: the class alone, as a score of 1.
        names: outputs that may be asked for and leave; all that the guard understands when left out.
    """

    top_k: int | None = None
    decimals: int | None = None
    label_only: bool = False
    names: tuple[str, ...] = ()

    @property
    def defence(self) -> OutputPolicy:
        return OutputPolicy(self.top_k, self.decimals, label_only=self.label_only)


@dataclass(frozen=True)
class Signals:
    """[signals]: how often the watch over sequences of calls may be wrong.

    Attributes:
        false_alarms_per_1000_clients: a day (> 0).
        reference: file of this site's own normal traffic.
    """

    false_alarms_per_1000_clients: float = 1.0
    reference: str | None = None

    def __post_init__(self) -> None:
        if not 0 < self.false_alarms_per_1000_clients <= 1000:
            raise InputError(
                f"false_alarms_per_1000_clients is {self.false_alarms_per_1000_clients:g}; it must be above 0 and at "
                "most 1000."
            )


@dataclass(frozen=True)
class Actions:
    """[actions]: what is done about a client that the watch points at.

    Attributes:
        minutes: that a quarantine, or a milder step, holds (> 0).
        top_k: largest scores that stay for a client whose answers are made coarser (>= 1).
        decimals: that they are rounded to (>= 0).
        delay: seconds that a slowed client waits for each answer (>= 0).
    """

    minutes: float = 60.0
    top_k: int = 1
    decimals: int = 1
    delay: float = 2.0

    def __post_init__(self) -> None:
        if not 0 < self.minutes < 1e7:
            raise InputError(f"minutes is {self.minutes:g}; it must be above 0, such as 60.")
        if not 0 <= self.delay <= 60:
            raise InputError(f"delay is {self.delay:g}; it must be from 0 to 60 seconds.")

    def coarser(self, outputs: Outputs) -> Outputs:
        """Return what leaves for a client whose answers are made coarser: never more than for others."""
        top = min(outputs.top_k or self.top_k, self.top_k)
        decimals = self.decimals if outputs.decimals is None else min(outputs.decimals, self.decimals)
        return replace(outputs, top_k=top, decimals=decimals)


@dataclass(frozen=True)
class Failing:
    """[fail]: what becomes of a call that cannot be judged.

    Attributes:
        mode: "closed", "open" or "label-only".
    """

    mode: Fail = Fail.CLOSED


@dataclass(frozen=True)
class Storing:
    """[store]: where budgets and the log are kept.

    Attributes:
        url: sqlite:///FILE, from the folder of guard.toml, or sqlite:////WHOLE/PATH.
    """

    url: str = "sqlite:///guard.db"


@dataclass(frozen=True)
class GuardPolicy:
    """A whole guard.toml.

    Attributes:
        folder: where its relative paths start.
        header: of a request, that holds the client's key; `Bearer` before it is left out.
        clients: by the SHA-256 of their keys. Without any, all who ask are one client.
        signals: None where the file has no such table.
    """

    upstream: Upstream
    folder: Path = field(default_factory=Path)
    header: str = "authorization"
    clients: Mapping[str, Key] = field(default_factory=dict)
    budget: Budget = field(default_factory=Budget)
    outputs: Outputs = field(default_factory=Outputs)
    signals: Signals | None = None
    actions: Actions = field(default_factory=Actions)
    fail: Fail = Fail.CLOSED
    store: str = "sqlite:///guard.db"

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.folder / self.store.removeprefix("sqlite:///")


TABLES: Mapping[str, type[Any]] = {
    "upstream": Upstream,
    "budget": Budget,
    "outputs": Outputs,
    "signals": Signals,
    "actions": Actions,
    "fail": Failing,
    "store": Storing,
}
CLIENTS = ("header", "key")


def read_policy(path: Path) -> GuardPolicy:
    """Read guard.toml.

    Raises:
        InputError: the file is missing or no TOML, a key is unknown or missing, a value is not what it should be.
    """
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); name a policy with --policy.") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is no text in UTF-8; write it again.") from None
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path} is not valid TOML: {error}.") from None
    return parse_policy(document, path.parent, str(path))


def parse_policy(document: Mapping[str, Any], folder: Path, where: str) -> GuardPolicy:
    """Turn a parsed TOML document into a policy; see `read_policy`."""
    known = [*TABLES, "clients"]
    for name, content in document.items():
        if name not in known:
            raise InputError(f"{where} has an unknown table [{name}].{did_you_mean(name, known)}")
        if not isinstance(content, dict):
            raise InputError(f"{where}, {name} is {content!r}; write a table [{name}].")
    tables = {name: _table(f"{where}, [{name}]", kind, document.get(name, {})) for name, kind in TABLES.items()}
    header, clients = _clients(document.get("clients", {}), f"{where}, [clients]")
    check_address(tables["upstream"].url, f"{where}, [upstream] url")
    store = tables["store"].url
    if not store.startswith("sqlite:///") or store == "sqlite:///":
        raise InputError(
            f"{where}, [store] url is {store!r}; it must be sqlite:/// and a file, as in sqlite:///guard.db."
        )
    return GuardPolicy(
        upstream=tables["upstream"],
        folder=folder,
        header=header,
        clients=clients,
        budget=tables["budget"],
        outputs=tables["outputs"],
        signals=tables["signals"] if "signals" in document else None,
        actions=tables["actions"],
        fail=tables["fail"].mode,
        store=store,
    )


def _table(where: str, kind: type[Any], content: Any) -> Any:
    if not isinstance(content, dict):
        raise InputError(f"{where} is {content!r}; write a table.")
    thing = None
    missing = [
        item.name
        for item in fields(kind)
        if item.name not in content and item.default is MISSING and item.default_factory is MISSING
    ]
    if not missing:
        thing = filled(where, kind, content)
    elif set(content) <= {item.name for item in fields(kind)}:
        raise InputError(f"{where} needs the key {missing[0]!r}.")
    else:
        filled(where, kind, content)  # says which key is unknown
    return thing


def _clients(content: Mapping[str, Any], where: str) -> tuple[str, Mapping[str, Key]]:
    for key in content:
        if key not in CLIENTS:
            raise InputError(f"{where} has an unknown key {key!r}.{did_you_mean(key, CLIENTS)}")
    header = content.get("header", "authorization")
    if not isinstance(header, str) or not re.fullmatch(r"[A-Za-z0-9-]+", header):
        raise InputError(f"{where}, header is {header!r}; it must be the name of a header, such as authorization.")
    entries = content.get("key", [])
    if not isinstance(entries, list):
        raise InputError(f"{where}, key is no list; write [[clients.key]] before each client.")
    clients: dict[str, Key] = {}
    for entry in entries:
        key = _table("[[clients.key]]", Key, entry)
        if (key.sha256 is None) == (key.env is None):
            raise InputError(f"The client {key.id!r} needs either sha256 or env, and has both or none.")
        if key.sha256 is not None and not re.fullmatch(r"[0-9a-fA-F]{64}", key.sha256):
            raise InputError(
                f"The client {key.id!r} has a sha256 that is not 64 hexadecimal digits; hash its key again."
            )
        if not key.id or key.id in {other.id for other in clients.values()}:
            raise InputError(f"Two clients are named {key.id!r}, or one has no name; give each an id of its own.")
        if key.digest in clients:
            raise InputError(
                f"The clients {clients[key.digest].id!r} and {key.id!r} have the same key; give each its own."
            )
        clients[key.digest] = key
    return header.lower(), clients


def check_address(url: str, where: str) -> None:
    """Raise InputError where `url` is no plain http(s) address; `where` begins the sentence."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
    if not usable:
        raise InputError(f"{where} is {url!r}; write http://host:port.")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise InputError(f"{where} holds a password, a query or a fragment; write http://host:port and a path only.")
