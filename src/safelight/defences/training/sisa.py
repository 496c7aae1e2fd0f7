"""SISA: models of separate shards, so that a record is forgotten by training one of them again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy import ndarray as Array

from safelight.data.records import Records
from safelight.defences.base import InTraining
from safelight.defences.training.teaching import says
from safelight.errors import InputError
from safelight.recipes.base import Recipe
from safelight.settings import check
from safelight.targets.base import Images, Model, Table, Target
from safelight.threat import Access

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Sisa(InTraining):
    """Train a model on each shard of the records alone and answer with their mean.

    What it does: a record's id decides its shard; a model is trained on each shard without the others, and scores (or a
    regressor's answers) are averaged. To forget a record, its shard alone is trained again without it: the result is
    exactly what it would be had the record never been there.
    Evidence for: exact forgetting at a fraction of a whole training (Bourtoule et al. 2021, arXiv:1912.03817, sections
    IV and VII).
    Evidence against: it protects who asked to be forgotten and nobody else; who stays is as exposed as before, or more
    when the records around it go (Carlini et al. 2022, arXiv:2206.10469). Who saw the model before and after learns
    from the difference who left (Chen et al. 2021, arXiv:2005.02205).
    Cost: accuracy, as each model sees a shard; answers take as many models as shards; all records are kept.

    `Sisa(shards).sharded(recipe, records, seed)` keeps what is needed to forget; its `forget(ids)` returns the same
    without them, and `target` is the model. Slices within a shard, which save more time, are not made.

    Attributes:
        shards: how many (>= 1); 1 is the plain model.
    """

    name: ClassVar[str] = "sisa"
    title: ClassVar[str] = "Sharded training (SISA)"
    source: ClassVar[str] = "Bourtoule et al. 2021, IEEE S&P, arXiv:1912.03817, section IV"

    shards: int = 5

    def __post_init__(self) -> None:
        check(self.name, self)

    def fit(self, recipe: Recipe, records: Records, seed: int) -> Target:
        """Return the mean model; raises InputError where a shard has one class only."""
        return self.sharded(recipe, records, seed).target

    def sharded(self, recipe: Recipe, records: Records, seed: int) -> Sharded:
        """Train a model on each shard that has records."""
        of = shard_of(records.ids, self.shards, seed)
        classes = int(records.y.max()) + 1 if records.y.dtype.kind in "iu" else 0
        whole = Sharded(recipe, records, seed, of, classes, {})
        return replace(whole, parts={shard: whole.trained(shard) for shard in map(int, np.unique(of))})


@dataclass(frozen=True)
class Sharded:
    """The models of all shards, with what is needed to forget.

    Attributes:
        recipe: how each is trained.
        records: those that are not forgotten.
        seed: of the whole training.
        of: (n,) the shard of each record.
        classes: how many the mean model has; 0 for a regressor.
        parts: a model a shard that has records.
    """

    recipe: Recipe
    records: Records
    seed: int
    of: Array
    classes: int
    parts: dict[int, Target]

    @property
    def target(self) -> Target:
        """The model that answers with the mean of its shards' models."""
        first = next(iter(self.parts.values())).model
        parts = tuple(part.model for _, part in sorted(self.parts.items()))
        return Target("sharded", Mean(parts, tuple(map(str, range(self.classes))), first.inputs))

    def trained(self, shard: int) -> Target:
        """Train the model of one shard; raises InputError where its records have one class only."""
        own = self.records.take(self.of == shard)
        if self.classes > 1 and len(np.unique(own.y)) < 2:
            raise InputError(
                f"A shard has {len(own)} records, all of one class, and cannot train a classifier; use fewer shards."
            )
        seed = int(np.random.default_rng([self.seed, 59, shard]).integers(2**31))
        return self.recipe.fit(own, seed)

    def forget(self, ids: Iterable[Any]) -> Sharded:
        """Return the same without these records: only their shards are trained again.

        Raises:
            InputError: an id is not among the records, or nobody is left.
        """
        asked = list(ids)
        gone = np.isin(self.records.ids, asked)
        unknown = [one for one in asked if one not in set(self.records.ids[gone].tolist())]
        if unknown:
            raise InputError(f"There is no record with the id {unknown[0]!r} to forget; give ids of training records.")
        if gone.all():
            raise InputError(f"All {len(gone)} records are to be forgotten; delete the model instead.")
        touched = set(map(int, self.of[gone]))
        kept = replace(self, records=self.records.take(~gone), of=self.of[~gone])
        again = {shard: kept.trained(shard) for shard in touched & set(map(int, kept.of))}
        return replace(kept, parts={shard: part for shard, part in self.parts.items() if shard not in touched} | again)


def shard_of(ids: Array, shards: int, seed: int) -> Array:
    """Return the shard (n,) of each id: it depends on the id and the seed alone, never on who else is there."""
    key = str(seed).encode()
    digests = (hashlib.blake2b(str(one).encode(), key=key, digest_size=8).digest() for one in ids.tolist())
    return np.array([int.from_bytes(digest) % shards for digest in digests], dtype=int)


@dataclass(frozen=True)
class Mean:
    """Answers with the mean of several models' scores, or of regressors' answers.

    Attributes:
        parts: the models; one that never met a class scores 0 for it.
        classes: names of the classes; () for a regressor.
        inputs: what one record looks like.
    """

    parts: tuple[Model, ...]
    classes: tuple[str, ...]
    inputs: Images | Table

    @property
    def access(self) -> Access:
        return min(Access.GRADIENTS, *(part.access for part in self.parts))

    def labels(self, x: Any) -> Array:
        if not self.classes:
            return np.mean([part.labels(x) for part in self.parts], axis=0)  # type: ignore[no-any-return]
        return self.scores(x).argmax(axis=1)

    def scores(self, x: Any) -> Array:
        said = [says(Target("shard", part), x, len(self.classes)) for part in self.parts]
        return np.mean(said, axis=0)  # type: ignore[no-any-return]

    def logits(self, x: Any) -> Array:
        """Return the logarithm of the mean scores, at least -700."""
        with np.errstate(divide="ignore"):
            return np.maximum(np.log(self.scores(x)), -700.0)

    def differentiable(self, x: Tensor) -> Tensor:
        """Return the logarithm of the mean scores as a tensor; raises InputError where a part has no gradient."""
        import torch

        told = []
        for part in self.parts:
            scores = part.differentiable(x).softmax(dim=1)  # type: ignore[attr-defined]
            missing = torch.zeros(len(x), len(self.classes) - scores.shape[1])
            told.append(torch.cat([scores, missing], dim=1))
        return torch.stack(told).mean(dim=0).clamp(min=1e-30).log()
