"""Pruning: the smallest weights become zero."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy import ndarray as Array

from safelight.data.records import Records
from safelight.defences.compression.base import Compression, tuned
from safelight.defences.compression.estimators import has_weights
from safelight.recipes.base import Recipe
from safelight.recipes.sklearn import SklearnRecipe

if TYPE_CHECKING:
    from torch import nn

    from safelight.recipes.torch import TorchRecipe


@dataclass(frozen=True)
class Pruning(Compression):
    """Set the weights of least magnitude to zero, over the whole network, and train a little more.

    What it does: of all weights of dense and convolutional layers together the smallest share becomes zero and stays
    so; the others are trained for some more epochs.
    Evidence for: pruning was reported to lower membership attacks where it costs accuracy (Wang et al. 2020,
    arXiv:2008.13578). On digits with one label in five drawn anew (benchmarks/bench_compression.py) pruning 70 %
    without further training took .08 off the AUC of LiRA, .72 before, and .11 off the accuracy.
    Evidence against: a network that is trained on after pruning was found to tell more of its members, not less, and
    unevenly (Yuan and Zhang 2022, arXiv:2202.03335, section 4): fewer weights learn the same records for longer. On the
    same digits five epochs of it brought back the accuracy and all of the leak.
    Cost: accuracy at a high share; the epochs of further training. Dense hardware gains no time by zeros.

    Attributes:
        share: of the weights that become zero, in [0, 1).
        tune: epochs of further training (>= 0); 0 after another defence in training, and for scikit-learn models.
    """

    name: ClassVar[str] = "pruning"
    title: ClassVar[str] = "Pruning"
    source: ClassVar[str] = "Han et al. 2015, NeurIPS, arXiv:1506.02626, section 3"

    estimators: ClassVar[bool] = True

    share: float = 0.7
    tune: int = 5

    def misfit(self, recipe: Recipe) -> str:
        if isinstance(recipe, SklearnRecipe) and self.tune and has_weights(recipe.estimator):
            return f"{self.title} cannot train a scikit-learn model on from where it is; set tune = 0."
        return super().misfit(recipe)

    def lightened(self, weights: list[Array]) -> None:
        sizes = np.concatenate([np.abs(layer).ravel() for layer in weights])
        gone = np.zeros(len(sizes), dtype=bool)
        gone[np.argsort(sizes, kind="stable")[: round(self.share * len(sizes))]] = True
        for layer, zero in zip(weights, np.split(gone, np.cumsum([layer.size for layer in weights])[:-1])):
            layer[zero.reshape(layer.shape)] = 0

    def compressed(self, net: nn.Module, recipe: TorchRecipe | None, records: Records, seed: int) -> nn.Module:
        from torch import nn
        from torch.nn.utils import prune

        kinds = (nn.Linear, nn.modules.conv._ConvNd)
        layers = [(part, "weight") for part in net.modules() if isinstance(part, kinds)]
        if layers:
            prune.global_unstructured(layers, pruning_method=prune.L1Unstructured, amount=float(self.share))
        tuned(net, recipe, records, seed, self.tune, self.title)
        for layer, weights in layers:
            prune.remove(layer, weights)
        return net
