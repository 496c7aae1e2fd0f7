"""Drift of a guarded model: its reference, and the audits that it makes due."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from safelight.cli.guard import POLICY, Text, opened
from safelight.errors import InputError

if TYPE_CHECKING:
    from numpy import ndarray as Array


def drift_reference(
    *, records: Path, answers: Path | None = None, out: Path = Path("drift.npz"), model: Text = "", seed: int = 0
) -> int:
    """Sketch records of normal traffic, which drift is measured against: counts and means, never a record.

    Args:
        records: CSV with a line of names, which calls that name their columns are read by; or npy, with columns in the
            order in which they are asked.
        answers: of the model to these records, in the same formats: scores, one column a class, or labels. Without
            them only the records are watched for drift.
        out: file to write; `reference` in [drift] names it.
        model: name that calls give, where the server has several models; all calls count when left out.
        seed: whole number that the random features of MMD are drawn with; the same seed gives the same file.
    """
    from safelight.guard.drift.reference import DriftReference

    said = _table(answers)[0] if answers else None
    x, names = _table(records)
    reference = DriftReference.of(x, said, model, seed, names)
    reference.save(out)
    print(f"{out} holds {reference.inputs.records} records as counts of {len(reference.inputs.counted)} columns.")
    return 0


def due(*, done: str | None = None, report: Path | None = None, policy: Path = POLICY) -> int:
    """List the audits that are due, or close one. Exit codes: 0 none is due, 1 some are, 2 bad input.

    Args:
        done: name of the model whose audit was made; needs --report.
        report: report.json of that audit; needs --done.
        policy: the guard's settings.
    """
    from safelight.guard.drift import due as audits
    from safelight.guard.registry.audits import read_audit

    if (done is None) != (report is None):
        raise InputError("--done and --report go together: the model, and the report.json of its new audit.")
    store = opened(policy)
    if done is not None and report is not None:
        document = audits.done(store, done, read_audit(report), time.time())
        print(f"The audit of {done} is done: {document.facts['verdict']}.")
        return 0
    open_ones = audits.dues(store)
    for each in open_ones:
        since = time.strftime("%Y-%m-%d %H:%M", time.gmtime(each.since))
        version = f" version {each.version}" if each.version else ""
        print(f"{each.model}{version}, since {since} UTC: {each.why}")
    if not open_ones:
        print("No audit is due.")
    return 1 if open_ones else 0


def _table(path: Path) -> tuple[Array, tuple[str, ...]]:
    """Return a file as the guard reads records, float64, or object where some values are words; and its names or ()."""
    import numpy as np
    import pandas as pd

    try:
        frame = None if path.suffix == ".npy" else pd.read_csv(path)
        found = np.load(path, allow_pickle=False) if frame is None else frame.to_numpy()
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}); give a CSV or npy file.") from None
    if found.dtype == object:
        found[pd.isna(found)] = None
    else:
        found = found.reshape(len(found), -1).astype(np.float64) if found.dtype.kind in "fiub" else found.astype(object)
    names = () if frame is None or frame.shape[1] < 2 else tuple(map(str, frame.columns))
    return found, names
