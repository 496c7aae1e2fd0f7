"""The verdict in words: what was found, how sure that is, what to do first. All of it is computed from findings."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from safelight.report import checks, claims, numbers, plain
from safelight.report.model import Curve, Report, Skipped
from safelight.verdict.finding import Finding, Status, Verdict


@dataclass(frozen=True)
class Opening:
    """The first thing that a reader sees.

    Attributes:
        status: the word of the verdict.
        headline: one sentence that a manager may quote.
        sentence: the numbers behind it.
        confidence: how sure this is.
        step: what to do first.
    """

    status: str
    headline: str
    sentence: str
    confidence: str
    step: str


@dataclass(frozen=True)
class Card:
    """One number at a glance: the value in large type, what it is, and a note."""

    value: str
    label: str
    note: str = ""


def leaks(report: Report) -> tuple[Finding, ...]:
    """Return the leaks, worst first; those that the owner has accepted come last."""
    found = [finding for finding in report.findings if finding.status is Status.LEAK]
    return tuple(sorted(found, key=lambda finding: bool(finding.accepted)))


def with_status(report: Report, status: Status) -> tuple[Finding, ...]:
    """Return the findings that ended with this status, in the report's order."""
    return tuple(finding for finding in report.findings if finding.status is status)


def ran(report: Report) -> tuple[Finding, ...]:
    """Return the findings that were run to an end."""
    return tuple(finding for finding in report.findings if finding.status is not Status.NOT_RUN)


def not_tested(report: Report) -> tuple[Skipped, ...]:
    """Return what was not tested and why: claims that could not be run, and attacks that were left out.

    Several claims of one attack with one reason stand together.
    """
    stopped = Counter((item.code, item.title, item.reason) for item in with_status(report, Status.NOT_RUN))
    claims_of = [
        Skipped(code, title if count == 1 else f"{title} ({count} claims)", reason)
        for (code, title, reason), count in stopped.items()
    ]
    left_out = [item for item in report.skipped if (item.code, item.title, item.reason) not in stopped]
    return (*claims_of, *dict.fromkeys(left_out))


def missing(report: Report) -> int:
    """Count the claims that could not be run and the attacks that were left out."""
    left_out = len(not_tested(report)) - len({(f.code, f.title, f.reason) for f in with_status(report, Status.NOT_RUN)})
    return len(with_status(report, Status.NOT_RUN)) + left_out


def opening(report: Report) -> Opening:
    """Say how the audit ended."""
    say = {
        Verdict.BROKEN: _broken,
        Verdict.LEAK: _leak,
        Verdict.INCOMPLETE: _incomplete,
        Verdict.UNCLEAR: _unclear,
        Verdict.NONE: _none,
    }[report.verdict]
    headline, sentence, confidence, step = say(report)
    return Opening(str(report.verdict), headline, sentence, confidence, plain.sentence(step))


def tested(report: Report) -> str:
    """Say how much was tested, and how much was not."""
    done, left = len(ran(report)), missing(report)
    text = f"{plain.several(done, 'claim was', 'claims were') if done else 'No claim was'} tested"
    return f"{text}, {left} could not be." if left else f"{text}; none was left out."


def cards(report: Report) -> tuple[Card, ...]:
    """Return up to four numbers at a glance."""
    done = ran(report)
    shown: list[Card] = []
    failed = [rung for rung in report.ladder if rung.ok is False]
    if report.verdict is Verdict.BROKEN:
        label = "sanity check failed" if len(failed) == 1 else "sanity checks failed"
        return (Card(str(len(failed)), label, "no other number of this audit can be relied on"),)
    if done:
        worst = (leaks(report) or done)[0]
        value, label = numbers.headline_number(worst)
        if value:
            shown.append(Card(value, label, f"{worst.code}, on {claims.subject(worst)}"))
    shown += _picture_card(done, {card.label for card in shown})
    shown += _power_card(report)
    shown += _query_card(report)
    left = missing(report)
    note = f"{left} not tested: see the reasons below" if left else "nothing was left out"
    shown.append(Card(f"{len(done)} of {len(done) + left}", "claims tested", note))
    return tuple(shown[:4])


