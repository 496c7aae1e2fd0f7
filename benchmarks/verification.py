"""The verification figure of each method: what a right implementation must reach on real data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import attribute_coins
import canary_coins
import forest_tables
import informed_adversary
import label_only
import linkage_adult
import loss_tail
import membership_reference
import nets
import neuron_coins
import numpy as np
import property_shares
import range_coins
import release_tables
import set_coins
import stealing
import stored_records
import truth_serum
from scipy.stats import binom, spearmanr

from safelight.attacks.base import Attack, attack_of
from safelight.attacks.inversion.network import InversionNetwork
from safelight.attacks.inversion.observation import Split
from safelight.controls.coins.records import RecordCoins
from safelight.controls.coins.sets import SetCoins
from safelight.controls.matcher import class_likeness, likeness, own_rank
from safelight.data.bundled import orl_faces
from safelight.data.records import Records
from safelight.data.splits import random_split
from safelight.evidence import WhatIsInside
from safelight.recipes.torch import TorchRecipe
from safelight.targets.base import Side, Target
from safelight.threat import Access, ThreatModel

TUNING = tuple(range(0, 40, 2))
"""People that settings were chosen on; figures come from the other half, who are the odd ones."""


@dataclass(frozen=True)
class Figure:
    """What was measured beside its goal."""

    text: str
    reached: bool


@cache
def people(seed: int) -> tuple[Records, Records, Records]:
    """Return training photos, held-out photos of the 20 reported people, and photos of the 20 others (public)."""
    faces = orl_faces()
    place = {person: number for number, person in enumerate([*range(1, 40, 2), *TUNING])}
    faces = faces.relabelled(np.array([place[int(person)] for person in faces.y]))
    members, held_out = random_split(faces.take(faces.y < 20), 0.7, np.random.default_rng([seed, 9]))
    return members, held_out, faces.take(faces.y >= 20)


@cache
def target(net: str, seed: int) -> Target:
    recipe: TorchRecipe = nets.recipes()[net]
    return recipe.fit(people(seed)[0], seed)


def rank1(attack: Attack, net: str, seed: int, queries: int | None) -> float:
    """Return the share of 20 rebuilt people whose own held-out photos are the most like the picture, by pixels."""
    _, held_out, public = people(seed)
    threat = ThreatModel(Access.WEIGHTS, queries=queries).narrowed(attack.needs)
    view = target(net, seed).view(threat, Side(public=public))
    answer = attack.run(view, WhatIsInside(np.arange(20)), np.random.default_rng(seed))
    return float((own_rank(class_likeness(answer.images, held_out.x, held_out.y, np.arange(20))) == 1).mean())


def inversion(code: str, goals: dict[str, float], queries: int | None = None, seeds: int = 5) -> Figure:
    """Held-out rank-1 among 20 people, mean over seeds, for each network with its goal."""
    cells, good = [], True
    for net, goal in goals.items():
        found = [
            rank1(attack_of(code)(), net, seed, None if queries is None else 20 * queries) for seed in range(seeds)
        ]
        cells.append(f"{net} {np.mean(found):.2f} [{min(found):.2f}, {max(found):.2f}] (>= {goal:.2f})")
        good &= bool(np.mean(found) >= goal)
    budget = f", {queries} queries a person" if queries else ""
    return Figure(f"ORL held-out rank-1 of 20{budget}: {', '.join(cells)}", good)


def statistics_gain(goals: dict[str, float], seeds: int = 5) -> Figure:
    """V003 beside V001, which has no statistics, on the same networks."""
    figure = inversion("V003", goals, seeds=seeds)
    means = {net: np.mean([rank1(attack_of("V001")(), net, seed, None) for seed in range(seeds)]) for net in goals}
    without = ", ".join(f"{net} {mean:.2f}" for net, mean in means.items())
    return Figure(f"{figure.text}; V001 {without}", figure.reached)


def rebuilt(net: str, seed: int, top_k: int | None = None, part: str | None = None) -> tuple[float, float]:
    """Rebuild the held-out photos from their scores, or from what `part` of the network puts out for them.

    Returns the share of pictures most like their own photo among all 60, and the share most like their own person
    among 20 by the person's other photos (chance: 1/60 and 1/20).
    """
    _, held_out, public = people(seed)
    view = target(net, seed).view(ThreatModel(Access.SCORES, top_k=top_k), Side(public=public))
    observe = None if part is None else Split(target(net, seed).model.net, part)  # type: ignore[attr-defined]
    seen = target(net, seed).view(view.threat).scores(held_out.x) if observe is None else observe(held_out.x)
    pictures = InversionNetwork().rebuild(view, seen, np.random.default_rng(seed), observe)
    alike = likeness(pictures, held_out.x, held_out.x.mean(axis=0))
    photo = own_rank(alike) == 1
    own = np.equal.outer(held_out.y, np.arange(20)).astype(float)
    np.fill_diagonal(alike, 0)
    person = (alike @ own / (own.sum(axis=0) - own)).argmax(axis=1) == held_out.y
    return float(photo.mean()), float(person.mean())


def network(pictures: dict[str, float], seeds: int = 5) -> Figure:
    """Class pictures, and the pictures of queries: own photo of 60 with its goal, own person of 20."""
    figure, cells = inversion("V007", pictures, seeds=seeds), []
    good = figure.reached
    for name, net, top_k, part, goal in REBUILT:
        photo, person = np.mean([rebuilt(net, seed, top_k, part) for seed in range(seeds)], axis=0)
        cells.append(f"{name} {photo:.2f} (>= {goal:.2f}) and {person:.2f}")
        good &= bool(photo >= goal)
    return Figure(f"{figure.text}; queries rebuilt, own photo of 60 and own person of 20: {', '.join(cells)}", good)


REBUILT = (
    ("softmax full scores", "softmax", None, None, 0.8),
    ("softmax top-3", "softmax", 3, None, 0.3),
    ("mlp full scores", "mlp", None, None, 0.7),
    ("mlp top-3", "mlp", 3, None, 0.3),
    ("cnn second pooling", "cnn", None, "6", 0.95),
    ("cnn dense layer", "cnn", None, "9", 0.7),
)


@cache
def coins(model: str, seeds: int) -> dict[str, float]:
    rows = [attribute_coins.trial(model, seed) for seed in range(seeds)]
    return {code: float(np.mean([row[code] for row in rows])) for code in rows[0]}


def attribute(code: str, least: float, seeds: int = 5) -> Figure:
    """Right guesses of 100 on a default forest of the survey, and on a depth-4 tree, which memorises nothing."""
    forest, tree = coins("default forest", seeds)[code], coins("depth-4 tree", seeds)[code]
    text = f"survey forest {forest:.0f}/100 (>= {least:.0f}), depth-4 tree {tree:.0f}/100 (44 to 58)"
    return Figure(text, forest >= least and 44 <= tree <= 58)


def membership(name: str) -> Figure:
    """AUC on digits and breast cancer at the reference setting of `membership_reference`, each within 0.02."""
    cells, good = [], True
    for setting in membership_reference.SETTINGS:
        found, goal = membership_results(setting.name)[name][0], setting.expected[name]
        cells.append(f"{setting.name} {found:.3f} ({goal:.3f} ± .02)")
        good &= abs(found - goal) <= 0.02
    return Figure(f"AUC {', '.join(cells)}", good)


def quantile(targets: int = 32) -> Figure:
    """M005 beside the loss alone on the same targets; paired, so that the interval is about the difference."""
    rows = {item.name: membership_reference.quantile(item, 0, targets) for item in membership_reference.SETTINGS}
    gain = rows["digits"][:, 1] - rows["digits"][:, 0]
    half = 2.04 * gain.std(ddof=1) / targets**0.5
    alarms = float(rows["digits"][:, 2].mean())
    cells = ", ".join(f"{name} {row[:, 1].mean():.3f} (loss {row[:, 0].mean():.3f})" for name, row in rows.items())
    text = (
        f"AUC {cells}; digits gain {gain.mean():+.3f} ± {half:.3f} (> 0), above its 95 % quantile {alarms:.1%} (2-8 %)"
    )
    return Figure(text, bool(gain.mean() > half and 0.02 <= alarms <= 0.08))


@cache
def membership_results(name: str) -> dict[str, tuple[float, ...]]:
    setting = next(item for item in membership_reference.SETTINGS if item.name == name)
    return membership_reference.run(setting, seed=0)


def population() -> Figure:
    """M007 beside the loss alone on the same 32 targets: never worse, and its false-alarm rate is what it says."""
    cells, good = [], True
    for setting in membership_reference.SETTINGS:
        rows = membership_reference.population(setting, 0, 32)
        gain = rows[:, 1] - rows[:, 0]
        half, alarms = 2.04 * gain.std(ddof=1) / 32**0.5, float(rows[:, 2].mean())
        cells.append(f"{setting.name} {gain.mean():+.4f} ± {half:.4f} (>= -.002), above its 95 % {alarms:.1%} (4-6 %)")
        good &= bool(gain.mean() >= -0.002 and 0.04 <= alarms <= 0.06)
    return Figure(f"AUC beyond the loss: {', '.join(cells)}", good)


def tail() -> Figure:
    """M011 over six settings from hardly trained to learnt by heart, beside LiRA."""
    table = loss_tail.run()
    order = float(spearmanr(*table.T).statistic)
    steps = ", ".join(f"{a:.3f}/{b:.3f}" for a, b in table)
    return Figure(
        f"digits, TNR of the loss / TPR of LiRA at 1 %: {steps}; rank correlation {order:.2f} (>= .90)", order >= 0.9
    )


def labels_only(seeds: int = 6) -> Figure:
    """M006 on digits: both ways of feeling out room, beside the gap and the scores; paired over seeds."""
    rows = np.array([label_only.run(seed) for seed in range(seeds)])
    loss, gap = rows.mean(axis=0)[:2]
    half = 2.57 * (rows[:, 2:] - rows[:, 1:2]).std(axis=0, ddof=1) / seeds**0.5
    gains = ", ".join(f"{name} {rows[:, i].mean():.3f} (gap + {rows[:, i].mean() - gap:.3f} ± {half[i - 2]:.3f}, > 0)"
                      for i, name in ((2, "noise"), (3, "boundary")))  # fmt: skip
    good = bool((rows[:, 2:].mean(axis=0) - gap > half).all())
    return Figure(f"digits MLP, {seeds} seeds: AUC {gains}; gap {gap:.3f}, with scores {loss:.3f}", good)


def worst_case() -> Figure:
    """M008 on canaries beside M004 on ordinary records, on the same recipes: the worst case has to stand out."""
    cells, good = [], True
    for model, ahead in {"forest": 0.1, "logistic": 0.1, "MLP": 0.25}.items():
        records, canaries, _ = canary_coins.pair(model)
        share, usual = canaries.right / canaries.guesses, records.right / records.guesses
        cells.append(f"{model} {share:.2f} (records {usual:.2f} + {ahead:.2f})")
        good &= share >= usual + ahead
    return Figure(f"right guesses about canaries, breast cancer: {', '.join(cells)}", good)


def poisoned() -> Figure:
    """K001: the same records, asked of models whose training data hold no, few and many copies with a wrong label."""
    cells, good = [], True
    for model, runs in {"digits network": 5, "cancer forest": 10}.items():
        found = [truth_serum.trial(model, copies, runs)[0] for copies in truth_serum.COPIES]
        shares = [guesses.right / guesses.guesses for guesses in found]
        cells.append(f"{model} {', '.join(f'{share:.2f}' for share in shares)}")
        good &= min(shares[1:]) >= shares[0] + 0.2
    copies = ", ".join(map(str, truth_serum.COPIES))
    return Figure(f"right guesses with {copies} copies: {'; '.join(cells)} (with copies + 0.20)", good)


def shares() -> Figure:
    """P001: found where the column is not read and the label goes with it, not where it is shuffled."""
    cells, good = [], True
    for model in property_shares.MODELS:
        told, null = property_shares.trial(model, reads=False), property_shares.trial(model, reads=False, shuffled=True)
        # The small network reads the share off less surely: there it only has to be told at all.
        goal = binom.isf(0.001, told.guesses, 0.5) if model == "MLP" else 0.8 * told.guesses
        cells.append(f"{model} {told.right}/{told.guesses} (>= {goal:.0f}), shuffled {null.right}/{null.guesses}")
        good &= bool(told.right >= goal and 0.001 < binom.cdf(null.right, null.guesses, 0.5) < 0.999)
    return Figure(f"30 or 50 % of the women, affairs survey: {'; '.join(cells)}", good)


def informed() -> Figure:
    """A005: exact at the minimum of the loss; scikit-learn's default tolerance stops far from it."""
    tight, scaler, loose = (
        float(np.median(informed_adversary.errors(model)[0]))
        for model in ("newton-cholesky, tol 1e-8", "scaler in the pipeline, tol 1e-4", "lbfgs, tol 1e-4 (default)")
    )
    text = (
        f"breast cancer, worst column of the median record, in deviations: tol 1e-8 {tight:.0e} (< 1e-06), default "
        f"tol {loose:.1f} (> 1), default tol behind a scaler {scaler:.0e} (< 1e-06)"
    )
    return Figure(text, tight < 1e-6 and scaler < 1e-6 and loose > 1)


