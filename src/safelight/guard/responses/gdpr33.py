"""A draft of the notification to the supervisory authority (GDPR, Art. 33(3)): facts, and gaps that are marked."""

from __future__ import annotations

from datetime import UTC, datetime

from safelight.guard.clocks import GDPR, clocks
from safelight.guard.incidents import Incident
from safelight.guard.words import counted

GAP = "[to be filled in by a person: {}]"


def draft(incident: Incident, now: float) -> str:
    """Return the draft as Markdown. It names no client: whoever sends it decides whether it should.

    Args:
        incident: it is about.
        now: when it is written.
    """
    clock = next(each for each in clocks(incident) if each.law == GDPR)
    late = clock.left(now) < 0
    people = GAP.format("approximate number") if incident.people is None else f"about {incident.people} (an estimate)"
    signals = ", ".join(f"{name} ({score:.1f})" for name, score in sorted(incident.signals.items())) or "none"
    models = ", ".join(incident.models) or "unknown"
    versions = f", versions {', '.join(incident.versions)}" if incident.versions else ""
    done = [f"- {moment(each['at'])}: {each['what']}{_until(each)}" for each in incident.measures]
    said = [f"- {moment(each['at'])}: {each['to']}" for each in incident.steps]
    aware = GAP.format("when somebody was sure enough") if incident.aware is None else moment(incident.aware)
    lines = [
        f"# Draft: notification of a personal data breach, {incident.name}",
        "",
        f"Written {moment(now)}. Facts come from the guard's records; the rest is marked. It is no legal advice;",
        "a person decides whether a breach of personal data took place at all (Art. 4(12)), and whether to notify it.",
        "",
        "## Time (Art. 33(1))",
        "",
        f"- {'First alarm' if incident.alarms else 'Opened by a person'}: {moment(incident.opened)}",
        f"- Aware: {aware}",
        f"- 72 hours end: {moment(clock.due)} ({clock.words(now)})",
    ]
    if late:
        lines.append(f"- Reasons for the delay: {GAP.format('why it was later than 72 hours')}")
    lines += [
        "",
        "## (a) Nature of the breach",
        "",
        "- What: questions to a machine-learning model that look like an attack on its training data: "
        + (counted(incident.alarms, "alarm") if incident.alarms else "a person's suspicion"),
        f"- Signals and their largest scores: {signals}",
        f"- Model: {models}{versions}",
        f"- Categories of data subjects: {GAP.format('for example patients')}",
        f"- Number of data subjects: {people}",
        f"- Categories of records: {GAP.format('what the training data hold')}",
        f"- Number of records: {GAP.format('approximate number')}",
        f"- What an attacker can have learnt: {GAP.format('see the audit of the model: which attacks reach how far')}",
        "",
        "## (b) Contact",
        "",
        f"- Data protection officer or other contact: {GAP.format('name and contact details')}",
        "",
        "## (c) Likely consequences",
        "",
        f"- {GAP.format('for the people concerned')}",
        "",
        "## (d) Measures taken or proposed",
        "",
        *(done or ["- none by the guard"]),
        *said,
        f"- Further measures, also against adverse effects: {GAP.format('what was and will be done')}",
        "",
        "## Evidence",
        "",
        f"- Rows of the log: {', '.join(map(str, incident.rows)) or 'none'}; its head then: {incident.head or 'none'}",
        f"- Information given in phases (Art. 33(4)): {GAP.format('what is still missing, and until when')}",
    ]
    return "\n".join(lines) + "\n"


def moment(at: float) -> str:
    """Return a time as text, UTC, to the minute."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _until(each: object) -> str:
    until = each.get("until") if isinstance(each, dict) else None
    if until is None:
        return ""
    return ", until released" if until >= 1e10 else f", until {moment(until)}"
