"""guard.toml is read strictly. An unknown key is an error with a suggestion."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from safelight.errors import InputError, did_you_mean
from safelight.guard.alerts.settings import read_alerts
from safelight.guard.identity.client import is_name
from safelight.guard.identity.trust import PARTS, Certificate, Trust, trust_of
from safelight.guard.jsonpath import rule_of
from safelight.guard.policy.acting import Actions
from safelight.guard.policy.budgets import Budget
from safelight.guard.policy.clients import Key
from safelight.guard.policy.failing import Fail, Failing, Route
from safelight.guard.policy.keeping import Checkpoints, Measuring, Storing
from safelight.guard.policy.looking import Drifting, Signals
from safelight.guard.policy.noise import with_noise
from safelight.guard.policy.outputs import Outputs
from safelight.guard.policy.upstream import EMBEDDED, MLFLOW, Protocol, Upstream, Version, check_address
from safelight.guard.policy.whole import GuardPolicy
from safelight.guard.tables import table

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
    whole["outputs"] = with_noise(f"{where}, [outputs]", whole.get("outputs", {}))
    whole["budget"] = {key: value for key, value in whole.get("budget", {}).items() if key not in BUDGETS}
    wanted = {name: kind for name, kind in TABLES.items() if name in whole or name != "checkpoints"}
    tables = {name: table(f"{where}, [{name}]", kind, whole.get(name, {})) for name, kind in wanted.items()}
    if tables["outputs"].names and tables["upstream"].protocol in (Protocol.OPENAI, Protocol.JSONPATH):
        raise InputError(f"{where}, [outputs] names is for other protocols; leave it out; see allow and embeddings.")
    fail, outputs = tables["fail"].mode, tables["outputs"]
    routes = _routes(document.get("route", []), document.get("outputs", {}), fail)
    _noise_fits(where, tables["upstream"], [(outputs, fail), *((route.outputs, route.fail) for route in routes)])
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
        routes=routes,
        outputs=outputs,
        signals=tables["signals"] if "signals" in document else None,
        actions=tables["actions"],
        drift=tables["drift"],
        alerts=read_alerts(document.get("alerts", []), where),
        metrics=tables["metrics"],
        fail=fail,
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


def _noise_fits(where: str, upstream: Upstream, parts: Sequence[tuple[Outputs, Fail]]) -> None:
    """Raise InputError where something would leave beside the noise that makes it useless."""
    modes = [mode for outputs, mode in parts if outputs.noise is not None]
    if modes and upstream.protocol is Protocol.OPENAI:
        raise InputError(f"{where} has noise, and texts and embeddings have no bound that it needs; leave it out.")
    if modes and upstream.jsonpath is not None and upstream.jsonpath.labels:
        raise InputError(f"{where} has noise, and labels of [upstream.jsonpath] would leave without; leave one out.")
    if Fail.OPEN in modes:
        raise InputError(f'{where} has noise, and mode = "open" lets answers leave without it; use "closed" there.')


def _routes(entries: Any, outputs: Mapping[str, Any], mode: Fail) -> tuple[Route, ...]:
    if not isinstance(entries, list):
        raise InputError("route is no list; write [[route]] before each one.")
    found: list[Route] = []
    for entry in entries:
        given = entry
        if isinstance(entry, dict):
            own = entry.get("outputs", {})
            own = with_noise("[[route]] outputs", {**outputs, **own}, outputs) if isinstance(own, dict) else own
            whole = table("[[route]] outputs", Outputs, own)
            given = {"fail": mode, **entry, "outputs": whole}
        route = table("[[route]]", Route, given)
        if route.path in {other.path for other in found}:
            raise InputError(f"Two routes have the path {route.path!r}; write one of them.")
        found.append(route)
    return tuple(sorted(found, key=lambda route: (route.path.endswith("*"), -len(route.path))))


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
