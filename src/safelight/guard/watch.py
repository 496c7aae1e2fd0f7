"""A policy that follows its file: read again when it changes; a broken file leaves the old policy in force."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from safelight.errors import InputError
from safelight.guard.policy import GuardPolicy, read_policy

Stamp = tuple[int, int, int]


@dataclass
class WatchedPolicy:
    """The policy of a file, as it stands now.

    Attributes:
        path: guard.toml.
        say: told, once for each change of the file, what was read or what is wrong with it.
        trouble: what is wrong with the file as it stands, or "".
    """

    path: Path
    say: Callable[[str], None] = lambda words: None
    trouble: str = ""
    _policy: GuardPolicy = field(init=False, repr=False)
    _stamp: Stamp | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Read the file; raises InputError where it cannot be used."""
        self._stamp = stamp_of(self.path)
        self._policy = read_policy(self.path)

    def now(self) -> GuardPolicy:
        """Return the policy in force; costs one look at the file's time, size and number."""
        stamp = stamp_of(self.path)
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                policy = read_policy(self.path)
                for name in ("store", "upstream"):
                    if _fixed(policy, name) != _fixed(self._policy, name):
                        raise InputError(f"{self.path} changes [{name}], which needs a restart of the guard.")
            except InputError as error:
                self.trouble = str(error)
                self.say(f"the old policy stays in force: {error}")
            else:
                self._policy, self.trouble = policy, ""
                self.say(f"{self.path} was read again")
        return self._policy


def _fixed(policy: GuardPolicy, name: str) -> object:
    """Return what of a table needs a restart: all but the list of versions, where there is one before and after."""
    part = getattr(policy, name)
    return (replace(part, url="", version=()), "versions") if name == "upstream" and part.version else part


def stamp_of(path: Path) -> Stamp | None:
    """Return what changes when a file does: its time, size and number; None where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
