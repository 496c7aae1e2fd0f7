"""A limit in words: "re-identification among 40 <= 10 %"."""

from __future__ import annotations

import re
from dataclasses import dataclass

from safelight.errors import InputError

CLAIMS = {
    "re-identification": ("person", "class"),
    "attribute": ("attribute",),
    "membership": ("membership",),
}
_WORDS = re.compile(
    r"(?P<what>[a-z-]+)(?: among (?P<k>\d+))? *(?:<=|≤|at most) *(?P<share>\d+(?:\.\d+)?) *(?P<sign>%?)"
)


@dataclass(frozen=True)
class Limit:
    """How often these attacks may find a secret.

    Attributes:
        what: "re-identification", "attribute" or "membership".
        k: candidates to be found among; 2 when the words name none.
        share: largest share of right guesses among them, above 1 / k and below 1.
    """

    what: str
    k: int
    share: float

    def __post_init__(self) -> None:
        if self.what not in CLAIMS:
            raise InputError(f"A limit on {self.what!r} is not known; use {', '.join(CLAIMS)}.")
        if self.k < 2:
            raise InputError(f"The limit names {self.k} candidates; there must be at least 2.")
        if not 1 / self.k < self.share < 1:
            raise InputError(
                f"The limit is {100 * self.share:g} % and chance among {self.k} is {100 / self.k:.3g} %; give a limit "
                "above chance and below 100 %."
            )

    @property
    def claims(self) -> tuple[str, ...]:
        """The claims of coins that speak about it."""
        return CLAIMS[self.what]

    def __str__(self) -> str:
        return f"{self.what} among {self.k} <= {100 * self.share:g} %"


def limit_of(text: str) -> Limit:
    """Read a limit; raises InputError where the words are none."""
    found = _WORDS.fullmatch(text.strip().lower())
    if found is None:
        raise InputError(
            f'The limit is {text!r}; write it like "re-identification among 40 <= 10 %", "attribute <= 60 %" or '
            '"membership <= 55 %".'
        )
    share = float(found["share"])
    return Limit(found["what"], int(found["k"] or 2), share / 100 if found["sign"] or share > 1 else share)
