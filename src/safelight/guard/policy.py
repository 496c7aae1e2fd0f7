"""guard.toml: what the guard lets through, read strictly. An unknown key is an error with a suggestion."""

from __future__ import annotations

import hashlib
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from safelight.defences.outputs.policy import OutputPolicy
from safelight.errors import InputError, did_you_mean
from safelight.guard.alerts.settings import AlertRoute, read_alerts
from safelight.guard.identity.client import is_name
from safelight.guard.identity.trust import PARTS, Certificate, Trust, trust_of
from safelight.guard.jsonpath import JsonRule, rule_of
from safelight.guard.tables import table


class Protocol(Enum):
    """What the model server speaks."""

    OIP = "oip"
    KSERVE = "kserve-v1"
    MLFLOW = "mlflow"
    OPENAI = "openai"
    JSONPATH = "jsonpath"


class Extras(Enum):
    """What becomes of what a question to a language model asks to be told beside the text."""

    STRIP = "strip"
    REFUSE = "refuse"


class Fail(Enum):
    """What becomes of a call that the guard cannot judge: refused, let through, or let through as a bare label."""

    CLOSED = "closed"
    OPEN = "open"
    LABEL_ONLY = "label-only"


EMBEDDED, MLFLOW = "embedded", "mlflow:"


@dataclass(frozen=True)
class Version:
    """[[upstream.version]]: one version of the model, and where it is served.

    Attributes:
        id: that aliases point at; with MLflow's registry its version number.
        url: http(s) address of the server that serves it.
        audit: report.json of its audit, from the folder of guard.toml.
    """

    id: str
    url: str
    audit: str | None = None


@dataclass(frozen=True)
class Upstream:
    """[upstream]: the model server.

    Attributes:
        url: http(s) address that the protocol's own paths are joined to.
        protocol: "oip", "kserve-v1", "mlflow", "openai" or "jsonpath".
        model: name for the log where the path holds none (mlflow, jsonpath); of openai the only one that may be asked.
        jsonpath: [upstream.jsonpath], the rule of that protocol.
        registry: that keeps the alias in `model`: "embedded", or "mlflow:" and the address of an MLflow server.
        version: [[upstream.version]], oldest first; `model` is then NAME@ALIAS and says which of them is asked.
    """

    url: str
    protocol: Protocol
    model: str | None = None
    jsonpath: JsonRule | None = None
    registry: str = EMBEDDED
    version: tuple[Version, ...] = ()

    def __post_init__(self) -> None:
        if (self.protocol is Protocol.JSONPATH) != (self.jsonpath is not None):
            raise InputError('The table [upstream.jsonpath] and protocol = "jsonpath" go together; write both or none.')


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


ALLOWABLE = ("n", "best_of", "echo", "logit_bias", "seed", "tokens")


@dataclass(frozen=True)
class Outputs:
    """[outputs]: what an answer still holds.

    Attributes:
        top_k: largest scores that stay (>= 1), the rest read 0.
        decimals: to which scores and real predictions are rounded (>= 0).
        label_only: the class alone, as a score of 1.
        names: outputs that may be asked for and leave; all that the guard understands when left out. Language models
            and jsonpath have no such names.
        embeddings: whether the embeddings of a language model may leave, rounded to `decimals`.
        extras: "strip" or "refuse": what becomes of logprobs, top_logprobs, prompt_logprobs and seed in a question.
        allow: of n, best_of, echo, logit_bias, seed and tokens (prompts as numbers), those that may be asked for.
    """

    top_k: int | None = None
    decimals: int | None = None
    label_only: bool = False
    names: tuple[str, ...] = ()
    embeddings: bool = False
    extras: Extras = Extras.STRIP
    allow: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in self.allow:
            if name not in ALLOWABLE:
                raise InputError(
                    f"allow has {name!r}; it may list {', '.join(ALLOWABLE)}.{did_you_mean(name, ALLOWABLE)}"
                )

    @property
    def defence(self) -> OutputPolicy:
        return OutputPolicy(self.top_k, self.decimals, label_only=self.label_only)


