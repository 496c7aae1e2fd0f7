"""Draw the report of an earlier audit again, without attacking."""

from __future__ import annotations

import json
from pathlib import Path

from safelight.errors import InputError


def report(folder: Path, *, out: Path | None = None) -> int:
    """Draw report.html and report.json of an audit again from its report.json and evidence.

    Args:
        folder: what `safelight audit --out` wrote.
        out: a file (.html, .json or .md) or a folder; the same folder when left out.
    """
    from safelight.report.document import from_document
    from safelight.report.terminal import render

    path = folder / "report.json"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"There is no {path}; name the folder that `safelight audit --out` wrote.") from None
    except json.JSONDecodeError as error:
        raise InputError(f"{path} is not valid JSON ({error}); run the audit again.") from None
    loaded = from_document(document, folder)
    where = out or folder
    loaded.save(where)
    print(render(loaded, str(where / "report.html" if where.is_dir() else where), False))
    return 0
