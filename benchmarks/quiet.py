"""How much of the machine others take while something is measured: all that was busy, less what our processes took."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

LOUD = 0.05
"""Share of the machine: others took more than this in a round, and it is not to be believed."""
TICK = os.sysconf("SC_CLK_TCK")


def busy() -> float:
    """Return seconds of all processors since the start that were neither idle nor waiting for a disk."""
    user, nice, system, _, _, irq, soft, steal = map(int, Path("/proc/stat").read_text().split(maxsplit=9)[1:9])
    return (user + nice + system + irq + soft + steal) / TICK


def taken(process: int) -> float:
    """Return seconds of the processor that a process has taken, with its children that have ended."""
    words = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, words[11:15])) / TICK


@dataclass
class Machine:
    """Knows whose the load is.

    Attributes:
        ours: processes that are measured, and that measure.
        others: of each round, the share of the machine that others took.
    """

    ours: list[int]
    others: list[float] = field(default_factory=list)

    @contextmanager
    def round(self) -> Iterator[None]:
        """Measure the load of others meanwhile; better over seconds than less, since the kernel counts in ticks."""
        wall, all_before, ours_before = time.monotonic(), busy(), sum(map(taken, self.ours))
        yield
        wall, ours = time.monotonic() - wall, sum(map(taken, self.ours)) - ours_before
        self.others.append(max(0.0, busy() - all_before - ours) / wall / (os.cpu_count() or 1))

    def verdict(self) -> str:
        """Say whether others disturbed the rounds."""
        loud = sum(share > LOUD for share in self.others)
        shares = f"others took {min(self.others):.0%} to {max(self.others):.0%} of it in a round"
        if not loud:
            return f"The machine was quiet: {shares}."
        return (
            f"THE MACHINE WAS NOT QUIET in {loud} of {len(self.others)} rounds: {shares}. Times are not to be quoted."
        )
