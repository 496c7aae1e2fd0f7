"""Results by key: what was computed once is not computed again, in this audit or in the next one on the same folder."""

from __future__ import annotations

import hashlib
import os
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from numpy import ndarray as Array


class Ledger:
    """Arrays by key, in a folder when there is one, else in memory.

    A file appears whole or not at all, so a killed process loses no more than the task in hand, and several processes
    may write into one folder. A file that cannot be read counts as absent.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._memory: dict[str, Array] = {}
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)

    def get(self, key: str) -> Array | None:
        """Return what is kept under `key`, or None."""
        if self._folder is None:
            return self._memory.get(key)
        try:
            return np.load(self._folder / f"{key}.npy", allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return None

    def put(self, key: str, array: Array) -> None:
        """Keep `array` under `key`."""
        if self._folder is None:
            self._memory[key] = array
            return
        partial = self._folder / f".{key}.{os.getpid()}.partial"
        with open(partial, "wb") as file:
            np.save(file, array, allow_pickle=False)
        partial.replace(self._folder / f"{key}.npy")


def key_of(*facts: str) -> str:
    """Return the key of these facts.

    Another version of Safelight, or of a package that models are trained with, has other keys: results are not mixed.
    """
    return hashlib.sha256("\n".join((*_versions(), *facts)).encode()).hexdigest()[:40]


@cache
def _versions() -> tuple[str, ...]:
    found = []
    for package in ("safelight", "numpy", "scikit-learn", "torch"):
        try:
            found.append(version(package))
        except PackageNotFoundError:
            found.append("none")
    return tuple(found)
