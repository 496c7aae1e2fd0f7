"""The version that an alias points at now: a guard obeys a move within half a second, and pays nothing a call for it.

A thread looks at the registry four times a second. Where the registry cannot be read, the version that served last
serves on, and it is said once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event, Thread

from safelight.errors import InputError, SafelightError, did_you_mean
from safelight.guard.policy import GuardPolicy, Version
from safelight.guard.registry.moves import name_of, registry_of
from safelight.guard.registry.pointing import Registry
from safelight.guard.store import Store

EVERY = 0.25  # seconds between two looks
VERSION = "safelight.version"
"""Key of an ASGI scope: the version that is asked, once it is chosen."""


@dataclass
class Following:
    """Follow the alias of a policy.

    Attributes:
        policy: returns the policy in force.
        store: of the guard; a row of its log says when another version begins to serve.
        say: takes words for the operator.
        clock: seconds since 1970.
    """

    policy: Callable[[], GuardPolicy]
    store: Store
    say: Callable[[str], None]
    clock: Callable[[], float] = time.time
    _registry: Registry = field(init=False, repr=False)
    _version: Version = field(init=False, repr=False)
    _trouble: str = field(default="", init=False, repr=False)
    _ended: Event = field(default_factory=Event, init=False, repr=False)

    def __post_init__(self) -> None:
        """Look once, and go on looking.

        Raises:
            InputError: the alias points at no version of the policy.
            StoreFailed: the registry does not answer.
        """
        self._registry = registry_of(self.policy(), self.store)
        self._version = self._looked()
        Thread(target=self._follow, daemon=True).start()

    def now(self) -> Version:
        """Return the version that serves now."""
        return self._version

    def close(self) -> None:
        """Look no more."""
        self._ended.set()

    def look(self) -> None:
        """Look now; where that fails the old version stays, and it is said once."""
        try:
            found = self._looked()
            if found != self._version:
                before, self._version = self._version, found
                self.say(f"version {found.id} serves now, after {before.id}")
                name = name_of(self.policy())
                self.store.note("serves", self.clock(), model=name, before=before.id, to=found.id)
            self._trouble = ""
        except SafelightError as error:
            if str(error) != self._trouble:
                self._trouble = str(error)
                self.say(f"version {self._version.id} serves on: {error}")

    def _follow(self) -> None:
        while not self._ended.wait(EVERY):
            self.look()

    def _looked(self) -> Version:
        policy = self.policy()
        name, known = name_of(policy), {version.id: version for version in policy.upstream.version}
        version = self._registry.look(name)
        if not version:
            raise InputError(f"{name} points at no version yet; set it with: safelight guard promote VERSION.")
        if version not in known:
            raise InputError(
                f"{name} points at version {version!r}, and [[upstream.version]] lists {', '.join(known)}; add it."
                f"{did_you_mean(version, known)}"
            )
        return known[version]
