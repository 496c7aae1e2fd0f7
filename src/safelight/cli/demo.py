"""Audit two real models on bundled data: the same files and the same command as for your own model."""

from __future__ import annotations

import shutil
from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from safelight.errors import InputError


def demo(
    out: Path = Path("safelight-demo"),
    *,
    only: str = "faces,survey",
    quiet: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Copy the example audits to a folder, and run `safelight audit` on each.

    Args:
        out: where examples and reports go.
        only: which examples: faces, survey, digits.
        quiet: no progress.

    Exits with 0 when every audit came to its end, whatever it found.
    """
    from safelight.cli.audit import audit

    worst = 0
    for name in (word.strip() for word in only.split(",")):
        source = files("safelight.examples") / name
        if not source.is_dir():
            raise InputError(f"There is no example {name!r}; choose among faces, survey and digits.")
        folder = out / name
        try:
            with as_file(source) as path:
                shutil.copytree(path, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        except OSError as error:
            raise InputError(f"Cannot write to {folder}: {error.strerror}; choose another --out folder.") from error
        print(f"$ safelight audit {folder / 'safelight.toml'} --out {folder / 'report'}")
        code = audit(str(folder / "safelight.toml"), out=folder / "report", quiet=quiet)
        worst = max(worst, code if code > 1 else 0)
        print()
    return worst
