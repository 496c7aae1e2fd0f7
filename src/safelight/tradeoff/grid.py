"""Which defences are tried: chains read from words, and the ones tried when nobody names any."""

from __future__ import annotations

from typing import Any

from safelight.defences.base import Defence, all_defences, defence_of
from safelight.errors import InputError
from safelight.recipes.base import Recipe

IN_TORCH = (
    "output-policy:decimals=1",
    "output-policy:top_k=1",
    "output-policy:label_only=true",
    "label-smoothing:alpha=-0.05",
    "label-smoothing:alpha=0.1",
    "transfer-learning",
    "regularisation:decay=0.01,dropout=0.5",
    "early-stopping",
    "distillation",
    "quantisation:bits=8",
    "dp-sgd:epsilon=32,epochs=100,rate=0.01",
    "dp-sgd:epsilon=8,epochs=100,rate=0.01",
    "dp-sgd:epsilon=1,epochs=100,rate=0.01",
)
"""What is tried on a torch training. DP-SGD takes more and longer steps than a recipe that was made without noise.

They were set on the faces of the demo, where its accuracy is a little flattered by that.
"""
IN_SKLEARN = (
    "output-policy:decimals=1",
    "output-policy:label_only=true",
    "regularisation:min_samples_leaf=20",
    "regularisation:min_samples_leaf=100",
    "distillation",
    "dp-forest:epsilon=8",
    "dp-forest:epsilon=1",
    "dp-linear:epsilon=8",
    "dp-linear:epsilon=1",
)
ON_ANSWERS = ("output-policy:decimals=1", "output-policy:top_k=1", "output-policy:label_only=true", "distillation")


def chain_of(text: str) -> tuple[Defence, ...]:
    """Return the defences that a text names, innermost first: "dp-sgd:epsilon=8 + output-policy:decimals=1".

    Several values of one setting stand between bars: "data-minimisation:drop=age|job|".

    Raises:
        InputError: no such defence or setting, or a value that cannot be.
    """
    return tuple(_one(part.strip()) for part in text.split("+"))


def defaults(recipe: Recipe) -> list[tuple[Defence, ...]]:
    """Return the chains tried when none are named: those that fit the recipe and whose packages are there."""
    from safelight.recipes.sklearn import SklearnRecipe

    words = IN_SKLEARN if isinstance(recipe, SklearnRecipe) else IN_TORCH if _is_torch(recipe) else ON_ANSWERS
    known = all_defences()
    chains = [chain_of(text) for text in words if text.partition(":")[0] in known]
    return [chain for chain in chains if not chain[0].misfit(recipe)]


def yardstick(recipe: Recipe) -> list[tuple[Defence, ...]]:
    """Return those of the defaults that have a guarantee: differential privacy at several epsilons, where it fits.

    Every other defence is read against their curve. A recipe that hides its training has none.
    """
    return [chain for chain in defaults(recipe) if guarded(chain)]


def guarded(chain: tuple[Defence, ...]) -> bool:
    """Return whether some defence of a chain says what differential privacy promises of it."""
    return any(hasattr(defence, "guarantee") for defence in chain)


def _is_torch(recipe: Recipe) -> bool:
    return type(recipe).__name__ == "TorchRecipe"


def _one(text: str) -> Defence:
    name, _, rest = text.partition(":")
    values: dict[str, Any] = {}
    for item in filter(None, (part.strip() for part in rest.split(","))):
        key, found, value = item.partition("=")
        if not found:
            raise InputError(f"{text!r} holds {item!r}; write settings as name:setting=value,setting=value.")
        values[key.strip()] = _value(value.strip())
    return defence_of(name.strip(), values)


def _value(text: str) -> Any:
    if "|" in text:
        return [part.strip() for part in text.split("|") if part.strip()]
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
