"""What the guard notices of Safelight's own attacks, when, what leaks until then, and how often it is wrong.

Three models: faces (ORL, torch), a survey (Fair, forest) and digits (linear). Each is trained again on coins, served
over HTTP, and attacked without a guard and behind one that only watches: no budgets, full answers. The watch is
calibrated on harmless clients (`Regulars`) with public records, and gets the training records. False alarms are counted
on other clients (`Crowd`) with the nonmembers: other people or rows, other amounts, hours, noise and movement.

Then one attack on faces and one on the survey ask in other ways, behind other policies.

Run: python benchmarks/bench_drill.py [--small]
"""

from __future__ import annotations

import argparse
import json
import math
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from safelight.attacks.attributes.csmia import Csmia
from safelight.attacks.attributes.lomia import Lomia
from safelight.attacks.base import Attack
from safelight.attacks.inversion.label_only import BoundaryRepulsion
from safelight.attacks.inversion.scores import ScoreInversion, Search
from safelight.attacks.inversion.surrogate import SurrogateInversion
from safelight.attacks.membership.label_only import LabelOnly
from safelight.attacks.membership.loss import LossThreshold
from safelight.attacks.stealing.knockoff import Knockoff
from safelight.cli.build import Built, build
from safelight.cli.config import read_config
from safelight.drill.adaptive import ADAPTIVE, Disguise, Plain
from safelight.drill.benign import FalseAlarms
from safelight.drill.case import Drill
from safelight.drill.crowds import Regulars
from safelight.drill.result import Drilled
from safelight.drill.rounds import drill, harmless
from safelight.drill.traffic import as_seen, visits
from safelight.guard.calibrate import calibrate
from safelight.guard.calibration import save
from safelight.guard.policy import Budget, GuardPolicy, Key, Outputs, Protocol, Signals, Upstream
from safelight.guard.seen import Seen
from safelight.runner import recipe_of
from safelight.threat import Access, ThreatModel

HERE = Path(__file__).resolve().parent
EXAMPLES = HERE.parent / "src" / "safelight" / "examples"
SEED = 20261128
RATE, GOAL, HALF = 0.3, 1.0, 0.9
KEY = {"0" * 64: Key("somebody", sha256="0" * 64)}


@dataclass(frozen=True)
class Row:
    """One attack of the table.

    Attributes:
        data: the example it is about.
        name: for the table.
        attack: with its settings.
        goal: whether it has to be contained before half of its queries.
        queries: that it may send, or None for as many as it likes.
    """

    data: str
    name: str
    attack: Attack
    goal: bool
    queries: int | None = None


ROWS = (
    Row("faces", "NES", ScoreInversion(search=Search.NES, queries=100), True),
    Row("faces", "CMA", ScoreInversion(search=Search.CMA, queries=100), True),
    Row("faces", "BREP", BoundaryRepulsion(queries=100), True),
    Row("faces", "surrogate", SurrogateInversion(), False, 1000),
    Row("faces", "NES, 10 a class", ScoreInversion(search=Search.NES, queries=10), False),
    Row("survey", "CSMIA", Csmia(), True),
    Row("survey", "LOMIA", Lomia(), False),
    Row("digits", "knockoff", Knockoff(queries=1000), True),
    Row("digits", "label-only membership", LabelOnly(), False, 5100),
    Row("digits", "loss, once a record", LossThreshold(), False),
)
ADAPTED = (ROWS[0], ROWS[5])


def policies(watching: GuardPolicy) -> dict[str, tuple[GuardPolicy, tuple[Disguise, ...]]]:
    """Return what an owner may have beside the watch, and which attackers who hide are tried on it."""
    slow, sybil, *_ = ADAPTIVE
    cohort = {"attackers": Budget(lifetime=100)}
    return {
        "watch": (watching, ADAPTIVE),
        "watch, labels alone": (replace(watching, outputs=Outputs(label_only=True)), (Plain(), *ADAPTIVE)),
        "watch, 100 records ever": (replace(watching, budget=Budget(lifetime=100)), (slow, sybil)),
        "watch, 100 records ever a cohort": (replace(watching, cohorts=cohort), (sybil,)),
    }


def built(name: str) -> Built:
    return build(read_config(EXAMPLES / name / "safelight.toml"))


def calibrated(name: str, folder: Path, clients: int) -> GuardPolicy:
    """Return a policy that watches with what harmless clients taught it, who have public records."""
    made = built(name)
    assert made.splits.public is not None
    seen = visits(Regulars(clients), made.splits.public, made.target.model, np.random.default_rng([SEED, 1]))
    calls = (
        Seen(one.client, one.cohort, "model", one.at, one.x.astype(np.float32), one.answers) for one in seen
    )  # single precision is what the records have, and half of the memory
    training, key = as_seen(made.splits.members.x), np.random.default_rng(SEED).bytes(32)
    learnt = calibrate(calls, RATE, training, SEED, key)
    one = learnt["model"]
    print(f"{name}: line at {one.clients.threshold:.2f}, from {one.clients.clients} clients, who support "
          f"{1000 * one.clients.rate:.2f} false alarms per 1,000 clients a day", flush=True)  # fmt: skip
    save(folder / f"{name}.npz", learnt)
    where = Upstream("http://127.0.0.1:1", Protocol.OIP)
    return GuardPolicy(where, folder, clients=KEY, signals=Signals(RATE, f"{name}.npz"))


