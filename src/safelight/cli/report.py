"""Draw the report of an earlier audit again, without attacking."""

from __future__ import annotations

from pathlib import Path


def report(folder: Path, *, out: Path | None = None) -> int:
    """Draw report.html and report.json of an audit again from its report.json and evidence.

    Args:
        folder: what `safelight audit --out` wrote.
        out: a file (.html, .json or .md) or a folder; the same folder when left out.
    """
    from safelight.report.document import read
    from safelight.report.terminal import show

    loaded = read(folder / "report.json")
    show(loaded, loaded.save(out or folder))
    return 0
