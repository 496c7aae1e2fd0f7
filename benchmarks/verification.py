"""The verification figure of each method: what a right implementation must reach on real data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import attribute_coins
import membership_reference
import nets
import numpy as np

from safelight.attacks.base import Attack, attack_of
from safelight.attacks.inversion.network import InversionNetwork
from safelight.attacks.inversion.observation import Split
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


FIGURES: dict[str, Callable[[], Figure]] = {
    "A001": lambda: attribute("A001", 80),
    "A002": lambda: attribute("A002", 95),
    "A003": lambda: attribute("A003", 80),
    "A004": lambda: attribute("A004", 80),
    "M001": lambda: membership("M001 loss"),
    "M002": lambda: membership("M002 RMIA"),
    "M003": lambda: membership("M003 LiRA"),
    "M004": lambda: membership("M004 BaVarIA"),
    "M005": quantile,
    "V001": lambda: inversion("V001", {"softmax": 0.9, "mlp": 0.9}),
    "V002": lambda: inversion("V002", {"softmax": 0.9, "cnn": 0.85}),
    "V003": lambda: statistics_gain({"cnn_batchnorm": 0.8}),
    "V004": lambda: inversion("V004", {"softmax": 0.8}, queries=1000),
    "V005": lambda: inversion("V005", {"softmax": 0.6}, queries=1100),
    "V006": lambda: inversion("V006", {"softmax": 0.6}, queries=1100),
    "V007": lambda: network({"softmax": 0.85, "mlp": 0.9}),
}
