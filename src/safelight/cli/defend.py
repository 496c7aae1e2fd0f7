"""Try defences and say in words what each did."""

from __future__ import annotations

import json as json_format
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from safelight.errors import InputError

Flag = Annotated[bool, Parameter(negative="")]


def defend(
    config: Path = Path("safelight.toml"),
    *,
    tries: Annotated[list[str] | None, Parameter(name="--try", negative="")] = None,
    runs: int = 3,
    only: str = "",
    out: Path = Path("safelight-report"),
    seed: int = 0,
    jobs: int | None = None,
    quiet: Annotated[bool, Parameter(name=["--quiet", "-q"], negative="")] = False,
) -> int:
    """Try defences on the model of an audit's settings, and say of each whether it helps, best first.

    Writes DIR/defences.json. A report that an audit left in DIR is drawn again with what was measured.

    Args:
        config: the settings file of an audit, with a recipe or a scikit-learn model.
        tries: a defence, such as "dp-sgd:epsilon=8"; may be repeated. Left out, a grid that fits the recipe.
        runs: trainings for each kind of coins and each defence.
        only: attacks to run, by the beginnings of their codes: V,M001.
        out: folder of the audit.
        seed: the same seed gives the same figures.
        jobs: processes that train reference models side by side.
        quiet: no progress.
    """
    from safelight.cli.case import case_of
    from safelight.tradeoff.grid import chain_of, defaults
    from safelight.tradeoff.measure import tradeoff
    from safelight.tradeoff.point import as_json
    from safelight.tradeoff.words import remedies, said

    if runs < 1:
        raise InputError(f"--runs is {runs}; give at least 1.")
    chains = [chain_of(text) for text in tries or []]
    case, _ = case_of(config, only, out, seed, jobs, quiet)
    points = tradeoff(case, chains or defaults(case.recipe), runs)
    (out / "defences.json").write_text(json_format.dumps(as_json(points), indent=1) + "\n", "utf-8")
    print("\n".join(said(points)))
    if (out / "report.json").is_file():
        from safelight.report.document import read

        shown = replace(read(out / "report.json"), remedies=remedies(points)).save(out)
        print(f"{shown} shows them as measured remedies.")
    return 0
