"""[fail] and [[route]]: what becomes of a call that cannot be judged, here and there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from safelight.errors import InputError
from safelight.guard.policy.outputs import Outputs


class Fail(Enum):
    """What becomes of a call that the guard cannot judge: refused, let through, or let through as a bare label."""

    CLOSED = "closed"
    OPEN = "open"
    LABEL_ONLY = "label-only"


@dataclass(frozen=True)
class Failing:
    """[fail]: what becomes of a call that cannot be judged.

    Attributes:
        mode: "closed", "open" or "label-only".
    """

    mode: Fail = Fail.CLOSED


@dataclass(frozen=True)
class Route:
    """[[route]]: one path, or all paths below one, with a way to fail and outputs of its own.

    Attributes:
        path: as "/v2/models/diag/infer", or "/v2/models/diag/*" for all that begins with "/v2/models/diag/".
        fail: "closed", "open" or "label-only".
        outputs: what an answer still holds there; in the file, what is left out is as in [outputs].
    """

    path: str
    fail: Fail
    outputs: Outputs

    def __post_init__(self) -> None:
        if not is_plain(self.path) or "*" in self.path.removesuffix("/*"):
            raise InputError(
                f"The route {self.path!r} is no path; write it like /invocations, or /v2/models/diag/* for all below."
            )

    def holds(self, path: str) -> bool:
        """Whether it speaks of this path."""
        return path.startswith(self.path[:-1]) if self.path.endswith("*") else path == self.path


def is_plain(path: str) -> bool:
    """Whether a path can be read in one way only: no dots as a part, empty parts, percents or semicolons."""
    parts = path.split("/")
    return (
        path.startswith("/")
        and not {".", ".."} & set(parts)
        and "" not in parts[1:-1]
        and not re.search(r"[\\%?#;\x00-\x20\x7f]", path)
    )
