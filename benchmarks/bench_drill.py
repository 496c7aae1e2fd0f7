"""What the guard notices of Safelight's own attacks, when, what leaks until then, and how often it is wrong.

Three models: faces (ORL, torch), a survey (Fair, forest) and digits (linear). Each is trained again on coins, served
over HTTP, and attacked without a guard and behind one that only watches: no budgets, full answers. The watch is
calibrated on harmless clients (`Regulars` and `Crowd`, half each) with public records, and gets the training records:
on as many clients as the rate of false alarms takes. Those are counted on `Visitors` with the nonmembers: other people
or rows, and none of the code that made the clients of the calibration. Habits that look like attacks (forms sent again,
jobs of the night, monitors) are counted apart.

Then one attack on faces and one on the survey ask in other ways, behind other policies.

Each part is kept in a folder when it is done, under a name made of the sources, so that a run that is stopped goes on
where it was.

Run: python benchmarks/bench_drill.py [--small] [--parts build/drill]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
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
from safelight.drill.crowds import Crowd, Regulars
from safelight.drill.result import Drilled
from safelight.drill.rounds import drill, harmless
from safelight.drill.traffic import as_seen, visits
from safelight.drill.visitors import Visitors
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
ASIDE = ("cli", "report", "web")  # what changes no number here
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


def normal(made: Built, clients: int) -> Iterator[Seen]:
    """Yield what harmless clients with public records ask, of two crowds."""
    assert made.splits.public is not None
    for number, crowd in enumerate((Regulars(clients - clients // 2), Crowd(clients // 2))):
        rng = np.random.default_rng([SEED, 1, number])
        for one in visits(crowd, made.splits.public, made.target.model, rng):
            # Single precision is what the records have, and half of the memory.
            yield Seen(one.client, one.cohort, "model", one.at, one.x.astype(np.float32), one.answers)


def calibrated(name: str, path: Path, clients: int) -> dict[str, Any]:
    """Calibrate on harmless clients, write it, and return how the line came about."""
    made = built(name)
    training, key = as_seen(made.splits.members.x), np.random.default_rng(SEED).bytes(32)
    learnt = calibrate(normal(made, clients), RATE, training, SEED, key)
    save(path, learnt)
    one = learnt["model"].clients
    return {"threshold": one.threshold, "clients": one.clients, "rate": one.rate}


def watching(path: Path) -> GuardPolicy:
    """Return a policy that watches, and does nothing else."""
    return GuardPolicy(Upstream("http://127.0.0.1:1", Protocol.OIP), path.parent, clients=KEY,
                       signals=Signals(RATE, path.name))  # fmt: skip


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
    if measured is None:
        return "-"
    value, low, high = ("inf" if measured[key] is None else f"{measured[key]:.2f}" for key in ("value", "low", "high"))
    return f"{value} ({low} to {high})"


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


@dataclass
class Parts:
    """What is done already, one file a part.

    Attributes:
        folder: that they are kept in.
        key: of the sources and sizes that they were made with.
    """

    folder: Path
    key: str

    def path(self, name: str, ending: str) -> Path:
        self.folder.mkdir(parents=True, exist_ok=True)
        return self.folder / f"{self.key}-{name}.{ending}"

    def done(self, name: str, work: Callable[[], Any]) -> tuple[Any, float]:
        """Return a part and the CPU seconds that it took; what was kept is not done again."""
        path = self.path(name, "json")
        if not path.is_file():
            started = time.process_time()
            facts = finite(work())
            kept = json.dumps({"facts": facts, "seconds": time.process_time() - started}, allow_nan=False)
            path.with_suffix(".new").write_text(kept, "utf-8")
            path.with_suffix(".new").replace(path)
        held = json.loads(path.read_text("utf-8"))
        return held["facts"], held["seconds"]


def sources(*sizes: int) -> str:
    """Return a key of the code that counts, of this file, and of some numbers."""
    digest = hashlib.sha256(repr(sizes).encode())
    folders = [folder for folder in sorted(EXAMPLES.parent.iterdir()) if folder.name not in ASIDE]
    for path in [*(path for folder in folders for path in sorted(folder.rglob("*.py"))), Path(__file__)]:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def counted(name: str, policy: GuardPolicy, crowd: Visitors) -> dict[str, Any]:
    found = harmless(case(name, policy, next(row for row in ROWS if row.data == name), 1), crowd)
    assert found is not None
    return {**found.as_json(), "kinds": found.kinds}


def attacked(name: str, policy: GuardPolicy, row: Row, runs: int, ways: Sequence[Disguise]) -> list[dict[str, Any]]:
    return [shown(row, found) for found in drill(case(name, policy, row, runs, ways)).attacks]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="a tenth of everything, to try it out; nothing is written")
    parser.add_argument("--parts", type=Path, default=HERE.parent / "build" / "drill", help="where parts are kept")
    asked = parser.parse_args()
    small = asked.small
    runs, few, clients, others, habits = (2, 1, 200, 100, 20) if small else (10, 2, 6700, 2000, 300)
    parts = Parts(asked.parts, sources(runs, few, clients, others, habits))
    spent = 0.0

    def part(name: str, work: Callable[[], Any]) -> Any:
        nonlocal spent
        facts, seconds = parts.done(name, work)
        spent += seconds
        return facts

    rows: list[dict[str, Any]] = []
    hidden: list[dict[str, Any]] = []
    lines: dict[str, Any] = {}
    benign: dict[str, dict[str, Any]] = {}
    apart: dict[str, dict[str, Any]] = {}
    for name in ("digits", "survey", "faces"):
        path = parts.path(name, "npz")
        lines[name] = one = part(f"{name}-line", lambda: calibrated(name, path, clients))  # noqa: B023 - called at once
        print(f"{name}: line at {one['threshold']:.2f}, from {one['clients']} clients, who support "
              f"{1000 * one['rate']:.2f} false alarms per 1,000 clients a day", flush=True)  # fmt: skip
        policy = watching(path)
        for found, title, crowd in ((benign, "harmless", Visitors(others)), (apart, "habits", Visitors(0, habits))):
            found[name] = part(f"{name}-{title}", lambda: counted(name, policy, crowd))  # noqa: B023
            print(f"{name}, {title}: {whole({name: found[name]}).words} {found[name]['kinds']}", flush=True)
        for row in ROWS:
            if row.data == name:
                rows += part(f"{name}-{row.name}", lambda: attacked(name, policy, row, runs, (Plain(),)))  # noqa: B023
                print(line(rows[-1]), flush=True)
    for row in ADAPTED:
        for title, (policy, ways) in policies(watching(parts.path(row.data, "npz"))).items():
            for way in ways:
                work = lambda: attacked(row.data, policy, row, few, (way,))  # noqa: B023, E731
                for found in part(f"{row.data}-{row.name}-{title}-{way.name}", work):
                    hidden.append({"policy": title, **found})
                    print(title, line(hidden[-1]), flush=True)
    report(rows, hidden, benign, apart)
    print(f"\n{spent / 60:.1f} CPU minutes, all parts together")
    if small:
        return
    facts = {
        "seed": SEED, "runs": runs, "calibrated_at": RATE, "calibration_clients": clients, "lines": lines,
        "attacks": rows, "adaptive": hidden, "benign": benign, "habits": apart,
        "false_alarms": whole(benign).as_json(),
    }  # fmt: skip
    (HERE / "drill.json").write_text(json.dumps(facts, indent=1, allow_nan=False) + "\n", "utf-8")


def whole(counts: dict[str, dict[str, Any]]) -> FalseAlarms:
    """Return the false alarms of several models as one."""
    return FalseAlarms(sum(one["clients"] for one in counts.values()), 1.0,
                       sum(one["alarms"] for one in counts.values()), {})  # fmt: skip


def report(
    rows: list[dict[str, Any]], hidden: list[dict[str, Any]], benign: dict[str, dict[str, Any]],
    apart: dict[str, dict[str, Any]],
) -> None:  # fmt: skip
    """Print the tables and whether the goals are reached."""
    print(f"\n{HEAD}\n" + "\n".join(map(line, rows)))
    goal = [row for row in rows if row["goal"]]
    stopped = sum(row["contained_by_half"] for row in goal)
    total = sum(row["runs"] for row in goal)
    missed = [row["attack"] for row in goal if row["contained_by_half"] < HALF * row["runs"]]
    print(f"\nstopped before half of their queries: {stopped} of {total} (goal: {HALF:.0%} of each attack's runs)"
          + (f"; missed: {', '.join(missed)}" if missed else "; reached"))  # fmt: skip
    value, _, high = whole(benign).rate
    judged = ("reached" if value <= GOAL else "missed") + ("" if high <= GOAL else ", and 95 % allow for more")
    print(f"false alarms, calibrated at {RATE}: {whole(benign).words} Goal <= {GOAL}: {judged}")
    print(f"habits that look like attacks, no part of the goal: {whole(apart).words}")
    print("\n| policy |" + HEAD.partition("|")[2].replace("\n|", "\n|---|"))
    for row in hidden:
        print(f"| {row['policy']} {line(row)}")


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