def warning(report: Report) -> str:
    """Say above the numbers of a broken audit that they prove nothing; "" otherwise."""
    if report.verdict is not Verdict.BROKEN:
        return ""
    return "The audit is broken: these numbers stand here to help mend it, and prove nothing."


def earlier(report: Report) -> str:
    """Say how often this model and data were audited before; "" the first time."""
    if not report.earlier:
        return ""
    times = "once" if report.earlier == 1 else f"{report.earlier} times"
    return f"This model and data were audited {times} before: the more often one tries, the more luck shows."


def enough_queries(curve: Curve) -> int | None:
    """Return from how many queries a secret on the guesses stay above the chart's band of luck, or None if never."""
    from scipy.stats import binom

    beats = [binom.sf(right - 1, curve.coins, 1 / curve.k) < 0.005 for right in curve.right]
    return next((queries for place, queries in enumerate(curve.queries) if all(beats[place:])), None)


def _leak(report: Report) -> tuple[str, str, str, str]:
    found = leaks(report)
    worst = found[0]
    headline = claims.opening(worst)
    if worst.accepted:
        headline += " The owner has accepted this."
    parts = claims.numbers(worst)[:2]
    others = [finding for finding in found if finding is not worst]
    if others:
        here = sum(finding.about == "model" for finding in others)
        on_this = f", {here} of them on this very model" if here and worst.about == "recipe" else ""
        parts.append(f"{plain.several(len(others), 'more claim')} also ended as a leak{on_this}.")
    parts.append(claims.where(worst))
    if report.incomplete:
        parts.append(f"The audit is also incomplete: {plain.sentence(report.incomplete)}")
    step = worst.remedy or f"read what lowers it: safelight explain {worst.code}"
    return headline, " ".join(parts), _sure_of_leak(report, worst), step


def _sure_of_leak(report: Report, worst: Finding) -> str:
    parts = []
    if worst.p is not None:
        bound = min(1.0, worst.p * max(report.claims, 1))
        parts.append(f"If nothing leaked, luck would give a result this strong in {plain.luck(bound)} audits")
        if report.claims > 1:
            parts[-1] += f", with all {report.claims} claims of this audit allowed for"
        parts[-1] += "."
    parts.append(checks.nulls(report))
    if worst.about == "recipe":
        parts.append(checks.likeness(report))
    return " ".join(parts)


def _unclear(report: Report) -> tuple[str, str, str, str]:
    if not ran(report):
        return _nothing(report)
    first = with_status(report, Status.UNCLEAR)[0]
    headline = "These numbers neither show a leak nor rule one out."
    parts = [claims.opening(first), plain.sentence(first.reason)]
    count = len(with_status(report, Status.UNCLEAR))
    confidence = f"{plain.several(count, 'claim')} of {len(ran(report))} tested could not be decided."
    more = "more records to compare" if first.about == "model" else "more secrets or more runs"
    return headline, " ".join(parts), confidence, f"audit again with {more}: {first.code} was too small to decide"


def _none(report: Report) -> tuple[str, str, str, str]:
    done, untested = ran(report), not_tested(report)
    if not done:
        return _nothing(report)
    headline = "The one claim tested showed no leak."
    if len(done) > 1:
        headline = f"None of the {len(done)} claims tested showed a leak."
    if leaks(report):
        headline = f"No leak was found beyond the {len(leaks(report))} that the owner has accepted."
    sentence = "That is no promise: a better attack may find one. " + tested(report)
    seen = [text for item in done if (text := claims.would_have_seen(item, report.policy, item.code))]
    confidence = seen[0] if seen else "None of these attacks came with a number for what it would have noticed."
    if len(seen) > 1:
        confidence += f" The same can be said of {plain.several(len(seen) - 1, 'more claim')}."
    step = "audit again after every training, and keep this report with the model"
    if untested:
        step = f"look at what was not tested, first {untested[0].code} ({plain.bare(untested[0].reason)})"
    return headline, sentence, confidence, step


