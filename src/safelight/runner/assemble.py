"""From outcomes to the report: correct for the family, decide, and gather what the pages show."""

from __future__ import annotations

import hashlib
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version

import numpy as np

from safelight.attacks.base import settings
from safelight.attacks.disclosure.structure import check_structure
from safelight.data.gate import GateResult
from safelight.data.records import Records
from safelight.docstrings import paragraph
from safelight.evidence import Role
from safelight.measures.base import Measurement
from safelight.measures.roc import roc_points
from safelight.report.model import AtRisk, Curve, Growth, Likeness, Pictures, Report, Roc, Rung
from safelight.runner.coin_runs import Pool
from safelight.runner.given import Given
from safelight.runner.kinds.asked import asked, scores_of
from safelight.runner.kinds.attribute import Attribute
from safelight.runner.kinds.base import Claim
from safelight.runner.kinds.inside import Recognised, control_pictures, pictures_of, recognised
from safelight.runner.kinds.membership import Membership
from safelight.runner.plan import Plan
from safelight.runner.session import Session
from safelight.targets.base import Images
from safelight.threat import Knows
from safelight.verdict.finding import Finding, Status
from safelight.verdict.levels import decide, holm, rungs_hold, verdict_of
from safelight.verdict.outcome import Outcome, of_coin_groups
from safelight.verdict.reasons import reason


@dataclass
class Judged:
    """One claim on its way to a finding."""

    claim: Claim
    why_not: str = ""
    outcome: Outcome | None = None
    pool: Pool = field(default_factory=Pool)

    def coins(self, outcome: Outcome, pool: Pool) -> None:
        self.outcome, self.pool = outcome, pool


def assemble(
    session: Session, plan: Plan, gate: GateResult | None, given: Given, judged: Sequence[Judged],
    rungs: Sequence[Rung], references: tuple[Growth, ...], incomplete: str,
) -> Report:  # fmt: skip
    """Decide every claim and gather the report."""
    adjusted = holm([1.0 if item.outcome is None else item.outcome.p for item in judged if not item.claim.why_not])
    by_name = dict(zip([item.claim.name for item in judged if not item.claim.why_not], adjusted))
    findings = [_finding(session, item, by_name.get(item.claim.name, 1.0), given) for item in judged]
    ladder = _ladder(rungs)
    failed = [rung for rung in ladder if rung.ok is False and rung.role != Role.PLANTED]
    broken = "; ".join(
        f"{rung.code} was right on {rung.right} of {rung.guesses} where nothing can leak ({rung.role})"
        if rung.guesses else f"{rung.code} found a leak in a model that never saw the records"
        for rung in failed
    )  # fmt: skip
    findings.sort(key=_worst_first)
    shown = _Shown(session, given, judged)
    return Report(
        verdict=verdict_of([finding.status for finding in findings], bool(broken), bool(incomplete)),
        findings=tuple(findings),
        target=session.target.name,
        description=session.target.description,
        kind="images" if isinstance(session.target.model.inputs, Images) else "table",
        counts=_counts(session),
        threat=session.threat,
        policy=asdict(session.policy),
        claims=len(plan.tested),
        seed=session.seed,
        ladder=tuple(ladder),
        gate=gate,
        curves=tuple(shown.curves()),
        rocs=tuple(shown.rocs()),
        at_risk=tuple(shown.at_risk()),
        pictures=tuple(shown.pictures()),
        likeness=_likeness(session) if any(item.pool.guesses for item in judged) else None,
        skipped=plan.skipped,
        structure=check_structure(session.target.model, session.splits.members),
        references=references,
        rows=shown.rows(),
        versions=_versions(),
        hashes={name: records.digest for name, records in _groups(session)},
        settings={item.claim.attack.code: settings(item.claim.attack) for item in judged},
        broken=broken,
        incomplete=incomplete,
        show_records=session.show_records,
    )


STATUSES = (Status.LEAK, Status.UNCLEAR, Status.NONE, Status.NOT_RUN)
CLAIMS = ("person", "attribute", "record", "link", "membership", "extraction", "property", "class", "model", "prior")


def _worst_first(finding: Finding) -> tuple[int, int, bool, float]:
    """Order findings by status, then by what a leak would do to people, single real ones first, then by p."""
    p = 1.0 if finding.p is None else finding.p
    return STATUSES.index(finding.status), CLAIMS.index(finding.claim), finding.unit in ("canary", "set"), p


