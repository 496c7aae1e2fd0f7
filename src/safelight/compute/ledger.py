"""Results by key: what was computed once is not computed again, in this audit or in the next one on the same folder."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from uuid import uuid4

import numpy as np
from numpy import ndarray as Array


class Ledger:
    """Arrays by key, in a folder when there is one, else in memory.

    A file appears whole or not at all, so a killed process loses no more than the task in hand, and several processes
    may write into one folder. A file that cannot be read counts as absent.

    Attributes:
        ignored: versions that the folder was last written by, where they are others than now: what they kept has other
            keys, so it is not used. Otherwise "".
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._memory: dict[str, Array] = {}
        self.ignored = ""
        if folder is None:
            return
        folder.mkdir(parents=True, exist_ok=True)
        written, _ = _marked(folder)
        if written != versions():
            self.ignored = written
            partial = folder / f".VERSION.{uuid4().hex}.partial"
            partial.write_text(f"{versions()}\n{uuid4().hex}\n", encoding="utf-8")
            partial.replace(folder / "VERSION")

    @property
    def place(self) -> tuple[str, str] | None:
        """The folder, and the mark by which another machine knows it again; None in memory."""
        return None if self._folder is None else (str(self._folder.resolve()), _marked(self._folder)[1])

    @staticmethod
    def is_at(folder: str, mark: str) -> bool:
        """Return whether this machine sees, under this path, the very folder of that mark."""
        return _marked(Path(folder)) == (versions(), mark)

    def __contains__(self, key: str) -> bool:
        return key in self._memory if self._folder is None else (self._folder / f"{key}.npy").exists()

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
        partial = self._folder / f".{key}.{uuid4().hex}.partial"
        with open(partial, "wb") as file:
            np.save(file, array, allow_pickle=False)
        partial.replace(self._folder / f"{key}.npy")


def key_of(*facts: str) -> str:
    """Return the key of these facts.

    Another version of Safelight, or of a package that models are trained with, has other keys: results are not mixed.
    """
    return hashlib.sha256("\n".join((*_versions(), *facts)).encode()).hexdigest()[:40]


def versions() -> str:
    """Return the versions that keys depend on, in words."""
    return ", ".join(f"{package} {found}" for package, found in zip(_PACKAGES, _versions()))


def _marked(folder: Path) -> tuple[str, str]:
    """Return the versions that the folder was last written by, and its mark."""
    try:
        written, mark = (folder / "VERSION").read_text("utf-8").splitlines()
    except (OSError, ValueError):
        return "", ""
    return written, mark


_PACKAGES = ("safelight", "numpy", "scikit-learn", "torch")


@cache
def _versions() -> tuple[str, ...]:
    found = []
    for package in _PACKAGES:
        try:
            found.append(version(package))
        except PackageNotFoundError:
            found.append("none")
    return tuple(found)
