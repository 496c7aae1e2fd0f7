"""False alarms: harmless clients shown to the watch, and how often it rang."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from scipy.stats import chi2

from safelight.drill.clock import DAY
from safelight.drill.traffic import Visit
from safelight.guard.seen import Seen
from safelight.guard.sight import Watches

CONFIDENCE = 0.95


@dataclass(frozen=True)
class FalseAlarms:
    """What harmless clients rang.

    Attributes:
        clients: how many there were.
        days: that each was there, on average.
        alarms: clients, on a day, that an alarm rang for (or that an alarm of a cohort pointed at).
        kinds: kind of traffic -> (clients, alarms).
    """

    clients: int
    days: float
    alarms: int
    kinds: dict[str, tuple[int, int]]

    @property
    def rate(self) -> tuple[float, float, float]:
        """Alarms per 1,000 clients a day, and its exact Poisson interval (Garwood 1936)."""
        whole, n = self.clients * self.days / 1000, self.alarms
        tail = (1 - CONFIDENCE) / 2
        low = float(chi2.ppf(tail, 2 * n) / 2) if n else 0.0
        return n / whole, low / whole, float(chi2.ppf(1 - tail, 2 * n + 2) / 2) / whole

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        value, low, high = self.rate
        return {
            "clients": self.clients,
            "days": self.days,
            "alarms": self.alarms,
            "per_1000_clients_a_day": {"value": value, "low": low, "high": high},
        }

    @property
    def words(self) -> str:
        """One sentence."""
        value, low, high = self.rate
        return (
            f"{self.alarms} alarms of {self.clients:,} harmless clients: {value:.2f} per 1,000 clients a day "
            f"({low:.2f} to {high:.2f})."
        )


def false_alarms(watcher: Watches, visits: Iterable[Visit], model: str = "model", days: float = 1.0) -> FalseAlarms:
    """Show visits to a watch and count for whom it rings, at most once a client and day (UTC).

    Args:
        watcher: as the guard has it.
        visits: with the model's answers, in the order of time.
        model: that is asked.
        days: that each client is there; of 24 hours, which may begin before those of UTC do, or later.
    """
    rung: set[tuple[str, int]] = set()
    kind_of: dict[str, str] = {}
    for visit in visits:
        kind_of[visit.client] = visit.kind
        for alarm in watcher.see(Seen(visit.client, visit.cohort, model, visit.at, visit.x, visit.answers)):
            for client in (alarm.client,) if alarm.client else alarm.suspects or ("",):
                rung.add((client, int(visit.at // DAY)))
    kinds = {}
    for kind in dict.fromkeys(kind_of.values()):
        own = {client for client, its in kind_of.items() if its == kind}
        kinds[kind] = (len(own), sum(client in own for client, _ in rung))
    return FalseAlarms(len(kind_of), days, len(rung), kinds)
