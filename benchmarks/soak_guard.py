"""A long run of the guard: no audit row lost, no memory without end, no wrong answer.

A real guard (`safelight guard run`) stands before a small model server and is asked 300 times a second by 200 clients,
with 600 more questions at once every 20 seconds. Its watch is calibrated and on, with a dry run of its actions. The
model server is killed once and started again three seconds later. The policy changes every 15 seconds between two
numbers of decimals, and for five seconds there is a broken file in its place. All questions differ, and at the end:

- every question that got an answer, whatever answer, has one row in the log, found by the keyed hash of its body, and
  no row belongs to no question; the log verifies; each client's budget is spent by what was let through, no more;
- every answer of status 200 is what the model says, hardened as one of the policies in force while it was asked says;
  other answers come only while the model server is down;
- memory does not grow on and on: the first half of the run is to warm up; over ten parts of the second a line is laid
  through the guard's resident memory, and its slope with an interval (95 %, Student's t) must not lie wholly above 16
  bytes a question, which at this rate would be 0.4 GB a day.

Run: python benchmarks/soak_guard.py [MINUTES] [--spoil row|answer|memory]; it exits with 1 where something is wrong.
With --spoil something is broken on purpose (a row deleted, one answer in 1,000 exchanged, 20 KB kept of each call), to
see that it is found.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray as Array
from scipy.stats import linregress, t

from safelight.guard.chain import sealed
from safelight.guard.stores.sqlite import SqliteStore

RATE, BURST, BURSTS, LINES, CLIENTS = 300, 600, 20.0, 24, 200
VALUES, CLASSES, MOST = 12, 6, 4
RELOADS, BROKEN, DOWN, GRACE = 15.0, 5.0, 3.0, 1.0  # seconds
DECIMALS = (2, 3)
PARTS, LEAK = 10, 16.0  # parts of the second half; bytes a question
WEIGHTS = np.random.default_rng(0).normal(size=(VALUES, CLASSES))
POLICY = """
[upstream]
url = "http://127.0.0.1:{upstream}"
protocol = "oip"
{keys}
[budget]
per_day = 100000000
lifetime = 100000000
[outputs]
top_k = 3
decimals = {decimals}
[signals]
reference = "calibration.npz"
false_alarms_per_1000_clients = 50
[actions]
dry_run = true
"""
KEYS = "".join(
    f'[[clients.key]]\nid = "c{number}"\nsha256 = "{hashlib.sha256(b"key-%d" % number).hexdigest()}"\n'
    for number in range(CLIENTS)
)


def scores_of(x: Array) -> Array:
    """Return (n, 6) what the model says."""
    e = np.exp(x @ WEIGHTS)
    return e / e.sum(axis=1, keepdims=True)


def hardened(scores: Array, decimals: int) -> Array:
    """Return what may leave, row by row as the policy's words say it."""
    left = np.zeros_like(scores)
    for row, one in zip(left, scores):
        for place in np.argsort(one)[-3:]:
            row[place] = round(float(one[place]), decimals)
    return left


@dataclass
class Run:
    """What was asked and answered.

    Attributes:
        key: of the guard's hashes.
        changed: when the writing of a policy began and ended, and its decimals.
        down: seconds (perf_counter) from and until which the model server was down.
        judged: hash of each question that was answered.
        unanswered: hash of each that was not.
        spent: records of each client that were let through.
        statuses: of answers.
        wrong: answers that should not have come.
        memory: seconds since the start, questions answered by then, and resident bytes of the guard.
        took: seconds of each answer.
    """

    key: bytes
    changed: list[tuple[float, float, int]] = field(default_factory=list)
    down: tuple[float, float] = (np.inf, np.inf)
    judged: set[str] = field(default_factory=set)
    unanswered: set[str] = field(default_factory=set)
    spent: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    memory: list[tuple[float, int, int]] = field(default_factory=list)
    took: list[float] = field(default_factory=list)

    def in_force(self, began: float, ended: float) -> set[int]:
        """Return the decimals of the policies that may have been in force at any time of a call."""
        ends = [written + GRACE for _, written, _ in self.changed[1:]] + [np.inf]
        return {
            decimals
            for (start, _, decimals), end in zip(self.changed, ends)
            if start <= ended and began <= end  # a slow disk may write a policy long after it was told to
        }

    def take(self, client: str, x: Array, body: bytes, times: tuple[float, float], status: int, said: bytes) -> None:
        """Look at one answer."""
        self.judged.add(sealed(self.key, body).hex())
        self.spent[client] += len(x)
        self.statuses[status] += 1
        began, ended = times
        self.took.append(ended - began)
        if status == 200:
            data = np.array(json.loads(said)["outputs"][0]["data"]).reshape(len(x), -1)
            scores = scores_of(x)
            if not any(np.abs(hardened(scores, d) - data).max() < 1e-9 for d in self.in_force(began, ended)):
                self.wrong.append(f"status 200 with {data[0].tolist()} for {scores[0].round(4).tolist()}")
        elif status != 502 or ended < self.down[0] or began > self.down[1] + GRACE:
            self.wrong.append(f"status {status} while the model server was up: {said[:100]!r}")