def stored(seeds: int = 5) -> Figure:
    """D001: all records that a model keeps, no other, and a forest refused."""
    cells, good = [], bool(stored_records.refused(stored_records.OTHERS["forest"]))
    for name, model in stored_records.KEEP.items():
        trials = [stored_records.trial(model, seed) for seed in range(seeds)]
        kept, found, more, outside = (int(count) for count in np.sum(trials, axis=0))
        cells.append(f"{name} {found}/{kept}")
        good &= found == kept and not more and not outside
    text = f"breast cancer, kept records found, and 0 others (all, 0): {', '.join(cells)}; a forest keeps none"
    return Figure(text, good)


def release(*kinds: str, shuffled: dict[str, float]) -> Figure:
    """Risks of a copied and of a shuffled table: 1 and, but for what single values tell, 0."""
    members, others = release_tables.patients()
    tables = release_tables.releases(members)
    cells, good = [], True
    for name, wanted in (("copied", dict.fromkeys(kinds, 1.0)), ("shuffled", shuffled)):
        found = release_tables.risks(tables[name], members, others)
        for kind, goal in wanted.items():
            value, low = found[kind].value or 0.0, found[kind].low or 0.0
            good &= bool(value >= 0.97 if goal else value <= 0.05 and low == 0)
            cells.append(f"{name}, {kind} {value:.3f} ({'>= .97' if goal else '<= .05, from 0'})")
    return Figure(f"285 breast-cancer patients, risk: {'; '.join(cells)}", good)


