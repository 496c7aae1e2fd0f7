"""LOMIA: records that only one value explains teach an attack model, which guesses the rest."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.random import Generator

from safelight.attacks.attributes.ask import beliefs, columns_read, every_value
from safelight.attacks.attributes.column import prior
from safelight.attacks.attributes.learner import learn, others
from safelight.errors import AccessDenied
from safelight.evidence import Scores, WhichValue
from safelight.targets.base import View
from safelight.threat import Access, Knows


@dataclass(frozen=True)
class Lomia:
    """Take the value that alone makes the model predict the true label; learn the other records from those.

    What it shows: whether predicted labels alone give a sensitive value away, without knowing how common it is.
    Who could do it: anyone who may ask for labels and knows the rest of a record and its true label.
    How to lower it: keep the model from fitting single records (larger leaves, stronger regularisation, DP-SGD), or
        leave the sensitive column out of the model.

    Case 1 records are those for which exactly one value gives the true label: that value is guessed, with belief 1.
    They train the attack model (other columns and true label to value), whose chances, halved, are the beliefs for
    all other asked records: so every case 1 guess ranks above every learnt one. With too few case 1 records, or case
    1 records of one value only, the others get the halved public marginal instead, or equal beliefs where no public
    records are held, and a UserWarning says so.

    Attributes:
        least: case 1 records that are enough to learn from (>= 2).
    """

    code: ClassVar[str] = "A003"
    title: ClassVar[str] = "Attribute from labels (LOMIA)"
    needs: ClassVar[Access] = Access.LABEL
    knows: ClassVar[frozenset[Knows]] = frozenset()
    answers: ClassVar[type] = WhichValue
    source: ClassVar[str] = "Mehnaz et al. 2022, USENIX Security, arXiv:2201.09370 (LOMIA)"
    deep: ClassVar[bool] = False

    least: int = 20

    def run(self, view: View, question: WhichValue, rng: Generator) -> Scores:
        """Return beliefs (n, k); raises AccessDenied or BudgetSpent."""
        columns_read(view, question)
        if not view.classes:
            raise AccessDenied("This attack compares class labels and the target is a regressor; use A001 instead.")
        rows, answers = every_value(view, question, view.labels, rng)
        asked = question.records.take(rows)
        explains = answers == asked.y[:, None]
        alone = explains.sum(axis=1) == 1
        guess = explains.argmax(axis=1)
        count = len(question.values)
        belief = np.empty((len(rows), count))
        belief[alone] = np.eye(count)[guess[alone]]
        if not alone.all():
            if alone.sum() >= self.least and len(np.unique(guess[alone])) > 1:
                table = others(asked, question.column)
                belief[~alone] = learn(table[alone], guess[alone], table[~alone], count, rng) / 2
            else:
                public = view.side.public
                warnings.warn(
                    f"LOMIA found {alone.sum()} of {len(rows)} records that a single value explains "
                    f"({len(np.unique(guess[alone]))} different value(s)), too few to learn from; the other guesses "
                    f"follow {'equal chances' if public is None else 'the public marginal'} alone.",
                    stacklevel=2,
                )
                belief[~alone] = prior(public, question.column, question.values) / 2
        return beliefs(question, rows, belief)
