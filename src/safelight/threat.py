"""What an attacker can see, send and know: a capability that the door enforces, not a comment."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, IntEnum

from safelight.errors import InputError, did_you_mean


class Access(IntEnum):
    """What one answer of the model holds, from least to most."""

    LABEL = 1
    SCORES = 2
    LOGITS = 3
    GRADIENTS = 4
    WEIGHTS = 5

    @classmethod
    def named(cls, word: str) -> Access:
        """Return the level called `word` ("label", "scores", ...); raises InputError for any other word."""
        try:
            return cls[word.upper()]
        except KeyError:
            names = [level.name.lower() for level in cls]
            raise InputError(f"access is {word!r}; use one of {', '.join(names)}.{did_you_mean(word, names)}") from None

    @property
    def word(self) -> str:
        return self.name.lower()


class Observes(Enum):
    """Which door: a view answers queries, updates are (weights, gradient) rounds, a release is a table."""

    QUERIES = "queries"
    UPDATES = "updates"
    RELEASE = "a released table"


class Knows(Enum):
    """What the attacker holds beforehand; each one granted becomes a field of `Side`."""

    PUBLIC = "public"
    RECIPE = "recipe"


@dataclass(frozen=True)
class ThreatModel:
    """One attacker: what it sees, how often it may ask, what it knows beforehand.

    Attributes:
        access: the most that one answer holds.
        observes: through which door it looks.
        queries: records that one attack may send to one model (>= 1), or None for no limit; a gradient counts as
            a query, weights are free.
        top_k: how many of the largest scores an answer keeps (>= 1); the rest read 0.
        decimals: to how many decimals scores are rounded (>= 0).
        knows: what the attacker holds beforehand.
    """

    access: Access = Access.SCORES
    observes: Observes = Observes.QUERIES
    queries: int | None = None
    top_k: int | None = None
    decimals: int | None = None
    knows: frozenset[Knows] = frozenset(Knows)

    def __post_init__(self) -> None:
        for name, least in (("queries", 1), ("top_k", 1), ("decimals", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise InputError(f"{name} is {value}; use a whole number of at least {least}, or leave it out.")

    def narrowed(self, needs: Access) -> ThreatModel:
        """Return the least of this attacker that an attack needing `needs` uses.

        A score attack in a white-box audit is run, metered and reported as a score attack. An attack that needs
        gradients is given the weights where the attacker holds them: there a gradient costs no query.
        """
        if needs >= Access.GRADIENTS and self.access == Access.WEIGHTS:
            return self
        return replace(self, access=min(needs, self.access))

    @property
    def limited(self) -> bool:
        """Whether scores reach the attacker shortened (top-k) or rounded."""
        return self.top_k is not None or self.decimals is not None