def density_ratio() -> Figure:
    """L005 beside the same ratio with Gaussian kernels of one width, on overfitted synthetic tables."""
    cells, good = [], True
    for name, synthesise in (("mixture of 30", release_tables.mixture), ("blends", release_tables.blends)):
        ours, plain = release_tables.membership(synthesise)
        good &= ours >= plain
        cells.append(f"{name} {ours:.3f} (>= {plain:.3f}, one width)")
    return Figure(f"190 breast-cancer patients synthesised, AUC, mean of 10: {', '.join(cells)}", good)


def who_is_who() -> Figure:
    """L004 on Adult beside what equal values and the nearest row find, and on a release with its columns shuffled."""
    found = linkage_adult.results()
    means = {noise: rows.mean() for noise, rows in found.items()}
    gain = found[0.2]["L004"] - found[0.2]["Gower"]
    half = 2.78 * gain.std(ddof=1) / len(gain) ** 0.5
    cells = [
        f"noise {noise:.0%} {row['L004']:.3f} (equal values {row['equal values']:.3f}, Gower {row['Gower']:.3f})"
        for noise, row in means.items()
    ]
    none, best = means[0.0]["columns shuffled"], means[0.0]["equal values"]
    good = abs(means[0.0]["L004"] - best) <= 0.02 and gain.mean() > half and none <= 0.005
    good &= bool(means[0.05]["L004"] >= means[0.05]["Gower"])
    text = (
        f"1,000 of 2,000 people of Adult linked, mean of 5 draws: {', '.join(cells)}; without noise equal values ± .02,"
        f" with 20 % {gain.mean():+.3f} ± {half:.3f} over Gower (> 0), columns shuffled {none:.3f} (<= .005)"
    )
    return Figure(text, bool(good))


