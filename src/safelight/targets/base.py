"""What is looked at, and the only way to look: a model behind a metered door."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy import ndarray as Array

from safelight.data.records import Records
from safelight.errors import AccessDenied, BadAnswer, BudgetSpent
from safelight.evidence import Answer
from safelight.threat import Access, Observes, ThreatModel

if TYPE_CHECKING:
    from pathlib import Path

    from pandas import DataFrame
    from torch import Tensor, nn


@dataclass(frozen=True)
class Images:
    """What an image model takes: one shape (channels, height, width), values in [low, high]."""

    shape: tuple[int, int, int]
    low: float = 0.0
    high: float = 1.0

    @property
    def size(self) -> int:
        return int(np.prod(self.shape))


@dataclass(frozen=True)
class Table:
    """What a table model takes: a DataFrame with these columns, in this order."""

    columns: tuple[str, ...]


@runtime_checkable
class Model(Protocol):
    """An adapter: the only thing that knows torch, sklearn, ONNX or HTTP. It offers what `access` says, no more.

    A classifier has `labels` and, from SCORES on, `scores`; from LOGITS on `logits`; from GRADIENTS on
    `differentiable`; at WEIGHTS `module`. A regressor has `classes == ()` and answers `labels` with real numbers.

    Attributes:
        access: the most that this adapter can show.
        classes: names of the classes, in the order of the columns of `scores`; () for regression.
        inputs: what one record must look like.
    """

    @property
    def access(self) -> Access: ...

    @property
    def classes(self) -> tuple[str, ...]: ...

    @property
    def inputs(self) -> Images | Table: ...

    def labels(self, x: Any) -> Array:
        """Return class numbers (n,) int64, or predictions (n,) float64 for regression."""
        ...

    def scores(self, x: Any) -> Array:
        """Return probabilities (n, classes) float64; rows sum to 1."""
        ...


class Shadows(Protocol):
    """Models of the attacker's own, trained as the target was; see `safelight.compute.shadows.ShadowPool`."""

    def answers(self, train: Records, count: int, asked: Records | None = None) -> tuple[Array, Array]:
        """Return what `count` shadows answer (count, m, ...), and which of `train` each was trained on (count, n)."""
        ...


@runtime_checkable
class TrainsShadows(Shadows, Protocol):
    """An attacker who can also train models of its own on records that it chooses."""

    def trained(self, train: Records, inside: Array, asked: Records) -> Array:
        """Train one shadow a row of `inside` (count, n) bool; return what they answer about `asked` (count, m, ...)."""
        ...


@dataclass(frozen=True)
class Side:
    """What this attacker holds besides the door; empty unless the threat model grants it.

    Attributes:
        public: records of other people.
        shadows: the attacker's own models; they cost no query.
        base: the model that the target was fine-tuned from, which saw none of the records in question; asking it costs
            no query.
    """

    public: Records | None = None
    shadows: Shadows | None = None
    base: Model | None = None


@dataclass(frozen=True)
class Target:
    """A model under audit, with a name for the report."""

    name: str
    model: Model
    description: str = ""

    def view(self, threat: ThreatModel, side: Side | None = None) -> View:
        """Open the door that this attacker has."""
        return View(self.model, threat, side or Side())

    @classmethod
    def from_torch(cls, module: nn.Module, inputs: Images | None = None, labels: Any = None, **options: Any) -> Target:
        """Wrap a torch module that maps inputs to logits; see `safelight.targets.torch.TorchModel`."""
        from safelight.targets.torch import from_torch

        return from_torch(module, inputs, labels, **options)

    @classmethod
    def from_sklearn(cls, estimator: Any, like: Any = None, **options: Any) -> Target:
        """Wrap a fitted scikit-learn estimator; see `safelight.targets.sklearn.SklearnModel`."""
        from safelight.targets.sklearn import from_sklearn

        return from_sklearn(estimator, like, **options)

    @classmethod
    def from_http(cls, url: str, **options: Any) -> Target:
        """Wrap a served model; see `safelight.targets.http.from_http`."""
        from safelight.targets.http import from_http

        return from_http(url, **options)

    @classmethod
    def from_release(cls, table: DataFrame | Path | str, name: str | None = None, owner: str | None = None) -> Target:
        """Take a released table, "anonymised" or synthetic, as what is looked at; see `safelight.targets.released`."""
        from safelight.targets.released import from_release

        return from_release(table, name, owner)


