"""What 100,000 clients take that the watch holds at once, and whether a flood of new ones makes it forget an attacker.

Three crowds, each in a process of its own: clients whose numbers of records are spread widely (log-normal, median 8, so
that one in thirty fills its window; 120 values, 10 classes), clients whose windows are all full, and clients of a
language model that fill their windows with texts as long as are kept. All windows are there. Some clients of a crowd
send what they send through the watch; each other one gets a copy of what is held of one of them, arrays and texts of
its own, since 2.5 million records would take many minutes. Of a small crowd it is measured both ways, and the ratio
printed. Bytes are those that the process grew by (resident set), beside those that the watch itself counts.

Then 200 attackers, each seen at something, and more new clients than windows may be held, once of everyday records and
once of clients that walk as the attackers do, to look as bad: how many of the attackers still have a window, how many
are remembered by their evidence, and how many are forgotten.

Run: python benchmarks/bench_guard_memory.py [CLIENTS]
"""

from __future__ import annotations

import ctypes
import gc
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray as Array

from safelight.guard.calibrate import calibrate
from safelight.guard.calibration import Calibration
from safelight.guard.seen import Seen
from safelight.guard.track import Track
from safelight.guard.watcher import Watcher
from safelight.guard.window import LENGTH, Window

CLIENTS, ATTACKERS, CLASSES = 100_000, 200, 10
MEAN, CAP, TOTAL = 20 * 1024, 64 * 1024, 2_000_000_000
BASE = np.random.default_rng(5).normal(size=(30, 120))
Crowd = Callable[[Watcher, int], None]


def records(n: int, rng: np.random.Generator) -> Array:
    """Return (n, 120)."""
    return 0.1 * rng.standard_t(4, size=(n, 30)) @ BASE / 5 + 0.02 * rng.normal(size=(n, 120))


def calibrated() -> dict[str, Calibration]:
    """Calibrate on 60 clients of a model "m" of records, and on as many of a language model "chat"."""
    rng, calls, none, nan = np.random.default_rng(0), [], np.empty((1, 0)), np.full(1, np.nan)
    for client in range(60):
        x, said = records(48, rng), rng.dirichlet(np.ones(CLASSES), 48)
        calls += [Seen(f"c{client}", "", "m", 600.0 * row, x[[row]], said[[row]]) for row in range(48)]
        words = rng.integers(0, 10**9, (48, 2)).tolist()
        pairs = [(f"What of {one}?", f"It is {two}.") for one, two in words]
        calls += [Seen(f"c{client}", "", "chat", 600.0 * row, none, nan, (pair,)) for row, pair in enumerate(pairs)]
    return calibrate(calls, 40.0)


def resident() -> int:
    """Return the bytes of this process that are in memory."""
    pages = Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * 4096


def lengths(clients: int, rng: np.random.Generator) -> Array:
    """Return (clients,) how many records each sent: median 8, mean about 25."""
    return np.ceil(rng.lognormal(np.log(8), 1.5, clients)).clip(1, 400).astype(int)


def everyday(watcher: Watcher, clients: int) -> None:
    """Send what each client sends, in batches of up to 64 records."""
    rng = np.random.default_rng(1)
    pool, said = records(20_000, rng), rng.dirichlet(np.ones(CLASSES), 20_000)
    for number, count in enumerate(lengths(clients, rng).tolist()):
        for start in range(0, count, 64):
            place = int(rng.integers(0, len(pool) - 64))
            rows = slice(place, place + min(64, count - start))
            watcher.see(Seen(f"client-{number}", "", "m", 1e6 + start, pool[rows].copy(), said[rows].copy()))


def all_full(watcher: Watcher, clients: int) -> None:
    """Send 160 records of each client."""
    rng = np.random.default_rng(2)
    x, said = records(400, rng), rng.dirichlet(np.ones(CLASSES), 400)
    for number in range(clients):
        for rows in np.array_split(rng.permutation(400)[:160], 4):
            watcher.see(Seen(f"client-{number}", "", "m", 1e6, x[rows], said[rows]))


def long_texts(watcher: Watcher, clients: int) -> None:
    """Send 16 chats of each client, which is more than are kept of such a length."""
    none, nan = np.empty((1, 0)), np.full(1, np.nan)
    for number in range(clients):
        for row in range(16):
            pair = tuple(f"{number} {row} {what} ".ljust(LENGTH + 100, "x") for what in ("asks", "hears"))
            watcher.see(Seen(f"client-{number}", "", "chat", 1e6 + row, none, nan, (pair,)))


CROWDS: dict[str, tuple[Crowd, int, int]] = {
    "everyday lengths": (everyday, 2_000, 2_000),
    "all windows full": (all_full, 500, 1_000),
    "long texts": (long_texts, 200, 400),
}
"""Of each crowd: how its clients send, how many do, and of how many it is checked that copies take as much."""


def twin(one: Any) -> Any:
    """Return a copy of what is held of a client, that shares no array and no text with it."""
    if isinstance(one, Array | list):
        return one.copy() if isinstance(one, Array) else [twin(each) for each in one]
    if isinstance(one, tuple):
        return tuple(map(twin, one))
    if isinstance(one, str):
        return one[:-1] + "y"  # another string of the same length
    if isinstance(one, Track | Window):
        made = object.__new__(type(one))
        for name in type(one).__slots__:
            setattr(made, name, twin(getattr(one, name)))
        return made
    return one


