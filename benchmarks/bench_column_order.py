"""What the watch sees of a client that shuffles its columns from call to call, with and without their names.

A made-up questionnaire: twelve answers from 1 to 5, which one mood sways, all of them on one scale, so that any order
of them looks like a person's. The model reads columns by name, as MLflow does with a signature. The attacker asks about
people with all five values of one field, a record a call. Normal clients ask about four new people a call.

Run: python benchmarks/bench_column_order.py [runs]
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator

from safelight.guard.calibrate import calibrate
from safelight.guard.calibration import Calibration
from safelight.guard.seen import Seen
from safelight.guard.watcher import Watcher

FIELDS = tuple(f"question {place}" for place in range(12))
ENUMERATION = "attribute enumeration"
CLIENTS, CALLS, NEW, PEOPLE = 60, 12, 40, 26


def people(n: int, rng: Generator) -> Array:
    """Return answers (n, 12)."""
    return np.clip(np.rint(3 + 0.7 * rng.normal(size=(n, 1)) + 0.9 * rng.normal(size=(n, 12))), 1, 5)


def answers(x: Array) -> Array:
    """Return scores (n, 2)."""
    risk = 1 / (1 + np.exp(12 - x[:, :4].sum(axis=1)))
    return np.column_stack([risk, 1 - risk])


def call(client: str, at: float, x: Array, order: Array) -> Seen:
    """Return a call that names its columns in an order; the model's answer does not depend on it."""
    return Seen(client, "", "survey", at, x[:, order], answers(x), names=tuple(FIELDS[place] for place in order))


def normal(clients: int, rng: Generator, shuffled: bool) -> Iterator[Seen]:
    """Yield a day of normal clients."""
    for client in range(clients):
        for number in range(CALLS):
            order = rng.permutation(12) if shuffled else np.arange(12)
            yield call(f"c{client}", 600.0 * number, people(4, rng), order)


def enumerating(rng: Generator, shuffled: bool) -> Iterator[Seen]:
    """Yield the attacker's calls."""
    number = 0
    for one in people(PEOPLE, rng):
        for value in range(1, 6):
            x = one.copy()
            x[7] = value
            order = np.random.default_rng(number).permutation(12) if shuffled else np.arange(12)
            number += 1
            yield call("evil", 20.0 * number, x[None], order)


def attacked(found: dict[str, Calibration], calls: Iterator[Seen]) -> tuple[int | None, float]:
    """Return the record at which the attacker rang first, and the largest share of the line of enumeration."""
    watcher, rang, most = Watcher(found), None, 0.0
    for number, each in enumerate(calls, 1):
        if any(alarm.client for alarm in watcher.see(each)) and rang is None:
            rang = number
        most = max(most, watcher.risk("survey", "evil").get(ENUMERATION, 0.0))
    return rang, most


def ringing(found: dict[str, Calibration], calls: Iterator[Seen]) -> int:
    """Return how many clients rang."""
    watcher = Watcher(found)
    return len({alarm.client for each in calls for alarm in watcher.see(each) if alarm.client})


def main(runs: int) -> None:
    """Print one line a run and way."""
    print(f"{PEOPLE * 5} records of the attacker; {NEW} new normal clients")
    print("| run | names | order | first alarm | enumeration, share of the line | normal clients that rang |")
    print("|---|---|---|---|---|---|")
    for run in range(runs):
        known = calibrate(normal(CLIENTS, np.random.default_rng([run, 0]), shuffled=False), seed=run, secret=b"s" * 32)
        bare = {name: replace(one, reference=replace(one.reference, names=())) for name, one in known.items()}
        for words, found in (("unknown", bare), ("known", known)):
            for shuffled in (False, True):
                rang, most = attacked(found, enumerating(np.random.default_rng([run, 1]), shuffled))
                calm = ringing(found, normal(NEW, np.random.default_rng([run, 2]), shuffled))
                order = "shuffled" if shuffled else "the site's"
                print(f"| {run} | {words} | {order} | {rang or 'none'} | {most:.2f} | {calm} |", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