def _finding(session: Session, item: Judged, adjusted: float, given: Given) -> Finding:
    claim, attack = item.claim, item.claim.attack
    outcome = item.outcome
    if outcome is None:
        status, why = Status.NOT_RUN, item.why_not
    else:
        status = decide(adjusted, outcome.bound, outcome.powered, session.policy)
        why = reason(outcome, status, session.policy)
    if claim.coins is not None:
        about, unit, adjacency, name = "recipe", claim.coins.unit, claim.coins.adjacency, claim.coins.claim
        evidence = {Role.COINS: _digest(item.pool.hashes)} if item.pool.hashes else {}
    else:
        assert claim.kind is not None
        about, adjacency = "model", "none"
        name, unit = claim.kind.about(session.splits)
        evidence = {role: sha for (owner, role), sha in given.hashes.items() if owner == claim.name}
    return Finding(
        attack.code, attack.title, session.target.name, status, why, name, about, unit, adjacency,
        len(item.pool.guesses), session.threat_of(attack), () if outcome is None else outcome.measured,
        None if outcome is None else outcome.p, attack.source, session.seed, evidence,
        paragraph(type(attack), "Who could do it:"), paragraph(type(attack), "How to lower it:"),
    )  # fmt: skip


def _ladder(rungs: Sequence[Rung]) -> list[Rung]:
    """Judge all null rungs of the audit together."""
    nulls = [i for i, rung in enumerate(rungs) if rung.p is not None and rung.role != Role.PLANTED]
    holds = dict(zip(nulls, rungs_hold([rungs[i].p or 0.0 for i in nulls])))
    return [replace(rung, ok=holds[i]) if i in holds else rung for i, rung in enumerate(rungs)]


@dataclass(frozen=True)
class _Shown:
    """What the pages show beside the findings."""

    session: Session
    given: Given
    judged: Sequence[Judged]

    def _on_model(self, kind: type) -> list[Claim]:
        return [item.claim for item in self.judged if isinstance(item.claim.kind, kind) and item.outcome is not None]

    def curves(self) -> list[Curve]:
        found = []
        for item in self.judged:
            evidence = item.pool.evidence
            marks = sorted(set.intersection(*(set(each.curve) for each in evidence))) if evidence else []
            if not marks or item.claim.coins is None:
                continue
            right = []
            for queries in marks:
                beliefs = np.concatenate([each.curve[queries] for each in evidence])
                secrets = np.concatenate([each.secret for each in evidence if each.secret is not None])
                right.append(int((beliefs.argmax(1) == secrets).sum()))
            each_secret = len(evidence[0].secret) if evidence[0].secret is not None else 1
            per_secret = tuple(max(1, round(queries / each_secret)) for queries in marks)
            found.append(Curve(item.claim.attack.code, per_secret, tuple(right), len(secrets), evidence[0].k))
        return found

    def rocs(self) -> list[Roc]:
        found = []
        for claim in self._on_model(Membership):
            scores = scores_of(self.given.answer(claim, self.session.target, Role.TARGET))[:, 0]
            _, member = asked(self.session, claim)
            points = roc_points(scores[member], scores[~member], self.session.rng("roc", claim.name))
            fpr, tpr, low, high = (tuple(map(float, line)) for line in points)
            outside = int((~member).sum())
            found.append(Roc(claim.attack.code, fpr, tpr, low, high, 1 / outside, int(member.sum()), outside))
        return found

    def at_risk(self) -> list[AtRisk]:
        """Return whom the clearest finding points at: people where classes are people, else records."""
        people = self._on_model(Recognised) if self.session.splits.class_is_person else []
        claims = people or self._on_model(Membership)
        leaking = sorted(
            (item for item in self.judged if item.claim in claims),
            key=lambda item: item.outcome.p if item.outcome else 1.0,
        )
        clearest = leaking[0].claim if leaking else None
        return [] if clearest is None or clearest.kind is None else clearest.kind.at_risk(self.given, clearest, 25)

    def pictures(self) -> list[Pictures]:
        """Return what was rebuilt; attacks that know public pictures first, since theirs look most like pictures."""
        found = []
        model = self.session.target.model
        claims = self._on_model(Recognised)
        for claim in sorted(claims, key=lambda claim: Knows.PUBLIC not in claim.attack.knows):
            assert isinstance(model.inputs, Images)
            rebuilt = pictures_of(self.given, claim, self.session.target, Role.TARGET)
            control = control_pictures(self.given, claim)
            found.append(
                Pictures(
                    claim.attack.code,
                    tuple(model.classes[int(c)] for c in rebuilt.classes),
                    rebuilt.images,
                    None if control is None else control.images,
                    self._nearest(rebuilt.images, rebuilt.classes) if self.session.show_records else None,
                    model.inputs.low,
                    model.inputs.high,
                    recognised(self.given, claim),
                )
            )
        return found

    def _nearest(self, images: np.ndarray, classes: np.ndarray) -> np.ndarray:
        """Return the member of the same class that is most like each picture."""
        from safelight.controls.matcher import likeness

        members = self.session.splits.members
        centre = members.x.mean(axis=0)
        rows = []
        for image, c in zip(images, classes):
            own = members.x[members.y == c]
            rows.append(own[likeness(image[None], own, centre)[0].argmax()])
        return np.stack(rows)

    def rows(self) -> dict[str, dict[str, tuple[Measurement, ...]]]:
        given = {
            f"{claim.attack.code} {claim.column or 'by group'}": self.given.rows[claim.name]
            for claim in (*self._on_model(Attribute), *self._on_model(Membership))
            if claim.name in self.given.rows
        }
        by_coins = {
            f"{item.claim.attack.code} {_parts(item.claim)} (coins)": rows
            for item in self.judged
            if item.claim.coins is not None and item.outcome is not None
            and (rows := of_coin_groups(item.pool.evidence, self.given.level))
        }  # fmt: skip
        return given | by_coins


