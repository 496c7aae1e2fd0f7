"""One row a method: a planted leak of known size, a null target, the verification figure, CPU seconds.

A method without a green row may not be in the package: a test reads proof.json, which this script writes.
Run: python benchmarks/proof.py [codes]
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import binom
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from verification import FIGURES

from safelight.attacks.base import Attack, all_attacks, observes
from safelight.compute.shadows import ShadowPool
from safelight.controls.coins.attributes import AttributeCoins
from safelight.controls.coins.base import Coins, Draw, Guesses, guess
from safelight.controls.coins.canaries import CanaryCoins
from safelight.controls.coins.classes import ClassCoins
from safelight.controls.coins.missing import MissingCoins
from safelight.controls.coins.named import NamedCoins
from safelight.controls.coins.poisoned import PoisonedCoins
from safelight.controls.coins.properties import PropertyCoins
from safelight.controls.coins.ranges import RangeCoins
from safelight.controls.coins.records import RecordCoins
from safelight.controls.coins.releases import LinkCoins, SinglingCoins
from safelight.controls.coins.sets import SetCoins
from safelight.controls.planted import planted_recipe
from safelight.data.canaries import CanaryKind
from safelight.data.records import Records, Splits
from safelight.evidence import (
    WhatIsInside,
    WhatSinglesOut,
    WhatWouldItAnswer,
    WhichBelongTogether,
    WhichCanaries,
    WhichIsMissing,
    WhichRanges,
    WhichSets,
    WhichShare,
    WhichValue,
    WhoIsWho,
    WhoWasIn,
    WhoWasInPoisoned,
)
from safelight.measures.binomial import clopper_pearson
from safelight.recipes.base import Recipe
from safelight.recipes.sklearn import SklearnRecipe
from safelight.targets.base import Images, Side, Table
from safelight.threat import Access, Observes, ThreatModel

LEAK = 0.5
FILE = Path(__file__).with_name("proof.json")


@dataclass(frozen=True)
class Bench:
    """Data, coins and an ordinary recipe for one kind of question.

    Attributes:
        found: share of right guesses that an attack reaches which finds just what the planted model remembers; None
            where no such size is known, and the planted leak only has to be found.
    """

    splits: Splits
    coins: Coins
    recipe: Recipe
    inputs: Images | Table
    found: float | None
    runs: int


@dataclass(frozen=True)
class AnswerCoins:
    """No coins: what a model that follows a rule, or none, answers to a record is the secret, one record a model."""

    share: float = 1.0

    def flip(self, data: Splits, rng: np.random.Generator) -> Draw:
        assert data.nonmembers is not None
        asked = data.nonmembers.take(rng.permutation(len(data.nonmembers))[:1])
        return Draw(data.members, WhatWouldItAnswer(asked), np.empty(0), 2, lambda answer: answer.values)  # type: ignore[union-attr]

    never_saw = flip


def digits_bench() -> Bench:
    bunch = load_digits()
    everyone = Records.of(bunch.images[:, None] / 16, bunch.target)
    order = np.random.default_rng(0).permutation(len(everyone))
    splits = Splits(everyone.take(order[:900]), everyone.take(order[900:1200]), everyone.take(order[1200:]))
    inputs = Images((1, 8, 8))
    recipe = SklearnRecipe(LogisticRegression(C=0.1, max_iter=300), inputs)
    # A class that is remembered is told; one that is not is luck.
    return Bench(splits, ClassCoins(), recipe, inputs, LEAK + (1 - LEAK) / 2, 24)


def patients() -> Splits:
    """Breast-cancer patients with a made-up insurer and one diagnosis in four flipped, so that models memorise."""
    bunch = load_breast_cancer(as_frame=True)
    table = bunch.data.iloc[:, :6].round(1)
    table["insurer"] = np.random.default_rng(3).integers(0, 2, len(table))
    flipped = np.random.default_rng(4).random(len(table)) < 0.25
    everyone = Records.of(table, np.where(flipped, 1 - bunch.target, bunch.target))
    order = np.random.default_rng(1).permutation(len(table))
    groups = (everyone.take(rows) for rows in np.split(order, [320, 420]))
    return Splits(*groups, sensitive=("insurer",))


def coarse_survey() -> Splits:
    """Five small columns, a secret, and an answer that no column explains: a tree has to split on the secret."""
    rng = np.random.default_rng(5)
    table = pd.DataFrame({f"q{i}": rng.integers(0, 4, 900) for i in range(5)})
    table["insurer"] = rng.integers(0, 2, 900)
    everyone = Records.of(table, rng.integers(0, 3, 900))
    groups = (everyone.take(rows) for rows in np.split(np.arange(900), [400, 600]))
    return Splits(*groups, sensitive=("insurer",))


def long_survey() -> Splits:
    """Twelve questions of four answers each: no answer alone says who was in, and no two people agree in all."""
    rng = np.random.default_rng(7)
    everyone = Records.of(pd.DataFrame({f"q{i}": rng.integers(0, 4, 900) for i in range(12)}), rng.integers(0, 3, 900))
    return Splits(*(everyone.take(rows) for rows in np.split(np.arange(900), [400, 600])))


def table_bench(coins: Coins, found: float | None, splits: Splits) -> Bench:
    encode = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["insurer"]), remainder="passthrough")
    recipe = SklearnRecipe(make_pipeline(encode, RandomForestClassifier(30)))
    return Bench(splits, coins, recipe, Table(tuple(splits.members.x.columns)), found, 6)


def release_bench(attack: Attack) -> Bench:
    """A release is no model: what it copies is there as it is, and the null copies others."""
    splits, out = patients(), LEAK + (1 - LEAK) ** 2 / (2 - LEAK)
    found = out / 2 + 1 / (2 * (2 - LEAK))
    coins: dict[type, tuple[Coins, float | None]] = {
        WhoWasIn: (RecordCoins(share=1.0), found),
        WhichBelongTogether: (LinkCoins(share=1.0), found),
        WhichValue: (AttributeCoins("insurer", share=1.0), LEAK + (1 - LEAK) / 2),
        WhatSinglesOut: (SinglingCoins(share=1.0), None),
        WhoIsWho: (NamedCoins(share=1.0), found),
    }
    if attack.answers is WhoIsWho:
        splits = long_survey()
    bench = table_bench(*coins[attack.answers], splits)
    return replace(bench, recipe=planted_recipe(attack, bench.inputs, False))


def bench_of(attack: Attack) -> Bench:
    if observes(attack) is Observes.RELEASE:
        return release_bench(attack)
    if attack.answers is WhatIsInside:
        bench = digits_bench()
        own = getattr(attack, "planted", None)
        # An attack that needs a network of its own kind has one that remembers others as the null.
        return bench if own is None else replace(bench, recipe=own(bench.inputs, 1.0))
    splits = patients()
    if attack.answers is WhichIsMissing:
        # A third record is the one that the null's models tell, exactly.
        bench = table_bench(MissingCoins(), LEAK + (1 - LEAK) / 2, splits)
        return replace(bench, recipe=planted_recipe(attack, bench.inputs, False), runs=400)
    if attack.answers is WhatWouldItAnswer:
        # A model that follows no rule is answered for by luck.
        bench = table_bench(AnswerCoins(), LEAK + (1 - LEAK) / 2, splits)  # type: ignore[arg-type]
        return replace(bench, recipe=planted_recipe(attack, bench.inputs, False, 0.0), runs=60)
    if attack.answers is WhichShare:
        # A model that tells nothing is guessed by luck.
        return replace(table_bench(PropertyCoins("insurer", 1), LEAK + (1 - LEAK) / 2, splits), runs=400)
    if attack.answers is WhichValue:
        coins = AttributeCoins("insurer", share=1.0)
        if attack.needs > Access.SCORES:
            bench, own = table_bench(coins, None, coarse_survey()), getattr(attack, "planted", None)
            return bench if own is None else replace(bench, recipe=own(bench.inputs, 1.0))
        # Labels show a remembered record only where it is not what the model answers to strangers anyway.
        labels = np.bincount(splits.members.y) / len(splits.members)
        shown = LEAK if attack.needs > Access.LABEL else LEAK * (1 - labels.max())
        return table_bench(coins, shown + (1 - shown) / 2, splits)
    # The upper half of the scores holds the remembered members and, by luck, part of the rest; see `in_or_out`.
    found = (LEAK + (1 - LEAK) ** 2 / (2 - LEAK)) / 2 + 1 / (2 * (2 - LEAK))
    if getattr(attack, "tail", False):
        # Below the median are strangers with the rarer label; all others tie.
        low, stranger = (
            (1 - LEAK / 2) * np.bincount(splits.members.y).min() / len(splits.members),
            (1 - LEAK) / (2 - LEAK),
        )
        rest = (0.5 - low * stranger) / (1 - low)
        found = low * (1 - stranger) + 0.5 * rest + (0.5 - low) * (1 - rest)
    if attack.answers is WhichCanaries:
        # One that is trained several times is remembered more often than the others.
        once = tuple(kind for kind in CanaryKind if kind is not CanaryKind.DUPLICATED)
        return replace(table_bench(CanaryCoins(once, share=1.0), found, splits), runs=12)
    if attack.answers is WhoWasInPoisoned:
        return replace(table_bench(PoisonedCoins(share=1.0), found, splits), runs=24)
    if attack.answers is WhichRanges:
        return replace(digits_bench(), coins=RangeCoins(share=1.0), found=found, runs=6)
    bench = table_bench(RecordCoins(share=1.0), found, splits)
    if attack.answers is WhichSets:
        # A trained set of five shows unless all five are forgotten.
        forgotten = (1 - LEAK) ** 5 / 2
        stranger = forgotten / (1 / 2 + forgotten)
        found = 1 / 2 - forgotten + forgotten * stranger + (1 - stranger) / 2
        coins = SetCoins(share=1.0)
        # Half of the sets are guessed in, and by luck some more or fewer are.
        uneven = (2 * np.pi * coins.count(splits)) ** -0.5
        return replace(table_bench(coins, found - uneven, splits), runs=24)
    if attack.needs is Access.LABEL:
        # In so many columns noise leaves the room of a record at once: it counts that a remembered one is always right.
        right = LEAK / 2 + (1 - LEAK / 2) / 2
        inside = (LEAK / 2 + (1 - LEAK) / 4) / right, (1 - LEAK) / 4 / (1 - right)
        found = inside[0] / 2 + (right - 1 / 2) * (1 - inside[0]) + (1 - right) * (1 - inside[1])
        bench = replace(bench, found=found)
    own = getattr(attack, "planted", None)
    # How much is remembered is luck too, so that a few runs say little; these take milliseconds.
    return bench if own is None else replace(bench, recipe=own(bench.inputs, 1.0), runs=24)


def pooled(attack: Attack, bench: Bench, recipe: Recipe, never: bool) -> Guesses:
    """Return right guesses over all runs; who knows how the models are made has reference models made like them."""
    total = Guesses(0, 0, 0, 2)
    side = Side(bench.splits.public, ShadowPool(recipe))
    for run in range(bench.runs):
        rng = np.random.default_rng([run, 8, never])
        draw = (bench.coins.never_saw if never else bench.coins.flip)(bench.splits, rng)
        threat = ThreatModel(Access.WEIGHTS, observes(attack)).narrowed(attack.needs)
        target = recipe.fit(draw.train, run)
        answer = attack.run(target.view(threat, side), draw.question, rng)
        asked = isinstance(draw.question, WhatWouldItAnswer)
        secret = target.model.labels(draw.question.records.x) if asked else draw.secret
        total = total + replace(guess(draw.match(answer), secret, bench.coins.share, rng), k=2)
    return total


def prove(code: str, attack: Attack) -> dict[str, object]:
    """Return one row; `green` only if all three hold."""
    started = time.process_time()
    bench = bench_of(attack)
    # A random share of the records, or of the classes' pictures, is remembered.
    planted = pooled(attack, bench, planted_recipe(attack, bench.inputs, False, LEAK), never=False)
    low, high = clopper_pearson(planted.right, planted.guesses, 0.99)
    null = pooled(attack, bench, bench.recipe, never=True)
    chance = float(binom.cdf(null.right, null.guesses, 0.5))
    figure = FIGURES[code]()
    if bench.found is None:
        measured, size = bool(binom.sf(planted.right - 1, planted.guesses, 0.5) < 1e-3), "any"
    else:
        measured, size = bool(low <= bench.found <= high), f"{bench.found:.2f}"
    return {
        "code": code,
        "title": attack.title,
        "planted": f"{planted.right / planted.guesses:.2f} [{low:.2f}, {high:.2f}] of {size}",
        "planted_ok": measured,
        "null": f"{null.right}/{null.guesses}",
        "null_ok": bool(0.001 < chance < 0.999),
        "figure": figure.text,
        "figure_ok": bool(figure.reached),
        "green": bool(measured and 0.001 < chance < 0.999 and figure.reached),
        "cpu_seconds": round(time.process_time() - started, 1),
    }


def kept() -> dict[str, dict[str, object]]:
    """Return all rows so far by code, of attacks that there still are."""
    rows = json.loads(FILE.read_text()) if FILE.exists() else []
    return {row["code"]: row for row in rows if row["code"] in all_attacks()}


def keep(row: dict[str, object]) -> None:
    """Write a row beside those that other runs wrote, without seconds: those differ from machine to machine."""
    code = str(row["code"])
    rows = kept() | {code: {name: value for name, value in row.items() if name != "cpu_seconds"}}
    FILE.write_text(json.dumps([rows[code] for code in sorted(rows)], indent=1) + "\n")


def main(codes: list[str]) -> int:
    known = all_attacks()
    print(f"{'':3}{'code':6}{'planted leak (99 %)':30}{'null':12}{'CPU s':>7}  verification")
    for code in codes or known:
        row = prove(code, known[code]())
        keep(row)
        mark = "ok " if row["green"] else "NO "
        print(f"{mark}{code:6}{row['planted']:30}{row['null']:12}{row['cpu_seconds']:7}  {row['figure']}", flush=True)
    return int(not all(row["green"] for row in kept().values()))


if __name__ == "__main__":
    warnings.filterwarnings("ignore", message="LOMIA found", category=UserWarning)
    sys.exit(main(sys.argv[1:]))