@dataclass(frozen=True)
class Signals:
    """[signals]: how often the watch over sequences of calls may be wrong.

    Attributes:
        false_alarms_per_1000_clients: a day (> 0).
        reference: file of this site's own normal traffic, as `safelight guard calibrate` writes it.
        record: file that calls are recorded in, to calibrate on: it holds what clients ask, as it is.
        canaries: file of keyed hashes of secrets that a language model must not say.
    """

    false_alarms_per_1000_clients: float = 1.0
    reference: str | None = None
    record: str | None = None
    canaries: str | None = None

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
        bits: of work that a challenged client does for each record (>= 1); each more doubles it.
        dry_run: whether all is logged as "would" and nothing is done.
        approval_above: share of the clients that asked within a day, in [0, 1]; what hits more waits for a person.
        forget: quiet minutes after which a client starts at the foot of the ladder again (> 0).
        playbooks: TOML file from the folder of guard.toml; the built-in playbook when left out.
    """

    minutes: float = 60.0
    top_k: int = 1
    decimals: int = 1
    delay: float = 2.0
    bits: int = 18
    dry_run: bool = False
    approval_above: float = 0.05
    forget: float = 1440.0
    playbooks: str | None = None

    def __post_init__(self) -> None:
        if self.bits > 40:
            raise InputError(f"bits is {self.bits}; it must be at most 40, which no client finds in a day.")
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
class Measuring:
    """[metrics]: where OpenMetrics are read, at /metrics. The clients' own port never serves them.

    Attributes:
        port: of a listener of its own; none when left out.
        host: that it listens at; this machine alone when left out.
    """

    port: int | None = None
    host: str = "127.0.0.1"

    def __post_init__(self) -> None:
        if self.port is not None and not 0 <= self.port <= 65535:
            raise InputError(f"port is {self.port}; it must be from 0 to 65535.")


@dataclass(frozen=True)
class Drifting:
    """[drift]: when records or answers no longer look like those of the reference.

    Attributes:
        reference: file of `safelight guard drift-reference`, from the folder of guard.toml; None watches no drift.
        window: records that a test looks at (>= 200).
        least: records before which nothing is tested (>= 100).
        share: of the window, that one client's records can have at most, in (0, 1].
        alpha: chance of a false finding while one window of records passes, in (0, 0.1].
        psi: population stability index of a column that counts as drift (> 0): 0.1 is a shift, 0.25 a large one.
        mmd: squared MMD of all columns together that counts as drift (>= 0).
    """

    reference: str | None = None
    window: int = 2000
    least: int = 400
    share: float = 0.25
    alpha: float = 0.001
    psi: float = 0.25
    mmd: float = 0.01

    def __post_init__(self) -> None:
        if self.least > self.window:
            raise InputError(f"least is {self.least} and window is {self.window}; a window holds at least that many.")


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
        url: sqlite:///FILE, from the folder of guard.toml, or sqlite:////WHOLE/PATH; or postgresql://USER@HOST/DATABASE,
            for guards on several machines.
        redis: redis://HOST:PORT/NUMBER, beside PostgreSQL: calls are then judged there, and PostgreSQL is asked for
            budget in batches.
        key_env: environment variable that holds the key of the log, 64 hexadecimal digits; the file beside the SQLite
            file, or guard.key in the folder of guard.toml, when left out.
    """

    url: str = "sqlite:///guard.db"
    redis: str | None = None
    key_env: str | None = None

    @property
    def shared(self) -> bool:
        """Whether guards on several machines may share it."""
        return self.url.startswith(("postgresql://", "postgres://"))


@dataclass(frozen=True)
class Checkpoints:
    """[checkpoints]: how often the end of the log is signed, and where to.

    Attributes:
        to: file that lines are added to, an http(s) address that they are posted to, or "-" for standard output.
        key: file of the Ed25519 key that signs, as `safelight guard checkpoint-key` makes it; when left out the guard
            signs nothing by itself, and `safelight guard checkpoint --key` does, where the key is.
        rows: of the log, after which the next one is due (>= 1).
        seconds: after which the next one is due, where there are new rows (> 0).
    """

    to: str
    key: str | None = None
    rows: int = 1000
    seconds: float = 60.0

    def __post_init__(self) -> None:
        if self.rows < 1 or not self.seconds > 0:
            raise InputError(
                f"rows is {self.rows} and seconds is {self.seconds:g}; they must be at least 1, and above 0."
            )
        if self.to.startswith(("http://", "https://")):
            check_address(self.to, "[checkpoints] to")


