"""A recording of normal traffic, to calibrate on: calls as they were seen, one NumPy array after another.

A file is a row of blocks. Each block is three arrays as `numpy.save` writes them, none with pickle: a text (JSON: the
version, the model, the names of the values where the calls name them, and of each call client, cohort, seconds since
1970 and number of records), the records of all its calls, in one order of their values, and their answers. Records of
words are one JSON text each. Of a language model a fourth array follows: the bytes of one JSON text, a list of [prompt,
answer] for each record, cut to what the watch looks at. A file that ends in the middle of a block is read up to there,
so that a guard that is killed loses no more than its last calls.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy import ndarray as Array

from safelight.errors import InputError
from safelight.guard.columns import Columns
from safelight.guard.passages import READ
from safelight.guard.seen import Seen

VERSION = 1
EVERY = 256
"""Records after which a block is written."""
MOST_LETTERS = 2**20
"""Characters of texts after which one is, too."""


@dataclass
class Recorder:
    """Append calls to a recording. Its records are as sensitive as the traffic itself: its owner alone may read it.

    Attributes:
        path: the file; it is made where there is none.
    """

    path: Path
    _waiting: list[Seen] = field(default_factory=list, repr=False)
    _records: int = field(default=0, repr=False)
    _letters: int = field(default=0, repr=False)
    _columns: Columns = field(default_factory=Columns, repr=False)

    def keep(self, seen: Seen) -> None:
        """Take one call in; raises InputError where it cannot be written."""
        if self._waiting and seen.names != self._columns.names:
            places = self._columns.places(seen.names)
            if places is not None:
                seen = replace(seen, x=seen.x.take(places, axis=1), names=self._columns.names)
        if self._waiting and _kind(self._waiting[0]) != _kind(seen):
            self.flush()
        if not self._waiting:
            self._columns = Columns(seen.names)
        self._waiting.append(seen)
        self._records += len(seen.x)
        self._letters += sum(min(len(text), READ) for pair in seen.texts for text in pair)
        if self._records >= EVERY or self._letters >= MOST_LETTERS:
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        if not self._waiting:
            return
        calls, self._waiting, self._records, self._letters = self._waiting, [], 0, 0
        head = {
            "version": VERSION,
            "model": calls[0].model,
            "client": [call.client for call in calls],
            "cohort": [call.cohort for call in calls],
            "at": [call.at for call in calls],
            "records": [len(call.x) for call in calls],
            "texts": bool(calls[0].texts),
            "names": calls[0].names,
        }
        x, answers = np.concatenate([call.x for call in calls]), np.concatenate([call.answers for call in calls])
        if x.dtype == object:
            x = np.array([json.dumps(row) for row in x.tolist()])
        if answers.dtype == object:
            answers = answers.astype(str)
        arrays = [np.array(json.dumps(head, ensure_ascii=False)), x, answers]
        if calls[0].texts:
            cut = [[text[:READ] for text in pair] for call in calls for pair in call.texts]
            arrays.append(np.frombuffer(json.dumps(cut).encode(), np.uint8))
        try:
            with os.fdopen(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as file:
                for array in arrays:
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


def _block(file: IO[bytes]) -> tuple[Any, Array, Array, Any] | None:
    try:
        head, x, answers = (np.load(file, allow_pickle=False) for _ in range(3))
        about, texts = json.loads(str(head)), None
        if isinstance(about, dict) and about.get("texts"):
            texts = json.loads(np.load(file, allow_pickle=False).tobytes())
        return about, x, answers, texts
    except (EOFError, ValueError):  # the end, or a block that was cut off
        return None


def _calls(path: Path, head: Any, x: Array, answers: Array, texts: Any) -> Iterator[Seen]:
    if not isinstance(head, dict) or head.get("version") != VERSION:
        raise InputError(f"{path} is no recording of format {VERSION}; let this version of the guard record anew.")
    if x.dtype.kind == "U":
        x = np.array([json.loads(row) for row in x.tolist()], dtype=object)
    start, names = 0, tuple(head.get("names", ()))
    for client, cohort, at, n in zip(head["client"], head["cohort"], head["at"], head["records"], strict=True):
        rows = slice(start, start + n)
        said = () if texts is None else tuple((prompt, answer) for prompt, answer in texts[rows])
        yield Seen(client, cohort, head["model"], at, x[rows], answers[rows], said, names)
        start += n


def _kind(seen: Seen) -> tuple[Any, ...]:
    kind = seen.model, seen.x.shape[1:], seen.x.dtype == object, seen.answers.shape[1:], seen.answers.dtype.kind
    return *kind, bool(seen.texts), seen.names
