"""Test a promise of differential privacy on the coins of an audit or of gradient canaries."""

from __future__ import annotations

import json as json_format
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from zipfile import BadZipFile

from cyclopts import Parameter

from safelight.errors import InputError

FALSE_ALARMS = (0.001, 0.01, 0.1)

if TYPE_CHECKING:
    from safelight.verdict.dp_claim import DpAnswer, DpClaim
    from safelight.verdict.finding import Finding


def dp_check(
    path: Path,
    *,
    claim: str,
    unit: Literal["record", "person"] | None = None,
    adjacency: Literal["add-remove", "replace"] | None = None,
    dp_sgd: str | None = None,
    records_per_person: int | None = None,
    alpha: float = 0.05,
    plot: Path | None = None,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Test a promise of differential privacy on the coins that an audit flipped, trained and guessed.

    The answer is "refuted", "not refuted" with the epsilon that this audit could have refuted, or "cannot tell". An
    audit never proves a promise. Exit codes: 0 not refuted, 1 refuted, 2 bad input, 3 cannot tell.

    Args:
        path: what `safelight audit --out` wrote, or the npz file of an audit by gradient canaries.
        claim: epsilon and delta, such as 8,1e-5.
        unit: what the promise protects; a record when left out.
        adjacency: neighbouring data sets differ by one record more ("add-remove", when left out) or by another value.
        dp_sgd: how it was trained, where known: noise multiplier, sampling rate and steps, such as 1.1,0.01,1000.
        records_per_person: records that one person owns at most, for coins about whole people.
        alpha: chance to refute a true promise.
        plot: draw what is claimed, what was measured and what could have been seen into this SVG file.
        json: print one JSON object instead of words.
    """
    from safelight.measures.trade_off import DpSgd
    from safelight.verdict.dp_claim import Answer, DpClaim, check_claim

    epsilon, delta = _numbers(claim, 2, "--claim", "8,1e-5")
    mechanism = None
    if dp_sgd is not None:
        sigma, sampling, steps = _numbers(dp_sgd, 3, "--dp-sgd", "1.1,0.01,1000")
        mechanism = DpSgd(sigma, sampling, int(steps))
    if not 0 < alpha < 1:
        raise InputError(f"--alpha is {alpha}; give a number between 0 and 1, such as 0.05.")
    promise = DpClaim(epsilon, delta, unit or "record", adjacency or "add-remove", mechanism, records_per_person)
    findings = _findings(path)
    answer = check_claim(promise, findings, alpha)
    assumed = [*answer.assumed]
    assumed += ["the unit is a record"] if unit is None else []
    assumed += ["neighbours differ by one record more or less"] if adjacency is None else []
    if plot is not None:
        from safelight.report import charts

        plot.write_text(charts.standalone(charts.promise(promise.epsilon, answer.tests)), "utf-8")
    if json:
        print(json_format.dumps(_document(promise, answer, assumed), indent=2))
    else:
        print("\n".join(_lines(promise, answer, findings, assumed)))
    return {Answer.REFUTED: 1, Answer.STANDS: 0, Answer.UNKNOWN: 3}[answer.answer]


def _findings(path: Path) -> Sequence[Finding]:
    from safelight.evidence import Evidence
    from safelight.report.document import read
    from safelight.verdict.dp_claim import finding_of_canaries

    if path.suffix != ".npz":
        return read(path).findings
    try:
        evidence = Evidence.from_bytes(path.read_bytes())
    except (OSError, ValueError, KeyError, TypeError, StopIteration, BadZipFile) as problem:
        raise InputError(f"{path} cannot be read as evidence ({problem}); give a file of gradient canaries.") from None
    return [finding_of_canaries(evidence)]


def _numbers(text: str, count: int, flag: str, example: str) -> list[float]:
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != count:
        raise InputError(f"{flag} is {text!r}; give {count} numbers with commas between them, such as {example}.")
    return numbers


def _lines(claim: DpClaim, answer: DpAnswer, findings: Sequence[Finding], assumed: list[str]) -> list[str]:
    from safelight.measures.trade_off import epsilon_delta_curve, tpr_bound
    from safelight.verdict.dp_claim import Answer

    lines = [f"{answer.answer.upper()}: epsilon {claim.epsilon:g} at delta {claim.delta:g}, a {claim.unit}, "
             f"{claim.adjacency}"]  # fmt: skip
    if answer.answer is Answer.REFUTED:
        lines.append("No training that keeps this promise gives so many right guesses, but by a chance below "
                     f"{answer.level:.2g} for each test.")  # fmt: skip
    elif answer.answer is Answer.STANDS:
        lines.append(f"With every guess right this audit would have reached epsilon {answer.reach:.2f}; it cannot "
                     "refute a promise above that.")  # fmt: skip
    else:
        lines.append("No finding of this audit can be held against the promise.")
    for test in answer.tests:
        if test.why_not:
            lines.append(f"  {test.code}  not tested: {test.why_not}")
            continue
        word = "refutes it" if test.refuted else "does not refute it"
        lines.append(
            f"  {test.code}  {test.right} of {test.guesses} guesses right ({test.coins} coins, {test.candidates} "
            f"candidates, {test.unit}, {test.adjacency}): {word}; at least epsilon {test.bound:.2f}; reach: epsilon "
            f"{test.reach:.2f}"
        )
    curve = claim.mechanism.curve(claim.adjacency == "replace") if claim.mechanism else None
    own = curve or epsilon_delta_curve(claim.epsilon, claim.delta)
    allowed = ", ".join(f"{tpr_bound(own, fpr):.1%} at {fpr:.1%}" for fpr in FALSE_ALARMS)
    lines.append(f"Allowed by the promise: members recognised at false alarms: {allowed}.")
    for finding in findings:
        rates = [(fpr, finding.number(f"tpr_at_fpr_{fpr:g}")) for fpr in FALSE_ALARMS]
        seen = [f"{rate.value:.1%} at {fpr:.1%}" for fpr, rate in rates if rate is not None and rate.value is not None]
        lines += [f"Measured by {finding.code}: {', '.join(seen)}."] if seen else []
    if claim.mechanism is not None:
        promised = claim.mechanism.epsilon(max(claim.delta, 1e-12), claim.adjacency == "replace")
        lines.append(f"That DP-SGD promises epsilon {promised:.3f} at this delta.")
    lines += [f"Assumed: {text}." for text in assumed]
    return lines


def _document(claim: DpClaim, answer: DpAnswer, assumed: list[str]) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "answer": str(answer.answer),
        "claim": asdict(claim),
        "reach": answer.reach,
        "level": answer.level,
        "assumed": assumed,
        "tests": [asdict(test) for test in answer.tests],
    }
