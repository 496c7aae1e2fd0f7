"""Audit a model: settings from flags, environment and file; evidence and report into a folder."""

from __future__ import annotations

import datetime
import hashlib
import json as json_format
import os
import resource
import sys
import time
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from safelight.errors import InputError

if TYPE_CHECKING:
    from safelight.cli.config import Config
    from safelight.report.model import Report

Flag = Annotated[bool, Parameter(negative="")]
Level = Literal["label", "scores", "logits", "gradients", "weights"]


def audit(
    model: str | None = None,
    *,
    config: Path | None = None,
    scores: Path | None = None,
    release: Path | None = None,
    data: str | None = None,
    nonmembers: str | None = None,
    public: str | None = None,
    label: str | None = None,
    sensitive: Annotated[list[str] | None, Parameter(negative="")] = None,
    split: Literal["random", "unknown"] | None = None,
    trusted: Annotated[bool | None, Parameter(negative="")] = None,
    access: Level | None = None,
    budget: int | None = None,
    fail_on: Literal["leak", "unclear"] | None = None,
    out: Path = Path("safelight-report"),
    seed: int = 0,
    only: str = "",
    skip: str = "",
    deep: Flag = False,
    fast: Flag = False,
    budget_seconds: float | None = None,
    resume: Flag = False,
    jobs: int | None = None,
    engine: Literal["local", "ray"] = "local",
    address: str | None = None,
    gpus_per_task: float = 0.0,
    show_records: Flag = False,
    i_may_test_this: Flag = False,
    json: Flag = False,
    quiet: Annotated[bool, Parameter(name=["--quiet", "-q"], negative="")] = False,
    no_color: Flag = False,
    exit_zero: Flag = False,
) -> int:
    """Audit one model and write DIR/report.html, DIR/report.json and DIR/evidence/.

    Settings come from flags, then SAFELIGHT_* variables (SAFELIGHT_THREAT_QUERIES=1000), then the file.
    Exit codes: 0 nothing above the policy, 1 findings, 2 bad input, 3 incomplete or broken, 130 interrupted.

    Args:
        model: a model file, "module:function", a URL, or a settings file ending in .toml.
        config: settings; safelight.toml in this folder when left out.
        scores: audit a file of outputs alone: columns split, label, then p0, p1, ... or loss; see the settings page.
        release: audit a released table, "anonymised" or synthetic: a .csv or .parquet file.
        data: members: what the model was trained on.
        nonmembers: the same kind of records, never trained on.
        public: records of other people that an attacker may hold.
        label: column that a table model predicts.
        sensitive: column whose values are secrets; may be repeated.
        split: "random" if members and nonmembers were drawn at random from one pool.
        trusted: open a pickle or joblib file, which can run code.
        access: what one answer of the model shows to the attacker.
        budget: queries that one attacker may send in one attack.
        fail_on: what makes the exit code 1.
        out: folder for report and evidence.
        seed: the same seed gives the same report.
        only: attacks to run, by the beginnings of their codes: V,M001.
        skip: attacks to leave out.
        deep: also run what takes long.
        fast: run what fits a coffee break; this is the default.
        budget_seconds: time for the audit: fewer reference models and fewer runs, so less power.
        resume: go on with the evidence in DIR.
        jobs: processes that train and attack side by side, one thread each; the findings are the same.
        engine: "ray" does it on a Ray cluster.
        address: HOST:PORT of the head of the Ray cluster; left out, Ray starts on this machine.
        gpus_per_task: what each of Ray's workers takes of a GPU, such as 0.25.
        show_records: show the nearest training record beside each rebuilt picture.
        i_may_test_this: your word that you may test this remote address.
        json: print report.json on stdout.
        quiet: no progress.
        no_color: plain text.
        exit_zero: exit 0 whatever is found.
    """
    from safelight.cli.build import build, build_from_outputs, build_from_release, claim_of
    from safelight.cli.history import audited_before, remember
    from safelight.compute.engine import Engine
    from safelight.report.terminal import show
    from safelight.runner import Profile
    from safelight.runner import audit as run_audit
    from safelight.threat import Observes

    if deep and fast:
        raise InputError("--deep and --fast exclude each other; give one of them.")
    where = Engine(engine, jobs, address, gpus_per_task)
    started = time.time()
    if scores is not None and (model or data or nonmembers or public):
        raise InputError("--scores is a file of outputs alone; leave model and data out, or leave --scores out.")
    if release is not None and (model or scores is not None):
        raise InputError("--release is the table to audit; leave the model and --scores out, or leave --release out.")
    outputs = None if scores is None else str(scores.resolve())
    settings = _settings(model, config, {
        "target": {"trusted": trusted, "model": outputs or (release and str(release.resolve())),
                   "kind": release and "release"},
        "data": {"members": outputs or data, "nonmembers": nonmembers, "public": public, "label": label,
                 "sensitive": sensitive,
                 "split": split},
        "threat": {"access": access, "queries": budget},
        "policy": {"fail_on": fail_on},
        "report": {"show_records": show_records or None},
    })  # fmt: skip
    promise = claim_of(settings)
    key = hashlib.sha256(repr((settings, seed, only, skip, deep)).encode()).hexdigest()
    _open(out, key, resume)
    if scores is not None:
        built = build_from_outputs(settings, seed)
    elif settings.target.kind == "release":
        built = build_from_release(settings)
    else:
        built = build(settings, i_may_test_this)
    say = (lambda line: None) if quiet else _progress
    seen = built.threat.access.word if built.threat.observes is Observes.QUERIES else built.threat.observes.value
    say(f"Target: {built.target.name}, {built.target.description}; the attacker sees {seen}")
    with warnings.catch_warnings(record=True) as noted:
        warnings.simplefilter("always", UserWarning)
        report = run_audit(
            built.target, built.splits, built.threat, recipe=built.recipe, shadows=built.shadows,
            policy=built.policy, seed=seed,
            only=_words(only), skip=_words(skip), tuned=built.tuned, seconds=budget_seconds,
            profile=Profile.DEEP if deep else Profile.FAST,
            out=out, resume=resume, engine=where, show_records=settings.report.show_records,
            accepted=_accepted(settings), claim=promise, base=built.base, hashes=built.hashes, say=say,
        )  # fmt: skip
    for message in sorted({str(note.message) for note in noted if note.category is UserWarning}):
        say(f"note: {message}")
    report = replace(report, earlier=audited_before(report.hashes))
    remember(report.hashes)
    report.save(out)
    _write_run(out, key, started)
    if json:
        print((out / "report.json").read_text(encoding="utf-8"))
    else:
        show(report, out / "report.html", color=not no_color)
    return 0 if exit_zero else exit_code(report)