def peaks(seeds: int = 8) -> Figure:
    """A007 beside A002, which has the scores alone, on the same networks; and on one that learns nothing by heart."""
    cells, good = [], True
    for model, least, more in (("MLP(64)", 82, 0), ("MLP(64) on one-hot columns", 84, 5)):
        rows = [neuron_coins.trial(model, seed) for seed in range(seeds)]
        mine, scores = (float(np.mean([row[code] for row in rows])) for code in ("A007", "A002"))
        cells.append(f"{model} {mine:.0f}/100 (>= {least}), {mine - scores:+.0f} on A002 (> {more})")
        good &= mine >= least and mine - scores > more
    small = float(np.mean([neuron_coins.trial("MLP(4), 30 epochs", seed)["A007"] for seed in range(seeds)]))
    return Figure(f"survey {', '.join(cells)}, MLP(4) {small:.0f}/100 (44 to 58)", good and 44 <= small <= 58)


def sets() -> Figure:
    """M009 on sets of ten digits beside M004 on single ones, logistic regression, five runs."""
    one, ten = set_coins.run("M004", RecordCoins()), set_coins.run("M009", SetCoins())
    share, usual = ten.right / ten.guesses, one.right / one.guesses
    text = f"right guesses about sets of 10 digits {share:.2f} of {ten.guesses} (single ones {usual:.2f} + .10)"
    return Figure(text, share >= usual + 0.1)