@dataclass
class View:
    """The metered door: serves whole batches, or raises before anything is sent.

    Attributes:
        threat: the attacker that stands at this door.
        side: what the attacker holds besides.
        spent: records sent so far; a gradient is a query, with the weights in hand nothing is.
        kept: answers that the attack had after fewer queries, by queries spent: the leak-against-queries curve.
    """

    _model: Model
    threat: ThreatModel
    side: Side
    spent: int = 0
    kept: dict[int, Answer] = field(default_factory=dict)

    @property
    def classes(self) -> tuple[str, ...]:
        return self._model.classes

    @property
    def inputs(self) -> Images | Table:
        return self._model.inputs

    @property
    def images(self) -> Images:
        """What pictures this door takes; raises AccessDenied for a table model."""
        if not isinstance(self.inputs, Images):
            raise AccessDenied("This attack rebuilds pictures, but the target takes a table; choose a table attack.")
        return self.inputs

    @property
    def free(self) -> bool:
        return self.threat.access == Access.WEIGHTS

    def left(self) -> float:
        """Return how many records may still be sent; infinite without a limit."""
        return np.inf if self.threat.queries is None or self.free else self.threat.queries - self.spent

    def keep(self, answer: Answer) -> None:
        """Remember what the attack would answer after the queries spent so far."""
        self.kept[self.spent] = answer

    def labels(self, x: Any) -> Array:
        """Return class numbers (n,), or predictions (n,) for regression."""
        self._open(Access.LABEL, len(x))
        answer = np.asarray(self._model.labels(x))
        _check_finite(answer, "labels")
        return answer

    def scores(self, x: Any) -> Array:
        """Return class probabilities (n, classes), shortened and rounded as the threat model says."""
        self._open(Access.SCORES, len(x))
        scores = np.asarray(self._model.scores(x), dtype=float)
        _check_finite(scores, "scores")
        if scores.shape != (len(x), len(self.classes)):
            raise BadAnswer(
                f"The model answered {len(x)} records with scores of shape {scores.shape}, not "
                f"({len(x)}, {len(self.classes)}); check the names of its classes."
            )
        off = np.abs(scores.sum(axis=1) - 1)
        exact = not getattr(self._model, "inexact", False)  # scores that a defence has cut or rounded
        if len(off) and ((exact and off.max() > 1e-3) or scores.min() < -1e-6):
            raise BadAnswer(
                f"Scores should be probabilities, but a row sums to {scores.sum(axis=1)[off.argmax()]:.4g} with least "
                f'value {scores.min():.4g}; set output = "logits" (or "labels") for this target, or inexact = true '
                "where the server cuts or rounds them."
            )
        return self.shortened(scores)

    def shortened(self, scores: Array) -> Array:
        """Return scores (..., classes) as this attacker would see them: the top k of each row, the rest 0, rounded."""
        return _shorten(scores, self.threat)

    def logits(self, x: Any) -> Array:
        """Return unnormalised scores (n, classes)."""
        self._open(Access.LOGITS, len(x))
        answer = np.asarray(self._model.logits(x), dtype=float)  # type: ignore[attr-defined, type-var]
        _check_finite(answer, "logits")
        return answer

    def differentiable(self, x: Tensor) -> Tensor:
        """Return logits (n, classes) as a tensor that gradients flow through; x (n, channels, height, width)."""
        self._open(Access.GRADIENTS, len(x))
        return self._model.differentiable(x)  # type: ignore[attr-defined, no-any-return]

    def module(self) -> nn.Module:
        """Return the network itself, in evaluation mode with frozen weights."""
        self._open(Access.WEIGHTS, 0)
        return self._model.module()  # type: ignore[attr-defined, no-any-return]

    def estimator(self) -> Any:
        """Return the fitted scikit-learn estimator itself."""
        self._open(Access.WEIGHTS, 0)
        return self._model.estimator()  # type: ignore[attr-defined, type-var]

    def released(self) -> DataFrame:
        """Return the released table; raises AccessDenied where the attacker sees none."""
        if self.threat.observes is not Observes.RELEASE or not hasattr(self._model, "table"):
            raise AccessDenied(
                "This attack reads a released table, and this attacker sees none: the target must be one "
                "(Target.from_release), and the threat model must observe a released table."
            )
        return self._model.table  # type: ignore[no-any-return]

    def _open(self, needed: Access, records: int) -> None:
        if self.threat.observes is Observes.RELEASE:
            raise AccessDenied("This attack asks a model, and this attacker sees nothing but a released table.")
        if self.threat.access < needed:
            raise AccessDenied(
                f"This attack needs {needed.word} and the threat model grants {self.threat.access.word}; "
                f'set access = "{needed.word}" to allow it.'
            )
        if self._model.access < needed:
            raise AccessDenied(
                f"This attack needs {needed.word} and the target can show no more than {self._model.access.word}."
            )
        if records > self.left():
            raise BudgetSpent(
                f"The next batch holds {records} records and {self.left():.0f} of {self.threat.queries} queries are "
                "left; nothing was sent."
            )
        if not self.free:
            self.spent += records


def softmax(logits: Array) -> Array:
    """Return probabilities (n, classes) from logits (n, classes); rows sum to 1."""
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)  # type: ignore[no-any-return]


def _check_finite(answer: Array, what: str) -> None:
    if answer.dtype.kind == "f" and not np.isfinite(answer).all():
        bad = int((~np.isfinite(answer)).reshape(len(answer), -1).any(axis=1).sum())
        raise BadAnswer(
            f"The model's {what} hold NaN or infinity for {bad} of {len(answer)} records; "
            "mend the model before auditing it."
        )


def _shorten(scores: Array, threat: ThreatModel) -> Array:
    if threat.top_k is not None and threat.top_k < scores.shape[-1]:
        cut = np.argpartition(-scores, threat.top_k - 1, axis=-1)[..., : threat.top_k]
        kept = np.zeros_like(scores)
        np.put_along_axis(kept, cut, np.take_along_axis(scores, cut, axis=-1), axis=-1)
        scores = kept
    return scores if threat.decimals is None else np.round(scores, threat.decimals)