def model(port: int, spoil: bool) -> None:
    """Serve the model."""
    import orjson
    import uvicorn

    count = 0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal count
        if scope["type"] != "http":
            return
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        tensor = orjson.loads(body)["inputs"][0]
        scores = scores_of(np.asarray(tensor["data"]).reshape(tensor["shape"]))
        count += 1
        if spoil and count % 1000 == 0:
            scores = scores[:, ::-1]
        output = {"name": "p", "shape": list(scores.shape), "datatype": "FP64", "data": scores.reshape(-1).tolist()}
        content = orjson.dumps({"model_name": "soak", "outputs": [output]})
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error", access_log=False)


def leaking(policy: Path, port: int) -> None:
    """Serve a guard that keeps 20 KB of each call."""
    from safelight.guard.proxy import guarded, serve

    guard, kept, call = guarded(policy), [], None
    call = guard.metrics.call

    def keeps(*words: Any) -> None:
        kept.append(os.urandom(20_000))
        call(*words)

    guard.metrics.call = keeps  # type: ignore[method-assign]
    serve(guard, "127.0.0.1", port)


def calibrated(path: Path) -> None:
    """Calibrate the watch on 40 clients that ask about 256 records each."""
    from safelight.guard.calibrate import calibrate
    from safelight.guard.calibration import save
    from safelight.guard.seen import Seen

    rng, calls = np.random.default_rng(1), []
    for client in range(40):
        x = rng.normal(size=(256, VALUES))
        said = scores_of(x)
        calls += [Seen(f"n{client}", "", "soak", 1e6 + row / 4, x[[row]], said[[row]]) for row in range(256)]
    save(path, calibrate(calls, 50.0))


def free() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def started(*words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, *words], env={**os.environ, "OMP_NUM_THREADS": "1"})


async def listens(port: int) -> None:
    for _ in range(600):
        with suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return
        await asyncio.sleep(0.1)
    raise SystemExit(f"Nothing listens at port {port}.")


