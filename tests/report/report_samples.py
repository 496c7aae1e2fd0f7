"""Reports as an audit would fill them: a leak in faces, a leak in a table, and every other ending."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.stats import beta, binom

from safelight.attacks.disclosure.observation import Observation
from safelight.data.gate import GateResult
from safelight.evidence import Role
from safelight.measures.base import Measurement
from safelight.report.model import AtRisk, Curve, Likeness, Pictures, Report, Roc, Rung, Skipped
from safelight.threat import Access, Knows, ThreatModel
from safelight.verdict.finding import Finding, Status, Verdict

SCORES = ThreatModel(Access.SCORES, queries=2000)
WEIGHTS = ThreatModel(Access.WEIGHTS)
POLICY = {"fail_on": "leak", "alpha": 0.01, "tolerate": 0.0, "look_for": 0.75}


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def coins(right: int, guesses: int, k: int = 2, secrets: int | None = None) -> tuple[Measurement, ...]:
    low = float(beta.ppf(0.025, right, guesses - right + 1)) if right else 0.0
    high = float(beta.ppf(0.975, right + 1, guesses - right)) if right < guesses else 1.0
    numbers = [
        Measurement("coins_correct", right),
        Measurement("coins", secrets or guesses),
        Measurement("success", right / guesses, low, high, None, 1 / k),
        Measurement("success_detectable", 0.66),
    ]
    return (*numbers, Measurement("guesses", guesses)) if secrets else tuple(numbers)


def p_of(right: int, guesses: int, k: int = 2) -> float:
    return float(binom.sf(right - 1, guesses, 1 / k))


def finding(**changes: object) -> Finding:
    plain = Finding(
        code="A002",
        title="confidence-based attribute",
        target="forest.joblib",
        status=Status.LEAK,
        reason="right on 98 of 100 secrets, where luck gives 50.",
        claim="attribute",
        about="recipe",
        unit="attribute",
        adjacency="replace",
        runs=1,
        threat=SCORES,
        measured=(
            *coins(98, 100, secrets=300),
            Measurement("mu", 1.02, 1.02),
            Measurement("mu_ceiling", 1.21),
            Measurement("epsilon", 2.1, 2.1),
        ),
        p=p_of(98, 100),
        source="Mehnaz et al. 2022, arXiv:2201.09370, section 4.1",
        seed=0,
        evidence={Role.COINS: sha("coins"), Role.TARGET: sha("target")},
        who="anyone who gets class scores and knows the other answers of a record",
        remedy="grow smaller trees (min_samples_leaf of 5 or more), or round the scores that are given out",
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def silent(**changes: object) -> Finding:
    return finding(
        **{
            "code": "A003",
            "title": "label-only attribute",
            "status": Status.NONE,
            "reason": "right on 54 of 100 secrets, where luck gives 50; an attack right on 75% would have been seen.",
            "measured": (*coins(54, 100, secrets=300), Measurement("mu", 0.0, 0.0)),
            "p": p_of(54, 100),
            **changes,
        }
    )


def unclear(**changes: object) -> Finding:
    return finding(
        **{
            "code": "V004",
            "title": "score-only search",
            "status": Status.UNCLEAR,
            "reason": "right on 14 of 20 secrets, where luck gives 10; 57 guesses (3 runs) would settle it; it had 20.",
            "claim": "person",
            "unit": "person",
            "runs": 1,
            "measured": coins(14, 20),
            "p": p_of(14, 20),
            **changes,
        }
    )


def not_run(**changes: object) -> Finding:
    return finding(
        **{
            "code": "A004",
            "title": "tree confidence",
            "status": Status.NOT_RUN,
            "reason": "it needs the weights and this attacker sees scores",
            "measured": (),
            "p": None,
            "evidence": {},
            **changes,
        }
    )


def membership(**changes: object) -> Finding:
    return finding(
        **{
            "code": "M001",
            "title": "loss threshold",
            "claim": "membership",
            "about": "model",
            "unit": "record",
            "adjacency": "add-remove",
            "runs": 0,
            "reason": "members told from nonmembers with AUC 0.72 (luck: 0.50), recognised 19.0% at 1.0% false alarms.",
            "measured": (
                Measurement("auc", 0.724, 0.68, 0.768, None, 0.5),
                Measurement("tpr_at_fpr_0.01", 0.19, 0.15, 0.23, 1 / 171, 0.01),
            ),
            "p": 3e-9,
            "source": "Yeom et al. 2018, arXiv:1709.01604, section 3.1",
            "who": "anyone who gets class scores and knows a record's label",
            "remedy": "regularise, stop earlier, or train with DP-SGD",
            **changes,
        }
    )


def _roc() -> Roc:
    fpr = np.linspace(0, 1, 172)
    tpr = np.clip(fpr**0.35, 0, 1)
    return Roc(
        "M001",
        tuple(fpr),
        tuple(tpr),
        tuple(np.clip(tpr - 0.05, 0, 1)),
        tuple(np.clip(tpr + 0.05, 0, 1)),
        1 / 171,
        398,
        171,
    )


def table_leak() -> Report:
    """A forest on a sensitive survey."""
    return Report(
        verdict=Verdict.LEAK,
        findings=(finding(), membership(), silent(), not_run()),
        target="forest.joblib",
        description="RandomForestClassifier",
        kind="table",
        counts={"members": 3183, "nonmembers": 3183, "public": 0, "classes": 5},
        threat=SCORES,
        policy=POLICY,
        claims=4,
        seed=0,
        ladder=(
            Rung("never saw", "A002", 51, 100, 2, 0.46, True),
            Rung("coins redrawn", "A002", 49, 100, 2, 0.62, True),
            Rung("never saw", "M001", 0, 0, 2, 0.31, True),
            Rung("untrained", "A002", 0, 0, 2, None, None, "a forest has no untrained weights"),
            Rung("planted", "A002", 100, 100, 2, 1e-30, True),
        ),
        gate=GateResult(0.507, 0.31, 0.54, True, "nothing tells the groups apart"),
        curves=(Curve("A002", (1, 2, 5, 10, 20), (70, 81, 92, 96, 98), 100, 2),),
        rocs=(_roc(),),
        at_risk=tuple(
            AtRisk(f"row-{number}", "M001", 9.0 - number / 3, 0.001 * number, 0.001 * number + 0.001)
            for number in range(1, 26)
        ),
        likeness=Likeness(0.71, 0.8, (0.70, 0.71, 0.72), (0.79, 0.81, 0.82), True),
        skipped=(Skipped("V001", "gradient inversion", "it rebuilds pictures and this target takes a table"),),
        structure=(
            Observation("stored_records", 0.0, 0.0, False, "No training record lies in the file itself."),
            Observation("small_leaves", 0.7, 0.0, True, "700 of the 1,000 leaves hold fewer than 10 training records."),
            Observation("not_looked_into", None, None, None, "What <Ours> holds was not looked into."),
        ),
        rows={
            "A002": {
                "members": (
                    Measurement("g_mean", 0.91, 0.88, 0.94),
                    Measurement("mcc", 0.82, 0.78, 0.86),
                    Measurement("auc", 0.97, 0.95, 0.98),
                ),
                "nonmembers": (
                    Measurement("g_mean", 0.55, 0.51, 0.59),
                    Measurement("mcc", 0.11, 0.07, 0.15),
                    Measurement("auc", 0.58, 0.54, 0.62),
                ),
                "imputation": (
                    Measurement("g_mean", 0.60, 0.57, 0.63),
                    Measurement("mcc", 0.22, 0.18, 0.26),
                    Measurement("auc", 0.66, 0.63, 0.69),
                ),
            }
        },
        earlier=2,
        versions={"safelight": "0.1.0", "python": "3.11.7", "numpy": "2.4.6", "scikit-learn": "1.9.0"},
        hashes={"model": sha("model"), "members": sha("members"), "evidence/A002-coins-0.npz": sha("coins")},
        settings={"A002": {"guesses": 100, "margin": 0.0}, "M001": {"smallest": 1e-12}},
    )


def _faces(people: int, rng: np.random.Generator) -> np.ndarray:
    """Drawn heads, each with its own shape, eyes, mouth and hair: (people, 1, 56, 46) in [0, 1]."""
    down, across = np.mgrid[-1:1:56j, -1:1:46j]
    made = []
    for _ in range(people):
        wide, tall, hair, eyes, mouth = rng.uniform((0.55, 0.75, -0.75, 0.22, 0.1), (0.8, 0.95, -0.3, 0.38, 0.4))
        face = 0.25 + 0.5 * ((across / wide) ** 2 + (down / tall) ** 2 < 1)
        face = np.where((down < hair) & (face > 0.5), rng.uniform(0.1, 0.5), face)
        for side in (-eyes, eyes):
            face -= 0.5 * (((across - side) / 0.13) ** 2 + ((down + 0.12) / 0.07) ** 2 < 1)
        face -= 0.4 * ((across / mouth) ** 2 + ((down - 0.5) / 0.05) ** 2 < 1)
        face -= 0.25 * ((np.abs(across) < 0.05) & (np.abs(down - 0.15) < rng.uniform(0.1, 0.2)))
        made.append(gaussian_filter(face + 0.1 * across * rng.normal(), 0.8))
    return np.clip(np.array(made), 0, 1)[:, None].astype(np.float32)


def pictures(people: int = 20, nearest: bool = False) -> Pictures:
    rng = np.random.default_rng(0)
    true = _faces(people, rng)
    noise = rng.normal(size=(2, *true.shape))
    rebuilt = np.clip(0.75 * gaussian_filter(true, (0, 0, 1.2, 1.2)) + 0.1 + 0.06 * noise[0], 0, 1)
    control = np.clip(true.mean(0) + 0.05 * gaussian_filter(noise[1], (0, 0, 2, 2)) * 4, 0, 1)
    names = tuple(f"person {number}" for number in range(people))
    return Pictures(
        "V002",
        names,
        rebuilt.astype(np.float32),
        control.astype(np.float32),
        true if nearest else None,
        0.0,
        1.0,
        np.arange(people) % 5 < 2,
    )


def faces_leak(nearest: bool = True) -> Report:
    """A face classifier whose weights the attacker holds."""
    person = finding(
        code="V002",
        title="latent inversion",
        target="faces.safetensors",
        claim="person",
        unit="person",
        adjacency="replace",
        runs=3,
        threat=WEIGHTS,
        reason="right on 58 of 60 secrets, where luck gives 30.",
        measured=(
            *coins(58, 60),
            Measurement("mu", 1.31, 1.31),
            Measurement("mu_ceiling", 1.63),
            Measurement("rank1", 0.40, 0.28, 0.53, 0.15, 0.05),
            Measurement("rank1_prior", 0.06),
            Measurement("rank1_start", 0.05),
            Measurement("leak_z", 2.4, 1.9, 2.9),
        ),
        p=p_of(58, 60),
        source="Struppek et al. 2022, arXiv:2201.12179, section 3",
        who="anyone who holds the model file",
        remedy="keep the weights private, or train with differential privacy",
    )
    pixels = replace(
        person,
        code="V001",
        title="gradient inversion",
        measured=(*coins(57, 60), Measurement("mu", 1.22, 1.22), Measurement("rank1", 0.07, 0.02, 0.16, 0.15, 0.05)),
        p=p_of(57, 60),
        reason="right on 57 of 60 secrets, where luck gives 30.",
    )
    search = replace(unclear(), target="faces.safetensors", threat=SCORES)
    prior = silent(
        code="V003",
        title="batch statistics",
        target="faces.safetensors",
        claim="prior",
        unit="class",
        measured=(Measurement("rank1", 0.05, 0.01, 0.13, 0.15, 0.05),),
        reason="its pictures are no nearer than those of models that never saw the people",
        p=0.6,
    )
    return Report(
        verdict=Verdict.LEAK,
        findings=(
            person,
            pixels,
            search,
            prior,
            not_run(code="V007", title="inversion network", reason="left to --deep"),
        ),
        target="faces.safetensors",
        description="small CNN, 40 classes",
        kind="images",
        counts={"members": 280, "nonmembers": 120, "public": 200, "classes": 40},
        threat=ThreatModel(Access.WEIGHTS, queries=2000, knows=frozenset({Knows.PUBLIC, Knows.RECIPE})),
        policy=POLICY,
        claims=5,
        seed=0,
        ladder=(
            Rung("never saw", "V002", 28, 60, 2, 0.74, True),
            Rung("untrained", "V002", 31, 60, 2, 0.45, True),
            Rung("labels permuted", "V002", 30, 60, 2, 0.55, True),
            Rung("coins redrawn", "V002", 33, 60, 2, 0.26, True),
            Rung("planted", "V002", 60, 60, 2, 1e-18, True),
        ),
        gate=GateResult(0.52, 0.2, 0.61, True, "nothing tells the groups apart"),
        curves=(
            Curve("V004", (1, 3, 10, 30, 100, 300), (9, 10, 11, 12, 14, 14), 20, 2),
            Curve("V002", (1, 5, 10, 25, 50, 100), (31, 40, 49, 55, 57, 58), 60, 2),
        ),
        pictures=(pictures(nearest=nearest),),
        likeness=Likeness(0.925, 0.31, (0.89, 0.91, 0.90), (0.35, 0.33, 0.36), False),
        skipped=(Skipped("M002", "reference-model ratio", "fewer than 20 units for coins"),),
        versions={"safelight": "0.1.0", "python": "3.11.7", "torch": "2.13.0"},
        hashes={"model": sha("faces")},
        settings={"V002": {"steps": 200, "prior": "pca"}, "V001": {"steps": 300, "rate": 0.1}},
        show_records=nearest,
    )


def no_leak() -> Report:
    return replace(
        table_leak(),
        verdict=Verdict.NONE,
        findings=(silent(), silent(code="A002", title="confidence-based attribute")),
        rows={},
        rocs=(),
        curves=(Curve("A003", (1, 5, 20), (52, 50, 54), 100, 2),),
        at_risk=(),
        skipped=(),
        earlier=0,
    )


def is_unclear() -> Report:
    return replace(
        faces_leak(), verdict=Verdict.UNCLEAR, findings=(unclear(), silent()), pictures=(), curves=(), skipped=()
    )


def broken() -> Report:
    reason = "the attack was right on 88 of 100 secrets of a model that never saw them"
    failed = Rung("never saw", "A002", 88, 100, 2, 1e-15, False, "records are shared between the groups")
    return replace(table_leak(), verdict=Verdict.BROKEN, broken=reason, ladder=(failed, *table_leak().ladder[1:]))


def incomplete() -> Report:
    return replace(
        table_leak(),
        verdict=Verdict.INCOMPLETE,
        findings=(silent(), not_run(reason="the target stopped answering after 1,200 queries")),
        incomplete="the target stopped answering after 1,200 queries",
        rows={},
        rocs=(),
        at_risk=(),
    )


def nothing_run() -> Report:
    return replace(
        table_leak(),
        verdict=Verdict.INCOMPLETE,
        findings=(not_run(), not_run(code="A002", title="confidence-based attribute", reason="no recipe was given")),
        ladder=(),
        gate=None,
        curves=(),
        rocs=(),
        at_risk=(),
        rows={},
        likeness=None,
        hashes={},
        settings={},
    )


ALL = {
    "table": table_leak,
    "faces": faces_leak,
    "none": no_leak,
    "unclear": is_unclear,
    "broken": broken,
    "incomplete": incomplete,
    "nothing": nothing_run,
}
