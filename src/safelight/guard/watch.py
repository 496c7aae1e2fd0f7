"""A policy that follows its file: read again once it changed and is still; a broken file leaves the old in force."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock

from safelight.errors import InputError
from safelight.guard.policy import GuardPolicy, read_policy
from safelight.guard.settling import Settling, Stamp, said_in, stamp_of


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
    _settling: Settling = field(init=False, repr=False)
    _reading: Lock = field(default_factory=Lock, init=False, repr=False)

    def __post_init__(self) -> None:
        """Read the file; raises InputError where it cannot be used."""
        self._stamp = stamp_of(self.path)
        self._policy = read_policy(self.path)
        self._settling = Settling(said_in(self.path))

    def now(self) -> GuardPolicy:
        """Return the policy in force; costs one look at the file's time, size and number.

        A file that changed is not read while it is still being written; see `safelight.guard.settling`.
        """
        stamp = stamp_of(self.path)
        if stamp != self._stamp and self._reading.acquire(blocking=False):  # one thread reads, and none waits for it
            try:
                if stamp != self._stamp and self._settling.is_whole(self.path, stamp):
                    self._read(stamp)
            finally:
                self._reading.release()
        return self._policy

    def _read(self, stamp: Stamp | None) -> None:
        """Read the file, and take it or say what is wrong with it; neither where it was written to meanwhile."""
        try:
            policy, said, trouble = read_policy(self.path), said_in(self.path), ""
            for name in ("store", "upstream"):
                if _fixed(policy, name) != _fixed(self._policy, name):
                    raise InputError(f"{self.path} changes [{name}], which needs a restart of the guard.")
        except InputError as error:
            policy, said, trouble = self._policy, self._settling.said, str(error)
        if stamp_of(self.path) != stamp:
            return
        self._stamp, self._policy, self.trouble, self._settling.said = stamp, policy, trouble, said
        self.say(f"the old policy stays in force: {trouble}" if trouble else f"{self.path} was read again")


def _fixed(policy: GuardPolicy, name: str) -> object:
    """Return what of a table needs a restart: all but the list of versions, where there is one before and after."""
    part = getattr(policy, name)
    return (replace(part, url="", version=()), "versions") if name == "upstream" and part.version else part
