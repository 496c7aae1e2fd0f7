"""A recording of normal traffic, to calibrate on: calls as they were seen, one NumPy array after another.

A file is a row of blocks. Each block is three arrays as `numpy.save` writes them, none with pickle: a text (JSON: the
version, the model, and of each call client, cohort, seconds since 1970 and number of records), the records of all its
calls, and their answers. Records of words are one JSON text each. A file that ends in the middle of a block is read up
to there, so that a guard that is killed loses no more than its last calls.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy import ndarray as Array

from safelight.errors import InputError
from safelight.guard.seen import Seen

VERSION = 1
EVERY = 256
"""Records after which a block is written."""


@dataclass
class Recorder:
    """Append calls to a recording. Its records are as sensitive as the traffic itself: its owner alone may read it.

    Attributes:
        path: the file; it is made where there is none.
    """

    path: Path
    _waiting: list[Seen] = field(default_factory=list, repr=False)
    _records: int = field(default=0, repr=False)

    def keep(self, seen: Seen) -> None:
        """Take one call in; raises InputError where it cannot be written."""
        if self._waiting and _kind(self._waiting[0]) != _kind(seen):
            self.flush()
        self._waiting.append(seen)
        self._records += len(seen.x)
        if self._records >= EVERY:
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        if not self._waiting:
            return
        calls, self._waiting, self._records = self._waiting, [], 0
        head = {
            "version": VERSION,
            "model": calls[0].model,
            "client": [call.client for call in calls],
            "cohort": [call.cohort for call in calls],
            "at": [call.at for call in calls],
            "records": [len(call.x) for call in calls],
        }
        x, answers = np.concatenate([call.x for call in calls]), np.concatenate([call.answers for call in calls])
        if x.dtype == object:
            x = np.array([json.dumps(row) for row in x.tolist()])
        if answers.dtype == object:
            answers = answers.astype(str)
        try:
            with os.fdopen(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as file:
                for array in (np.array(json.dumps(head)), x, answers):
                    np.save(file, array, allow_pickle=False)
        except OSError as error:
            raise InputError(f"{self.path} cannot be written ({error.strerror}); free space or name another.") from None


def recorded(path: Path) -> Iterator[Seen]:
    """Yield the calls of a recording, in the order in which they came; raises InputError where it is none."""
    try:
        with path.open("rb") as file:
            first = True
            while True:
                block = _block(file)
                if block is None:
                    if first:
                        raise InputError(
                            f"{path} holds no recorded traffic; let the guard record some: record in [signals] names "
                            "the file."
                        )
                    return
                first = False
                yield from _calls(path, *block)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); name a recording with --traffic.") from None


def _block(file: IO[bytes]) -> tuple[Any, Array, Array] | None:
    try:
        head, x, answers = (np.load(file, allow_pickle=False) for _ in range(3))
        return json.loads(str(head)), x, answers
    except (EOFError, ValueError):  # the end, or a block that was cut off
        return None


def _calls(path: Path, head: Any, x: Array, answers: Array) -> Iterator[Seen]:
    if not isinstance(head, dict) or head.get("version") != VERSION:
        raise InputError(f"{path} is no recording of format {VERSION}; let this version of the guard record anew.")
    if x.dtype.kind == "U":
        x = np.array([json.loads(row) for row in x.tolist()], dtype=object)
    start = 0
    for client, cohort, at, n in zip(head["client"], head["cohort"], head["at"], head["records"], strict=True):
        rows = slice(start, start + n)
        yield Seen(client, cohort, head["model"], at, x[rows], answers[rows])
        start += n


def _kind(seen: Seen) -> tuple[Any, ...]:
    return seen.model, seen.x.shape[1:], seen.x.dtype == object, seen.answers.shape[1:], seen.answers.dtype.kind
