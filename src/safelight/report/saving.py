"""Writing a report: one file by its ending, or a folder with everything."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from safelight.errors import InputError, did_you_mean
from safelight.report import document, html, junit, markdown, sarif
from safelight.report.model import Report
from safelight.report.pictures import write_pictures

WRITERS: dict[str, Callable[[Report], str]] = {
    ".html": html.page,
    ".json": document.to_json,
    ".md": markdown.markdown,
    ".sarif": sarif.to_sarif,
    ".xml": junit.to_junit,
}


def save(report: Report, path: Path) -> Path:
    """Write the report; see `Report.save`. A file appears whole or not at all."""
    if path.is_dir() or not path.suffix:
        return _everything(report, path)
    if path.suffix not in WRITERS:
        raise InputError(
            f"A report cannot be written as {path.suffix!r}; use one of {', '.join(WRITERS)}, or a folder."
            f"{did_you_mean(path.suffix, WRITERS)}"
        )
    return _written(path, WRITERS[path.suffix](report))


def _everything(report: Report, folder: Path) -> Path:
    _written(folder / "report.json", document.to_json(report))
    try:
        write_pictures(report.pictures, folder)
    except OSError as error:
        raise _refused(folder, error) from None
    return _written(folder / "report.html", html.page(report))


def _written(path: Path, text: str) -> Path:
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(text, "utf-8", newline="\n")
        partial.replace(path)
    except OSError as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise _refused(path, error) from None
    return path


def _refused(path: Path, error: OSError) -> InputError:
    return InputError(
        f"{path} cannot be written ({error.strerror or error}); free space there or choose another folder."
    )
