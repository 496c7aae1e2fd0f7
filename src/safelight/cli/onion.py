"""Take the records most at risk out of training, look again, and say who is exposed next."""

from __future__ import annotations

import json as json_format
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from safelight.errors import InputError

if TYPE_CHECKING:
    from safelight.runner.onion import Change, Layer


def onion(
    config: Path = Path("safelight.toml"),
    *,
    layers: int = 2,
    share: float = 0.05,
    references: int = 16,
    seed: int = 0,
    out: Path = Path("safelight-report"),
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Peel the training data: take out the records most at risk, train again, and see who is exposed next.

    Removing outliers can expose those behind them. Each layer trains `references` models three times, and stands beside
    as many records removed at random.

    Args:
        config: the settings file of an audit, with a recipe or a scikit-learn model.
        layers: how often the riskiest leave.
        share: of the records that leave in one layer.
        references: models of one measurement, each trained on half of the records; an even number.
        seed: the same seed gives the same layers.
        out: folder whose ledger keeps what was trained, so that an interrupted run goes on.
        json: print the layers as JSON.
    """
    from safelight.cli.build import build
    from safelight.cli.config import read_config
    from safelight.compute.ledger import Ledger
    from safelight.runner import recipe_of
    from safelight.runner.onion import peel

    built = build(read_config(config, {}), may_test=False)
    recipe = recipe_of(built.recipe, built.target)
    if recipe is None:
        raise InputError(f"{config} has no recipe to train the model again; add [recipe] with train = ...")
    found = peel(
        recipe, built.splits.members, layers=layers, share=share, references=references, seed=seed,
        ledger=Ledger(out / "ledger"), say=lambda line: print(f"  {line}", file=sys.stderr, flush=True),
    )  # fmt: skip
    if json:
        print(json_format.dumps([asdict(layer) for layer in found], indent=1))
    else:
        print("\n\n".join(_said(number, layer) for number, layer in enumerate(found, 1)))
    return 0


def _said(number: int, layer: Layer) -> str:
    shown = ", ".join(f"{name} ({share:.0%})" for name, share in list(zip(layer.riskiest, layer.exposures))[:8])
    more = f" and {len(layer.riskiest) - 8} more" if len(layer.riskiest) > 8 else ""
    copied = f"{layer.copied} of them have copies among the records." if layer.copied else ""
    return "\n".join((
        f"Layer {number}: {layer.records} records. At 1 % false alarms a record is found in {layer.exposure:.1%}",
        f"of the models that were trained with it. The {len(layer.riskiest)} most exposed leave: {shown}{more}.",
        *([copied] if copied else []),
        f"The others were found in {_changed(layer.rest)}.",
        f"Control, as many leave at random: {_changed(layer.control)}.",
        _meaning(layer),
    ))  # fmt: skip


def _changed(change: Change) -> str:
    ends = f"{100 * change.low:+.1f} to {100 * change.high:+.1f}"
    return f"{change.before:.1%} before and {change.after:.1%} after ({100 * change.gain:+.1f} points, {ends})"


def _meaning(layer: Layer) -> str:
    if layer.rest.low > layer.control.high:
        return "Others stand out once these are gone: removing the riskiest does not protect the rest."
    if layer.rest.high < layer.control.low:
        return "The rest is less exposed once these are gone."
    return "What their leaving does to the rest cannot be told from leaving at random."
