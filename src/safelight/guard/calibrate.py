"""From recorded normal traffic to a calibration: what is normal here, and where the line is."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator

from safelight.errors import InputError
from safelight.guard.calibration import Calibration
from safelight.guard.canaries import Canaries
from safelight.guard.columns import Columns, Names, usual
from safelight.guard.days import Day, days_of, kind_of, records_of, together
from safelight.guard.fit import Fitted, fit_reference, of_texts
from safelight.guard.passages import ENDS, FIFTY_TOKENS, Passages
from safelight.guard.scale import Scale, fit_scale
from safelight.guard.seen import Seen
from safelight.guard.signals.canary_hits import CanaryHits, with_canaries
from safelight.guard.signals.evidence import stretch
from safelight.guard.signals.training import TrainingHits
from safelight.guard.track import COHORT, COHORT_STEP, STEP, Track, signals_of
from safelight.guard.window import SIZE

LEAST_CLIENTS = 20
LEAST_GROUPS = 8
GROUP = 20
"""Clients of a group that stands for a cohort, at the most."""
HEADROOM = 1.5
QUOTED = 0.02
"""Share of the clients that show what is normal, two at the least, whom a passage was said to that counts no more."""
SHOWN = 20_000
"""Records that show what normal ones look like; more hardly changes it."""
NOTHING, NONE = Passages(), Canaries()


def calibrate(
    calls: Iterable[Seen],
    alarms_per_1000: float = 1.0,
    training: Array | None = None,
    seed: int = 0,
    secret: bytes | None = None,
    headroom: float = HEADROOM,
    training_texts: Iterable[str] | None = None,
    canaries: Canaries = NONE,
    columns: Names = (),
    training_columns: Names = (),
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
        training_texts: that the language models were trained on.
        canaries: secrets that language models are watched for.
        columns: names of a record's values, in the order in which calls without names have them, for the models that
            take so many; as most recorded clients order them when left out.
        training_columns: names of the training records' values; in the order of `columns` when left out.

    Raises:
        InputError: too few clients or records, records of several lengths, training data that no model fits.
    """
    models: dict[str, dict[str, list[Seen]]] = {}
    kinds = set()
    for call in calls:
        models.setdefault(call.model, {}).setdefault(call.client, []).append(call)
        kinds.add(bool(call.texts))
    if not models:
        raise InputError("There is no recorded traffic to calibrate on; let the guard record some first.")
    key = secrets.token_bytes(32) if secret is None else secret
    if training_texts is not None and True not in kinds:
        raise InputError("The recorded traffic holds no texts, and training texts were given; leave them out.")
    if training is not None and False not in kinds:
        raise InputError("The recorded traffic holds texts alone, and training records were given; give texts.")
    passages = NOTHING if training_texts is None else Passages.of(training_texts, key)
    orders = {model: Columns(_order(clients, columns)) for model, clients in models.items()}
    if columns and not any(order.names == columns for order in orders.values()):
        raise InputError(f"No recorded model takes records of the {len(columns)} columns that were named; name all.")
    known = {model: _in_order(training, training_columns, order) for model, order in orders.items()}
    wanted = _Wanted(alarms_per_1000 / 1000, headroom, key, passages, canaries)
    return {
        model: _model(model, clients, orders[model], known[model], wanted, np.random.default_rng(seed))
        for model, clients in sorted(models.items())
    }


@dataclass(frozen=True)
class _Wanted:
    """What is the same for all models.

    Attributes:
        alpha: false alarms a day of one client.
        headroom: factor on the threshold.
        secret: key of the hashes.
        passages: of the training texts.
        canaries: secrets that language models are watched for.
    """

    alpha: float
    headroom: float
    secret: bytes
    passages: Passages
    canaries: Canaries


@dataclass(frozen=True)
class Said:
    """What the recorded answers of a language model say already.

    Attributes:
        answers: that were recorded.
        repeating: that hold about 50 tokens or more of the training texts, and not their prompt, beside passages that
            several clients heard; that is normal now.
        secret: that hold a piece of a secret, and not their prompt; that is a leak.
    """

    answers: int
    repeating: int
    secret: int


def said(calls: Iterable[Seen], model: Calibration, canaries: Canaries = NONE) -> Said:
    """Count what the recorded answers of one model say of its training texts, and of secrets."""
    texts = [pair for call in calls if call.model == model.model for pair in call.texts]
    repeated = [model.reference.passages.repeated(prompt, answer) for prompt, answer in texts]
    hits = sum(bool(canaries.found(answer) - canaries.found(prompt)) for prompt, answer in texts)
    return Said(len(texts), sum(letters >= FIFTY_TOKENS - ENDS for letters in repeated), hits)


