"""What the guard adds to each answer, beside the server alone and beside a bare proxy made with httpx.

One model server (uvicorn, a linear model of 784 inputs and 100 classes, Open Inference Protocol as JSON), asked
directly, with the guard as middleware inside it, through the guard as a proxy, and through a proxy of twenty lines that
only passes on, written with httpx. The guard does all that it does: key, budgets in SQLite, log, reading, hardening
(top 3, 2 decimals); and once more with the watch on, calibrated on traffic of the same kind, all signals, each of 16
clients with a full window. Then chats, through the guard and through LiteLLM's proxy (see chat_proxies.py).

Each round asks every setup in a new order: in turn over one connection, evenly 200 and 500 times a second over 16, and
over 16 without a pause, which gives the most answers a second. What is added is taken within a round, so that a machine
that slows down from round to round hardly shows; figures are medians over rounds with an interval (95 %). Said beside
them: how late the asking itself was, how much of a processor it took, what each process took a question, and how much
of the machine others took meanwhile. Last the CPU time of the guard's own logic and of the watch, in one process.

Run: python benchmarks/bench_guard.py [ROUNDS]
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import chat_proxies
import numpy as np
from asking import Asked, by_the_clock, in_turn, without_pause
from guard_logic import logic, watching
from guard_setups import ALONE, CLIENTS, HTTPX, INSIDE, PROXY, SETUPS, WATCHED, Server, calibrated, questions, running
from quiet import Machine, taken
from rounds import Rounds, middle, shown

ROUNDS, IN_TURN, LOW, RATE, SECONDS, PAUSELESS, WINDOW = 9, 300, 200, 500, 1.5, 1.0, 128
GOALS = {INSIDE: (0.3, 2.0), PROXY: (0.7, 3.0)}
LEAST, LOGIC, WATCH, TIMES = 500, 0.25, 0.15, 10.0
TURN, SLOWER, CLOCK, MOST = "in turn", f"{LOW}/s", f"{RATE}/s", "no pause"


def met(yes: bool) -> str:
    return "met" if yes else "missed"


def ask(how: str, port: int, asked: Iterator[bytes]) -> Asked:
    """Ask one setup in one way."""
    if how == TURN:
        return in_turn(port, asked, IN_TURN)
    return without_pause(port, asked, PAUSELESS) if how == MOST else by_the_clock(port, asked, int(how[:-2]), SECONDS)


def servers(rounds: int, calibration: Path, folder: Path) -> None:
    """Ask all setups, and print what each adds."""
    found, rng, own, asking, late = Rounds(ALONE), np.random.default_rng(0), {}, [], []
    with running(folder, calibration) as up:
        asked = {setup: questions() for setup in SETUPS}
        for setup, server in up.items():  # with the watch: until each client's window is full
            in_turn(server.port, asked[setup], WINDOW * CLIENTS if setup.endswith(WATCHED) else IN_TURN)
        machine = Machine([os.getpid(), *(server.process for server in up.values())])
        for _ in range(rounds):
            with machine.round():
                for how in (TURN, SLOWER, CLOCK, MOST):
                    for setup in rng.permutation(SETUPS).tolist():
                        server: Server = up[setup]
                        before, mine, start = taken(server.process), taken(os.getpid()), time.perf_counter()
                        one = ask(how, server.port, asked[setup])
                        found.add(how, setup, one)
                        if how == CLOCK:
                            own.setdefault(setup, []).append(1000 * (taken(server.process) - before) / len(one.took))
                            late.append(float(np.percentile(one.late, 99)))
                            asking.append((taken(os.getpid()) - mine) / (time.perf_counter() - start))
    print(f"Milliseconds an answer, {rounds} rounds: median [95 %]; added: above the server alone, same round.")
    found.table(SETUPS, 10)
    print(machine.verdict())
    print(f"The asking took {np.median(asking):.0%} of a processor at {CLOCK}; 1 % of it was more than "
          f"{np.median(late):.2f} ms late.")  # fmt: skip
    for setup in SETUPS:
        print(f"{setup}: at most {shown(found.rates(MOST, setup), 0)} answers a second; its process took "
              f"{shown(own[setup])} CPU ms a question at {CLOCK}.")  # fmt: skip
    for setup in (PROXY, PROXY + WATCHED):
        for how in (TURN, SLOWER):
            print(f"{how}: {HTTPX} adds {shown(found.times(how, HTTPX, setup, 0), 1)} x what the {setup} adds (p50).")
    for setup in SETUPS[1:-1]:
        p50, p99 = GOALS[setup.removesuffix(WATCHED)]
        added = [found.added(CLOCK, setup, which) for which in (0, 1)]
        rate = found.rates(MOST, setup)
        print(
            f"Goals for {setup} at {CLOCK}: adds at most {p50} ms (p50): {met(middle(added[0])[0] <= p50)}, "
            f"{shown(added[0])}; at most {p99} ms (p99): {met(middle(added[1])[0] <= p99)}, {shown(added[1])}; "
            f"{LEAST} answers a second: {met(middle(rate)[0] >= LEAST)}."
        )


def inside(calibration: Path, folder: Path) -> None:
    """Print the CPU time of the guard's own logic and of the watch."""
    for setup in (INSIDE, INSIDE + WATCHED):
        took, whole = asyncio.run(logic(folder, setup, calibration))
        p50, p99 = np.percentile(took, (50, 99)) / 1000
        goal = "" if setup.endswith(WATCHED) else f"; goal, at most {LOGIC} ms (p99): {met(p99 <= LOGIC)}"
        print(f"Own logic, {setup}: {p50:.3f} CPU ms (p50) and {p99:.3f} (p99) in the thread that answers, "
              f"{whole / 1000:.3f} on average in all threads{goal}.")  # fmt: skip
    took = watching(calibration)
    p50, p99 = np.percentile(took, (50, 99)) / 1000
    mean = took.mean() / 1000
    print(f"The watch alone: {mean:.3f} CPU ms a record on average, {p50:.3f} (p50) and {p99:.3f} (p99); goal, at most "
          f"{WATCH} on average: {met(mean <= WATCH)}.")  # fmt: skip


def main(rounds: int) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        calibration = folder / "calibration.npz"
        calibrated(calibration)
        servers(rounds, calibration, folder)
        inside(calibration, folder)
        chat_proxies.compare(folder, min(rounds, chat_proxies.ROUNDS), TIMES)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS)
