"""[[clients.key]]: who may ask, by keys."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass

from safelight.errors import InputError


@dataclass(frozen=True)
class Key:
    """[[clients.key]]: one client. Either `sha256` or `env` says how its key looks; the file never holds the key.

    Attributes:
        id: name of the client in the log.
        sha256: of the key, 64 hexadecimal digits.
        env: environment variable that holds the key.
        cohort: name of the group of clients that it belongs to.
    """

    id: str
    sha256: str | None = None
    env: str | None = None
    cohort: str = ""

    @property
    def digest(self) -> str:
        """The SHA-256 of the key; raises InputError where the variable is empty."""
        if self.sha256 is not None:
            return self.sha256.lower()
        value = os.environ.get(self.env or "", "").strip()
        if not value:
            raise InputError(
                f"The environment variable {self.env} of the client {self.id!r} is empty; put its key there."
            )
        return hashlib.sha256(value.encode()).hexdigest()