def _parts(claim: Claim) -> str:
    """Say by what the coins of a claim are told apart: a column, kinds of canaries, or groups."""
    canaries = claim.coins is not None and claim.coins.unit == "canary"
    return claim.column or ("by kind" if canaries else "by group")


def _likeness(session: Session, trainings: int = 2) -> Likeness | None:
    """Compare the given model with models trained again on the same members."""
    held_out = session.splits.nonmembers
    if session.recipe is None or held_out is None or not len(held_out) or not session.target.model.classes:
        return None
    known = held_out.take(np.isin(held_out.y, np.unique(session.splits.members.y)))
    if not len(known):
        return None
    accuracy, loss = _fit_of(session.target.model, known)
    again = [
        _fit_of(session.recipe.fit(session.splits.members, int(session.rng("again", i).integers(2**31))).model, known)
        for i in range(trainings)
    ]
    accuracies, losses = tuple(a for a, _ in again), tuple(b for _, b in again if b is not None)
    mean = float(np.mean(accuracies))
    noise = 3 * max(np.sqrt(max(mean * (1 - mean), 1 / len(known)) / len(known)), float(np.std(accuracies)))
    return Likeness(accuracy, loss, accuracies, losses, bool(abs(accuracy - mean) <= noise))


def _fit_of(model: object, records: Records) -> tuple[float, float | None]:
    """Return accuracy, and mean log loss where the model gives scores."""
    accuracy = float((model.labels(records.x) == records.y).mean())  # type: ignore[attr-defined]
    if not hasattr(model, "scores") or getattr(model, "access", 1) < 2:
        return accuracy, None
    own = np.asarray(model.scores(records.x))[np.arange(len(records)), records.y]
    return accuracy, float(-np.log(np.maximum(own, 1e-12)).mean())


def _counts(session: Session) -> dict[str, int]:
    counts = {name: len(records) for name, records in _groups(session)}
    return {**counts, "classes": len(session.target.model.classes)}


def _groups(session: Session) -> list[tuple[str, Records]]:
    splits = session.splits
    named = (("members", splits.members), ("nonmembers", splits.nonmembers), ("public", splits.public))
    return [(name, records) for name, records in named if records is not None]


def _digest(hashes: Sequence[str]) -> str:
    """Return the hash of several files' hashes, one a line; a single file's own hash."""
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("\n".join(hashes).encode()).hexdigest()


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in ("safelight", "numpy", "scipy", "scikit-learn", "pandas", "torch", "onnxruntime"):
        if package in ("torch", "onnxruntime") and package not in sys.modules:
            continue
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found
