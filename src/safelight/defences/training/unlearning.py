"""Unlearning by fine-tuning: training goes on without those who ask to be forgotten."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, cast

import numpy as np
from numpy import ndarray as Array

from safelight.data.records import Records
from safelight.defences.base import InTraining, needs_torch, refuse
from safelight.recipes.base import Recipe
from safelight.settings import check
from safelight.targets.base import Target

if TYPE_CHECKING:
    from torch import nn

    from safelight.recipes.torch import TorchRecipe


@dataclass(frozen=True)
class Unlearning(InTraining):
    """Train on everybody, then train on without those who ask to be forgotten: a warning, rather than a defence.

    What it does: a share of the records, drawn by their ids, asks to be forgotten after the training. The model is not
    trained again but fine-tuned on who stays. `safelight.defences.training.forgetting` compares it with the model
    before and with one that was trained again without them.
    Evidence for: it is cheap, and on average the answers about those who left drift to those of strangers (survey of
    such methods: Nguyen et al. 2022, arXiv:2209.02299).
    Evidence against: attacks made for each record find those who left where attacks made for all do not, and those who
    stay may become more exposed (Hayes et al. 2024, arXiv:2403.01218; Carlini et al. 2022, arXiv:2206.10469). SISA, or
    training again, forgets exactly. An audit goes on counting those who left as members.
    Cost: a few passes over the records for each who leaves.

    Attributes:
        share: in (0, 1), of the records, who ask to be forgotten.
        passes: over who stays, after the training (>= 0).
        seed: of who asks (>= 0).
    """

    name: ClassVar[str] = "unlearning"
    title: ClassVar[str] = "Unlearning by fine-tuning"
    source: ClassVar[str] = "Hayes et al. 2024, arXiv:2403.01218; Nguyen et al. 2022, arXiv:2209.02299"

    share: float = 0.1
    passes: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        check(self.name, self)

    def misfit(self, recipe: Recipe) -> str:
        return needs_torch(self, recipe, "the passes")

    def fit(self, recipe: Recipe, records: Records, seed: int) -> Target:
        """Return the model after forgetting; raises InputError where everybody leaves."""
        from safelight.targets.torch import from_torch

        recipe = cast("TorchRecipe", recipe)
        leaves = leaving(records.ids, self.share, self.seed)
        if leaves.all():
            refuse(f"All {len(leaves)} records ask to be forgotten; use a smaller share.")
        net: nn.Module = recipe.build(records, seed)
        images, labels = recipe.tensors(records)
        for _ in recipe.passes(net, images, labels, seed):
            pass
        if self.passes:
            after = replace(recipe, epochs=self.passes)
            for _ in after.passes(net, images[~leaves], labels[~leaves], seed + 1):
                pass
        return from_torch(net, recipe.inputs)


def leaving(ids: Array, share: float, seed: int) -> Array:
    """Return who asks to be forgotten (n,) bool: it depends on the id alone."""
    key = str(seed).encode()
    digests = (hashlib.blake2b(str(one).encode(), key=key, digest_size=8).digest() for one in ids.tolist())
    return np.array([int.from_bytes(digest) < share * 2**64 for digest in digests], dtype=bool)
