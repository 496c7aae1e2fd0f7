"""Calibrate the guard's watch on recorded normal traffic."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from safelight.cli.guard import POLICY, Text
from safelight.errors import InputError

if TYPE_CHECKING:
    from numpy import ndarray as Array

    from safelight.guard.calibration import Calibration


def calibrate(
    *,
    traffic: Path,
    policy: Path = POLICY,
    training: Path | None = None,
    training_texts: Path | None = None,
    columns: Text = "",
    out: Path | None = None,
    seed: int = 0,
) -> int:
    """Learn from recorded normal traffic what is normal here, so that `safelight guard run` can watch.

    Args:
        traffic: a recording of normal traffic, as the guard writes it with `record` in [signals].
        policy: the guard's settings; [signals] holds the false alarms that are allowed, a day of 1,000 clients.
        training: the records that the model was trained on, as .npy or in an .npz under the name x: (n, values), and
            there under names those of their columns. Only keyed hashes of coarse sketches of them are kept.
        training_texts: the texts that a language model was trained on: .jsonl, or a text. Only keyed fingerprints of
            passages are kept.
        columns: names of the columns, separated by commas, in the order in which records without names have them; as
            most recorded clients order them when left out.
        out: the file to write; that of `reference` in [signals] when left out, else calibration.npz.
        seed: whole number that splits and made-up records are drawn with; the same seed gives the same calibration.
    """
    from safelight.guard.calibrate import calibrate as learn
    from safelight.guard.calibrate import said
    from safelight.guard.calibration import save
    from safelight.guard.canaries import Canaries, read_canaries
    from safelight.guard.corpus import read_corpus
    from safelight.guard.policy import Signals, read_policy
    from safelight.guard.recording import recorded
    from safelight.guard.store import key_of

    rules = read_policy(policy)
    signals = rules.signals or Signals()
    path = out or rules.folder / (signals.reference or "calibration.npz")
    listed = signals.canaries and rules.folder / signals.canaries
    canaries = read_canaries(listed, key_of(rules)) if listed else Canaries()
    rows, named = (None, ()) if training is None else _rows(training)
    found = learn(
        recorded(traffic), signals.false_alarms_per_1000_clients, rows, seed,
        columns=tuple(name.strip() for name in columns.split(",") if columns), training_columns=named,
        training_texts=None if training_texts is None else read_corpus(training_texts), canaries=canaries,
    )  # fmt: skip
    save(path, found)
    for name, one in found.items():
        print("\n".join(_lines(name, one, signals.false_alarms_per_1000_clients / 1000)))
        normal = said(recorded(traffic), one, canaries)
        if normal.repeating:
            print(
                f"  Of {normal.answers} recorded answers {normal.repeating} repeat 50 tokens or more of the training "
                "texts, beside what several clients were told. That counts as normal now: look whether it should."
            )
        if normal.secret:
            print(
                f"  Of {normal.answers} recorded answers {normal.secret} hold a piece of a secret. That is a leak: the "
                "guard rings when it comes again."
            )
    print(f"{path} was written; keep it as you keep the training data.")
    return 0


def _lines(name: str, found: Calibration, asked: float) -> Iterator[str]:
    """Yield what a calibration supports, beside the false alarms a day of one client that were asked for."""
    got, clients = found.clients.rate, found.clients.clients
    yield f"{name or 'the model'}: the line is at {found.clients.threshold:.1f}, from {clients} clients."
    if got > asked * (1 + 1e-9):
        yield (
            f"  They support {1000 * got:.3g} false alarms a day of 1,000 clients, not {1000 * asked:.3g}: for "
            f"that record {2 * round(1 / asked)} clients. The line is above the largest of them, and for "
            f"{clients} clients like these up to {got * clients:.2g} a day may be wrong."
        )
    if found.cohorts is None:
        yield "  Cohorts are not watched: there are too few clients to make groups of."
    else:
        yield (
            f"  Cohorts are held to {found.cohorts.clients} groups of {found.group} clients, which support "
            f"{1000 * found.cohorts.rate:.3g} false alarms a day of 1,000 cohorts."
        )


def _rows(path: Path) -> tuple[Array, tuple[str, ...]]:
    """Return records (n, values), and the names of their columns or ()."""
    import numpy as np

    try:
        held = np.load(path, allow_pickle=False)
        rows = held["x"] if hasattr(held, "files") else held
        names = held["names"].tolist() if "names" in getattr(held, "files", ()) else []
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{path} holds no training records ({error}); give an .npy, or an .npz with x.") from None
    if rows.ndim < 2 or not len(rows):
        raise InputError(f"{path} holds an array of shape {rows.shape}; give one record a row.")
    rows = np.asarray(rows.reshape(len(rows), -1), float)
    if names and len(names) != rows.shape[1]:
        raise InputError(f"{path} has {len(names)} names for {rows.shape[1]} columns; give each one a name.")
    return rows, tuple(map(str, names))
