"""[signals] and [drift]: how answered calls are looked at."""

from __future__ import annotations

from dataclasses import dataclass

from safelight.errors import InputError


@dataclass(frozen=True)
class Signals:
    """[signals]: how often the watch over sequences of calls may be wrong.

    Attributes:
        false_alarms_per_1000_clients: a day (> 0).
        reference: file of this site's own normal traffic, as `safelight guard calibrate` writes it.
        record: file that calls are recorded in, to calibrate on: it holds what clients ask, as it is.
        canaries: file of keyed hashes of secrets that a language model must not say.
    """

    false_alarms_per_1000_clients: float = 1.0
    reference: str | None = None
    record: str | None = None
    canaries: str | None = None

    def __post_init__(self) -> None:
        if not 0 < self.false_alarms_per_1000_clients <= 1000:
            raise InputError(
                f"false_alarms_per_1000_clients is {self.false_alarms_per_1000_clients:g}; it must be above 0 and at "
                "most 1000."
            )


@dataclass(frozen=True)
class Drifting:
    """[drift]: when records or answers no longer look like those of the reference.

    Attributes:
        reference: file of `safelight guard drift-reference`, from the folder of guard.toml; None watches no drift.
        window: records that a test looks at (>= 200).
        least: records before which nothing is tested (>= 100).
        share: of the window, that one client's records can have at most, in (0, 1].
        alpha: chance of a false finding while one window of records passes, in (0, 0.1].
        psi: population stability index of a column that counts as drift (> 0): 0.1 is a shift, 0.25 a large one.
        mmd: squared MMD of all columns together that counts as drift (>= 0).
    """

    reference: str | None = None
    window: int = 2000
    least: int = 400
    share: float = 0.25
    alpha: float = 0.001
    psi: float = 0.25
    mmd: float = 0.01

    def __post_init__(self) -> None:
        if self.least > self.window:
            raise InputError(f"least is {self.least} and window is {self.window}; a window holds at least that many.")