def case(name: str, policy: GuardPolicy, row: Row, runs: int, ways: Sequence[Disguise] = (Plain(),)) -> Drill:
    made = built(name)
    threat = ThreatModel(Access.SCORES, queries=row.queries)
    recipe = recipe_of(made.recipe, made.target)
    return Drill(
        made.target, made.splits, threat, policy, recipe, seed=SEED, runs=runs, only=(row.attack.code,),
        tuned=(row.attack,), ways=tuple(ways),
    )  # fmt: skip


def shown(row: Row, found: Drilled) -> dict[str, Any]:
    """Return one row of the result."""
    half = sum(run.contained_by(0.5) for run in found.runs)
    return {
        "data": row.data, "attack": row.name, "code": row.attack.code, "way": found.way, "goal": row.goal,
        "runs": len(found.runs), "contained_by_half": half, "queries": found.queries,
        "detected_at": found.detected_at, "contained_at": found.contained_at,
        **{name: None if (value := getattr(found, name)) is None else asdict(value)
           for name in ("mu_unguarded", "mu_guarded", "fidelity_unguarded", "fidelity_guarded")},
        "each": [asdict(run) for run in found.runs],
    }  # fmt: skip


def words(measured: dict[str, Any] | None) -> str:
    if measured is None or measured["value"] is None:
        return "-"
    value, low, high = (measured[key] for key in ("value", "low", "high"))
    return f"{value:.2f} ({low:.2f} to {high:.2f})"


def finite(value: Any) -> Any:
    """Return plain values with null for a mu beyond all measure, where every guess was right."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and math.isinf(value) else value


def line(row: dict[str, Any]) -> str:
    """Return one row of the table in words."""
    half = f"{row['contained_by_half']} of {row['runs']}"
    leaks = [row["mu_unguarded"] or row["fidelity_unguarded"], row["mu_guarded"] or row["fidelity_guarded"]]
    name = row["attack"] if row["way"] == "plain" else f"{row['attack']}, {row['way']}"
    at = ["never" if row[key] is None else str(row[key]) for key in ("detected_at", "contained_at")]
    return (
        f"| {row['data']} | {name} | {row['queries']} | {at[0]} | {at[1]} | {half} "
        f"| {words(leaks[0])} | {words(leaks[1])} |"
    )


HEAD = """| data | attack | queries | noticed | stopped | stopped before half | mu (or fidelity) unguarded | guarded |
|---|---|---|---|---|---|---|---|"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="a tenth of everything, to try it out; nothing is written")
    small = parser.parse_args().small
    runs, normal, others = (2, 200, 100) if small else (10, 1400, 2000)
    started = time.process_time()
    rows: list[dict[str, Any]] = []
    hidden: list[dict[str, Any]] = []
    benign: dict[str, FalseAlarms] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in ("digits", "survey", "faces"):
            watching = calibrated(name, Path(folder), normal)
            own = [row for row in ROWS if row.data == name]
            counted = harmless(case(name, watching, own[0], 1), others)
            assert counted is not None
            benign[name] = counted
            print(f"{name}: {counted.words} {counted.kinds}", flush=True)
            for row in own:
                (found,) = drill(case(name, watching, row, runs)).attacks
                rows.append(shown(row, found))
                print(line(rows[-1]), flush=True)
            for row in ADAPTED:
                if row.data != name:
                    continue
                for title, (policy, ways) in policies(watching).items():
                    for found in drill(case(name, policy, row, 1 if small else 2, ways)).attacks:
                        hidden.append({"policy": title, **shown(row, found)})
                        print(title, line(hidden[-1]), flush=True)
    report(rows, hidden, benign, runs, normal, started, small)


def report(
    rows: list[dict[str, Any]], hidden: list[dict[str, Any]], benign: dict[str, FalseAlarms], runs: int, normal: int,
    started: float, small: bool,
) -> None:  # fmt: skip
    """Print the tables and whether the goals are reached, and keep them."""
    print(f"\n{HEAD}\n" + "\n".join(map(line, rows)))
    goal = [row for row in rows if row["goal"]]
    stopped = sum(row["contained_by_half"] for row in goal)
    total = sum(row["runs"] for row in goal)
    whole = FalseAlarms(
        sum(each.clients for each in benign.values()), 1.0, sum(each.alarms for each in benign.values()), {}
    )
    missed = [row["attack"] for row in goal if row["contained_by_half"] < HALF * row["runs"]]
    print(f"\nstopped before half of their queries: {stopped} of {total} (goal: {HALF:.0%} of each attack's runs)"
          + (f"; missed: {', '.join(missed)}" if missed else "; reached"))  # fmt: skip
    value, _, high = whole.rate
    judged = ("reached" if value <= GOAL else "missed") + ("" if high <= GOAL else ", and 95 % allow for more")
    print(f"false alarms, calibrated at {RATE}: {whole.words} Goal <= {GOAL}: {judged}")
    print("\n| policy |" + HEAD.partition("|")[2].replace("\n|", "\n|---|"))
    for row in hidden:
        print(f"| {row['policy']} {line(row)}")
    minutes = (time.process_time() - started) / 60
    print(f"\n{minutes:.1f} CPU minutes")
    if small:
        return
    facts = {
        "seed": SEED, "runs": runs, "calibrated_at": RATE, "calibration_clients": normal, "attacks": rows,
        "adaptive": hidden, "benign": {name: {**each.as_json(), "kinds": each.kinds} for name, each in benign.items()},
        "false_alarms": whole.as_json(),
    }  # fmt: skip
    (HERE / "drill.json").write_text(json.dumps(finite(facts), indent=1, allow_nan=False) + "\n", "utf-8")


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