def _nothing(report: Report) -> tuple[str, str, str, str]:
    untested = not_tested(report)
    reason = plain.sentence(report.incomplete or (untested[0].reason if untested else "the plan held no attack"))
    headline = "Nothing could be tested, so nothing is known about this model."
    step = f"mend what stopped {untested[0].code}: {plain.bare(untested[0].reason)}" if untested else "choose an attack"
    return headline, f"The first reason: {reason}", "There is no result to be sure of.", step


def _incomplete(report: Report) -> tuple[str, str, str, str]:
    done = ran(report)
    if not done:
        return _nothing(report)
    headline = "The audit stopped before its end, so it cannot say that nothing leaks."
    reason = plain.sentence(report.incomplete) if report.incomplete else ""
    beyond = " beyond what the owner has accepted" if leaks(report) else ""
    confidence = f"What came to its end holds: no leak{beyond} among {plain.several(len(done), 'claim')} so far."
    unsure = len(with_status(report, Status.UNCLEAR))
    if unsure:
        confidence += f" {unsure} of them {'is' if unsure == 1 else 'are'} unclear."
    step = "run the same command again with --resume; what is done is kept"
    return headline, f"{reason} {tested(report)}".strip(), confidence, step


def _broken(report: Report) -> tuple[str, str, str, str]:
    headline = "Do not use the numbers of this audit."
    failed = [rung for rung in report.ladder if rung.ok is False and not checks.must_be_seen(rung)]
    if not failed:
        return (
            headline,
            plain.sentence(report.broken),
            "Not at all: see the reason above.",
            "mend that, then audit again",
        )
    names = ", ".join(f"{rung.role} ({rung.code})" for rung in failed)
    confidence = f"Not at all: {plain.several(len(failed), 'sanity check')} did not come out as it must: {names}."
    step = "look for records that two groups share, and for a mistake in the recipe, then audit again"
    return headline, plain.sentence(report.broken), confidence, step


def _picture_card(done: tuple[Finding, ...], shown: set[str]) -> list[Card]:
    for finding in done:
        rank = finding.number("rank1")
        if rank is None or rank.value is None:
            continue
        label = "rebuilt pictures recognised by a matcher that is not this model"
        note = "" if rank.control is None else f"{plain.in_100(rank.control)} {numbers.control_of_pictures(finding)}"
        already = any(text.startswith("rebuilt pictures") for text in shown)
        return [] if already else [Card(plain.in_100(rank.value), label, note)]
    return []


def _power_card(report: Report) -> list[Card]:
    able = [item for item in ran(report) if claims.would_have_seen(item, report.policy) and numbers.coins_of(item)]
    if report.verdict is not Verdict.NONE or not able:
        return []
    note = f"holds for {len(able)} of {plain.several(len(ran(report)), 'claim')} tested"
    return [Card(plain.of(report.policy["look_for"]), "secrets guessed right would have been seen", note)]


def _query_card(report: Report) -> list[Card]:
    leaking = {finding.code for finding in leaks(report)}
    enough = {curve.code: enough_queries(curve) for curve in report.curves if curve.code in leaking}
    fewest = min(((queries, code) for code, queries in enough.items() if queries is not None), default=None)
    if fewest is not None:
        label = "query a secret is enough" if fewest[0] == 1 else "queries a secret are enough"
        note = f"{fewest[1]}, see the leak against queries"
        return [Card(plain.count(fewest[0]), f"{label} to beat luck", note)]
    if report.threat.queries is None:
        return []
    return [Card(plain.count(report.threat.queries), "queries allowed to each attack", "the budget that was assumed")]
