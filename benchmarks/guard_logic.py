"""CPU time of the guard's own logic and of the watch, inside one process: no sockets, no other process, no clock.

The same calls are made again and again by a guard that begins anew each time, so that a call does the same work in
every repeat; of each call the least of its times counts. What others do on the machine then hardly shows.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from guard_setups import CLIENTS, PATH, RECORDS, bodies, model_app, records, scores_of, written
from numpy import ndarray as Array

REPEATS = 5


async def logic(folder: Path, setup: str, calibration: Path, repeats: int = REPEATS) -> tuple[Array, float]:
    """Return what calls with full windows take inside the guard and not inside the app.

    Returns:
        (calls,) microseconds of the processor in the thread that answers, the least of all repeats;
        microseconds of the processor a call in all threads, also that which writes the log: of the best repeat.
    """
    thread, whole = [], []
    for repeat in range(repeats):
        policy = written(folder / f"logic-{len(setup)}-{repeat}", 1, calibration, setup)
        took, all_threads = await _calls(policy)
        thread.append(took)
        whole.append(all_threads)
    return np.min(thread, axis=0), min(whole)


async def _calls(policy: Path) -> tuple[Array, float]:
    from safelight.guard.middleware import GuardMiddleware

    inside, took, model, spent = [0.0], [], model_app(), 0.0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        began = time.thread_time()
        await model(scope, receive, send)
        inside[0] = time.thread_time() - began

    guard = GuardMiddleware(app, policy)
    headers = [(b"host", b"x"), (b"content-type", b"application/json")]
    for number, body in enumerate(bodies()):
        statuses: list[int] = []

        async def receive(body: bytes = body) -> Any:
            return {"type": "http.request", "body": body}

        async def send(message: Any, statuses: list[int] = statuses) -> None:
            statuses.append(message.get("status", 200))

        key = (b"authorization", b"Bearer key-%d" % (number % CLIENTS))
        scope = {"type": "http", "method": "POST", "path": PATH, "headers": [*headers, key], "query_string": b""}
        if number == RECORDS // 2:
            spent = time.process_time()
        began = time.thread_time()
        await guard(scope, receive, send)
        took.append((time.thread_time() - began, inside[0]))
        if statuses != [200, 200]:
            raise SystemExit(f"the guard answered {statuses}")
    guard.close()  # what waits to be written is written
    spent = time.process_time() - spent
    late = 1e6 * np.array(took[RECORDS // 2 :])
    return late[:, 0] - late[:, 1], 1e6 * spent / len(late) - float(late[:, 1].mean())


def watching(calibration: Path, repeats: int = REPEATS) -> Array:
    """Return (records,) microseconds of the processor that the watch takes a record, of clients with full windows.

    Every eighth record of a client has the signals read and costs more than the seven others.
    """
    from safelight.guard.calibration import load
    from safelight.guard.seen import Seen
    from safelight.guard.watcher import Watcher

    rules, x = load(calibration), records(np.random.default_rng(9), RECORDS)
    said = np.round(scores_of(x), 2)
    calls = [
        Seen(f"client-{row % CLIENTS}", "", "bench", 1e6 + row / 500, x[[row]], said[[row]]) for row in range(RECORDS)
    ]
    repeated = []
    for _ in range(repeats):
        watcher, took = Watcher(rules), []
        for call in calls:
            began = time.thread_time()
            watcher.see(call)
            took.append(time.thread_time() - began)
        repeated.append(took[RECORDS // 2 :])
    return 1e6 * np.min(repeated, axis=0)