def filled(watcher: Watcher, crowd: str, clients: int, sending: int) -> None:
    """Let some clients of a crowd send, and give each other one a copy of what is held of one of those."""
    CROWDS[crowd][0](watcher, min(clients, sending))
    sent: Iterator[tuple[tuple[str, str], Track]] = cycle(list(watcher._clients.items()))
    for number in range(sending, clients):
        (model, _), track = next(sent)
        copied = twin(track)
        copied.held = 0
        watcher._clients[model, f"client-{number}"] = copied
        watcher._weigh(copied)


def weigh(crowd: str, clients: int, sending: int) -> None:
    """Fill a watch with a crowd and print what it takes, as JSON."""
    rules = calibrated()
    CROWDS[crowd][0](Watcher(rules), 50)
    watcher = Watcher(rules)
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # else what was freed before would be counted as not taken now
    before, began = resident(), time.process_time()
    filled(watcher, crowd, clients, sending)
    took = time.process_time() - began
    gc.collect()
    sizes = [track.window.nbytes for track in watcher._clients.values()]
    facts = {"windows": len(sizes), "remembered": len(watcher._past), "grew": resident() - before,
             "counted": watcher.nbytes(), "largest": max(sizes), "seconds": took}  # fmt: skip
    print(json.dumps(facts))


def weighed(crowd: str, clients: int, sending: int) -> dict[str, Any]:
    """Return what a crowd takes, in a process of its own."""
    argv = [sys.executable, __file__, crowd, str(clients), str(sending)]
    facts: dict[str, Any] = json.loads(subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True).stdout)
    return facts


def walk(rng: np.random.Generator, steps: int) -> tuple[Array, Array]:
    """Return records that climb to a class by small steps, and what the model says of them: an inversion."""
    way = records(1, rng) + 0.01 * rng.normal(size=(steps, 120)).cumsum(axis=0)
    sure = np.linspace(0.15, 0.9, 48)[:steps]
    said = np.zeros((steps, CLASSES)) + ((1 - sure) / (CLASSES - 1))[:, None]
    said[:, 3] = sure
    return way, said


def flood(clients: int, most: int, steps: int) -> dict[str, Any]:
    """Let attackers be seen at something, then flood; return how the watch remembers them.

    Args:
        clients: new ones.
        most: windows that are held.
        steps: of the attackers' own walk that each new client takes; 0: one everyday record each.
    """
    watcher, rng = Watcher(calibrated(), most=most), np.random.default_rng(4)
    evidence, rang = {}, 0
    for number in range(ATTACKERS):
        name = f"evil-{number}"
        x, said = walk(rng, 48)
        for row in range(48):
            rang += bool(watcher.see(Seen(name, "", "m", 1e6 + row, x[[row]], said[[row]])))
        evidence[name] = watcher._clients["m", name].evidence
    pool, answers = records(20_000, rng), rng.dirichlet(np.ones(CLASSES), 20_000)
    way = walk(rng, steps)
    for number in range(clients):
        row = number % 20_000
        x, said = way if steps else (pool[[row]], answers[[row]])
        watcher.see(Seen(f"new-{number}", "", "m", 1e6 + 100 + number / 1000, x, said))
    held = {name for name in evidence if ("m", name) in watcher._clients}
    lost = 0
    for number, (name, before) in enumerate(evidence.items()):
        watcher.see(Seen(name, "", "m", 1e6 + 300, pool[[number]], answers[[number]]))
        track = watcher._clients["m", name]
        lost += track.evidence < before or track.window.seen != 49
    return {"attackers": ATTACKERS, "alarms": rang, "windows": most, "new clients": clients,
            "with their window": len(held), "by their evidence": ATTACKERS - len(held) - lost, "forgotten": lost,
            "least evidence": round(min(evidence.values()), 2), "remembered": len(watcher._past)}  # fmt: skip


def main(clients: int) -> int:
    """Weigh all crowds, and flood."""
    missed = []
    for crowd, (_, sending, checked) in CROWDS.items():
        facts = weighed(crowd, clients, sending)
        mean = facts["grew"] / facts["windows"]
        print(
            f"{crowd}: {clients:,} clients, {facts['windows']:,} windows held, the process grew by "
            f"{facts['grew'] / 1e6:,.0f} MB (counted: {facts['counted'] / 1e6:,.0f}), {mean / 1024:.1f} KiB a window; "
            f"largest {facts['largest'] / 1024:.1f} KiB; {facts['seconds']:.0f} CPU s."
        )
        goals = [("cap of 64 KiB", facts["largest"] <= CAP), ("2 GB in all", facts["grew"] <= TOTAL)]
        goals += [("mean of 20 KiB", mean <= MEAN)] if crowd != "long texts" else []
        for goal, met in goals:
            print(f"  {goal}: {'met' if met else 'missed'}")
            missed += [] if met else [f"{crowd}: {goal}"]
        all_sent, copied = weighed(crowd, checked, checked), weighed(crowd, checked, checked // 10)
        print(f"  of {checked:,} clients: {all_sent['grew'] / 1e6:.1f} MB where all send, "
              f"{copied['grew'] / all_sent['grew']:.2f} times as much where nine in ten are copies")  # fmt: skip
    for what, count, most, steps in (
        ("everyday", clients, clients // 10, 0),
        ("walking", clients // 5, clients // 50, 16),
    ):
        found = flood(count, most, steps)
        print(f"flood of {what} clients:", ", ".join(f"{name} {value:,}" for name, value in found.items()))
        missed += [f"{found['forgotten']} attackers were forgotten in a flood of {what} clients"] * bool(
            found["forgotten"]
        )
    print("missed: " + ("; ".join(missed) or "nothing"))
    return int(bool(missed))


if __name__ == "__main__":
    if len(sys.argv) > 2:
        weigh(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    else:
        sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else CLIENTS))
