"""What the operator is told of the watch: when the guard starts, and when [signals] changes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from safelight.guard.calibration import Calibration
from safelight.guard.policy import GuardPolicy


def told(policy: GuardPolicy, calibrations: Mapping[str, Calibration], watches: bool) -> Iterator[str]:
    """Yield what watches, how far its calibration reaches, and what is recorded.

    Args:
        policy: in force.
        calibrations: that the watch goes by, by model.
        watches: whether anything looks at sequences of calls.
    """
    signals = policy.signals
    if not watches:
        yield (
            "nothing watches sequences of calls: [signals] names no reference, which `safelight guard calibrate` makes."
        )
    elif signals is not None and calibrations:
        models = ", ".join(filter(None, calibrations))
        yield f"sequences of calls are watched with {signals.reference}" + (f", for {models}." if models else ".")
    yield from few(policy, calibrations, len(policy.clients) + len(policy.trust.certificates))
    if signals is not None and signals.record is not None:
        place = policy.folder / signals.record
        yield f"calls are recorded as they are in {place}; take record out of [signals] when there are enough."


def few(policy: GuardPolicy, calibrations: Mapping[str, Calibration], named: int) -> Iterator[str]:
    """Yield what false alarms come to where the calibration supports no rate as low as the policy asks for.

    Args:
        policy: in force.
        calibrations: that the watch goes by, by model.
        named: clients that the policy names.
    """
    got = max((one.clients.rate for one in calibrations.values()), default=0.0)
    asked = policy.signals.false_alarms_per_1000_clients / 1000 if policy.signals is not None else 1.0
    if got <= asked * (1 + 1e-9) or not named:
        return
    most = min(got * named, named)
    often = f"{most:.2g} a day" if most >= 1 else f"one in {1 / most:.2g} days"
    yield (
        f"few clients were recorded: up to {1000 * got:.3g} false alarms a day of 1,000 clients, not "
        f"{1000 * asked:.3g}, which is up to {often} among the {named} named here"
        + ("; let the first alarm slow a client and the second hold it." if policy.actions.playbooks is None else ".")
    )
