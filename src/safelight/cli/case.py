"""From a settings file to the case that defences are tried on."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from safelight.errors import InputError

if TYPE_CHECKING:
    from safelight.tradeoff.case import Case


def case_of(config: Path, only: str, out: Path, seed: int, jobs: int | None, quiet: bool) -> tuple[Case, str]:
    """Return the case of an audit's settings file, and what its model is called.

    Raises:
        InputError: the file cannot be used, or has no recipe.
    """
    from safelight.cli.build import build
    from safelight.cli.config import read_config
    from safelight.compute.engine import Engine
    from safelight.compute.ledger import Ledger
    from safelight.runner import recipe_of
    from safelight.tradeoff.case import Case

    built = build(read_config(config, {}), may_test=False)
    recipe = recipe_of(built.recipe, built.target)
    if recipe is None:
        raise InputError(f"{config} has no recipe to train the model again; add [recipe] with train = ...")
    case = Case(
        built.splits, built.threat, recipe, seed, out=out, ledger=Ledger(out / "ledger"), engine=Engine(jobs=jobs),
        say=(lambda line: None) if quiet else (lambda line: print(f"  {line}", file=sys.stderr, flush=True)),
    )  # fmt: skip
    words = tuple(word.strip() for word in only.split(",") if word.strip())
    return (replace(case, only=words) if words else case), built.target.name
