"""What bench_guard.py asks: a model server, the guard in it and before it, and a proxy that only passes on."""

from __future__ import annotations

import hashlib
import itertools
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from asking import posted
from numpy import ndarray as Array

ALONE, INSIDE, PROXY, HTTPX = "server alone", "guard as middleware", "guard as proxy", "bare httpx proxy"
WATCHED = " + watch"
SETUPS = (ALONE, INSIDE, INSIDE + WATCHED, PROXY, PROXY + WATCHED, HTTPX)
CLIENTS, RECORDS, PATH = 16, 4096, "/v2/models/bench/infer"
POLICY = """
[upstream]
url = "http://127.0.0.1:{port}"
protocol = "oip"
{keys}
[budget]
per_minute = 1000000
per_day = 1000000000
[outputs]
top_k = 3
decimals = 2
"""
WATCH = """
[signals]
reference = "{calibration}"
false_alarms_per_1000_clients = 40
"""
KEYS = "".join(
    f'[[clients.key]]\nid = "client-{number}"\nsha256 = "{hashlib.sha256(b"key-%d" % number).hexdigest()}"\n'
    for number in range(CLIENTS)
)


def records(rng: np.random.Generator, count: int) -> Array:
    """Return (count, 784) smooth records, six decimals each."""
    base = np.random.default_rng(3).normal(size=(40, 784))
    smooth = 0.05 * rng.standard_t(5, size=(count, 40)) @ base / 3
    return np.round(0.5 + smooth + 0.05 * rng.normal(size=(count, 784)), 6)


def scores_of(x: Array) -> Array:
    """Return (n, 100) what the model says."""
    logits = x @ np.random.default_rng(0).normal(0, 0.05, (784, 100))
    scores = np.exp(logits - logits.max(1, keepdims=True))
    return scores / scores.sum(1, keepdims=True)


def calibrated(path: Path) -> None:
    """Calibrate the watch on 40 clients that ask about 200 records each.

    The line is then drawn a thousand times as high as they need: the benchmark's clients ask much faster and for
    longer, and what an alarm costs is not what an answer costs.
    """
    from safelight.guard.calibrate import calibrate
    from safelight.guard.calibration import save
    from safelight.guard.seen import Seen

    rng, calls = np.random.default_rng(1), []
    for client in range(40):
        x = records(rng, 200)
        said = scores_of(x)
        calls += [Seen(f"c{client}", "", "bench", 1e6 + row / 30, x[[row]], said[[row]]) for row in range(200)]
    save(path, calibrate(calls, 40.0, headroom=1000.0))


def bodies() -> list[bytes]:
    """Return questions that all differ, so that none repeats within any window."""
    rows = records(np.random.default_rng(9), RECORDS)
    start = '{"inputs":[{"name":"x","shape":[1,784],"datatype":"FP32","data":['
    return [(start + ",".join(f"{value:.6f}" for value in row) + "]}]}").encode() for row in rows]


def questions() -> Iterator[bytes]:
    """Yield requests of each client in turn, for ever."""
    return itertools.cycle([posted(PATH, f"key-{n % CLIENTS}", body) for n, body in enumerate(bodies())])


def model_app() -> Any:
    """A bare ASGI model server."""
    import orjson

    weights = np.random.default_rng(0).normal(0, 0.05, (784, 100))

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            while (await receive())["type"] != "lifespan.shutdown":
                await send({"type": "lifespan.startup.complete"})
            await send({"type": "lifespan.shutdown.complete"})
            return
        body, more = b"", scope["method"] == "POST"
        while more:
            message = await receive()
            body, more = body + message["body"], message.get("more_body", False)
        answer: Any = {"live": True}
        if body:
            tensor = orjson.loads(body)["inputs"][0]
            logits = np.asarray(tensor["data"]).reshape(tensor["shape"]) @ weights
            scores = np.exp(logits - logits.max(1, keepdims=True))
            scores /= scores.sum(1, keepdims=True)
            output = {"name": "p", "shape": list(scores.shape), "datatype": "FP64", "data": scores.reshape(-1).tolist()}
            answer = {"model_name": "bench", "outputs": [output]}
        content = orjson.dumps(answer)
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    return app


def httpx_app(upstream: str) -> Any:
    """A proxy that only passes on."""
    import httpx

    client = httpx.AsyncClient(base_url=upstream, trust_env=False)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body, more = b"", scope["method"] == "POST"
        while more:
            message = await receive()
            body, more = body + message["body"], message.get("more_body", False)
        answer = await client.request(scope["method"], scope["path"], content=body)
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer.content)).encode())]
        await send({"type": "http.response.start", "status": answer.status_code, "headers": headers})
        await send({"type": "http.response.body", "body": answer.content})

    return app


def serve(setup: str, port: int, upstream_port: int, policy: Path) -> None:
    """Serve one setup in this process."""
    import uvicorn

    from safelight.guard.middleware import GuardMiddleware
    from safelight.guard.proxy import guarded

    apps = {
        ALONE: model_app,
        INSIDE: lambda: GuardMiddleware(model_app(), policy),
        PROXY: lambda: guarded(policy),
        HTTPX: lambda: httpx_app(f"http://127.0.0.1:{upstream_port}"),
    }
    uvicorn.run(apps[setup.removesuffix(WATCHED)](), host="127.0.0.1", port=port, log_level="error", access_log=False)


def written(place: Path, port: int, calibration: Path, setup: str) -> Path:
    """Return the policy of a setup, in a folder of its own."""
    place.mkdir()
    policy = place / "guard.toml"
    watch = WATCH.format(calibration=calibration) if setup.endswith(WATCHED) else ""
    policy.write_text(POLICY.format(port=port, keys=KEYS) + watch)
    return policy


@dataclass(frozen=True)
class Server:
    """A process that serves, and where."""

    port: int
    process: int


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens at now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def until_it_listens(port: int, process: subprocess.Popen[bytes], why: str = "", seconds: float = 120.0) -> Server:
    """Wait for a server; raises SystemExit where it ends or takes too long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return Server(port, process.pid)
        except OSError:
            time.sleep(0.1)
    raise SystemExit(f"A server does not listen at {port}. {why}")


@contextmanager
def running(folder: Path, calibration: Path) -> Iterator[dict[str, Server]]:
    """Start all setups, each a process of its own."""
    ports = dict(zip(SETUPS, free_ports(len(SETUPS)), strict=True))
    processes = []
    try:
        for setup, port in ports.items():
            policy = written(folder / setup.replace(" ", "-"), ports[ALONE], calibration, setup)
            argv = [sys.executable, __file__, setup, str(port), str(ports[ALONE]), str(policy)]
            processes.append(subprocess.Popen(argv, env={**os.environ, "OMP_NUM_THREADS": "1"}))
        yield {
            setup: until_it_listens(port, each) for (setup, port), each in zip(ports.items(), processes, strict=True)
        }
    finally:
        for process in processes:
            process.send_signal(signal.SIGKILL)
            process.wait()


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
