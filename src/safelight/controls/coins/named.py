"""Is this person's row in the release? Read from how surely a row was linked with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from numpy import ndarray as Array
from numpy.random import Generator

from safelight.controls.coins.base import Draw
from safelight.controls.coins.records import RecordCoins
from safelight.data.records import Records
from safelight.evidence import Answer, Links, Scores, WhoIsWho, WhoWasIn


@dataclass(frozen=True)
class NamedCoins(RecordCoins):
    """Flips for each record whether it is behind the release; those that are should be linked more surely."""

    name: str = "named"
    claim: str = "link"

    def _draw(self, pool: Records, chosen: Array, trained: Array, secret: Array, rng: Generator) -> Draw:
        draw = super()._draw(pool, chosen, trained, secret, rng)
        assert isinstance(draw.question, WhoWasIn)
        return replace(draw, question=WhoIsWho(draw.question.records), match=_by_sureness(draw.match))


def _by_sureness(match: Callable[[Answer], Array]) -> Callable[[Answer], Array]:
    def matched(answer: Answer) -> Array:
        assert isinstance(answer, Links)
        return match(Scores(answer.score[:, None]))

    return matched
