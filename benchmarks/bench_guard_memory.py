"""What 100,000 clients take that the watch holds at once, and whether a flood of new ones makes it forget an attacker.

Two crowds, each in a process of its own, records of 120 values and scores of 10 classes: clients whose numbers of
records are spread widely (log-normal, median 8, so that one in thirty fills its window), and clients whose windows are
all full. Bytes are those that the process grew by (resident set), beside those that the watch itself counts.

Then 200 attackers, each seen at something, and so many new clients that nobody's window could be held: how many of the
attackers still have a window, how many are remembered by their evidence, and how many are forgotten.

Run: python benchmarks/bench_guard_memory.py [CLIENTS]
"""

from __future__ import annotations

import ctypes
import gc
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray as Array

from safelight.guard.calibrate import calibrate
from safelight.guard.calibration import Calibration
from safelight.guard.seen import Seen
from safelight.guard.watcher import Watcher

CLIENTS, ATTACKERS, CLASSES = 100_000, 200, 10
MEAN, CAP, TOTAL = 20 * 1024, 64 * 1024, 2_000_000_000
BASE = np.random.default_rng(5).normal(size=(30, 120))


def records(n: int, rng: np.random.Generator) -> Array:
    return 0.1 * rng.standard_t(4, size=(n, 30)) @ BASE / 5 + 0.02 * rng.normal(size=(n, 120))


def calibrated() -> dict[str, Calibration]:
    rng, calls = np.random.default_rng(0), []
    for client in range(60):
        x, said = records(48, rng), rng.dirichlet(np.ones(CLASSES), 48)
        calls += [Seen(f"c{client}", "", "m", 600.0 * row, x[[row]], said[[row]]) for row in range(48)]
    return calibrate(calls, 40.0)


def resident() -> int:
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
            first = int(rng.integers(0, len(pool) - 64))
            rows = slice(first, first + min(64, count - start))
            watcher.see(Seen(f"client-{number}", "", "m", 1e6 + start, pool[rows].copy(), said[rows].copy()))


def all_full(watcher: Watcher, clients: int) -> None:
    """Send 160 records for one client in a hundred; give the others windows of their own that hold the same."""
    rng = np.random.default_rng(2)
    model = watcher._models["m"]
    x, said = records(400, rng), rng.dirichlet(np.ones(CLASSES), 400)
    for number in range(clients):
        name = f"client-{number}"
        if number % 100 == 0:
            order = rng.permutation(400)[:160]
            for rows in np.array_split(order, 4):
                watcher.see(Seen(name, "", "m", 1e6, x[rows], said[rows]))
            full = watcher._clients["m", name].window
            continue
        track = watcher._track(model, Seen(name, "", "m", 1e6, x[:1], said[:1]))
        window = track.window
        for part in ("_floats", "_fields", "_whole", "_at"):
            setattr(window, part, getattr(full, part).copy())
        window._start, window._stop, window.seen = full._start, full._stop, full.seen
        track.standard = np.zeros(len(model.clients.scale.middle))
        watcher._weigh(track)


CROWDS = {"everyday lengths": everyday, "all windows full": all_full}


def weigh(crowd: str, clients: int) -> None:
    """Fill a watch with a crowd and print what it takes, as JSON."""
    rules = calibrated()
    CROWDS[crowd](Watcher(rules), 200)
    watcher = Watcher(rules)
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # else what was freed before would be counted as not taken now
    before, began = resident(), time.perf_counter()
    CROWDS[crowd](watcher, clients)
    took = time.perf_counter() - began
    gc.collect()
    sizes = [track.window.nbytes for track in watcher._clients.values()]
    facts = {"clients": clients, "windows": len(sizes), "remembered": len(watcher._past), "grew": resident() - before,
             "counted": watcher.nbytes(), "largest": max(sizes), "seconds": took}  # fmt: skip
    print(json.dumps(facts))


def flood(clients: int) -> dict[str, Any]:
    """Let attackers be seen at something, then flood; return how the watch remembers them."""
    most = clients // 10
    watcher, rng = Watcher(calibrated(), most=most), np.random.default_rng(4)
    evidence, rang = {}, 0
    for number in range(ATTACKERS):
        name = f"evil-{number}"
        start, way = records(1, rng), 0.01 * rng.normal(size=(48, 120)).cumsum(axis=0)
        sure = np.linspace(0.15, 0.9, 48)
        said = np.full((48, CLASSES), 0.0) + ((1 - sure) / (CLASSES - 1))[:, None]
        said[:, 3] = sure
        for row in range(48):
            rang += bool(watcher.see(Seen(name, "", "m", 1e6 + row, start + way[[row]], said[[row]])))
        evidence[name] = watcher._clients["m", name].evidence
    pool = records(20_000, rng)
    answers = rng.dirichlet(np.ones(CLASSES), 20_000)
    for number in range(clients):
        row = number % 20_000
        watcher.see(Seen(f"new-{number}", "", "m", 1e6 + 100 + number / 1000, pool[[row]], answers[[row]]))
    held = {name for name in evidence if ("m", name) in watcher._clients}
    lost = 0
    for number, (name, before) in enumerate(evidence.items()):
        watcher.see(Seen(name, "", "m", 1e6 + 300, pool[[number]], answers[[number]]))
        track = watcher._clients["m", name]
        lost += track.evidence < before or track.window.seen != 49
    return {"attackers": ATTACKERS, "alarms": rang, "windows held": most, "new clients": clients,
            "with their window": len(held), "by their evidence": ATTACKERS - len(held) - lost, "forgotten": lost,
            "least evidence": round(min(evidence.values()), 2), "remembered": len(watcher._past)}  # fmt: skip


def main(clients: int) -> None:
    for crowd in CROWDS:
        argv = [sys.executable, __file__, crowd, str(clients)]
        facts = json.loads(subprocess.run(argv, capture_output=True, text=True, check=True).stdout)
        mean = facts["grew"] / facts["windows"]
        print(
            f"{crowd}: {facts['clients']:,} clients, {facts['windows']:,} windows held, the process grew by "
            f"{facts['grew'] / 1e6:,.0f} MB (counted: {facts['counted'] / 1e6:,.0f}), {mean / 1024:.1f} KiB a window; "
            f"largest {facts['largest'] / 1024:.1f} KiB."
        )
        for goal, met in (
            ("mean of 20 KiB", mean <= MEAN),
            ("cap of 64 KiB", facts["largest"] <= CAP),
            ("2 GB in all", facts["grew"] <= TOTAL),
        ):
            print(f"  {goal}: {'met' if met else 'missed'}")
    found = flood(clients)
    print("flood:", ", ".join(f"{name} {value:,}" for name, value in found.items()))
    if found["forgotten"]:
        raise SystemExit("An attacker was forgotten.")


if __name__ == "__main__":
    if len(sys.argv) > 2:
        weigh(sys.argv[1], int(sys.argv[2]))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else CLIENTS)
