"""Find the defence that meets a limit at the least loss of accuracy, confirmed on fresh coins."""

from __future__ import annotations

import json as json_format
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    from safelight.tradeoff.recommend import Recommendation, Tried

Flag = Annotated[bool, Parameter(negative="")]


def recommend(
    config: Path = Path("safelight.toml"),
    *,
    limit: str,
    min_accuracy: float,
    tries: Annotated[list[str] | None, Parameter(name="--try", negative="")] = None,
    runs: int = 10,
    only: str = "",
    out: Path = Path("safelight-recommend"),
    seed: int = 0,
    jobs: int | None = None,
    json: Flag = False,
    quiet: Annotated[bool, Parameter(name=["--quiet", "-q"], negative="")] = False,
) -> int:
    """Search defences and output settings for one that meets a limit, then confirm it on coins no choice has seen.

    Exit code 0 when a setting is confirmed, 1 when none is.

    Args:
        config: the settings file of an audit, with a recipe or a scikit-learn model.
        limit: such as "re-identification among 40 <= 10 %", "attribute <= 60 %" or "membership <= 55 %".
        min_accuracy: least accuracy on held-out records, such as 0.9.
        tries: a defence to choose among; may be repeated. Left out, a grid that fits the recipe.
        runs: trainings of the last round of the search, and of the confirmation.
        only: attacks to run, by the beginnings of their codes: V,M001.
        out: folder for the evidence.
        seed: the same seed gives the same choice.
        jobs: processes that train reference models side by side.
        json: print the result as JSON.
        quiet: no progress.
    """
    from safelight.cli.case import case_of
    from safelight.tradeoff.grid import chain_of, defaults
    from safelight.tradeoff.limit import limit_of
    from safelight.tradeoff.recommend import recommend as search

    asked, chains = limit_of(limit), [chain_of(text) for text in tries or []]
    case, _ = case_of(config, only, out, seed, jobs, quiet)
    found = search(case, chains or defaults(case.recipe), asked, min_accuracy, runs=runs)
    print(json_format.dumps(asdict(found), indent=1) if json else "\n".join(_said(found)))
    return 0 if found.chosen is not None else 1


def _said(found: Recommendation) -> list[str]:
    lines = [f"Limit: {found.limit}, accuracy at least {100 * found.min_accuracy:g} %.", ""]
    wide = min(60, max(len(_name(one)) for one in found.tried)) + 1
    lines += [f"  {_row(found, one, wide)}" for one in found.tried]
    if found.chosen is not None and found.chosen.most is not None:
        lines += [
            "",
            f"Use {_name(found.chosen)}: on fresh coins its best attack, {found.chosen.attack}, was right in "
            f"{found.chosen.right} of {found.chosen.guesses} guesses of two, so these attacks find at most "
            f"{100 * found.chosen.most:.1f} % among {found.limit.k} (95 %).",
            found.chosen.guarantee
            or "That is a limit on these attacks, not a guarantee: only differential privacy gives one.",
        ]
    else:
        lines += ["", f"Nothing is recommended: {found.reason}."]
        if found.closest is not None:
            share = f"found {100 * found.closest.found:.1f} % among {found.limit.k}"
            defended = found.closest.name != "none"
            comes = f"What comes closest is {_name(found.closest)}" if defended else "No defence came closer than none"
            lines.append(f"{comes}: {share}.")
    return lines


def _row(found: Recommendation, one: Tried, wide: int) -> str:
    good = "" if one.accuracy.value is None else f"{100 * one.accuracy.value:.1f} %"
    told = one.why_not or f"{one.attack} {one.right}/{one.guesses}, found {100 * one.found:.1f} % among {found.limit.k}"
    fresh = "" if one.most is None else f"; on fresh coins at most {100 * one.most:.1f} %"
    return f"{_name(one)[: wide - 1]:{wide}}{good:>8}  {told}{fresh}"


def _name(one: Tried) -> str:
    return "no defence" if one.name == "none" else one.name