class Load:
    """Questions of all clients over some connections; each question differs.

    Args:
        port: of the guard.
        run: takes what is answered.
    """

    def __init__(self, port: int, run: Run) -> None:
        self.port, self.run, self.rng, self.number = port, run, np.random.default_rng(2), 0
        self.free: asyncio.Queue[Any] = asyncio.Queue()

    async def connect(self) -> None:
        for _ in range(LINES):
            self.free.put_nowait(await asyncio.open_connection("127.0.0.1", self.port))

    async def ask(self) -> None:
        """Ask once."""
        self.number += 1
        name, n = self.number % CLIENTS, int(self.rng.integers(1, MOST + 1))
        x = self.rng.normal(size=(n, VALUES))
        tensor = {"name": "x", "shape": [n, VALUES], "datatype": "FP64", "data": x.reshape(-1).tolist()}
        body = json.dumps({"inputs": [tensor]}).encode()
        head = f"POST /v2/models/soak/infer HTTP/1.1\r\nhost: x\r\nauthorization: Bearer key-{name}\r\n"
        head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        reader, writer = await self.free.get()
        began = time.perf_counter()
        try:
            writer.write(head.encode() + body)
            first = await reader.readuntil(b"\r\n\r\n")
            length = next(
                int(line[15:]) for line in first.lower().split(b"\r\n") if line.startswith(b"content-length:")
            )
            said = await reader.readexactly(length)
        except (OSError, asyncio.IncompleteReadError):
            self.run.unanswered.add(sealed(self.run.key, body).hex())
            self.run.wrong.append("a connection broke")
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        else:
            self.run.take(f"c{name}", x, body, (began, time.perf_counter()), int(first[9:12]), said)
        self.free.put_nowait((reader, writer))

    async def go(self, seconds: float) -> None:
        """Ask by the clock, and in bursts."""
        start, tasks, bursts = time.perf_counter(), set(), 0
        for number in range(int(RATE * seconds)):
            wait = start + number / RATE - time.perf_counter()
            if wait > 0:
                await asyncio.sleep(wait)
            due = int((number / RATE) // BURSTS)
            for _ in range(1 + BURST * (due > bursts)):
                task = asyncio.create_task(self.ask())
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            bursts = due
        await asyncio.gather(*tasks)


def resident(process: int) -> int:
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * 4096


async def weigh(run: Run, process: int, seconds: float) -> None:
    """Read the guard's memory twice a second."""
    start = time.perf_counter()
    while (now := time.perf_counter() - start) < seconds:
        run.memory.append((now, len(run.took), resident(process)))
        await asyncio.sleep(0.5)


async def trouble(
    run: Run, policy: Path, ports: tuple[int, int], servers: dict[str, Any], spoil: str, seconds: float
) -> None:
    """Change the policy, break it once, and kill the model server once."""
    upstream, _ = ports
    start, turn, crashed, broken = time.perf_counter(), 0, False, False
    while (now := time.perf_counter() - start) < seconds:
        if now // RELOADS > turn:
            turn = int(now // RELOADS)
            decimals = DECIMALS[turn % 2]
            began = time.perf_counter()
            policy.write_text(POLICY.format(upstream=upstream, keys=KEYS, decimals=decimals))
            run.changed.append((began, time.perf_counter(), decimals))
        if not broken and now > seconds / 2 and now % RELOADS > 3:  # the policy before has been seen by then
            broken, text = True, policy.read_text()
            policy.write_text("[budget]\nper_dy = 1\n")
            await asyncio.sleep(min(BROKEN, max(0.5, RELOADS * (turn + 1) - now - 1)))
            policy.write_text(text)
        if not crashed and now > seconds / 3:
            crashed = True
            run.down = (time.perf_counter(), np.inf)
            servers["model"].kill()
            servers["model"].wait()
            await asyncio.sleep(DOWN)
            servers["model"] = started(__file__, "--model", str(upstream), "--spoil", spoil)
            await listens(upstream)
            run.down = (run.down[0], time.perf_counter())
        await asyncio.sleep(1.0)


def growth(memory: Array) -> tuple[float, float, float]:
    """Return by how many bytes a question memory grows after the first half, and an interval of it (95 %).

    The means of ten parts stand for single readings, which are too alike from second to second to be told apart.

    Args:
        memory: (n, 3) seconds, questions, bytes.
    """
    half = memory[memory[:, 0] >= memory[-1, 0] / 2]
    parts = np.array([part.mean(axis=0) for part in np.array_split(half, PARTS)])
    line = linregress(parts[:, 1], parts[:, 2])
    off = float(t.ppf(0.975, PARTS - 2) * line.stderr)
    return line.slope, line.slope - off, line.slope + off


def found(run: Run, store: SqliteStore) -> list[str]:
    """Return what is wrong, after the guard has ended."""
    rows: Counter[str] = Counter()
    others: Counter[str] = Counter()

    def look(number: int, digest: bytes, text: str) -> None:
        facts = json.loads(text)
        if facts["what"] == "call":
            rows[facts["body"]] += 1
        else:
            others[facts["what"]] += 1

    head, why = store.verify(look=look)
    wrong = list(run.wrong[:20]) + ([f"and {len(run.wrong) - 20} more"] if len(run.wrong) > 20 else [])
    if why:
        wrong.append(f"the log does not verify: {why}")
    lost = run.judged - rows.keys()
    extra = rows.keys() - run.judged - run.unanswered
    twice = sum(count > 1 for count in rows.values())
    for what, count in (("no row", len(lost)), ("more than one row", twice), ("a row and never came", len(extra))):
        if count:
            wrong.append(f"{count} questions have {what}")
    totals = {client: state.total for client, state in store.clients().items()}
    if not run.unanswered and totals != dict(run.spent):
        wrong.append("the budgets are not spent by what was let through")
    memory = np.array(run.memory, float)
    slope, low, high = growth(memory)
    if not low <= LEAK:  # nor where too few readings tell nothing
        wrong.append(f"memory grows by {low:.0f} bytes a question at least")
    print(f"{len(run.judged):,} questions answered, by status: {dict(run.statuses)}")
    print(f"{rows.total():,} rows of calls among {head.rows:,} of the log; others: {dict(others)}")
    print(f"{len(run.changed)} policies; the model server was down for {run.down[1] - run.down[0]:.1f} s")
    start, half, end = memory[[0, len(memory) // 2, -1], 2] / 1e6
    print(f"memory: {start:.0f} MB at the start, {half:.0f} at half time, {end:.0f} at last")
    print(
        f"in the second half it grew by {slope:.1f} [{low:.1f}, {high:.1f}] bytes a question; at most {LEAK:g} may be"
    )
    p50, p99, most = 1000 * np.percentile(run.took, (50, 99, 100))
    print(f"an answer took {p50:.1f} ms (p50), {p99:.0f} ms (p99), {most:.0f} ms at the most, bursts included")
    return wrong


async def main(minutes: float, spoil: str) -> int:
    seconds = 60 * minutes
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        policy, ports = folder / "guard.toml", (free(), free())
        calibrated(folder / "calibration.npz")
        policy.write_text(POLICY.format(upstream=ports[0], keys=KEYS, decimals=DECIMALS[0]))
        own = [__file__, "--leaking", str(policy)]
        command = own if spoil == "memory" else ["-m", "safelight", "guard", "run", "--policy", str(policy)]
        servers = {
            "model": started(__file__, "--model", str(ports[0]), "--spoil", spoil),
            "guard": started(*command, "--port", str(ports[1])),
        }
        try:
            await asyncio.gather(*map(listens, ports))
            store = SqliteStore.open(folder / "guard.db")
            run = Run(store.key)
            store.close()
            now = time.perf_counter()
            run.changed.append((now, now, DECIMALS[0]))
            load = Load(ports[1], run)
            await load.connect()
            began = time.perf_counter()
            changes = trouble(run, policy, ports, servers, spoil, seconds)
            await asyncio.gather(load.go(seconds), changes, weigh(run, servers["guard"].pid, seconds))
            took = time.perf_counter() - began
            servers["guard"].send_signal(signal.SIGTERM)
            servers["guard"].wait(30)
        finally:
            for server in servers.values():
                server.kill()
                server.wait()
        store = SqliteStore.open(folder / "guard.db")
        if spoil == "row":
            with store.lock, store._session(writes=True):
                store._open.execute("DELETE FROM log WHERE number = (SELECT MAX(number) / 2 FROM log)")
        wrong = found(run, store)
        store.close()
    print(f"asked for {seconds:.0f} s, took {took:.0f} s")
    for each in wrong:
        print("wrong:", each)
    print("nothing is wrong" if not wrong else f"{len(wrong)} things are wrong")
    return int(bool(wrong))


if __name__ == "__main__":
    words = argparse.ArgumentParser()
    words.add_argument("minutes", nargs="?", type=float, default=30.0)
    words.add_argument("--spoil", choices=("", "row", "answer", "memory"), default="")
    words.add_argument("--model", type=int)
    words.add_argument("--leaking", type=Path)
    words.add_argument("--port", type=int)
    asked = words.parse_args()
    if asked.model:
        model(asked.model, asked.spoil == "answer")
    elif asked.leaking:
        leaking(asked.leaking, asked.port)
    else:
        sys.exit(asyncio.run(main(asked.minutes, asked.spoil)))