@dataclass(frozen=True)
class Route:
    """[[route]]: one path, or all paths below one, with a way to fail and outputs of its own.

    Attributes:
        path: as "/v2/models/diag/infer", or "/v2/models/diag/*" for all that begins with "/v2/models/diag/".
        fail: "closed", "open" or "label-only".
        outputs: what an answer still holds there; in the file, what is left out is as in [outputs].
    """

    path: str
    fail: Fail
    outputs: Outputs

    def __post_init__(self) -> None:
        if not is_plain(self.path) or "*" in self.path.removesuffix("/*"):
            raise InputError(
                f"The route {self.path!r} is no path; write it like /invocations, or /v2/models/diag/* for all below."
            )

    def holds(self, path: str) -> bool:
        """Whether it speaks of this path."""
        return path.startswith(self.path[:-1]) if self.path.endswith("*") else path == self.path


@dataclass(frozen=True)
class GuardPolicy:
    """A whole guard.toml.

    Attributes:
        folder: where its relative paths start.
        header: of a request, that holds the client's key; `Bearer` before it is left out.
        clients: by the SHA-256 of their keys. Without any, and without `trust`, all who ask are one client.
        trust: what is believed beside keys.
        budgets: of single clients, by id; what is left out there is as in `budget`.
        cohorts: budgets that all clients of a cohort share, by its name.
        models: budgets of each client for one model, by its name.
        routes: the longest path first.
        signals: None where the file has no such table.
        alerts: where alerts go.
        metrics: where OpenMetrics are read.
    """

    upstream: Upstream
    folder: Path = field(default_factory=Path)
    header: str = "authorization"
    clients: Mapping[str, Key] = field(default_factory=dict)
    trust: Trust = field(default_factory=Trust)
    budget: Budget = field(default_factory=Budget)
    budgets: Mapping[str, Budget] = field(default_factory=dict)
    cohorts: Mapping[str, Budget] = field(default_factory=dict)
    models: Mapping[str, Budget] = field(default_factory=dict)
    routes: tuple[Route, ...] = ()
    outputs: Outputs = field(default_factory=Outputs)
    signals: Signals | None = None
    actions: Actions = field(default_factory=Actions)
    drift: Drifting = field(default_factory=Drifting)
    alerts: tuple[AlertRoute, ...] = ()
    metrics: Measuring = field(default_factory=Measuring)
    fail: Fail = Fail.CLOSED
    store: Storing = field(default_factory=Storing)
    checkpoints: Checkpoints | None = None

    @property
    def names_clients(self) -> bool:
        """Whether who asks must show who it is."""
        return bool(self.clients) or bool(self.trust)

    @property
    def takes_keys(self) -> bool:
        """Whether `header` is the guard's own: a key or a token stands there, which goes no further."""
        return bool(self.clients) or self.trust.jwt is not None

    def budget_of(self, client: str) -> Budget:
        """Return a client's own budget."""
        return self.budgets.get(client, self.budget)

    def at(self, path: str) -> GuardPolicy:
        """Return what holds for a path. One that could be read in two ways belongs to no route, and fails closed."""
        if not self.routes:
            return self
        if not is_plain(path):
            return replace(self, fail=Fail.CLOSED)
        route = next((route for route in self.routes if route.holds(path)), None)
        return self if route is None else replace(self, fail=route.fail, outputs=route.outputs)

    @property
    def database(self) -> Path:
        """The SQLite file; guard.db where the policy names another database."""
        return self.folder / (self.store.url.removeprefix("sqlite:///") if not self.store.shared else "guard.db")


