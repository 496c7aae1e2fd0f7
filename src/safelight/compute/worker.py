"""What happens in a worker: the work is unpacked once, done task by task, and kept before it is counted."""

from __future__ import annotations

import os
import pickle
import platform
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import cloudpickle
import numpy as np
from joblib import parallel_config
from numpy import ndarray as Array
from threadpoolctl import threadpool_limits

from safelight.compute.ledger import Ledger, versions
from safelight.data.functions import user_modules
from safelight.errors import InputError, WorkersLost

Work = Callable[..., Sequence[Array]]


@dataclass(frozen=True)
class Task:
    """One piece of work.

    Attributes:
        keys: what its results are kept under.
        arguments: what sets it apart from the other tasks.
    """

    keys: tuple[str, ...]
    arguments: tuple[Any, ...]


@dataclass(frozen=True)
class Done:
    """A finished task: its results, or None where the worker wrote them into the ledger itself."""

    number: int
    arrays: Sequence[Array] | None = None


@dataclass(frozen=True, eq=False)
class Packed:
    """Work on its way to the workers. Large arrays travel beside it, once a machine, and are shared there.

    Attributes:
        name: of this work; a worker unpacks it once.
        versions: of the packages here, which must be those of the workers.
        head: the pickle (bytes,) uint8, without the arrays.
        arrays: the arrays' bytes, in order.
    """

    name: str
    versions: str
    head: Array
    arrays: list[Array] = field(repr=False)


def pack(work: object) -> Packed:
    """Pickle `work`, functions of the user's own files by value: a worker cannot import those.

    Raises:
        InputError: something in it cannot be pickled.
    """
    buffers: list[pickle.PickleBuffer] = []
    own = user_modules()
    for module in own:
        cloudpickle.register_pickle_by_value(module)
    try:
        head = cloudpickle.dumps(work, protocol=5, buffer_callback=buffers.append)
    except Exception as error:
        raise InputError(
            f"The recipe cannot be sent to other processes ({error}); make what it holds inside its function, or leave "
            "out --jobs and --engine."
        ) from error
    finally:
        for module in own:
            cloudpickle.unregister_pickle_by_value(module)
    arrays = [np.frombuffer(buffer.raw(), np.uint8) for buffer in buffers]
    return Packed(uuid4().hex, versions(), np.frombuffer(head, np.uint8), arrays)


def do(packed: Packed, place: tuple[str, str] | None, number: int, task: Task) -> Done:
    """Do one task in a worker, with one thread.

    Args:
        place: folder of the ledger and its mark, or None where it is in the driver's memory.

    Raises:
        WorkersLost: this machine has other packages than the driver, or lacks some.
    """
    _end_with_the_parent()
    with parallel_config(backend="sequential"):  # An estimator with n_jobs=-1 would start threads of its own.
        arrays = _unpacked(packed)(*task.arguments)
    if place is None or not Ledger.is_at(*place):
        return Done(number, [np.asarray(array) for array in arrays])
    ledger = Ledger(Path(place[0]))
    for key, array in zip(task.keys, arrays):
        ledger.put(key, array)
    return Done(number)


_latest: tuple[str, Work] | None = None


def _unpacked(packed: Packed) -> Work:
    global _latest
    if _latest is None or _latest[0] != packed.name:
        _latest = None  # The old data goes before the new data comes.
        _latest = packed.name, _loaded(packed)
        threadpool_limits(1)
        if "torch" in sys.modules:
            sys.modules["torch"].set_num_threads(1)
    return _latest[1]


def _loaded(packed: Packed) -> Work:
    here = f"The worker on {platform.node()}"
    if packed.versions != versions():
        raise WorkersLost(
            f"{here} has {versions()}, and the audit runs with {packed.versions}; install the same on every machine."
        )
    try:
        return pickle.loads(packed.head.data, buffers=packed.arrays)  # type: ignore[no-any-return]
    except (ImportError, AttributeError) as error:
        raise WorkersLost(
            f"{here} cannot load the recipe ({error}); install what it imports on every machine."
        ) from error


@cache
def _end_with_the_parent() -> None:
    """Watch from now on whether the process that started this one is alive, and end within a second of its death."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
