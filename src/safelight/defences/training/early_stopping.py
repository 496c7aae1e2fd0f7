"""Early stopping: training ends when records that it holds out stop getting easier."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np
from sklearn.base import clone

from safelight.data.records import Records
from safelight.defences.base import InTraining, needs_torch, refuse
from safelight.recipes.base import Recipe
from safelight.recipes.sklearn import SklearnRecipe
from safelight.settings import check
from safelight.targets.base import Target

if TYPE_CHECKING:
    from torch import Tensor

    from safelight.recipes.torch import TorchRecipe


@dataclass(frozen=True)
class EarlyStopping(InTraining):
    """Stop when records that were held out stop getting easier, and go back to the best weights.

    What it does: a share of the training records is held out. After each pass their mean cross-entropy is taken; when
    it has not fallen for `patience` passes, training ends with the weights of the best pass. A scikit-learn model that
    has `early_stopping` gets it with the same share and patience.
    Evidence for: most of what membership reads is learnt in late passes, when training records get easier and others
    do not; much of what several other defences gain is gained by stopping earlier (Kaya & Dumitras 2021, PMLR 139, on
    augmentation; Song & Mittal 2021, arXiv:2003.10595, compare defences with it).
    Evidence against: what is typical of a class is learnt first, so that inversion loses little. Unusual records can
    be learnt in the first passes. The held-out records steer the training as well, and an audit counts them as members.
    Cost: the held-out records teach nothing; time is saved.

    Attributes:
        held_out: in (0, 1), the share of the training records that only says when to stop.
        patience: passes without a better one before it ends (>= 1).
    """

    name: ClassVar[str] = "early-stopping"
    title: ClassVar[str] = "Early stopping"
    source: ClassVar[str] = "Prechelt 1998, Early stopping - but when?; Song & Mittal 2021, USENIX, arXiv:2003.10595"

    held_out: float = 0.2
    patience: int = 3

    def __post_init__(self) -> None:
        check(self.name, self)

    def misfit(self, recipe: Recipe) -> str:
        if not isinstance(recipe, SklearnRecipe):
            return needs_torch(self, recipe, "the passes")
        if _stoppable(recipe.estimator):
            return ""
        return f"{type(recipe.estimator).__name__} does not train in passes; use regularisation instead."

    def __call__(self, recipe: Recipe) -> Recipe:
        if not isinstance(recipe, SklearnRecipe):
            return super().__call__(recipe)
        refuse(self.misfit(recipe))
        estimator = clone(recipe.estimator)
        how = {"early_stopping": True, "validation_fraction": self.held_out, "n_iter_no_change": self.patience}
        for above in _stoppable(estimator):
            estimator.set_params(**{above + name: value for name, value in how.items()})
        return replace(recipe, estimator=estimator)

    def fit(self, recipe: Recipe, records: Records, seed: int) -> Target:
        """Return the model of the best pass; raises InputError where nothing would be left to train or to hold out."""
        from safelight.targets.torch import from_torch

        recipe = cast("TorchRecipe", recipe)
        order = np.random.default_rng([seed, 31]).permutation(len(records))
        held = round(self.held_out * len(records))
        if not 0 < held < len(records):
            refuse(f"A share of {self.held_out:g} holds out {held} of {len(records)} records; choose another held_out.")
        images, labels = recipe.tensors(records)
        net = recipe.build(records, seed)
        out, kept = order[:held], order[held:]
        best, least, since = net.state_dict(), np.inf, 0
        for _ in recipe.passes(net, images[kept], labels[kept], seed):
            loss = _loss(net, images[out], labels[out])
            since += 1
            if loss < least:
                best, least, since = {name: value.clone() for name, value in net.state_dict().items()}, loss, 0
            if since >= self.patience:
                break
        net.load_state_dict(best)
        return from_torch(net, recipe.inputs)


def _loss(net: Any, images: Tensor, labels: Tensor) -> float:
    import torch

    from safelight.recipes.objective import cross_entropies

    net.eval()
    with torch.no_grad():
        parts = [cross_entropies(net(some.float()), own) for some, own in zip(images.split(512), labels.split(512))]
    return float(torch.cat(parts).mean())


def _stoppable(estimator: Any) -> list[str]:
    """Return where in an estimator stands a part that can stop early: "" for itself, "step__" in a pipeline."""
    own = estimator.get_params() if hasattr(estimator, "get_params") else {}
    found = [name.removesuffix("early_stopping") for name in own if name.split("__")[-1] == "early_stopping"]
    return [above for above in found if {above + "validation_fraction", above + "n_iter_no_change"} <= set(own)]
