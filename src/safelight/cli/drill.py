"""Attack the model of an audit behind its guard."""

from __future__ import annotations

import json as json_format
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from safelight.errors import InputError

Flag = Annotated[bool, Parameter(negative="", show_default=False)]


def drill(
    config: Path = Path("safelight.toml"),
    /,
    *,
    policy: Path = Path("guard.toml"),
    attacks: Annotated[str, Parameter(show_default=False)] = "",
    adaptive: Flag = False,
    runs: int = 3,
    clients: int = 200,
    json: Flag = False,
    out: Path = Path("safelight-drill"),
    seed: int = 0,
    i_may_test_this: Flag = False,
    quiet: Annotated[bool, Parameter(name=["--quiet", "-q"], negative="", show_default=False)] = False,
) -> int:
    """Replay every black-box attack on an audit's model behind the guard: what leaked, what was noticed, and when.

    The model is trained again on data with coins in it and served on this machine, behind the guard as the policy says,
    with a database of its own. Writes DIR/drill.json; what is in DIR already is not done again.

    Args:
        config: the settings file of an audit. Without a recipe its model is attacked as it is, and no mu is measured.
        policy: settings of the guard, guard.toml; only read.
        attacks: beginnings of the codes of attacks to replay, separated by commas, such as V004,M. All that fit when
            left out.
        adaptive: attack also slowly, with 20 keys, with questions hidden among others, and learning from refusals.
        runs: how often each attack is run, each on a model trained anew (1 or more). More narrow the intervals, and
            take as many times as long.
        clients: harmless clients that are shown to the watch, to count its false alarms; 0 for none. Where none of
            n rings, up to 3,700 / n false alarms a day of 1,000 clients are still possible (95 %).
        json: print the result as one JSON object on stdout instead of lines.
        out: folder for evidence and result, DIR above; it is made where there is none.
        seed: whole number that all is drawn with; the same seed gives the same drill.
        i_may_test_this: your word that the owner of a remote address allows these attacks.
        quiet: no progress on stderr.
    """
    from safelight.cli.build import build
    from safelight.cli.config import read_config
    from safelight.drill.adaptive import ADAPTIVE, Plain
    from safelight.drill.case import Drill
    from safelight.drill.result import as_json, details, lines
    from safelight.drill.rounds import drill as drilled
    from safelight.drill.rounds import harmless
    from safelight.drill.visitors import Visitors
    from safelight.guard.policy import Protocol, read_policy
    from safelight.runner import recipe_of

    for flag, value, least in (("--runs", runs, 1), ("--clients", clients, 0)):
        if value < least:
            raise InputError(f"{flag} is {value}; give at least {least}.")
    settings = read_config(config, {})
    built = build(settings, may_test=i_may_test_this)
    case = Drill(
        built.target,
        built.splits,
        built.threat,
        read_policy(policy),
        recipe_of(built.recipe, built.target),
        seed=seed,
        runs=runs,
        only=tuple(word.strip() for word in attacks.split(",") if word.strip()),
        tuned=built.tuned,
        ways=(Plain(), *(ADAPTIVE if adaptive else ())),
        live=settings.target.model if "://" in settings.target.model else None,
        protocol=Protocol(settings.target.protocol),
        out=out,
        say=(lambda line: None) if quiet else (lambda line: print(f"  {line}", file=sys.stderr, flush=True)),
    )
    found = replace(drilled(case), benign=harmless(case, Visitors(clients)))
    (out / "drill.json").write_text(json_format.dumps(details(found), indent=1) + "\n", "utf-8")
    print(json_format.dumps(as_json(found), indent=1) if json else "\n".join((*lines(found), f"{out}/drill.json")))
    return 0
