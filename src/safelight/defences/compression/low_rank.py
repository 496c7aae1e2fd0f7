"""Low rank: a dense layer as two thin ones."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from safelight.data.records import Records
from safelight.defences.compression.base import Compression, tuned

if TYPE_CHECKING:
    from torch import nn

    from safelight.recipes.torch import TorchRecipe


@dataclass(frozen=True)
class LowRank(Compression):
    """Replace dense layers by the product of two thin ones.

    What it does: each dense layer's weights become their truncated singular value decomposition, kept as two layers,
    where that needs fewer weights; layers inside torch's own attention and encoder layers stay. The two may be trained
    for some more epochs.
    Evidence for: on digits with one label in five drawn anew (benchmarks/bench_compression.py) half of the rank and
    five more epochs took .07 off the AUC of LiRA, .72 before, and .05 off the accuracy.
    Evidence against: what a network learnt by heart need not lie in the small singular values, and further training
    learns it again. No paper that we know measures what attackers lose by it.
    Cost: accuracy at a small share; less time a query where layers are wide.

    Attributes:
        share: of each layer's rank that is kept, in (0, 1].
        tune: epochs of further training (>= 0); 0 after another defence in training.
    """

    name: ClassVar[str] = "low-rank"
    title: ClassVar[str] = "Low rank"
    source: ClassVar[str] = "Denton et al. 2014, NeurIPS, arXiv:1404.0736, section 3.2"

    share: float = 0.5
    tune: int = 5

    def compressed(self, net: nn.Module, recipe: TorchRecipe | None, records: Records, seed: int) -> nn.Module:
        from torch import nn

        reads = (nn.MultiheadAttention, nn.TransformerEncoderLayer)  # weights of theirs are used without a call
        net = nn.Sequential(net)  # so that the network itself may be one layer
        for parent in list(net.modules()):
            for name, layer in list(parent.named_children()):
                if type(layer) is nn.Linear and not isinstance(parent, reads):
                    setattr(parent, name, thin(layer, self.share))
        tuned(net, recipe, records, seed, self.tune, self.title)
        return net[0]


def thin(layer: nn.Linear, share: float) -> nn.Module:
    """Return two layers whose product is the nearest of its rank to the layer's weights, or the layer itself.

    It stays where two layers would hold as many weights.
    """
    import torch
    from torch import nn

    outputs, inputs = layer.weight.shape
    rank = max(1, math.ceil(share * min(outputs, inputs)))
    if rank * (outputs + inputs) >= outputs * inputs:
        return layer
    left, sizes, right = torch.linalg.svd(layer.weight.detach(), full_matrices=False)
    root = sizes[:rank].sqrt()
    first, second = nn.Linear(inputs, rank, bias=False), nn.Linear(rank, outputs, bias=layer.bias is not None)
    with torch.no_grad():
        first.weight.copy_(root[:, None] * right[:rank])
        second.weight.copy_(left[:, :rank] * root)
        if layer.bias is not None:
            second.bias.copy_(layer.bias)
    return nn.Sequential(first, second)
