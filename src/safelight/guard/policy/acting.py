"""[actions]: what is done about a client that the watch points at."""

from __future__ import annotations

from dataclasses import dataclass, replace

from safelight.errors import InputError
from safelight.guard.policy.outputs import Outputs


@dataclass(frozen=True)
class Actions:
    """[actions]: what is done about a client that the watch points at.

    Attributes:
        minutes: that a quarantine, or a milder step, holds (> 0).
        top_k: largest scores that stay for a client whose answers are made coarser (>= 1).
        decimals: that they are rounded to (>= 0).
        delay: seconds that a slowed client waits for each answer (>= 0).
        bits: of work that a challenged client does for each record (>= 1); each more doubles it.
        dry_run: whether all is logged as "would" and nothing is done.
        approval_above: share of the clients that asked within a day, in [0, 1]; what hits more waits for a person.
        forget: quiet minutes after which a client starts at the foot of the ladder again (> 0).
        playbooks: TOML file from the folder of guard.toml; the built-in playbook when left out.
    """

    minutes: float = 60.0
    top_k: int = 1
    decimals: int = 1
    delay: float = 2.0
    bits: int = 18
    dry_run: bool = False
    approval_above: float = 0.05
    forget: float = 1440.0
    playbooks: str | None = None

    def __post_init__(self) -> None:
        if self.bits > 40:
            raise InputError(f"bits is {self.bits}; it must be at most 40, which no client finds in a day.")
        if not 0 < self.minutes < 1e7:
            raise InputError(f"minutes is {self.minutes:g}; it must be above 0, such as 60.")
        if not 0 <= self.delay <= 60:
            raise InputError(f"delay is {self.delay:g}; it must be from 0 to 60 seconds.")

    def coarser(self, outputs: Outputs) -> Outputs:
        """Return what leaves for a client whose answers are made coarser: never more than for others."""
        top = min(outputs.top_k or self.top_k, self.top_k)
        decimals = self.decimals if outputs.decimals is None else min(outputs.decimals, self.decimals)
        return replace(outputs, top_k=top, decimals=decimals)
