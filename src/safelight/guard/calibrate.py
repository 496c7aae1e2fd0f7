"""From recorded normal traffic to a calibration: what is normal here, and where the line is."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator

from safelight.errors import InputError
from safelight.guard.calibration import Calibration
from safelight.guard.fit import Fitted, fit_reference
from safelight.guard.reference import Reference
from safelight.guard.scale import Scale, fit_scale
from safelight.guard.seen import Seen
from safelight.guard.track import COHORT, Track, signals_of
from safelight.guard.window import SIZE, Facts

LEAST_CLIENTS = 20
LEAST_GROUPS = 8
GROUP = 20
"""Clients of a group that stands for a cohort, at the most."""
HEADROOM = 1.5

Day = list[tuple[float, Facts]]


def calibrate(
    calls: Iterable[Seen],
    alarms_per_1000: float = 1.0,
    training: Array | None = None,
    seed: int = 0,
    secret: bytes | None = None,
    headroom: float = HEADROOM,
) -> dict[str, Calibration]:
    """Calibrate the watch on normal traffic, model by model.

    A quarter of the clients shows what records look like, a quarter sets the scale of the signals, and half set the
    threshold. It is taken from the largest statistics of those, times `headroom`.

    Args:
        calls: of normal clients.
        alarms_per_1000: false alarms a day of 1,000 clients (> 0, <= 1000).
        training: (m, d) records that the models were trained on.
        seed: of all that is drawn.
        secret: key of the hashes, 32 bytes; drawn at random when left out, since hashes must not be guessed.
        headroom: factor on the threshold (>= 1).

    Raises:
        InputError: too few clients or records, or records of several lengths.
    """
    models: dict[str, dict[str, list[Seen]]] = {}
    for call in calls:
        models.setdefault(call.model, {}).setdefault(call.client, []).append(call)
    if not models:
        raise InputError("There is no recorded traffic to calibrate on; let the guard record some first.")
    key = secrets.token_bytes(32) if secret is None else secret
    alpha = alarms_per_1000 / 1000
    return {
        model: _model(model, clients, alpha, training, np.random.default_rng(seed), key, headroom)
        for model, clients in sorted(models.items())
    }


def _model(
    model: str,
    clients: dict[str, list[Seen]],
    alpha: float,
    training: Array | None,
    rng: Generator,
    secret: bytes,
    headroom: float,
) -> Calibration:
    if len(clients) < LEAST_CLIENTS:
        raise InputError(
            f"The recorded traffic of the model {model!r} is of {len(clients)} clients, and a calibration needs at "
            f"least {LEAST_CLIENTS}; record for longer."
        )
    widths = sorted({call.x.shape[1] for calls in clients.values() for call in calls})
    if len(widths) > 1:
        raise InputError(
            f"The recorded traffic of the model {model!r} has records of {widths[0]} and of {widths[1]} values; record "
            "a model that takes one length."
        )
    names = [sorted(clients)[place] for place in rng.permutation(len(clients))]
    quarter = len(names) // 4
    shown = [call for name in names[:quarter] for call in clients[name]]
    kind = Counter(_kind(call.answers) for call in shown).most_common(1)[0][0]
    alike = [call for call in shown if _kind(call.answers) == kind]
    x, answers = np.concatenate([call.x for call in alike]), np.concatenate([call.answers for call in alike])
    fitted = fit_reference(x, answers, secret, rng, training)
    reference, days = fitted.reference, [_days(clients[name], fitted) for name in names]
    single = _scale(reference, days[quarter : 2 * quarter], days[2 * quarter :], None, alpha, headroom)
    group = min(GROUP, (len(names) - quarter) // LEAST_GROUPS)
    cohorts = None
    if group >= 2:
        groups = [
            [_together([day for one in days[start : start + group] for day in one])]
            for start in range(quarter, len(names) - group + 1, group)
        ]
        cut = len(groups) // 3
        cohorts = _scale(reference, groups[:cut], groups[cut:], single, alpha, headroom)
    return Calibration(model, reference, single, cohorts, group)


def _kind(answers: Array) -> tuple[tuple[int, ...], bool]:
    """Return how many numbers an answer has, and whether answers are words."""
    return answers.shape[1:], answers.dtype.kind in "OUS"


def _days(calls: Sequence[Seen], fitted: Fitted) -> list[Day]:
    """Return the calls of a client, day by day."""
    found: dict[int, Day] = {}
    for call in sorted(calls, key=lambda call: call.at):
        found.setdefault(int(call.at // 86400), []).append((call.at % 86400, fitted.read(call)))
    return list(found.values())


def _together(days: Sequence[Day]) -> Day:
    """Return several days as if they had been one, in the order of time."""
    return sorted((call for day in days for call in day), key=lambda call: call[0])


def _scale(
    reference: Reference,
    first: Sequence[list[Day]],
    second: Sequence[list[Day]],
    beside: Scale | None,
    alpha: float,
    headroom: float,
) -> Scale:
    cohort = beside is not None
    signals = signals_of(reference, cohort)
    least = np.array([signal.spread for signal in signals])
    relative = np.array([signal.relative for signal in signals])

    def said(days: list[Day]) -> Array:
        track = Track(reference, COHORT if cohort else SIZE)
        rows = [
            row
            for number, day in enumerate(days)
            for at, facts in day
            for row in track.take(replace(facts, at=86400.0 * number + at), reference, signals)
        ]
        return np.array(rows).reshape(-1, len(signals))

    halves = [[said(days) for days in half] for half in (first, second)]
    if not any(len(rows) for rows in halves[0]) or not any(len(rows) for rows in halves[1]):
        raise InputError("No recorded client asked about eight records; record for longer.")
    names = [signal.name for signal in signals]
    return fit_scale(names, least, relative, halves[0], halves[1], alpha, headroom, beside)
