"""HopSkipJump: how far away does the predicted label change, found by asking for labels alone?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy import ndarray as Array
from numpy.random import Generator

from safelight.attacks.membership.references import known_public
from safelight.data.records import Records
from safelight.errors import AccessDenied
from safelight.targets.base import View

HALVINGS = 10
"""Steps of a binary search: the boundary is found to a thousandth of the way."""
SHRINKS = 4
"""How often a step along the boundary is halved before it is given up."""
STARTS = 200
"""Public records that are asked for their label, to start from."""


def queries_each(steps: int, directions: int) -> int:
    """Return how many queries one record takes, with that for the label of the record itself."""
    return 1 + HALVINGS + steps * (directions + SHRINKS + HALVINGS)


def distances(view: View, records: Records, steps: int, directions: int, rng: Generator) -> Array:
    """Return the least distance (n,) found from each record to where its label changes; all records walk at once.

    From a public record with another predicted label, the way to the record is halved down to the boundary. There the
    normal is estimated from the labels of random directions, a step is taken along it into the other label (of
    1/sqrt(step) of the distance, halved until the label is another one), and the way back is halved again.

    Args:
        records: n records that the model gets right: pictures, or rows of numbers, each column over its deviation.
        steps, directions: see `LabelOnly`.

    Raises:
        AccessDenied: no public record has another predicted label, or a column holds words.
    """
    space, public = _Space(records.x), known_public(view)
    if public is None:
        raise AccessDenied('The boundary is looked for from public records; grant knows = ["public"] and name some.')
    origin = space.flat(records.x)
    start = _starts(view, records, public, space, origin)
    here = _halved(view, records.y, space, origin, start)
    best = np.linalg.norm(here - origin, axis=1)
    for step in range(1, steps + 1):
        far = np.linalg.norm(here - origin, axis=1)
        # The size at which labels tell the normal: the paper's delta, a hundredth of the way here.
        probe = np.maximum(far, 1e-9) / 100 * np.sqrt(origin.shape[1])
        signs = np.empty((directions, len(here)))
        ways = rng.standard_normal((directions, *here.shape))
        ways /= np.linalg.norm(ways, axis=2, keepdims=True)
        for number, way in enumerate(ways):
            signs[number] = np.where(_other(view, records.y, space, here + probe[:, None] * way), 1.0, -1.0)
        centred = signs - signs.mean(axis=0)
        flat = np.abs(signs.mean(axis=0)) == 1
        centred[:, flat] = signs[:, flat]
        normal = np.einsum("dn,dnf->nf", centred, ways)
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
        size, moved = far / np.sqrt(step), here.copy()
        waiting = np.ones(len(here), dtype=bool)
        for _ in range(SHRINKS):
            tried = here + size[:, None] * normal
            crossed = waiting & _other(view, records.y, space, tried)
            moved[crossed], waiting = tried[crossed], waiting & ~crossed
            size /= 2
        here = _halved(view, records.y, space, origin, moved)
        best = np.minimum(best, np.linalg.norm(here - origin, axis=1))
    return best


def _starts(view: View, records: Records, public: Records, space: _Space, origin: Array) -> Array:
    """Return for each record the nearest public record with another predicted label (n, features)."""
    chosen = public.take(np.arange(min(STARTS, len(public))))
    labels, places = view.labels(chosen.x), space.flat(chosen.x)
    found = np.empty_like(origin)
    for label in np.unique(records.y):
        others = places[labels != label]
        if not len(others):
            raise AccessDenied(
                f"The boundary is looked for from public records, and all {len(chosen)} that were asked have the label "
                f"{view.classes[int(label)]}; name others."
            )
        mine = np.flatnonzero(records.y == label)
        away = ((origin[mine, None] - others[None]) ** 2).sum(axis=2)
        found[mine] = others[away.argmin(axis=1)]
    return found


def _halved(view: View, labels: Array, space: _Space, origin: Array, outside: Array) -> Array:
    """Return points (n, features) just beyond the boundary, on the lines from the records to points beyond it."""
    near, far = np.zeros(len(origin)), np.ones(len(origin))
    for _ in range(HALVINGS):
        middle = (near + far) / 2
        crossed = _other(view, labels, space, origin + middle[:, None] * (outside - origin))
        far, near = np.where(crossed, middle, far), np.where(crossed, near, middle)
    return origin + far[:, None] * (outside - origin)


def _other(view: View, labels: Array, space: _Space, flat: Array) -> Array:
    """Return which of the points (n, features) have another label than `labels` (n,)."""
    return np.asarray(view.labels(space.shaped(flat)) != labels)


class _Space:
    """Records as rows of numbers (n, features) and back: pixels in their range, or columns over their deviations."""

    def __init__(self, x: Any) -> None:
        self._columns = list(x.columns) if isinstance(x, pd.DataFrame) else None
        if self._columns is not None:
            words = [str(name) for name, column in x.items() if not pd.api.types.is_numeric_dtype(column)]
            if words:
                raise AccessDenied(
                    f'There is no straight way between the words of column {words[0]!r}; use moves = "noise".'
                )
            self._shape: tuple[int, ...] = (len(self._columns),)
            self._scale = x.to_numpy(float).std(axis=0)
            self._scale[self._scale == 0] = 1.0
            self._low, self._high = -np.inf, np.inf
        else:
            self._shape, self._scale = x.shape[1:], np.ones(1)
            self._low, self._high = float(x.min()), float(x.max())

    def flat(self, x: Any) -> Array:
        values = x.to_numpy(float) if isinstance(x, pd.DataFrame) else np.asarray(x, float).reshape(len(x), -1)
        return np.asarray(values / self._scale)

    def shaped(self, flat: Array) -> Any:
        values = np.clip(flat * self._scale, self._low, self._high)
        if self._columns is not None:
            return pd.DataFrame(values, columns=self._columns)
        return values.reshape(len(flat), *self._shape).astype(np.float32)
