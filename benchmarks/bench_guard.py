"""What the guard adds to each answer, beside the server alone and beside a bare proxy made with httpx.

One model server (uvicorn, a linear model of 784 inputs and 100 classes, Open Inference Protocol as JSON), asked
directly, with the guard as middleware inside it, through the guard as a proxy, and through a proxy of twenty lines that
only passes on, written with httpx. The guard does all that it does: key, budgets in SQLite, log, reading, hardening
(top 3, 2 decimals). Each setup is asked one after the other over one connection, and then by a clock at 500 questions a
second over 16.

Run: python benchmarks/bench_guard.py
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

ROUNDS, IN_TURN, RATE, SECONDS, LINES = 5, 300, 500, 3.0, 16
SETUPS = ("server alone", "guard as middleware", "guard as proxy", "bare httpx proxy")
POLICY = """
[upstream]
url = "http://127.0.0.1:{port}"
protocol = "oip"
[[clients.key]]
id = "bench"
sha256 = "{digest}"
[budget]
per_minute = 1000000
per_day = 1000000000
[outputs]
top_k = 3
decimals = 2
"""


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
        "server alone": model_app,
        "guard as middleware": lambda: GuardMiddleware(model_app(), policy),
        "guard as proxy": lambda: guarded(policy),
        "bare httpx proxy": lambda: httpx_app(f"http://127.0.0.1:{upstream_port}"),
    }
    uvicorn.run(apps[setup](), host="127.0.0.1", port=port, log_level="error", access_log=False)


@contextmanager
def running(folder: Path) -> Iterator[dict[str, int]]:
    """Start all setups, each a process; give their ports."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in SETUPS]
    ports = {setup: each.getsockname()[1] for setup, each in zip(SETUPS, sockets, strict=True)}
    for each in sockets:
        each.close()
    processes = []
    try:
        for setup, port in ports.items():
            place = folder / setup.replace(" ", "-")
            place.mkdir()
            policy = place / "guard.toml"
            digest = hashlib.sha256(b"key").hexdigest()
            policy.write_text(POLICY.format(port=ports["server alone"], digest=digest))
            argv = [sys.executable, __file__, setup, str(port), str(ports["server alone"]), str(policy)]
            processes.append(subprocess.Popen(argv, env={**os.environ, "OMP_NUM_THREADS": "1"}))
        for port in ports.values():
            for _ in range(300):
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    time.sleep(0.1)
        yield ports
    finally:
        for process in processes:
            process.send_signal(signal.SIGKILL)
            process.wait()


def question() -> bytes:
    data = ",".join(f"{value:.6f}" for value in np.random.default_rng(1).random(784))
    body = f'{{"inputs":[{{"name":"x","shape":[1,784],"datatype":"FP32","data":[{data}]}}]}}'.encode()
    head = "POST /v2/models/bench/infer HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer key\r\n"
    return f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


@asynccontextmanager
async def lines(port: int, count: int) -> AsyncIterator[asyncio.Queue[Any]]:
    """Open connections, free ones in a queue."""
    free: asyncio.Queue[Any] = asyncio.Queue()
    opened = [await asyncio.open_connection("127.0.0.1", port) for _ in range(count)]
    for each in opened:
        free.put_nowait(each)
    yield free
    for _, writer in opened:
        writer.close()


async def ask(line: Any, content: bytes) -> None:
    reader, writer = line
    writer.write(content)
    head = await reader.readuntil(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise SystemExit(f"a server answered {head[:40]!r}")
    length = next(int(each[15:]) for each in head.lower().split(b"\r\n") if each.startswith(b"content-length:"))
    await reader.readexactly(length)


async def in_turn(port: int, content: bytes) -> list[float]:
    """Return milliseconds of questions asked one after the other."""
    took = []
    async with lines(port, 1) as free:
        line = free.get_nowait()
        for number in range(IN_TURN + 30):
            began = time.perf_counter()
            await ask(line, content)
            if number >= 30:
                took.append(1000 * (time.perf_counter() - began))
    return took


async def by_the_clock(port: int, content: bytes) -> list[float]:
    """Return milliseconds from when each question was due, RATE a second, to its answer."""
    took = []
    async with lines(port, LINES) as free:
        start = time.perf_counter() + 0.05

        async def one(due: float) -> None:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            line = await free.get()
            await ask(line, content)
            free.put_nowait(line)
            took.append(1000 * (time.perf_counter() - due))

        await asyncio.gather(*(one(start + number / RATE) for number in range(int(RATE * SECONDS))))
    return took


def main() -> None:
    content = question()
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as ports:
        for _ in range(ROUNDS):
            for how, measure in (("in turn", in_turn), (f"{RATE}/s", by_the_clock)):
                for setup, port in ports.items():
                    took = np.array(asyncio.run(measure(port, content)))
                    found.setdefault((how, setup), []).append(tuple(np.percentile(took, (50, 99))))
    print(
        f"Milliseconds an answer: median of {ROUNDS} rounds (least to most); added = above the server alone, same round"
    )
    print(f"{'asked':<9}{'setup':<21}{'p50':>22}{'p99':>24}{'added p50':>11}{'added p99':>11}{'p50 ratio':>11}")
    for (how, setup), rounds in found.items():
        p = np.array(rounds)
        alone = np.array(found[how, "server alone"])
        shown = [f"{np.median(each):.2f} ({each.min():.2f} to {each.max():.2f})" for each in p.T]
        added = np.median(p - alone, axis=0)
        ratio = np.median(p[:, 0] / alone[:, 0])
        print(f"{how:<9}{setup:<21}{shown[0]:>22}{shown[1]:>24}{added[0]:>11.2f}{added[1]:>11.2f}{ratio:>10.1f}x")
    for how in ("in turn", f"{RATE}/s"):
        added = {
            setup: np.median(np.array(found[how, setup]) - np.array(found[how, SETUPS[0]]), axis=0) for setup in SETUPS
        }
        times = added[SETUPS[3]][0] / added[SETUPS[2]][0]
        print(f"{how}: the bare httpx proxy adds {times:.1f} x what the guard adds (p50).")
        for setup, (p50, p99) in (("guard as middleware", (0.3, 2.0)), ("guard as proxy", (0.7, 3.0))):
            if how != "in turn":
                met = added[setup][0] <= p50 and added[setup][1] <= p99
                print(f"Goal for {setup}, at most {p50} and {p99} ms added: {'met' if met else 'missed'}.")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        serve(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
    else:
        main()
