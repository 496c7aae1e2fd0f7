"""What the guard adds to each answer, beside the server alone and beside a bare proxy made with httpx.

One model server (uvicorn, a linear model of 784 inputs and 100 classes, Open Inference Protocol as JSON), asked
directly, with the guard as middleware inside it, through the guard as a proxy, and through a proxy of twenty lines that
only passes on, written with httpx. The guard does all that it does: key, budgets in SQLite, log, reading, hardening
(top 3, 2 decimals); and once more with the watch on, calibrated on traffic of the same kind, all signals, each of 16
clients with a full window. Each setup is asked one after the other over one connection, and then by a clock at 500
questions a second over 16. Then the guard's own logic: the time inside it and not inside the app, in one process,
on the clock and as CPU time.

Where SAFELIGHT_LITELLM names an environment with litellm[proxy], a chat server that echoes is asked directly, through
the guard and through LiteLLM's proxy, in turn and at 50 a second.

Run: python benchmarks/bench_guard.py [ROUNDS]
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
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
from numpy import ndarray as Array

ROUNDS, IN_TURN, RATE, SECONDS, LINES = 5, 300, 500, 3.0, 16
ALONE, INSIDE, PROXY, HTTPX = "server alone", "guard as middleware", "guard as proxy", "bare httpx proxy"
WATCHED = " + watch"
SETUPS = (ALONE, INSIDE, INSIDE + WATCHED, PROXY, PROXY + WATCHED, HTTPX)
GOALS = {INSIDE: (0.3, 2.0), PROXY: (0.7, 3.0)}
CLIENTS, RECORDS = 16, 4096
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
    """Calibrate the watch on 40 clients that ask about 200 records each."""
    from safelight.guard.calibrate import calibrate
    from safelight.guard.calibration import save
    from safelight.guard.seen import Seen

    rng, calls = np.random.default_rng(1), []
    for client in range(40):
        x = records(rng, 200)
        said = scores_of(x)
        calls += [Seen(f"c{client}", "", "bench", 1e6 + row / 30, x[[row]], said[[row]]) for row in range(200)]
    save(path, calibrate(calls, 40.0))


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


@contextmanager
def running(folder: Path) -> Iterator[dict[str, int]]:
    """Start all setups, each a process; give their ports."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in SETUPS]
    ports = {setup: each.getsockname()[1] for setup, each in zip(SETUPS, sockets, strict=True)}
    for each in sockets:
        each.close()
    processes = []
    calibrated(folder / "calibration.npz")
    try:
        for setup, port in ports.items():
            policy = written(folder / setup.replace(" ", "-"), ports[ALONE], folder / "calibration.npz", setup)
            argv = [sys.executable, __file__, setup, str(port), str(ports[ALONE]), str(policy)]
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


def written(place: Path, port: int, calibration: Path, setup: str) -> Path:
    """Return the policy of a setup, in a folder of its own."""
    place.mkdir()
    policy = place / "guard.toml"
    watch = WATCH.format(calibration=calibration) if setup.endswith(WATCHED) else ""
    policy.write_text(POLICY.format(port=port, keys=KEYS) + watch)
    return policy


def bodies() -> list[bytes]:
    """Return questions that all differ, so that none repeats within any window."""
    rows = records(np.random.default_rng(9), RECORDS)
    start = '{"inputs":[{"name":"x","shape":[1,784],"datatype":"FP32","data":['
    return [(start + ",".join(f"{value:.6f}" for value in row) + "]}]}").encode() for row in rows]


def posted(path: str, key: str, body: bytes) -> bytes:
    """Return a request as it goes over the line."""
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def questions() -> Iterator[bytes]:
    """Yield requests of each client in turn, for ever."""
    asked = bodies()
    posts = [posted("/v2/models/bench/infer", f"key-{n % CLIENTS}", body) for n, body in enumerate(asked)]
    return itertools.cycle(posts)


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


async def in_turn(port: int, asked: Iterator[bytes], count: int = IN_TURN) -> list[float]:
    """Return milliseconds of questions asked one after the other."""
    took = []
    async with lines(port, 1) as free:
        line = free.get_nowait()
        for number in range(count + 30):
            content = next(asked)
            began = time.perf_counter()
            await ask(line, content)
            if number >= 30:
                took.append(1000 * (time.perf_counter() - began))
    return took


async def by_the_clock(port: int, asked: Iterator[bytes], rate: int = RATE) -> list[float]:
    """Return milliseconds from when each question was due, so many a second, to its answer."""
    took = []
    async with lines(port, LINES) as free:
        start = time.perf_counter() + 0.05

        async def one(due: float) -> None:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            line = await free.get()
            await ask(line, next(asked))
            free.put_nowait(line)
            took.append(1000 * (time.perf_counter() - due))

        await asyncio.gather(*(one(start + number / rate) for number in range(int(rate * SECONDS))))
    return took