def exit_code(report: Report) -> int:
    """Return 3 for an audit that is broken, incomplete or empty, 1 for findings that the policy forbids, else 0."""
    from safelight.verdict.finding import Status, Verdict

    ran = any(finding.status is not Status.NOT_RUN for finding in report.findings)
    if report.verdict is Verdict.BROKEN or report.incomplete or not ran:
        return 3
    fatal = {Status.LEAK} if report.policy["fail_on"] == "leak" else {Status.LEAK, Status.UNCLEAR}
    return int(any(finding.status in fatal and not finding.accepted for finding in report.findings))


def _settings(model: str | None, config: Path | None, flags: Mapping[str, Mapping[str, Any]]) -> Config:
    from safelight.cli.config import TABLES, parse_config, read_config

    changes = _environment(TABLES)
    for table, values in flags.items():
        changes.setdefault(table, {}).update({key: value for key, value in values.items() if value is not None})
    if model is not None and model.endswith(".toml"):
        return read_config(Path(model), changes)
    if model is not None:
        changes.setdefault("target", {})["model"] = model
    path = config or Path("safelight.toml")
    if config is None and not path.exists():
        if "model" not in changes.get("target", {}):
            raise InputError("Say what to audit: a model file, or a safelight.toml (write one with `safelight init`).")
        return parse_config({}, Path(), "the command line", changes)
    return read_config(path, changes)


def _environment(tables: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Read SAFELIGHT_TABLE_KEY=value; values are TOML (2000, true, ["a"]), or else plain words."""
    import tomllib

    from safelight.errors import did_you_mean

    known = [table.upper() for table in tables]
    found: dict[str, dict[str, Any]] = {}
    for name, value in os.environ.items():
        prefix, _, rest = name.partition("SAFELIGHT_")
        table, _, key = rest.partition("_")
        if prefix or not key:
            continue
        if table not in known:
            raise InputError(
                f"The variable {name} names no table of settings; use SAFELIGHT_TABLE_KEY with one of "
                f"{', '.join(known)}.{did_you_mean(table, known)}"
            )
        try:
            content = tomllib.loads(f"v = {value}")["v"]
        except tomllib.TOMLDecodeError:
            content = value
        found.setdefault(table.lower(), {})[key.lower()] = content
    return found


def _open(out: Path, key: str, resume: bool) -> None:
    """Make the folder, and note whose evidence it holds; an audit with other settings is not gone on with."""
    run = out / "run.json"
    try:
        if resume and run.exists() and json_format.loads(run.read_text(encoding="utf-8")).get("key") != key:
            raise InputError(f"{out} holds an audit with other settings; leave --resume out, or choose another --out.")
        out.mkdir(parents=True, exist_ok=True)
        run.write_text(json_format.dumps({"key": key}), encoding="utf-8")
    except OSError as error:
        raise InputError(f"Cannot write to {out}: {error.strerror}; choose another --out folder.") from error


def _write_run(out: Path, key: str, started: float) -> None:
    """Write what differs from run to run, so that nothing else does."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    facts = {
        "key": key,
        "started": datetime.datetime.fromtimestamp(started, datetime.UTC).isoformat(timespec="seconds"),
        "seconds": round(time.time() - started, 2),
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 2),
        "peak_memory_mib": round(used.ru_maxrss / 1024),
    }
    (out / "run.json").write_text(json_format.dumps(facts, indent=2) + "\n", encoding="utf-8")


def _accepted(settings: Config) -> dict[str, str]:
    today = datetime.date.today()
    return {entry.code: entry.reason for entry in settings.accepted if entry.expires is None or entry.expires >= today}


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip().upper() for word in text.split(",") if word.strip())


def _progress(line: str) -> None:
    print(f"  {line}", file=sys.stderr, flush=True)
