"""The imputation baseline: the same question answered from the same knowledge, without the model.

It is no attack. A sensitive value that public records predict anyway is no leak of the model; an attack has to beat
this row on the records that were trained on, and by more than it does on those that were not (Jayaraman and Evans
2022, arXiv:2209.01292).
"""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from safelight.attacks.attributes.column import which
from safelight.attacks.attributes.learner import learn, others
from safelight.data.records import Records
from safelight.errors import InputError
from safelight.evidence import Scores, WhichValue


def impute(train: Records, question: WhichValue, rng: Generator) -> Scores:
    """Predict the blanked column from the other columns and the label, learnt on other people's records.

    Args:
        train: records whose column is known: the public group, or nonmembers when there is none.
        question: n records with the column blanked, and its k values.
        rng: seeds the learner and its folds.

    Returns:
        Chances (n, k) in [0, 1]; rows sum to 1.

    Raises:
        InputError: `train` has no such column, or holds fewer than two of the values.
    """
    if question.column not in train.x.columns:
        raise InputError(
            f"The records to learn from have no column {question.column!r}; imputation needs it there, not blanked."
        )
    codes = which(train.x[question.column], question.values)
    if len(np.unique(codes[codes >= 0])) < 2:
        raise InputError(
            f"The {len(train)} records to learn from hold fewer than two of the values of {question.column!r}; "
            "imputation has nothing to learn, give more public records."
        )
    known = train.take(codes >= 0)
    chances = learn(
        others(known, question.column),
        codes[codes >= 0],
        others(question.records, question.column),
        len(question.values),
        rng,
    )
    return Scores(chances)
