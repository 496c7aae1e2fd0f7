"""What the attacker's own models make of the same records: the measure of how hard each record is."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator

from safelight.attacks.membership.ask import affordable
from safelight.attacks.membership.signal import signal
from safelight.data.records import Records, concat
from safelight.errors import AccessDenied, InputError
from safelight.targets.base import Model, Side, TrainsShadows, View


@dataclass(frozen=True)
class References:
    """What shadow models answer to the records in question and to public ones.

    Attributes:
        answers: (models, n, classes) probabilities as the attacker would see the target's, or predictions (models, n).
        inside: (models, n) whether each was trained on the record.
        records: the n records: those in question first, then the public ones.
        asked: how many records are in question.
    """

    answers: Array
    inside: Array
    records: Records
    asked: int


def references(
    view: View, question: Records, count: int, asked: Records | None = None, based: bool = False
) -> References:
    """Train shadow models on halves of the records in question together with the public ones.

    Half of the shadows are trained on any record, the other half never saw it. Every attack that asks for the same
    records gets the same shadows.

    Args:
        asked: what the shadows answer, where that is not what they learn from; `answers` is then about it.
        based: whether the model that the target was fine-tuned from is one more that never saw a record, where the
            attacker has it; it can then stand alone.

    Raises:
        AccessDenied: the attacker has no models of its own and no way to train some.
        InputError: fewer than 2 models, a class with fewer than two records, or every record trained on by every model.
    """
    base = view.side.base if based else None
    if view.side.shadows is None and base is None:
        raise AccessDenied(
            'This attack needs a way to train reference models; grant knows = ["recipe"], and give a recipe.'
        )
    if count < 2:
        raise InputError(f"references is {count}; use at least 2, so that each record is out for one.")
    records = held(question, view.side.public, len(view.classes))
    answers, inside = _of_base(base, records if asked is None else asked, records)
    if view.side.shadows is not None:
        trained, halves = view.side.shadows.answers(records, count, asked)
        answers = trained if base is None else np.concatenate([trained, answers])
        inside = halves if base is None else np.concatenate([halves, inside])
    if inside.all():
        raise InputError(
            f"All {len(inside)} reference models were trained on all {len(records)} records; they must be without some."
        )
    return References(view.shortened(answers) if view.classes else answers, inside, records, len(question))


def _of_base(base: Model | None, asked: Records, records: Records) -> tuple[Array, Array]:
    """Return what the base model answers (1, m, ...), and that it was trained on none of the records (1, n)."""
    if base is None:
        return np.empty(0), np.empty(0, dtype=bool)
    answers = base.scores(asked.x) if base.classes else base.labels(asked.x)
    return np.asarray(answers, dtype=float)[None], np.zeros((1, len(records)), dtype=bool)


@dataclass(frozen=True)
class Compared:
    """One number a record and model, of the records that the budget pays for.

    Attributes:
        rows: positions (m,) of those records in the question.
        target: (m,) signal of the target.
        shadows: (models, m) the same of each shadow.
        inside: (models, m) whether each shadow was trained on the record.
    """

    rows: Array
    target: Array
    shadows: Array
    inside: Array

    @property
    def online(self) -> bool:
        """Whether every record has a shadow that was trained on it."""
        return bool(self.inside.any(axis=0).all())


def compared(view: View, question: Records, count: int, rng: Generator) -> Compared:
    """Ask the target about as many records as the budget pays for, and compare its answers with those of shadows.

    Raises:
        AccessDenied, BudgetSpent, InputError: as `references` and the door do.
    """
    return compared_views(view, question, count, rng, 1)[0]


def compared_views(view: View, question: Records, count: int, rng: Generator, views: int) -> list[Compared]:
    """Ask about several views of every record: itself, then the picture mirrored, then moved by a pixel or more.

    Shadows are trained on the records themselves. Their answers to other views are not those that other attacks ask
    for, so more than one view has shadows of its own.

    Raises:
        AccessDenied, BudgetSpent, InputError: as `references` and the door do; more than one view of a table.
    """
    rows = affordable(view, len(question), rng, each=views)
    seen = views_of(question, views)
    others = references(view, question, count, concat(seen) if views > 1 else None)
    found = []
    for number, records in enumerate(seen):
        asked, columns = records.take(rows), number * len(question) + rows
        answered = view.scores(asked.x) if view.classes else view.labels(asked.x)
        values = signal(np.concatenate([answered[None], others.answers[:, columns]]), asked.y, len(view.classes))
        found.append(Compared(rows, values[0], values[1:], others.inside[:, rows]))
    return found


def views_of(records: Records, count: int) -> list[Records]:
    """Return the records, then the same pictures mirrored, moved, and both, by ever more pixels; edges are repeated.

    Raises:
        InputError: the records are rows of a table, which have no other view.
    """
    if count > 1 and records.is_table:
        raise InputError(f"views is {count}, and a row of a table has one view; leave it at 1.")
    found = [records]
    for number in range(1, count):
        x = records.x[..., ::-1] if number % 2 else records.x
        if number > 1:
            step, way = divmod(number // 2 - 1, 4)
            axis, shift = (-1, -2)[way % 2], (step + 1) * (1 if way < 2 else -1)
            place = np.clip(np.arange(x.shape[axis]) + shift, 0, x.shape[axis] - 1)
            x = np.take(x, place, axis=axis)
        found.append(replace(records, x=np.ascontiguousarray(x)))
    return found


def mean_where(chosen: Array, values: Array) -> Array:
    """Return the mean (n,) of the chosen (models, n) values of each record; where there is none, that of the rest."""
    count = chosen.sum(axis=0)
    mean = np.where(chosen, values, 0.0).sum(axis=0) / np.maximum(count, 1)
    return np.where(count > 0, mean, mean[count > 0].mean() if count.any() else 0.0)


def held(question: Records, public: Records | None, classes: int) -> Records:
    """Return the records that shadow models learn from: those in question, then public ones of known classes."""
    public = _known(public, classes)
    return question if public is None else concat([question, public])


def known_public(view: View) -> Records | None:
    """Return the public records of classes that the target knows, or None where there are none."""
    return _known(view.side.public, len(view.classes))


def trainer(view: View) -> TrainsShadows:
    """Return how the attacker trains models on records that it chooses; raises AccessDenied where it cannot."""
    if not isinstance(view.side.shadows, TrainsShadows):
        raise AccessDenied(
            "This attack must train reference models on records that it chooses, and this attacker cannot; grant "
            'knows = ["recipe"], and give a recipe.'
        )
    return view.side.shadows


def too_few_public(model: Model, side: Side, least: int) -> str:
    """Return why an attack that needs `least` public records of known classes cannot run, or an empty string."""
    public = _known(side.public, len(model.classes))
    count = 0 if public is None else len(public)
    return (
        "" if count >= least else f"{count} public records are of classes that the target knows, and it needs {least}"
    )


def _known(public: Records | None, classes: int) -> Records | None:
    if public is not None and classes:
        public = public.take(public.y < classes)
    return public if public is not None and len(public) else None