def _model(
    model: str,
    clients: dict[str, list[Seen]],
    order: Columns,
    training: Array | None,
    wanted: _Wanted,
    rng: Generator,
) -> Calibration:
    if len(clients) < LEAST_CLIENTS:
        raise InputError(
            f"The recorded traffic of the model {model!r} is of {len(clients)} clients, and a calibration needs at "
            f"least {LEAST_CLIENTS}; record for longer."
        )
    widths = sorted({order.read(call.x, call.names)[0].shape[1] for calls in clients.values() for call in calls})
    if len(widths) > 1:
        raise InputError(
            f"The recorded traffic of the model {model!r} has records of {widths[0]} and of {widths[1]} values; record "
            "a model that takes one length."
        )
    if not widths[0] and not all(call.texts for calls in clients.values() for call in calls):
        raise InputError(
            f"The recorded traffic of the model {model!r} holds neither values nor texts; let this version of the "
            "guard record anew."
        )
    names = [sorted(clients)[place] for place in rng.permutation(len(clients))]
    quarter = len(names) // 4
    shown = [clients[name] for name in names[:quarter]]
    fitted = _fitted(shown, order, training, wanted, rng)
    days = [days_of(clients[name], fitted) for name in names]
    single = _scale(fitted, days[quarter : 2 * quarter], days[2 * quarter :], wanted)
    group = min(GROUP, (len(names) - quarter) // LEAST_GROUPS)
    cohorts, window = None, COHORT
    if group >= 2:
        groups = [
            [together([day for one in days[start : start + group] for day in one])]
            for start in range(quarter, len(names) - group + 1, group)
        ]
        cut = len(groups) // 3
        most = max(np.median([records_of(one) for one in groups]), COHORT_STEP)
        while window // 2 >= most:  # windows far fuller than those of the groups would say more
            window //= 2
        if all(max(map(records_of, half)) >= COHORT_STEP for half in (groups[:cut], groups[cut:])):
            cohorts = _scale(fitted, groups[:cut], groups[cut:], wanted, single, window)
    return Calibration(model, fitted.reference, single, cohorts, group, window)


def _fitted(
    clients: Sequence[Sequence[Seen]], order: Columns, training: Array | None, wanted: _Wanted, rng: Generator
) -> Fitted:
    """Fit a reference to what clients asked and were answered, answers of the usual kind alone."""
    shown = [call for calls in clients for call in calls]
    kind = Counter(kind_of(call.answers) for call in shown).most_common(1)[0][0]
    alike = [call for call in shown if kind_of(call.answers) == kind]
    if sum(len(call.x) for call in alike) > SHOWN:
        mixed = [alike[place] for place in rng.permutation(len(alike))]
        alike = mixed[: int(np.searchsorted(np.cumsum([len(call.x) for call in mixed]), SHOWN)) + 1]
    x = np.concatenate([order.read(call.x, call.names)[0] for call in alike])
    if x.shape[1]:
        answers = np.concatenate([call.answers for call in alike])
        return fit_reference(x, answers, wanted.secret, rng, training).named(order.names)
    quoted = _quoted(clients, wanted.passages)
    return of_texts(wanted.secret, wanted.passages.without(quoted)).named(order.names)


def _order(clients: Mapping[str, Sequence[Seen]], columns: Names) -> Names:
    """Return the order of the values of a model's records: `columns` where they fit, else as its clients name them."""
    widths = {call.x.shape[1] for calls in clients.values() for call in calls if not call.names}
    found = usual([[call.names for call in calls] for calls in clients.values()], widths)
    return columns if columns and (len(columns) in widths or set(columns) == set(found)) else found


def _in_order(training: Array | None, names: Names, order: Columns) -> Array | None:
    """Return training records in the order of the traffic; raises InputError where they lack some of its values."""
    if training is None or not names or not order.names:
        return training
    if not set(order.names) <= set(names):
        raise InputError(
            f"The training records have {len(set(order.names) & set(names))} of the {len(order.names)} columns of the "
            "recorded traffic; give records as the model takes them."
        )
    return order.read(training, names)[0]


def _quoted(clients: Sequence[Sequence[Seen]], passages: Passages) -> Array:
    """Return the fingerprints that the answers to several clients hold: licences, and what else anybody may hear."""
    counts = Counter(
        mark
        for calls in clients
        for mark in {int(one) for call in calls for pair in call.texts for one in passages.found(*pair)}
    )
    least = max(2, QUOTED * len(clients))
    return np.array([mark for mark, count in counts.items() if count >= least], np.uint64)


def _scale(
    fitted: Fitted,
    first: Sequence[list[Day]],
    second: Sequence[list[Day]],
    wanted: _Wanted,
    beside: Scale | None = None,
    window: int = SIZE,
) -> Scale:
    """Return the scale that some clients set and whose threshold others set; of cohorts where `beside` is clients'."""
    reference, cohort = fitted.reference, beside is not None
    # What clients say of secrets may be normal; what a model says of them is not, however often it was recorded.
    signals = with_canaries(signals_of(reference, cohort), CanaryHits(wanted.canaries, said=0.0))
    least = np.array([signal.spread for signal in signals])
    relative = np.array([signal.relative for signal in signals])

    def scores(days: list[Day]) -> Array:
        track = Track(reference, window, COHORT_STEP if cohort else STEP)
        rows = [
            row
            for number, day in enumerate(days)
            for at, facts in day
            for row in track.take(replace(facts, at=86400.0 * number + at), reference, signals)
        ]
        return np.array(rows).reshape(-1, len(signals))

    halves = [[scores(days) for days in half] for half in (first, second)]
    if not any(len(rows) for rows in halves[0]) or not any(len(rows) for rows in halves[1]):
        raise InputError("No recorded client asked about eight records; record for longer.")
    names = [signal.name for signal in signals]
    if TrainingHits.name in names:  # what new records of those whom the model knows reach is normal, whoever asked
        place = names.index(TrainingHits.name)
        middle = np.median([rows[:, place].max() for rows in halves[0] if len(rows)])
        fresh = stretch(np.full(window, fitted.reach))
        least[place] = max(least[place], fresh - float(middle))
    return fit_scale(names, least, relative, halves[0], halves[1], wanted.alpha, wanted.headroom, beside)
