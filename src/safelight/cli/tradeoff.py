"""Measure defences side by side: accuracy, leak and cost, as a table and a picture."""

from __future__ import annotations

import json as json_format
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from safelight.errors import InputError

Flag = Annotated[bool, Parameter(negative="")]


def tradeoff(
    config: Path = Path("safelight.toml"),
    *,
    tries: Annotated[list[str] | None, Parameter(name="--try", negative="")] = None,
    runs: int = 3,
    only: str = "",
    out: Path = Path("safelight-tradeoff"),
    seed: int = 0,
    jobs: int | None = None,
    json: Flag = False,
    quiet: Annotated[bool, Parameter(name=["--quiet", "-q"], negative="")] = False,
) -> int:
    """Try defences on the model of an audit's settings: train with each, attack again, and draw what it bought.

    Writes DIR/tradeoff.json, DIR/tradeoff.svg and DIR/tradeoff.png.

    Args:
        config: the settings file of an audit, with a recipe or a scikit-learn model.
        tries: a defence, such as "dp-sgd:epsilon=8" or, of two together, "regularisation:decay=0.01 +
            output-policy:decimals=1"; may be repeated. Left out, a grid that fits the recipe. Differential
            privacy is the yardstick of every picture: where none of those named has it, those of the grid are added.
        runs: trainings for each kind of coins and each defence: more give narrower intervals.
        only: attacks to run, by the beginnings of their codes: V,M001.
        out: folder for the picture and the evidence; what is there already is not done again.
        seed: the same seed gives the same comparison.
        jobs: processes that train reference models side by side.
        json: print the points as JSON on stdout.
        quiet: no progress.
    """
    from safelight.cli.case import case_of
    from safelight.tradeoff.chart import save
    from safelight.tradeoff.grid import chain_of, defaults, guarded, yardstick
    from safelight.tradeoff.measure import tradeoff as measure
    from safelight.tradeoff.point import as_json
    from safelight.tradeoff.table import lines

    if runs < 1:
        raise InputError(f"--runs is {runs}; give at least 1.")
    named = [chain_of(text) for text in tries or []]
    case, name = case_of(config, only, out, seed, jobs, quiet)
    chains = named or defaults(case.recipe)
    if not any(map(guarded, chains)):
        chains += yardstick(case.recipe)
    points = measure(case, chains, runs)
    written = json_format.dumps({"target": name, "seed": seed, "runs": runs, "points": as_json(points)}, indent=1)
    (out / "tradeoff.json").write_text(written + "\n", "utf-8")
    for end in ("svg", "png"):
        save(points, out / f"tradeoff.{end}", f"{name}: what each defence buys")
    print(written if json else "\n".join((*lines(points), f"{out}/tradeoff.png")))
    return 0
