"""Calibrate the guard's watch on recorded normal traffic."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from safelight.cli.guard import POLICY
from safelight.errors import InputError

if TYPE_CHECKING:
    from numpy import ndarray as Array


def calibrate(
    *, traffic: Path, policy: Path = POLICY, training: Path | None = None, out: Path | None = None, seed: int = 0
) -> int:
    """Learn from recorded normal traffic what is normal here, so that `safelight guard run` can watch.

    Args:
        traffic: a recording, as the guard writes it with `record` in [signals].
        policy: guard.toml; [signals] holds the false alarms that are allowed.
        training: the records that the model was trained on, as .npy or in an .npz under the name x: (n, values). Only
            keyed hashes of coarse sketches of them are kept.
        out: the file to write; that of `reference` in [signals] when left out, else calibration.npz.
        seed: of what is drawn.
    """
    from safelight.guard.calibrate import calibrate as learn
    from safelight.guard.calibration import save
    from safelight.guard.policy import Signals, read_policy
    from safelight.guard.recording import recorded

    rules = read_policy(policy)
    signals = rules.signals or Signals()
    path = out or rules.folder / (signals.reference or "calibration.npz")
    found = learn(
        recorded(traffic), signals.false_alarms_per_1000_clients, None if training is None else _rows(training), seed
    )
    save(path, found)
    for name, one in found.items():
        asked, got = signals.false_alarms_per_1000_clients / 1000, one.clients.rate
        print(f"{name or 'the model'}: the line is at {one.clients.threshold:.1f}, from {one.clients.clients} clients.")
        if got > asked * (1 + 1e-9):
            print(
                f"  They support {1000 * got:.3g} false alarms a day of 1,000 clients, not {1000 * asked:.3g}: for "
                f"that record {2 * round(1 / asked)} clients. The line is above the largest of them, and for "
                f"{one.clients.clients} clients like these up to {got * one.clients.clients:.2g} a day may be wrong."
            )
        if one.cohorts is None:
            print("  Cohorts are not watched: there are too few clients to make groups of.")
        else:
            print(
                f"  Cohorts are held to {one.cohorts.clients} groups of {one.group} clients, which support "
                f"{1000 * one.cohorts.rate:.3g} false alarms a day of 1,000 cohorts."
            )
    print(f"{path} was written; keep it as you keep the training data.")
    return 0


def _rows(path: Path) -> Array:
    import numpy as np

    try:
        held = np.load(path, allow_pickle=False)
        rows = held["x"] if hasattr(held, "files") else held
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{path} holds no training records ({error}); give an .npy, or an .npz with x.") from None
    if rows.ndim < 2 or not len(rows):
        raise InputError(f"{path} holds an array of shape {rows.shape}; give one record a row.")
    return np.asarray(rows.reshape(len(rows), -1), float)
