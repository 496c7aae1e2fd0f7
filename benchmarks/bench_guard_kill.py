"""The guard killed with SIGKILL fifty times under load: is any budget given back, a row lost, a quarantine forgotten?

A real guard (uvicorn, the proxy) stands before a small model server. Eight connections ask as fast as they are
answered; one of them belongs to a client in quarantine. At a random moment the guard is killed, and another one starts
on the same database. What clients were answered must have been counted and logged, the log must verify, and the client
in quarantine must never be answered. Then three guards on one database: how long a quarantine takes to hold for all;
and how fast a log of 200,000 rows is walked.

Run: python benchmarks/bench_guard_kill.py [KILLS [DATABASE]]
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import multiprocessing
import os
import signal
import socket
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from databases import Postgres, Valkey

from safelight.guard.chain import text_of
from safelight.guard.judge import ClientState
from safelight.guard.policy import read_policy
from safelight.guard.store import Store, open_store
from safelight.guard.stores.charges import spent

LINES, SEED = 8, 0
POLICY = """
[upstream]
url = "http://127.0.0.1:{upstream}"
protocol = "oip"
[[clients.key]]
id = "asks"
sha256 = "{asks}"
[[clients.key]]
id = "held"
sha256 = "{held}"
[budget]
lifetime = 100000000
[store]
{store}
"""
TENSOR = {"name": "x", "shape": [1, 4], "datatype": "FP64", "data": [0.1, 0.2, 0.3, 0.4]}
ANSWER = json.dumps({"outputs": [{"name": "p", "shape": [1, 2], "datatype": "FP64", "data": [0.25, 0.75]}]}).encode()


def request(key: str) -> bytes:
    body = json.dumps({"inputs": [TENSOR]}).encode()
    head = f"POST /v2/models/m/infer HTTP/1.1\r\nhost: guard\r\nauthorization: Bearer {key}\r\n"
    return f"{head}content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


async def read(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Return status and body of one answer, or first line and body of one question."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    body = await reader.readexactly(length)
    word = head.split(b" ", 2)[1]
    return int(word) if word.isdigit() else 0, body


async def model(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            await read(reader)
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
                         + f"content-length: {len(ANSWER)}\r\n\r\n".encode() + ANSWER)  # fmt: skip
    writer.close()


def guard(policy: str, port: int) -> None:
    """One guard, in a process of its own."""
    from safelight.guard.proxy import guarded, serve

    with open(os.devnull, "w") as nowhere:
        sys.stderr = nowhere
        serve(guarded(Path(policy)), "127.0.0.1", port)


async def ask(port: int, key: str, said: dict[int, int]) -> None:
    """Ask over one connection until it breaks; count answers that came whole."""
    with suppress(ConnectionError, asyncio.IncompleteReadError):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            while True:
                writer.write(request(key))
                status, _ = await read(reader)
                said[status] = said.get(status, 0) + 1
        finally:
            writer.close()


def free() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


async def answers(port: int) -> None:
    while True:
        with suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return
        await asyncio.sleep(0.01)


async def killed(policy: Path, store: Store, kills: int, starter: Any) -> dict[str, Any]:
    """Kill the guard again and again; return what was answered, counted and logged."""
    rng = np.random.default_rng(SEED)
    store.quarantine("held", time.time() + 86400, time.time())
    asks: dict[int, int] = {}
    held: dict[int, int] = {}
    broken, counted = 0, 0
    for _ in range(kills):
        port = free()
        process = starter.Process(target=guard, args=(str(policy), port))
        process.start()
        await answers(port)
        lines = [asyncio.create_task(ask(port, "asks", asks)) for _ in range(LINES - 1)]
        lines.append(asyncio.create_task(ask(port, "held", held)))
        await asyncio.sleep(float(rng.uniform(0.05, 0.5)))
        os.kill(process.pid, signal.SIGKILL)
        await asyncio.gather(*lines)
        process.join()
        total = store.state("asks").total
        broken += total < max(counted, asks.get(200, 0))
        counted = total
    for _ in range(100):  # rows that lie in Redis are taken over by this process
        logged = sum(json.loads(row.text).get("verdict") == "allowed" for row in store.tail(10**7, "asks"))
        if logged >= asks.get(200, 0):
            break
        await asyncio.sleep(0.1)
    head, trouble = store.verify()
    return {"kills": kills, "answered": asks.get(200, 0), "counted": counted, "logged": logged, "given back": broken,
            "other answers": {k: v for k, v in asks.items() if k != 200}, "held: refused": held.get(403, 0),
            "held: answered": held.get(200, 0), "rows": head.rows, "log": trouble or "whole"}  # fmt: skip


async def spread(policy: Path, store: Store, starter: Any, rounds: int = 10) -> list[float]:
    """Return the milliseconds until a quarantine that one process sets holds at three guards under load."""
    ports = [free() for _ in range(3)]
    processes = [starter.Process(target=guard, args=(str(policy), port)) for port in ports]
    for process in processes:
        process.start()
    for port in ports:
        await answers(port)
    said: dict[int, int] = {}
    load = [asyncio.create_task(ask(port, "asks", said)) for port in ports for _ in range(2)]
    found = []
    for _ in range(rounds):
        store.quarantine("held", time.time() - 1, time.time())
        await asyncio.sleep(0.5)
        begun = time.perf_counter()
        store.quarantine("held", time.time() + 60, time.time())
        for port in ports:
            while True:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(request("held"))
                status, _ = await read(reader)
                writer.close()
                if status == 403:
                    break
        found.append(1000 * (time.perf_counter() - begun))
    for process in processes:
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    await asyncio.gather(*load)
    return found


def lengthened(store: Store, thousands: int) -> None:
    """Write rows of calls of one more client as fast as can be, and what they were charged."""
    pattern, at = json.loads(store.tail(1, "asks")[0].text), round(time.time(), 3)
    call = {key: pattern[key] for key in ("what", "cohort", "model", "records", "body")} | {"client": "more", "at": at}
    state = ClientState(day=int(at // 86400), seen=at)
    for _ in range(thousands):
        texts = []
        for _ in range(1000):
            state = replace(state, today=state.today + 1, total=state.total + 1)
            texts.append(text_of(call | {"verdict": "allowed", "limit": "", "spent": spent(state, state, {"own": 1})}))
        with store.lock, store._session(writes=True, client="more"):
            store._append_texts(texts)
            store._keep("more", state)


async def main(kills: int, only: str = "") -> None:
    starter = multiprocessing.get_context("forkserver")
    starter.set_forkserver_preload(["safelight.guard.proxy", "safelight.guard.middleware"])
    server = await asyncio.start_server(model, "127.0.0.1", 0)
    upstream = server.sockets[0].getsockname()[1]
    postgres, valkey = Postgres(), Valkey()
    stores = {
        "SQLite": 'url = "sqlite:///guard.db"',
        "PostgreSQL": f'url = "{postgres.url}"',
        "PostgreSQL and Redis": f'url = "{postgres.url}&options=-csearch_path%3Dfast"\nredis = "{valkey.url}"',
    }
    import psycopg

    with psycopg.connect(postgres.url, autocommit=True) as database:
        database.execute("CREATE SCHEMA fast")
    try:
        for name, lines in stores.items():
            if only and name != only:
                continue
            with tempfile.TemporaryDirectory() as folder:
                policy = Path(folder) / "guard.toml"
                asks, held = (hashlib.sha256(key).hexdigest() for key in (b"asks", b"held"))
                policy.write_text(POLICY.format(upstream=upstream, asks=asks, held=held, store=lines))
                store = open_store(read_policy(policy))
                print(name, json.dumps(await killed(policy, store, kills, starter)), flush=True)
                if name != "SQLite":
                    times = await spread(policy, store, starter)
                    print(f"{name}: a quarantine holds at three guards after {np.median(times):.0f} ms "
                          f"({min(times):.0f} to {max(times):.0f})", flush=True)  # fmt: skip
                lengthened(store, 200)
                begun, used = time.perf_counter(), time.process_time()
                head, trouble = store.verify()
                rows = head.rows
                assert not trouble, trouble
                spent, used = time.perf_counter() - begun, time.process_time() - used
                print(f"{name}: verify reads {rows / spent:,.0f} rows a second, {rows / used:,.0f} a second of its own "
                      "on the processor", flush=True)  # fmt: skip
                store.close()
    finally:
        postgres.close()
        valkey.close()
        server.close()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 50, *sys.argv[2:3]))
