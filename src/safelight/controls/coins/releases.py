"""Was this record among those behind the release? Read from attacks that say no score about membership itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from numpy import ndarray as Array
from numpy.random import Generator

from safelight.controls.coins.base import Draw
from safelight.controls.coins.records import RecordCoins
from safelight.data.predicates import holding
from safelight.data.records import Records
from safelight.errors import InputError, did_you_mean
from safelight.evidence import Answer, Predicates, Scores, WhatSinglesOut, WhichBelongTogether, WhoWasIn


@dataclass(frozen=True)
class LinkCoins(RecordCoins):
    """Flips for each record whether it is behind the release; records that are should be linked more often.

    Attributes:
        left: columns of the first source, separated by commas; drawn at random when empty.
    """

    left: str = ""
    name: str = "links"
    claim: str = "link"

    def _draw(self, pool: Records, chosen: Array, trained: Array, secret: Array, rng: Generator) -> Draw:
        draw = super()._draw(pool, chosen, trained, secret, rng)
        assert isinstance(draw.question, WhoWasIn)
        return replace(draw, question=in_two_halves(draw.question.records, self.left, rng))


@dataclass(frozen=True)
class SinglingCoins(RecordCoins):
    """Flips for each record whether it is behind the release; records that are should be singled out more often."""

    name: str = "singled-out"
    claim: str = "link"

    def _draw(self, pool: Records, chosen: Array, trained: Array, secret: Array, rng: Generator) -> Draw:
        draw = super()._draw(pool, chosen, trained, secret, rng)
        assert isinstance(draw.question, WhoWasIn)
        asked = draw.question.records
        columns = tuple(asked.x.columns)
        return replace(draw, question=WhatSinglesOut(columns), match=_alone(asked, draw.match))


def in_two_halves(records: Records, left: str, rng: Generator) -> WhichBelongTogether:
    """Return the records as two sources hold them; raises InputError for a column that there is none of.

    Args:
        left: columns of the first source, separated by commas; half of all, drawn by `rng`, when empty.
    """
    columns = list(records.x.columns)
    known = {str(name): name for name in columns}
    words = [word.strip() for word in left.split(",") if word.strip()]
    for word in words:
        if word not in known:
            raise InputError(f"L002, left is {left!r}, and there is no column {word!r}.{did_you_mean(word, known)}")
    drawn = rng.permutation(len(columns))[: len(columns) // 2]
    one = [known[word] for word in words] or [columns[place] for place in sorted(drawn)]
    other = [name for name in columns if name not in one]
    if not one or not other:
        raise InputError("Linking needs at least one column in each of two sources; name fewer in L002, left.")
    return WhichBelongTogether(_with(records, one), _with(records, other))


def _with(records: Records, columns: Sequence[str]) -> Records:
    return replace(records, x=records.x[list(columns)])


def _alone(asked: Records, match: Callable[[Answer], Array]) -> Callable[[Answer], Array]:
    """Return the matcher of records by how many predicates hold for them and for no other record in question."""

    def matched(answer: Answer) -> Array:
        assert isinstance(answer, Predicates)
        holds = holding(answer.texts, asked.x)
        return match(Scores(holds[holds.sum(axis=1) == 1].sum(axis=0)[:, None].astype(float)))

    return matched
