"""The copy that needs no question: what public records with their labels teach of any model for the same task."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from safelight.attacks.stealing.space import LEAST, Space
from safelight.attacks.stealing.student import taught
from safelight.data.records import Records
from safelight.evidence import Scores
from safelight.targets.base import Images, Table


def unasked(public: Records | None, inputs: Images | Table, records: Records, classes: int, rng: Generator) -> Scores:
    """Return what a student answers to `records` (n, classes) that was taught with public labels alone.

    It is the student of the attacks that ask. Where fewer than 20 public records are of classes that the model knows,
    all classes are equal.
    """
    known = None if public is None or public.y.dtype.kind not in "iu" else public.take(public.y < classes)
    if known is None or len(known) < LEAST:
        return Scores(np.full((len(records), classes), 1 / classes))
    space = Space.of(known, inputs)
    student = taught(space.features(space.rows), np.eye(classes)[known.y], rng)
    return Scores(student(space.features(space.read(records.x))))