def ranges() -> Figure:
    """M010 beside the same score of the moved copy alone; paired over targets that nothing was chosen on."""
    mine, alone = range_coins.run().T
    gain = mine - alone
    half = 2.13 * gain.std(ddof=1) / len(gain) ** 0.5
    text = (
        f"digits network, copies moved by a pixel, {len(gain)} seeds: AUC {mine.mean():.3f} (copy alone "
        f"{alone.mean():.3f}), gain {gain.mean():+.3f} ± {half:.3f} (> 0), above 0 in {(gain > 0).sum()}"
    )
    return Figure(text, bool(gain.mean() > half))


def forest_table(seeds: int = 3) -> Figure:
    """A006: wrong cells of whole rebuilt tables, and the coins of a default forest beside A004."""
    chance = float(np.mean([forest_tables.errors("single tree", seed)[1] for seed in range(seeds)]))
    goals = {"default forest": 0.01, "bootstrap=False": 0.05, forest_tables.WITHOUT_SEEDS: 0.65 * chance}
    cells, good = [], True
    for name, goal in goals.items():
        wrong = float(np.mean([forest_tables.errors(name, seed)[0] for seed in range(seeds)]))
        cells.append(f"{name} {wrong:.3f} (<= {goal:.2f})")
        good &= wrong <= goal
    counts, table = np.mean([forest_tables.coins("default forest", seed) for seed in range(seeds)], axis=0)
    text = (
        f"breast cancer, 100 patients, wrong cells: {', '.join(cells)}, by chance {chance:.2f}; default forest, right "
        f"of 25 coins {table:.1f} (> A004 {counts:.1f})"
    )
    return Figure(text, good and bool(table > counts))


