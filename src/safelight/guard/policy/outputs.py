"""[outputs]: what an answer still holds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from safelight.defences.outputs.policy import OutputPolicy
from safelight.errors import InputError, did_you_mean
from safelight.guard.policy.noise import Noise

ALLOWABLE = ("n", "best_of", "echo", "logit_bias", "seed", "tokens")


class Extras(Enum):
    """What becomes of what a question to a language model asks to be told beside the text."""

    STRIP = "strip"
    REFUSE = "refuse"


@dataclass(frozen=True)
class Outputs:
    """[outputs]: what an answer still holds.

    Attributes:
        top_k: largest scores that stay (>= 1), the rest read 0.
        decimals: to which scores and real predictions are rounded (>= 0).
        label_only: the class alone, as a score of 1.
        names: outputs that may be asked for and leave; all that the guard understands when left out. Language models
            and jsonpath have no such names.
        embeddings: whether the embeddings of a language model may leave, rounded to `decimals`.
        extras: "strip" or "refuse": what becomes of logprobs, top_logprobs, prompt_logprobs and seed in a question.
        noise: [outputs.noise], before all else; scores are exact when left out.
        allow: of n, best_of, echo, logit_bias, seed and tokens (prompts as numbers), those that may be asked for.
    """

    top_k: int | None = None
    decimals: int | None = None
    label_only: bool = False
    names: tuple[str, ...] = ()
    embeddings: bool = False
    extras: Extras = Extras.STRIP
    allow: tuple[str, ...] = ()
    noise: Noise | None = None

    def __post_init__(self) -> None:
        for name in self.allow:
            if name not in ALLOWABLE:
                raise InputError(
                    f"allow has {name!r}; it may list {', '.join(ALLOWABLE)}.{did_you_mean(name, ALLOWABLE)}"
                )

    @property
    def defence(self) -> OutputPolicy:
        """What makes answers coarser, after any noise; see `safelight.guard.noise` for both together."""
        return OutputPolicy(self.top_k, self.decimals, label_only=self.label_only)
