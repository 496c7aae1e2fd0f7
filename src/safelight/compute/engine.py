"""Where independent tasks run: in this process, in worker processes of this machine, or on a Ray cluster.

joblib is the door to all of it. What a task gives depends on its arguments alone, so every engine gives the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from joblib import Parallel, delayed, parallel_config
from joblib.externals.loky.process_executor import BrokenProcessPool
from numpy import ndarray as Array

from safelight.compute.ledger import Ledger
from safelight.compute.worker import Done, Packed, Task, do, pack
from safelight.errors import InputError, WorkersLost

IN_VAIN = 3
"""How often work is handed out again without a single result in between before the engine gives up."""


@dataclass(frozen=True)
class Engine:
    """Where work runs, and how wide. It changes how long an audit takes, never what it finds.

    Attributes:
        kind: "local" for this machine; "ray" for a Ray cluster.
        jobs: worker processes of one thread each (>= 1). Left out: on this machine 1, which works in this process; on
            Ray as many as the cluster has processors free.
        address: HOST:PORT of the cluster's head; left out, Ray starts on this machine.
        gpus: what each worker takes of a GPU (>= 0): 0.25 puts four workers on one. Ray only.

    Raises:
        InputError: a value is out of bounds, or is for the other kind.
    """

    kind: Literal["local", "ray"] = "local"
    jobs: int | None = None
    address: str | None = None
    gpus: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in ("local", "ray"):
            raise InputError(f'The engine is {self.kind!r}; use "local" or "ray".')
        if self.jobs is not None and self.jobs < 1:
            raise InputError(f"The number of jobs is {self.jobs}; give at least 1, or leave it out.")
        if not 0 <= self.gpus < float("inf"):
            raise InputError(f"Each task is to get {self.gpus} GPUs; give 0 or more, such as 0.25.")
        if self.kind == "local" and (self.address or self.gpus):
            raise InputError("An address and GPUs per task are for the engine ray; choose it, or leave them out.")
        if self.kind == "ray" and self.jobs == 1:
            raise InputError("The engine ray works with 2 jobs or more; use the engine local for one.")

    @property
    def alone(self) -> bool:
        """Whether all work is done in this process."""
        return self.kind == "local" and self.jobs in (None, 1)

    def open(self, recipe: object = None) -> None:
        """Reach the cluster, if there is one, and see whether `recipe` can travel: what cannot be is said before work.

        Raises:
            MissingExtra: Ray is not installed.
            InputError: nothing answers, it is no Ray cluster, the workers do not fit on it, or the recipe cannot be
                sent to them.
        """
        if not self.alone:
            pack(recipe)
        if self.kind == "ray":
            from safelight.compute import cluster

            cluster.connect(self)


def run(
    engine: Engine, ledger: Ledger, work: Callable[..., Sequence[Array]], tasks: Sequence[Task]
) -> Iterator[tuple[str, Array]]:
    """Do every task, and yield its results by key as they come, each kept in the ledger before.

    A worker writes into the ledger's folder where it sees it; otherwise this process writes when the result arrives. So
    a kill costs what was being worked on, no more. Work that a dead worker held is handed out again.

    Args:
        work: called with the arguments of a task; returns one array a key. It goes to each worker once.
        tasks: in no order that matters.

    Raises:
        InputError: `work` cannot be sent to another process.
        WorkersLost: workers died again and again, and nothing was finished in between; or they have other packages.
    """
    if engine.alone:
        for task in tasks:
            for key, array in zip(task.keys, work(*task.arguments)):
                ledger.put(key, array)
                yield key, array
        return
    if not tasks:
        return
    packed, place = pack(work), ledger.place
    left, vain = dict(enumerate(tasks)), 0
    lost, once = _means(engine)
    while left:
        before, cause = len(left), None
        try:
            for done in once(engine, packed, place, left):
                yield from _taken(ledger, left, done)
        except lost as error:
            cause = error
        # What a worker wrote before it, or its neighbour, died has not been heard of yet.
        for number in [number for number, task in left.items() if all(key in ledger for key in task.keys)]:
            yield from _taken(ledger, left, Done(number))
        vain = 0 if len(left) < before else vain + 1
        if vain >= IN_VAIN:
            raise WorkersLost(
                f"Workers died {vain} times without finishing one of {len(left)} tasks; what was done is kept and "
                "--resume goes on, with fewer --jobs if memory ran out."
            ) from cause


_Once = Callable[[Engine, Packed, "tuple[str, str] | None", Mapping[int, Task]], Iterator[Done]]


def _means(engine: Engine) -> tuple[tuple[type[BaseException], ...], _Once]:
    """Return what a dead worker raises, and how all tasks are handed out once."""
    if engine.kind == "local":
        return (BrokenProcessPool,), _locally
    from safelight.compute import cluster

    return cluster.lost(), cluster.once


def _locally(
    engine: Engine, packed: Packed, place: tuple[str, str] | None, tasks: Mapping[int, Task]
) -> Iterator[Done]:
    calls = (delayed(do)(packed, place, number, task) for number, task in list(tasks.items()))
    with parallel_config(backend="loky", inner_max_num_threads=1, mmap_mode="c"):
        yield from Parallel(n_jobs=engine.jobs, return_as="generator_unordered")(calls)


def _taken(ledger: Ledger, left: dict[int, Task], done: Done) -> Iterator[tuple[str, Array]]:
    """Take a finished task off the list; yield its results, kept by now whoever wrote them."""
    keys = left[done.number].keys
    if done.arrays is None:
        found = [ledger.get(key) for key in keys]
    else:
        found = list(done.arrays)
        for key, array in zip(keys, done.arrays):
            ledger.put(key, array)
    if any(array is None for array in found):
        return  # The file cannot be read: the task stays on the list.
    del left[done.number]
    yield from ((key, array) for key, array in zip(keys, found) if array is not None)
