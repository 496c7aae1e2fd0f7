"""The report as data: what every face (page, terminal, JSON, notebook) is drawn from, and nothing else.

The runner fills it; a face never runs a model. Everything but pictures is written to report.json; pictures live beside
it in evidence/pictures.npz, so that a page can be drawn again without an attack.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy import ndarray as Array

from safelight.attacks.disclosure.observation import Observation
from safelight.data.gate import GateResult
from safelight.errors import InputError
from safelight.measures.base import Measurement
from safelight.threat import ThreatModel
from safelight.verdict.finding import Finding, Status, Verdict

if TYPE_CHECKING:
    from pandas import DataFrame

    from safelight.verdict.dp_claim import DpAnswer


@dataclass(frozen=True)
class Remedy:
    """What one defence did to one claim, on the same coins as the model without it.

    Attributes:
        defence: with its settings.
        claim: such as "membership".
        code: of the best attack on it; "" where its door leaves none.
        right, guesses: of that attack.
        right_before, guesses_before: of the best attack without the defence.
        effect: "helps", "makes it worse", "no difference seen" or "not compared": as the interval of the change says.
        accuracy, accuracy_before: on held-out records; R squared for a regressor.
        training: how many times as long a training takes; None where it was not timed.
        guarantee: what differential privacy promises, or "".
    """

    defence: str
    claim: str
    code: str
    right: int
    guesses: int
    right_before: int
    guesses_before: int
    effect: str
    accuracy: float | None
    accuracy_before: float | None
    training: float | None
    guarantee: str = ""


@dataclass(frozen=True)
class Rung:
    """One rung of the sanity ladder: a place where nothing can leak, or a planted leak that must be seen.

    Attributes:
        role: which rung ("never saw", "untrained", "labels permuted", "coins redrawn", "planted").
        code: of the attack that stood on it.
        right, guesses, k: right guesses of all, among k candidates each; 0 of 0 when it was not run.
        p: one-sided chance of as many right by luck; None when not run.
        ok: whether it is where it must be; None when not run.
        reason: why it was not run, or what it means that it failed.
    """

    role: str
    code: str
    right: int
    guesses: int
    k: int
    p: float | None
    ok: bool | None
    reason: str = ""


@dataclass(frozen=True)
class Curve:
    """Leak against queries: right guesses of all coins after so many queries a secret."""

    code: str
    queries: tuple[int, ...]
    right: tuple[int, ...]
    coins: int
    k: int


@dataclass(frozen=True)
class Roc:
    """Members and nonmembers under one membership attack: points of the ROC with a 95 % band.

    Attributes:
        fpr, tpr, low, high: (points,) in [0, 1], rising.
        floor: 1 / nonmembers; left of it nothing can be measured.
    """

    code: str
    fpr: tuple[float, ...]
    tpr: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    floor: float
    members: int
    nonmembers: int


@dataclass(frozen=True)
class AtRisk:
    """One record or person, by id, ranked by how strongly an attack points at it.

    Attributes:
        share: share of the decoys (nonmembers, or other people) that score as high, in [0, 1].
        p: conformal: (1 + decoys that score as high) / (1 + decoys), before any correction for how many are ranked.
        chance: that the record was in, for somebody who held one half likely before; learnt on held-out targets. None
            where it was not learnt.
        copies: other training records that are copies of this one.
    """

    id: str
    code: str
    score: float
    share: float
    p: float
    chance: float | None = None
    copies: int = 0


@dataclass(frozen=True)
class Pictures:
    """What was rebuilt, class by class, in the data's own range.

    Attributes:
        code: of the attack.
        names: class names (c).
        rebuilt: (c, channels, height, width).
        control: the same attack on a model that never saw the class, or None.
        nearest: the nearest training record, only where the owner allowed records to be shown.
        low, high: range of the values.
        recognised: (c,) bool: whether an independent matcher ranks the true class first.
    """

    code: str
    names: tuple[str, ...]
    rebuilt: Array
    control: Array | None
    nearest: Array | None
    low: float
    high: float
    recognised: Array


@dataclass(frozen=True)
class Likeness:
    """How far the retrained models of the coins are like the given one: what a recipe's leak says about the model.

    Attributes:
        given_accuracy, given_loss: of the given model on nonmembers.
        retrained_accuracy, retrained_loss: of each retrained model (runs).
        alike: whether the given model lies within the spread of the retrained ones; None when it cannot be told.
    """

    given_accuracy: float | None
    given_loss: float | None
    retrained_accuracy: tuple[float, ...]
    retrained_loss: tuple[float, ...]
    alike: bool | None


@dataclass(frozen=True)
class Growth:
    """What so many reference models found on held-out targets.

    Attributes:
        tpr: share of members found at 1 % FPR by the best attack, mean over the targets, in [0, 1].
        code: of that attack.
    """

    count: int
    tpr: float
    code: str


@dataclass(frozen=True)
class Skipped:
    """What was not tested, and why: as loud as the findings."""

    code: str
    title: str
    reason: str


@dataclass(frozen=True)
class Report:
    """One audit.

    Attributes:
        verdict: how it ended.
        findings: one a claim, worst first.
        target: name of the model; description says its kind.
        kind: "images" or "table".
        counts: members, nonmembers, public, classes.
        threat: the attacker that the owner assumed.
        policy: fail_on, alpha, tolerate, look_for.
        claims: size of the family that p-values are corrected for.
        seed: of the audit.
        gate: the blind gate's result; None without nonmembers.
        ladder, curves, rocs, at_risk, pictures, likeness, skipped: see there.
        promise: a promise of differential privacy held against the coins of the findings; None where its owner states
            none. It changes no finding and no verdict.
        remedies: what defences did, where some were tried (`safelight defend`); they change no finding and no verdict.
        structure: what the model's file itself holds; counted, so that it changes no finding and no verdict.
        references: what each number of reference models found on held-out targets; the audit took the last that paid.
        rows: per attack code, rows to show side by side (such as members, nonmembers, imputation) with their numbers.
        earlier: audits made before of the same model and data.
        versions: of Safelight and the packages that matter.
        hashes: sha256 of model, data and evidence files, by name.
        settings: settings of each attack, by code.
        broken: why the audit is broken, or "".
        incomplete: why the audit is incomplete, or "".
        show_records: whether records may be shown.
    """

    verdict: Verdict
    findings: tuple[Finding, ...]
    target: str
    description: str
    kind: str
    counts: Mapping[str, int]
    threat: ThreatModel
    policy: Mapping[str, Any]
    claims: int
    seed: int
    ladder: tuple[Rung, ...] = ()
    gate: GateResult | None = None
    curves: tuple[Curve, ...] = ()
    rocs: tuple[Roc, ...] = ()
    at_risk: tuple[AtRisk, ...] = ()
    pictures: tuple[Pictures, ...] = ()
    likeness: Likeness | None = None
    skipped: tuple[Skipped, ...] = ()
    structure: tuple[Observation, ...] = ()
    references: tuple[Growth, ...] = ()
    rows: Mapping[str, Mapping[str, tuple[Measurement, ...]]] = field(default_factory=dict)
    earlier: int = 0
    versions: Mapping[str, str] = field(default_factory=dict)
    hashes: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    broken: str = ""
    incomplete: str = ""
    show_records: bool = False
    promise: DpAnswer | None = None
    remedies: tuple[Remedy, ...] = ()

    def __post_init__(self) -> None:
        statuses = {finding.status for finding in self.findings}
        ran = statuses - {Status.NOT_RUN}
        needs = {Verdict.LEAK: Status.LEAK, Verdict.UNCLEAR: Status.UNCLEAR}.get(self.verdict)
        if needs is not None and needs not in statuses and (ran or self.verdict is Verdict.LEAK):
            raise InputError(f"The verdict is {str(self.verdict)!r}, but no finding ended so; audit again.")

    def save(self, path: str | PathLike[str]) -> Path:
        """Write the report and return the file to open.

        A name that ends in .html, .json, .md, .sarif or .xml (JUnit) is written as that; any other name is a folder
        that gets report.html, report.json and evidence/pictures.npz.

        Raises:
            InputError: the name ends in something else, or the file cannot be written.
        """
        from safelight.report.saving import save

        return save(self, Path(path))

    def frame(self) -> DataFrame:
        """Return one row a measurement, with the columns of its finding; a finding without a number has one row."""
        from safelight.report.frame import frame

        return frame(self)

    def require(self, policy: Any = None) -> None:
        """Raise PolicyFailed, in one sentence, if the report holds what `policy.fail_on` forbids ("leak" or "unclear").

        Without a policy the one of the audit counts. Findings that the owner has accepted do not fail; an audit that is
        broken, incomplete or empty always does.
        """
        from safelight.report.require import require

        require(self, policy)

    def __str__(self) -> str:
        from safelight.report.terminal import summary

        return summary(self)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        from safelight.report.notebook import fragment

        return fragment(self)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """Return what a notebook keeps: the pieces of the page, and the same in words where HTML is not shown."""
        return {"text/plain": str(self), "text/html": self._repr_html_()}
