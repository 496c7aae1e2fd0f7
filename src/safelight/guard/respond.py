"""What an alarm leads to: a row in the log, and quarantine for whom it points at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

from safelight.guard.alarm import Alarm
from safelight.guard.judge import Step
from safelight.guard.policy import GuardPolicy
from safelight.guard.store import Store


@dataclass
class Responder:
    """Take the steps that the policy has for an alarm.

    Attributes:
        policy: returns the policy in force.
        store: where steps and log are kept.
        say: takes words for the operator.
    """

    policy: Callable[[], GuardPolicy]
    store: Store
    say: Callable[[str], None]

    def respond(self, alarm: Alarm) -> None:
        """Log an alarm and quarantine the client, or the suspects of a cohort; raises StoreFailed."""
        self.store.note("alarm", alarm.at, **{name: value for name, value in asdict(alarm).items() if name != "at"})
        until = alarm.at + 60 * self.policy().actions.minutes
        for client in (alarm.client,) if alarm.client else alarm.suspects:
            self.store.step(client, Step.QUARANTINE, until, alarm.at, why=alarm.signal)
