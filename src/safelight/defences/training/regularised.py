"""Regularisation as every textbook has it: weight decay, dropout, larger leaves, stronger penalties."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, cast

from sklearn.base import clone
from sklearn.ensemble import GradientBoostingRegressor

from safelight.defences.base import needs_torch, refuse
from safelight.recipes.base import Recipe
from safelight.recipes.sklearn import SklearnRecipe
from safelight.settings import check

if TYPE_CHECKING:
    from torch import nn

    from safelight.recipes.torch import TorchRecipe

MODERATE: dict[str, Any] = {"decay": 1e-3, "dropout": 0.5, "min_samples_leaf": 10, "c": 0.1, "alpha": 1.0}
"""What is taken of each setting that the recipe has when none is set."""


@dataclass(frozen=True)
class Regularised:
    """Hold the model back from learning single records by heart.

    What it does: a torch training gets weight decay, and dropout before the last linear layer; a scikit-learn model
    gets larger leaves (trees and forests), a smaller C (linear models, support vectors) or a larger alpha (networks,
    ridge), wherever it stands in a pipeline. What is left out stays as it is; with nothing set, every one of them
    that the model has becomes moderate (decay 0.001, dropout 0.5, leaves of 10 records, C 0.1, alpha 1).
    Evidence for: membership follows overfitting (Yeom et al. 2018, arXiv:1709.01604, section 3), and dropout and
    penalties lower it (Salem et al. 2019, arXiv:1806.01246, section VI; Shokri et al. 2017, arXiv:1610.05820, section
    VIII). Leaves of many records take back attributes that a default forest gives away.
    Evidence against: overfitting is sufficient and not necessary for a leak (Yeom et al. 2018): single unusual records
    stay exposed. Weight decay made more training records, and better ones, rebuildable from weights (Buzaglo et al.
    2023, arXiv:2307.01827).
    Cost: none in time; too much of it lowers accuracy.

    Attributes:
        decay: weight decay of a torch training (>= 0).
        dropout: in [0, 1), the share of inputs of the last linear layer that a step leaves out.
        min_samples_leaf: least records in a leaf of a tree (>= 1).
        c: inverse strength of the penalty (> 0), scikit-learn's `C`.
        alpha: strength of the penalty (>= 0), scikit-learn's `alpha`.
    """

    name: ClassVar[str] = "regularisation"
    title: ClassVar[str] = "Regularisation"
    source: ClassVar[str] = "Yeom et al. 2018, CSF, arXiv:1709.01604; Salem et al. 2019, NDSS, arXiv:1806.01246"

    decay: float | None = None
    dropout: float | None = None
    min_samples_leaf: int | None = None
    c: float | None = None
    alpha: float | None = None

    def __post_init__(self) -> None:
        check(self.name, self)

    def misfit(self, recipe: Recipe) -> str:
        if not isinstance(recipe, SklearnRecipe):
            why = needs_torch(self, recipe, "the weights")
            wrong = [name for name in ("min_samples_leaf", "c", "alpha") if getattr(self, name) is not None]
            return why or (f"A torch training has no {wrong[0]}; set decay or dropout instead." if wrong else "")
        wrong = [name for name in ("decay", "dropout") if getattr(self, name) is not None]
        if wrong:
            return needs_torch(self, recipe, f"the {wrong[0]}")
        places = _places(recipe.estimator)
        if not any(places.values()):
            return (
                f"{type(recipe.estimator).__name__} has none of min_samples_leaf, C and alpha; "
                "set its own penalty in the estimator."
            )
        for name, found in places.items():
            if getattr(self, name) is not None and not found:
                has = " and ".join(own for own, there in places.items() if there)
                return f"{type(recipe.estimator).__name__} has no {_own(name)}; set {has} instead."
        return ""

    def __call__(self, recipe: Recipe) -> Recipe:
        refuse(self.misfit(recipe))
        named = {name: getattr(self, name) for name in MODERATE}
        asked = named if any(value is not None for value in named.values()) else MODERATE
        if isinstance(recipe, SklearnRecipe):
            estimator = clone(recipe.estimator)
            for name, places in _places(estimator).items():
                if asked[name] is not None:
                    estimator.set_params(**dict.fromkeys(places, asked[name]))
            return replace(recipe, estimator=estimator)
        from safelight.defences.training.layers import WithHead

        torch_recipe = cast("TorchRecipe", recipe)
        if asked["decay"] is not None:
            torch_recipe = replace(torch_recipe, decay=asked["decay"])
        if asked["dropout"] is not None:
            dropped = WithHead(torch_recipe.module, torch_recipe.inputs, DropsBefore(asked["dropout"]))
            torch_recipe = replace(torch_recipe, module=dropped)
        return torch_recipe


@dataclass(frozen=True)
class DropsBefore:
    """Puts dropout before a layer.

    Attributes:
        share: of its inputs that a step leaves out, in [0, 1).
    """

    share: float

    def __call__(self, head: nn.Linear) -> nn.Module:
        from torch import nn

        return nn.Sequential(nn.Dropout(self.share), head)


def _own(name: str) -> str:
    return "C" if name == "c" else name


def _places(estimator: Any) -> dict[str, list[str]]:
    """Return, for each setting, the names of the estimator's parameters that it sets; also those inside a pipeline."""
    own = estimator.get_params() if hasattr(estimator, "get_params") else {}
    found: dict[str, list[str]] = {"min_samples_leaf": [], "c": [], "alpha": []}
    for place in own:
        above, _, last = place.rpartition("__")
        quantile = isinstance(own[above] if above else estimator, GradientBoostingRegressor) and last == "alpha"
        for name, places in found.items():
            if last == _own(name) and not quantile:
                places.append(place)
    return found