TABLES: Mapping[str, type[Any]] = {
    "upstream": Upstream,
    "budget": Budget,
    "outputs": Outputs,
    "signals": Signals,
    "actions": Actions,
    "drift": Drifting,
    "metrics": Measuring,
    "fail": Failing,
    "store": Storing,
    "checkpoints": Checkpoints,
}
CLIENTS = ("header", "key", *PARTS)
BUDGETS = {"client": "id", "cohort": "name", "model": "name"}
"""Lists in [budget] -> the key that says whose budget an entry is."""


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
    known = [*TABLES, "clients", "route", "alerts"]
    for name, content in document.items():
        if name not in known:
            raise InputError(f"{where} has an unknown table [{name}].{did_you_mean(name, known)}")
        if not isinstance(content, dict) and name not in ("route", "alerts"):
            raise InputError(f"{where}, {name} is {content!r}; write a table [{name}].")
    rule = document.get("upstream", {}).get("jsonpath")
    if isinstance(rule, dict):
        rule = rule_of(f"{where}, [upstream.jsonpath]", rule)
        document = {**document, "upstream": {**document["upstream"], "jsonpath": rule}}
    versions = _versions(document.get("upstream", {}), f"{where}, [upstream]")
    if versions:
        rest = {key: value for key, value in document["upstream"].items() if key != "version"}
        document = {**document, "upstream": {"url": versions[0].url, **rest}}
    whole = dict(document)
    lists = {part: whole.get("budget", {}).get(part, []) for part in BUDGETS}
    whole["budget"] = {key: value for key, value in whole.get("budget", {}).items() if key not in BUDGETS}
    wanted = {name: kind for name, kind in TABLES.items() if name in whole or name != "checkpoints"}
    tables = {name: table(f"{where}, [{name}]", kind, whole.get(name, {})) for name, kind in wanted.items()}
    if tables["outputs"].names and tables["upstream"].protocol in (Protocol.OPENAI, Protocol.JSONPATH):
        raise InputError(
            f"{where}, [outputs] names is for other protocols; leave it out; see allow and embeddings."
        )
    header, clients, trust = _clients(document.get("clients", {}), f"{where}, [clients]")
    budgets = {part: _budgets(part, entries, tables["budget"]) for part, entries in lists.items()}
    _known_owners(budgets, clients, trust)
    check_address(tables["upstream"].url, f"{where}, [upstream] url")
    store = tables["store"]
    if not store.shared and (not store.url.startswith("sqlite:///") or store.url == "sqlite:///"):
        raise InputError(
            f"{where}, [store] url is {store.url!r}; it must be sqlite:/// and a file, as in sqlite:///guard.db, or "
            "postgresql://user@host/database."
        )
    if store.redis is not None and not (store.shared and store.redis.startswith(("redis://", "rediss://", "unix://"))):
        raise InputError(
            f"{where}, [store] has redis; it must be redis://host:port/number, beside a url that begins postgresql://."
        )
    return GuardPolicy(
        upstream=replace(tables["upstream"], version=versions),
        folder=folder,
        header=header,
        clients=clients,
        trust=trust,
        budget=tables["budget"],
        budgets=budgets["client"],
        cohorts=budgets["cohort"],
        models=budgets["model"],
        routes=_routes(document.get("route", []), document.get("outputs", {}), tables["fail"].mode),
        outputs=tables["outputs"],
        signals=tables["signals"] if "signals" in document else None,
        actions=tables["actions"],
        drift=tables["drift"],
        alerts=read_alerts(document.get("alerts", []), where),
        metrics=tables["metrics"],
        fail=tables["fail"].mode,
        store=store,
        checkpoints=tables.get("checkpoints"),
    )


def _versions(upstream: Mapping[str, Any], where: str) -> tuple[Version, ...]:
    entries, registry = upstream.get("version", []), upstream.get("registry", EMBEDDED)
    if not isinstance(entries, list) or ("version" in upstream and not entries):
        raise InputError(f"{where} version is no list of tables; write [[upstream.version]] before each version.")
    if isinstance(registry, str) and registry.startswith(MLFLOW):
        check_address(registry.removeprefix(MLFLOW), f"{where} registry, after {MLFLOW},")
    elif registry != EMBEDDED:
        raise InputError(f"{where} registry is {registry!r}; it must be {EMBEDDED} or {MLFLOW}http://host:port.")
    if not entries:
        if registry != EMBEDDED:
            raise InputError(f"{where} names a registry and no versions; write [[upstream.version]] for each.")
        return ()
    model = upstream.get("model")
    if not isinstance(model, str) or not re.fullmatch(r"[^@\s]+@[A-Za-z][\w-]{0,99}", model):
        raise InputError(f"{where} has versions, and model is {model!r}; write NAME@ALIAS, such as diag@champion.")
    versions: list[Version] = []
    for entry in entries:
        version = table("[[upstream.version]]", Version, entry)
        if not version.id or version.id in {other.id for other in versions}:
            raise InputError(f"Two versions have the id {version.id!r}, or one has none; give each its own.")
        check_address(version.url, f"The version {version.id!r}, url")
        versions.append(version)
    return tuple(versions)