async def logic(folder: Path, setup: str) -> Array:
    """Return microseconds (2, calls) inside the guard and not inside the app: on the clock, and of the processor."""
    from safelight.guard.middleware import GuardMiddleware

    asked, inside, took = itertools.cycle(bodies()), [0.0, 0.0], []
    model = model_app()

    def now() -> Array:
        return np.array([time.perf_counter(), time.thread_time()])

    async def app(scope: Any, receive: Any, send: Any) -> None:
        began = now()
        await model(scope, receive, send)
        inside[:] = now() - began

    guard = GuardMiddleware(app, written(folder / f"logic-{len(setup)}", 1, folder / "calibration.npz", setup))
    headers = [(b"host", b"x"), (b"content-type", b"application/json")]
    path = "/v2/models/bench/infer"
    for number in range(RECORDS):
        body, statuses = next(asked), []

        async def receive(body: bytes = body) -> Any:
            return {"type": "http.request", "body": body}

        async def send(message: Any, statuses: list[int] = statuses) -> None:
            statuses.append(message.get("status", 200))

        key = (b"authorization", b"Bearer key-%d" % (number % CLIENTS))
        scope = {"type": "http", "method": "POST", "path": path, "headers": [*headers, key], "query_string": b""}
        began = now()
        await guard(scope, receive, send)
        took.append(now() - began - inside)
        if statuses != [200, 200]:
            raise SystemExit(f"the guard answered {statuses}")
    guard.close()
    return 1e6 * np.array(took[RECORDS // 2 :]).T


Found = dict[tuple[str, str], list[tuple[float, float]]]


def table(found: Found, alone: str) -> dict[tuple[str, str], Array]:
    """Print what was found, and return what each setup adds above the server alone: (p50, p99) in milliseconds."""
    print(f"{'asked':<9}{'setup':<29}{'p50':>22}{'p99':>24}{'added p50':>11}{'added p99':>11}{'p50 ratio':>11}")
    adds = {}
    for (how, setup), rounds in found.items():
        p, base = np.array(rounds), np.array(found[how, alone])
        shown = [f"{np.median(each):.2f} ({each.min():.2f} to {each.max():.2f})" for each in p.T]
        added = adds[how, setup] = np.median(p - base, axis=0)
        ratio = np.median(p[:, 0] / base[:, 0])
        print(f"{how:<9}{setup:<29}{shown[0]:>22}{shown[1]:>24}{added[0]:>11.2f}{added[1]:>11.2f}{ratio:>10.1f}x")
    return adds


def main(rounds: int) -> None:
    found: Found = {}
    print(f"Milliseconds an answer: median of {rounds} rounds (least to most); added: above the server, same round.")
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as ports:
        asked = {setup: questions() for setup in SETUPS}
        for setup in SETUPS:
            if setup.endswith(WATCHED):  # until each client's window is full
                asyncio.run(in_turn(ports[setup], asked[setup], 128 * CLIENTS))
        for _ in range(rounds):
            for how, measure in (("in turn", in_turn), (f"{RATE}/s", by_the_clock)):
                for setup, port in ports.items():
                    took = np.array(asyncio.run(measure(port, asked[setup])))
                    found.setdefault((how, setup), []).append(tuple(np.percentile(took, (50, 99))))
        own = {setup: asyncio.run(logic(Path(folder), setup)) for setup in (INSIDE, INSIDE + WATCHED)}
    adds = table(found, ALONE)
    for how in ("in turn", f"{RATE}/s"):
        for setup in (PROXY, PROXY + WATCHED):
            times = adds[how, HTTPX][0] / adds[how, setup][0]
            print(f"{how}: the bare httpx proxy adds {times:.1f} x what the {setup} adds (p50).")
    for setup in SETUPS[1:-1]:
        p50, p99 = GOALS[setup.removesuffix(WATCHED)]
        added = adds[f"{RATE}/s", setup]
        met = "met" if added[0] <= p50 and added[1] <= p99 else "missed"
        print(f"Goal for {setup}, at most {p50} and {p99} ms added: {met} ({added[0]:.2f} and {added[1]:.2f}).")
    for setup, took in own.items():
        clock, processor = (np.percentile(each, (50, 99)) / 1000 for each in took)
        print(
            f"Own logic, {setup}: {clock[0]:.2f} ms (p50) and {clock[1]:.2f} ms (p99) on the clock, {processor[0]:.2f} "
            f"and {processor[1]:.2f} ms of the processor; goal, at most 0.25 ms (p99): "
            f"{'met' if clock[1] <= 0.25 else 'missed'}."
        )
    if os.environ.get("SAFELIGHT_LITELLM"):
        chats(Path(os.environ["SAFELIGHT_LITELLM"]), rounds)


def chats(environment: Path, rounds: int) -> None:
    """Ask an echo of chats directly, through the guard and through LiteLLM's proxy."""
    import chat_proxies

    found: Found = {}
    print(f"Chats: median of {rounds} rounds (least to most).")
    with tempfile.TemporaryDirectory() as folder, chat_proxies.running(Path(folder), environment) as ports:
        post = posted("/v1/chat/completions", chat_proxies.KEY, chat_proxies.QUESTION)
        for _ in range(rounds):
            for setup, port in ports.items():
                took = asyncio.run(in_turn(port, itertools.repeat(post), 100))
                found.setdefault(("in turn", setup), []).append(tuple(np.percentile(took, (50, 99))))
                took = asyncio.run(by_the_clock(port, itertools.repeat(post), 50))
                found.setdefault(("50/s", setup), []).append(tuple(np.percentile(took, (50, 99))))
    alone, guard, other = ports
    adds = table(found, alone)
    for how in ("in turn", "50/s"):
        times = adds[how, other] / adds[how, guard]
        met = "met" if times[0] >= 10 else "missed"
        print(f"{how}: {other} adds {times[0]:.1f} x what the {guard} adds (p50), {times[1]:.1f} x (p99).")
        print(f"{how}: goal, 10 x the guard's: {met}.")


if __name__ == "__main__":
    if len(sys.argv) > 2:
        serve(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS)
