"""Terms of the law that run once a person is aware: GDPR Art. 33, and Regulation (EU) 2024/1689 (AI Act) Art. 73."""

from __future__ import annotations

from dataclasses import dataclass

from safelight.guard.incidents import Incident, Serious

HOUR, DAY = 3600.0, 86400.0
GDPR, AI_ACT = "gdpr33", "aiact73"
LAWS = (GDPR, AI_ACT)
DAYS = {Serious.WIDESPREAD: 2, Serious.CRITICAL: 2, Serious.DEATH: 10}
"""Art. 73(3) and (4); 15 days, Art. 73(2), for all else. All are the latest: the law says "immediately" first."""


@dataclass(frozen=True)
class Clock:
    """One term.

    Attributes:
        law: "gdpr33" or "aiact73".
        title: article and length.
        start: when it began, in seconds since 1970.
        due: when the authority must have been told.
        told: when it was, or None.
        sure: whether a person said when they were aware, and that the term applies; else it is the careful reading.
    """

    law: str
    title: str
    start: float
    due: float
    told: float | None
    sure: bool

    def left(self, now: float) -> float:
        """Return the seconds that are left; below 0 it is overdue."""
        return self.due - now

    def words(self, now: float) -> str:
        """Return how it stands."""
        if self.told is not None:
            late = self.told - self.due
            return f"told {span(late)} late" if late > 0 else "told in time"
        left = self.left(now)
        return f"{span(left)} left" if left >= 0 else f"OVERDUE by {span(-left)}"


def clocks(incident: Incident) -> tuple[Clock, ...]:
    """Return the terms of an incident. Before anybody says when they were aware they count from its opening."""
    start = incident.opened if incident.aware is None else incident.aware
    sure = incident.aware is not None
    found = [Clock(GDPR, "GDPR Art. 33(1), 72 hours", start, start + 72 * HOUR, incident.notified.get(GDPR), sure)]
    if incident.serious is not Serious.NO:
        days = DAYS.get(incident.serious, 15)
        decided = sure and incident.serious is not Serious.UNDECIDED
        paragraph = {2: 3, 10: 4}.get(days, 2)
        title = f"AI Act Art. 73({paragraph}), {days} days"
        found.append(Clock(AI_ACT, title, start, start + days * DAY, incident.notified.get(AI_ACT), decided))
    return tuple(found)


def span(seconds: float) -> str:
    """Return a time in days, hours and minutes, the two largest: "2 d 4 h"."""
    minutes = int(seconds // 60)
    days, hours, minutes = minutes // 1440, minutes // 60 % 24, minutes % 60
    return f"{days} d {hours} h" if days else f"{hours} h {minutes} min"