def _budgets(part: str, entries: Any, usual: Budget) -> Mapping[str, Budget]:
    where, owner = f"[[budget.{part}]]", BUDGETS[part]
    if not isinstance(entries, list):
        raise InputError(f"budget.{part} is no list; write {where} before each one.")
    found: dict[str, Budget] = {}
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(entry.get(owner), str):
            raise InputError(f"{where} is {entry!r}; it needs the key {owner!r}.")
        rest = {key: value for key, value in entry.items() if key != owner}
        if not rest:
            raise InputError(f"{where} {entry[owner]!r} sets no limit; add {', '.join(asdict(usual))}.")
        usual_here = {key: value for key, value in asdict(usual).items() if value is not None and part == "client"}
        if entry[owner] in found:
            raise InputError(f"{where} stands twice for {entry[owner]!r}; write it once.")
        found[entry[owner]] = table(f"{where} {entry[owner]!r}", Budget, {**usual_here, **rest})
    return found


def _known_owners(budgets: Mapping[str, Mapping[str, Budget]], clients: Mapping[str, Key], trust: Trust) -> None:
    """Raise InputError where a budget is of nobody: it would hold nobody back, and nobody would notice."""
    named: list[Key | Certificate] = [*clients.values(), *trust.certificates]
    ids, groups = {each.id for each in named} or {"everyone"}, {each.cohort for each in named} - {""}
    for name in budgets["client"]:
        if name not in ids and not (trust.jwt and name.startswith("jwt:")):
            raise InputError(f"[[budget.client]] speaks of {name!r}, which is no client.{did_you_mean(name, ids)}")
    for name in budgets["cohort"]:
        if name not in groups and not (trust.jwt and trust.jwt.cohort_claim):
            raise InputError(f"[[budget.cohort]] speaks of {name!r}, which is no cohort.{did_you_mean(name, groups)}")


def _routes(entries: Any, outputs: Mapping[str, Any], mode: Fail) -> tuple[Route, ...]:
    if not isinstance(entries, list):
        raise InputError("route is no list; write [[route]] before each one.")
    found: list[Route] = []
    for entry in entries:
        given = entry
        if isinstance(entry, dict):
            own = entry.get("outputs", {})
            whole = table("[[route]] outputs", Outputs, {**outputs, **own} if isinstance(own, dict) else own)
            given = {"fail": mode, **entry, "outputs": whole}
        route = table("[[route]]", Route, given)
        if route.path in {other.path for other in found}:
            raise InputError(f"Two routes have the path {route.path!r}; write one of them.")
        found.append(route)
    return tuple(sorted(found, key=lambda route: (route.path.endswith("*"), -len(route.path))))


def is_plain(path: str) -> bool:
    """Whether a path can be read in one way only: no dots as a part, empty parts, percents or semicolons."""
    parts = path.split("/")
    return (
        path.startswith("/")
        and not {".", ".."} & set(parts)
        and "" not in parts[1:-1]
        and not re.search(r"[\\%?#;\x00-\x20\x7f]", path)
    )


def _clients(content: Mapping[str, Any], where: str) -> tuple[str, Mapping[str, Key], Trust]:
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
        key = table("[[clients.key]]", Key, entry)
        if (key.sha256 is None) == (key.env is None):
            raise InputError(f"The client {key.id!r} needs either sha256 or env, and has both or none.")
        if key.sha256 is not None and not re.fullmatch(r"[0-9a-fA-F]{64}", key.sha256):
            raise InputError(
                f"The client {key.id!r} has a sha256 that is not 64 hexadecimal digits; hash its key again."
            )
        if not key.id or key.id in {other.id for other in clients.values()}:
            raise InputError(f"Two clients are named {key.id!r}, or one has no name; give each an id of its own.")
        if not is_name(key.id) or key.id.startswith("jwt:"):
            raise InputError(
                f"The client {key.id!r} has no plain name; give it an id of at most 200 letters, and not 'jwt:...'."
            )
        if key.digest in clients:
            raise InputError(
                f"The clients {clients[key.digest].id!r} and {key.id!r} have the same key; give each its own."
            )
        clients[key.digest] = key
    return header.lower(), clients, trust_of(content, f"{where}, ", {key.id for key in clients.values()})


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