def linear_models() -> Figure:
    """S001: as many queries as unknowns and ten to check give every score of a logistic regression."""
    cells, good = [], True
    for name, (sizes, estimator) in stealing.LINEAR.items():
        least, sent, same, off = (np.array(each) for each in zip(*stealing.linear(name, sizes, estimator)))
        # The model of the pictures answers in single precision.
        digits = 1e-6 if name == "breast cancer" else 1e-5
        cells.append(f"{name} {sent.max()} queries (<= {least[0]}), fidelity {same.min():.3f} (>= 0.99), "
                     f"scores off by {off.max():.0e} (< {digits:.0e})")  # fmt: skip
        good &= bool((sent <= least).all() and same.min() >= 0.99 and off.max() < digits)
    return Figure(f"logistic regression, worst of {len(stealing.SEEDS)} seeds: {'; '.join(cells)}", good)


def trees() -> Figure:
    """S002: every seed near enough to the tree, by at most 250 queries a leaf on the mean."""
    cells, good = [], True
    for name in stealing.TREES:
        leaves, sent, same, exact = stealing.tree(name).T
        each = (sent / leaves).mean()
        cells.append(f"{name} fidelity {same.min():.3f} (>= 0.95), same leaf {exact.mean():.3f}, "
                     f"{each:.0f} queries for each of {leaves.mean():.0f} leaves (<= 250)")  # fmt: skip
        good &= bool(same.min() >= 0.95 and each <= 250)
    return Figure(f"decision trees, {len(stealing.SEEDS)} seeds: {'; '.join(cells)}", good)


def copies(attack: Attack) -> Figure:
    """S003 and S004 on models that are neither linear nor trees, beside a copy that asks nothing; paired over seeds."""
    cells, gains = [], []
    for name in stealing.OTHERS:
        rows = stealing.copied(attack, name)
        gains.append(rows[:, -1] - rows[:, 0])
        alone, *asked = (f"{mean:.3f}" for mean in rows.mean(axis=0))
        cells.append(f"{name} {' / '.join(asked)} ± {rows[:, -1].std(ddof=1):.3f} ({alone} without asking)")
    gain = np.concatenate(gains)
    half = 2.09 * gain.std(ddof=1) / len(gain) ** 0.5
    text = f"fidelity at {' / '.join(map(str, stealing.MARKS))} queries: {', '.join(cells)}"
    return Figure(f"{text}; gain {gain.mean():.3f} ± {half:.3f} (> 0)", bool(gain.mean() > half))


FIGURES: dict[str, Callable[[], Figure]] = {
    "A001": lambda: attribute("A001", 80),
    "A002": lambda: attribute("A002", 95),
    "A003": lambda: attribute("A003", 80),
    "A004": lambda: attribute("A004", 80),
    "A005": informed,
    "A006": forest_table,
    "A007": peaks,
    "D001": stored,
    "K001": poisoned,
    "L001": lambda: release("one value", "several values", shuffled={"one value": 1.0, "several values": 0.0}),
    "L002": lambda: release("link", shuffled={"link": 0.0}),
    "L003": lambda: release("inference", shuffled={"inference": 0.0}),
    "L004": who_is_who,
    "L005": density_ratio,
    "M001": lambda: membership("M001 loss"),
    "M002": lambda: membership("M002 RMIA"),
    "M003": lambda: membership("M003 LiRA"),
    "M004": lambda: membership("M004 BaVarIA"),
    "M005": quantile,
    "M006": labels_only,
    "M007": population,
    "M008": worst_case,
    "M009": sets,
    "M010": ranges,
    "M011": tail,
    "P001": shares,
    "S001": linear_models,
    "S002": trees,
    "S003": lambda: copies(stealing.Knockoff()),
    "S004": lambda: copies(stealing.LabelOnlyStealing()),
    "V001": lambda: inversion("V001", {"softmax": 0.9, "mlp": 0.9}),
    "V002": lambda: inversion("V002", {"softmax": 0.9, "cnn": 0.85}),
    "V003": lambda: statistics_gain({"cnn_batchnorm": 0.8}),
    "V004": lambda: inversion("V004", {"softmax": 0.8}, queries=1000),
    "V005": lambda: inversion("V005", {"softmax": 0.6}, queries=1100),
    "V006": lambda: inversion("V006", {"softmax": 0.6}, queries=1100),
    "V007": lambda: network({"softmax": 0.85, "mlp": 0.9}),
}
