"""Count what a model file itself holds of its training records."""

from __future__ import annotations

import json as json_format
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def structure(
    model: str,
    *,
    data: Path,
    label: str,
    person: str | None = None,
    k: int = 10,
    trusted: Annotated[bool, Parameter(negative="")] = False,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Count what a model file itself holds of its training records, in about a second.

    Stored records, small leaves, leaves of one class, degrees of freedom, rare words: facts for who releases the file,
    no test, and never a reason to call it safe. Exit codes: 0 no risk counted, 1 a risk, 2 bad input, 3 no risk
    counted, but some of the file was not looked into.

    Args:
        model: a scikit-learn file (.skops, .joblib, .pkl) or "file.py:function".
        data: the table that it was trained on, .csv or .parquet.
        label: the column that it predicts.
        person: the column that says who a row is about; it is no input.
        k: the fewest training records that may stand behind one published number.
        trusted: your word that a file which can run code may be opened.
        json: print one JSON list instead of words.
    """
    from dataclasses import asdict

    from safelight.attacks.disclosure.structure import check_structure
    from safelight.data.tables import load_table
    from safelight.report.vocabulary import RISKS
    from safelight.targets.base import Table
    from safelight.targets.loading import load_target

    members, columns = load_table(data, label, person=person, name="members")
    inputs = Table(columns.inputs)
    target = load_target(model, inputs=inputs, classes=columns.classes, trusted=trusted, like=members.x)
    found = check_structure(target.model, members, k)
    if json:
        print(json_format.dumps([asdict(item) for item in found], indent=2))
    else:
        for item in found:
            print(f"{RISKS[item.risk]:13}{item.sentence}")
    if any(item.risk for item in found):
        return 1
    return 0 if all(item.risk is False for item in found) else 3
