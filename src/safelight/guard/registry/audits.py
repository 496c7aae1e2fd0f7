"""Two audits side by side: does one version of a model leak where the other does not, or more?

A version is worse where a claim leaks that did not leak, or leaks with an interval wholly above. Two audits that looked
with other attacks, as another attacker, or by other levels, tell neither: they cannot be compared.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safelight.errors import InputError
from safelight.verdict.finding import Status, Verdict

SCHEMA = "1"
"""First number of the `schema_version` that is read here (docs/report-format.md)."""
STRENGTHS = (
    "accuracy",
    "auc",
    "exact",
    "g_mean",
    "gain",
    "leak_z",
    "linked",
    "mcc",
    "named",
    "rank1",
    "risk",
    "success",
)
"""Measurements that say how strong a leak is, the larger the worse; `tpr_at_fpr_...` are others."""
BEGINS = 4
"""Reference models that an audit begins with (docs/how-it-decides.md)."""
LEVELS = ("alpha", "tolerate", "look_for")
Name = tuple[str, str, str, str, str, int]
"""Of a claim: code, claim, about, unit, adjacency, and its number among those that are alike."""


@dataclass(frozen=True)
class Claim:
    """How one claim ended.

    Attributes:
        status: of its finding.
        strengths: (low, high) of each measurement that says how strong a leak is.
    """

    status: Status
    strengths: Mapping[str, tuple[float, float]]


@dataclass(frozen=True)
class Audit:
    """What a report.json says, as far as versions are compared by it.

    Attributes:
        verdict: of the whole audit.
        whole: "", or why the audit does not count: it is broken, or incomplete.
        assumed: what must be alike in two audits that are compared, by its name.
        settings: of each attack, by its code.
        claims: all that were run.
        sha256: of the file.
    """

    verdict: Verdict
    whole: str
    assumed: Mapping[str, Any]
    settings: Mapping[str, Any]
    claims: Mapping[Name, Claim]
    sha256: str

    @property
    def leaks(self) -> int:
        """How many claims leak."""
        return sum(claim.status is Status.LEAK for claim in self.claims.values())


@dataclass(frozen=True)
class Comparison:
    """One audit beside another.

    Attributes:
        worse: why the first is worse, in words; () where it is not.
        apart: why they cannot be compared; () where they can.
    """

    worse: tuple[str, ...] = ()
    apart: tuple[str, ...] = ()


def read_audit(path: Path) -> Audit:
    """Read the report.json of an audit, or the one in a folder.

    Raises:
        InputError: there is none, or it is no report of this schema.
    """
    path = path / "report.json" if path.is_dir() else path
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"The audit {path} cannot be read ({error.strerror}); give the report.json of an audit."
        ) from None
    try:
        document = json.loads(content)
        version = str(document["schema_version"])
        if version.split(".")[0] != SCHEMA:
            raise InputError(f"The audit {path} has schema_version {version}, not {SCHEMA}.x; audit again.")
        return _audit(document, hashlib.sha256(content).hexdigest())
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"The audit {path} is no report ({type(error).__name__}: {error}); give the report.json of an audit."
        ) from None


def compare(one: Audit, other: Audit) -> Comparison:
    """Return what makes `one` worse than `other`, and what keeps the two from being compared."""
    apart = [f"they differ in {name}" for name in other.assumed if one.assumed[name] != other.assumed[name]]
    shared = {code for code, *_ in other.claims} & {code for code, *_ in one.claims}
    apart += [
        f"the settings of {code} differ"
        for code in sorted(shared)
        if not _looked_alike(one.settings[code], other.settings[code])
    ]
    worse = []
    for name, before in other.claims.items():
        after = one.claims.get(name)
        if after is None:
            apart.append(f"{_called(name)} was not run")
        elif after.status is Status.LEAK and before.status is not Status.LEAK:
            worse.append(f"{_called(name)} leaks")
        elif after.status is Status.LEAK:
            both = sorted(after.strengths.keys() & before.strengths.keys())
            worse += [
                f"{_called(name)} leaks more ({measure} from {after.strengths[measure][0]:.3g} on, before up to "
                f"{before.strengths[measure][1]:.3g})"
                for measure in both
                if after.strengths[measure][0] > before.strengths[measure][1]
            ]
            if not both:
                apart.append(f"{_called(name)} leaks in both, with no interval to compare")
        elif after.status is Status.UNCLEAR and before.status is Status.NONE:
            apart.append(f"{_called(name)} is unclear, and was not")
    for name, after in one.claims.items():
        if name not in other.claims and after.status is Status.LEAK:
            apart.append(f"{_called(name)} leaks, and was not run before")
    return Comparison(tuple(worse), tuple(dict.fromkeys(apart)))


def _looked_alike(one: Any, other: Any) -> bool:
    """Whether an attack looked in one audit as it did in the other.

    An audit chooses the number of reference models itself, by what more of them would find: it may differ, unless the
    first had fewer than any audit begins with, and fewer than the second.
    """
    if (
        not isinstance(one, Mapping)
        or not isinstance(other, Mapping)
        or not {"references"} <= one.keys() & other.keys()
    ):
        return bool(one == other)
    enough = one["references"] >= min(BEGINS, other["references"])
    return enough and {**one, "references": 0} == {**other, "references": 0}


def _called(name: Name) -> str:
    code, claim, about, *_ = name
    return f"{code} ({claim}, {about})"


def _audit(document: Mapping[str, Any], sha256: str) -> Audit:
    verdict, claims = Verdict(document["verdict"]), dict[Name, Claim]()
    for finding in document["findings"]:
        if Status(finding["status"]) is Status.NOT_RUN:
            continue
        number = 0
        kind = [finding[key] for key in ("code", "claim", "about", "unit", "adjacency")]
        while (name := (*map(str, kind), number)) in claims:  # type: ignore[assignment]
            number += 1
        claims[name] = Claim(Status(finding["status"]), _strengths(finding["measured"]))  # type: ignore[index]
    whole = ""
    if verdict is Verdict.BROKEN:
        whole = f"the audit is broken ({document['broken']})"
    elif document["incomplete"] or verdict is Verdict.INCOMPLETE:
        whole = f"the audit is incomplete ({document['incomplete']})"
    elif not claims:
        whole = "the audit ran nothing"
    policy = document["policy"]
    assumed = {
        "kind": document["kind"],
        **{f"the attacker's {key}": value for key, value in document["threat"].items()},
    }
    assumed |= {f"the policy's {key}": policy[key] for key in LEVELS}
    return Audit(verdict, whole, assumed, dict(document["settings"]), claims, sha256)


def _strengths(measured: list[Mapping[str, Any]]) -> dict[str, tuple[float, float]]:
    return {
        number["name"]: (float(number["low"]), float(number["high"]))
        for number in measured
        if (number["name"] in STRENGTHS or number["name"].startswith("tpr_at_fpr_"))
        and number["low"] is not None
        and number["high"] is not None
    }
