"""A Ray cluster behind joblib: Ray's own backend, its workers kept warm, and placed before they are waited for."""

from __future__ import annotations

import atexit
import logging
import os
import socket
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from joblib import Parallel, delayed, parallel_config

from safelight.compute.worker import Done, Packed, Task, do
from safelight.errors import InputError, MissingExtra, WorkersLost

if TYPE_CHECKING:
    from safelight.compute.engine import Engine

PATIENCE = 3.0
"""Seconds that an address has to answer, and that the cluster has to place workers each time it is asked."""

AHEAD = 8
"""Tasks a worker in one call: results come back when the call ends, so this bounds what is held in memory."""


def connect(engine: Engine) -> None:
    """Reach the cluster of this engine, or start Ray on this machine; once a process.

    Raises:
        MissingExtra, InputError: as `Engine.open`.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray reports home by default.
    try:
        import ray
        from ray.util.joblib import register_ray
    except ImportError:
        raise MissingExtra("ray", "ray", "The engine ray") from None
    if not ray.is_initialized():
        options: dict[str, Any] = {"address": "local", "num_cpus": engine.jobs, "include_dashboard": False}
        if engine.address is not None:
            _check_answer(engine.address)
            options = {"address": engine.address}
        try:
            with warnings.catch_warnings(action="ignore", category=FutureWarning):
                ray.init(log_to_driver=False, logging_level=logging.ERROR, **options)
        except (RuntimeError, ConnectionError, ValueError) as error:
            where = engine.address or "this machine"
            raise InputError(f"Ray at {where} cannot be joined ({error}); mend that, or use --engine local.") from error
    register_ray()
    atexit.unregister(_dismiss)
    atexit.register(_dismiss)  # After Ray's own: the last to be registered is the first to run.
    each, room = _each(engine), _whole_room(engine)
    if room < max(engine.jobs or 2, 2):
        raise InputError(
            f"{engine.jobs or 2} workers of {_words(each)} each do not fit on the Ray cluster, which has "
            f"{_words(ray.cluster_resources())} and room for {room}; lower --jobs or --gpus-per-task, or use --engine "
            "local."
        )


def lost() -> tuple[type[BaseException], ...]:
    """Return what a call raises when a worker or its node died under it."""
    from ray import exceptions

    return (exceptions.RayActorError, exceptions.WorkerCrashedError, exceptions.NodeDiedError,
            exceptions.ObjectLostError, exceptions.OutOfMemoryError)  # fmt: skip


def once(engine: Engine, packed: Packed, place: tuple[str, str] | None, tasks: Mapping[int, Task]) -> Iterator[Done]:
    """Hand out all tasks once, call after call.

    Ray's backend gives results only when a whole call ends. While workers write into the ledger themselves a call is
    long; where results come home to be written, it is one task a worker, so that a killed driver loses no more.
    """
    import ray

    parallel, jobs = _workers(engine)
    sent, waiting, size = ray.put(packed), list(tasks.items()), jobs
    try:
        while waiting:
            now, waiting = waiting[:size], waiting[size:]
            finished = parallel(delayed(_fetch_and_do)(sent, place, number, task) for number, task in now)
            yield from finished
            size = jobs * AHEAD if all(done.arrays is None for done in finished) else jobs
    except lost():
        _dismiss()
        raise


def _fetch_and_do(sent: Any, place: tuple[str, str] | None, number: int, task: Task) -> Done:
    import ray

    # Some versions of joblib and Ray have fetched it already.
    return do(ray.get(sent) if isinstance(sent, ray.ObjectRef) else sent, place, number, task)


# Workers -------------------------------------------------------------------------------------------------------------
_warm: dict[Engine, tuple[Parallel, int, ExitStack]] = {}


def _workers(engine: Engine) -> tuple[Parallel, int]:
    """Return a running pool and its size; it takes seconds to start, so it stays for the next call."""
    if engine not in _warm:
        from ray.util.placement_group import remove_placement_group
        from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

        _dismiss()
        group, jobs = _placed(engine)
        stack = ExitStack()
        stack.callback(remove_placement_group, group)
        where = PlacementGroupSchedulingStrategy(group)
        remote = {"num_cpus": 1, "num_gpus": engine.gpus, "scheduling_strategy": where}
        with parallel_config(backend="ray", ray_remote_args=remote):
            _warm[engine] = stack.enter_context(Parallel(n_jobs=jobs, batch_size=1)), jobs, stack
    return _warm[engine][:2]


def _placed(engine: Engine) -> tuple[Any, int]:
    """Reserve a place for each worker, spread over the nodes: a worker that has none would be waited for for ever.

    Where a node died there may be fewer than at first.

    Raises:
        WorkersLost: there is no room for two.
    """
    import ray
    from ray.util.placement_group import placement_group, remove_placement_group

    each = _each(engine)
    for _ in range(10):
        # A dead node, and workers that were just dismissed, are counted for some seconds more.
        jobs = min(engine.jobs or _whole_room(engine), _room(ray.available_resources(), each))
        if jobs >= 2:
            group = placement_group([each] * jobs, strategy="SPREAD")
            if group.wait(PATIENCE):
                return group, jobs
            remove_placement_group(group)
        time.sleep(1.0)
    raise WorkersLost(
        f"The Ray cluster has no room for two workers of {_words(each)} each, with {_words(ray.available_resources())} "
        "free; what was done is kept, and --resume goes on when there is."
    )


def _each(engine: Engine) -> dict[str, float]:
    return {"CPU": 1.0} | ({"GPU": engine.gpus} if engine.gpus else {})


def _whole_room(engine: Engine) -> int:
    """Return how many workers fit on all nodes, if nobody else works there."""
    import ray

    return sum(_room(node["Resources"], _each(engine)) for node in ray.nodes() if node["Alive"])


def _room(resources: Mapping[str, float], each: Mapping[str, float]) -> int:
    """Return how many workers fit. A share of a GPU lies on one GPU."""
    room = int(resources.get("CPU", 0.0))
    share = each.get("GPU", 0.0)
    if share:
        gpus = int(resources.get("GPU", 0.0))
        room = min(room, gpus * int(1 / share + 1e-9) if share <= 1 else int(gpus / share))
    return room


def _words(resources: Mapping[str, float]) -> str:
    return f"{resources.get('CPU', 0.0):g} CPU and {resources.get('GPU', 0.0):g} GPU"


def leave() -> None:
    """Let all workers go and leave the cluster; a process whose cluster ends while it is in it is ended by Ray."""
    import ray

    _dismiss()
    ray.shutdown()


def _dismiss() -> None:
    """Let all workers go, dead ones too."""
    import ray

    while _warm:
        _, (_, _, stack) = _warm.popitem()
        if not ray.is_initialized():
            continue  # Any word to Ray would start a new one.
        try:
            stack.close()
        except Exception as error:  # The cluster may be gone: there is nobody left to dismiss.
            logging.getLogger(__name__).debug("Workers could not be dismissed: %s", error)


def _check_answer(address: str) -> None:
    """Refuse an address where nothing answers as a Ray head does: Ray itself would try for minutes.

    A head speaks gRPC, so it greets a client that speaks HTTP/2 with a frame of settings (RFC 9113, section 3.4).
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or "/" in address:
        raise InputError(f"The address of the Ray cluster is {address!r}; write HOST:PORT, such as 10.0.0.5:6379.")
    why, preface = "it is no Ray head", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"
    try:
        with socket.create_connection((host.strip("[]"), int(port)), PATIENCE) as wire:
            wire.sendall(preface)
            greeting = wire.recv(9)
    except (OSError, OverflowError) as error:
        why, greeting = str(getattr(error, "strerror", None) or error), b""
    if greeting[3:4] != b"\4":
        raise InputError(
            f"No Ray cluster answers at {address} ({why}); start one with `ray start --head`, or correct --address."
        )
