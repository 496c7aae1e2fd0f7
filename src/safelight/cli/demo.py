"""Audit two real models on bundled data: the same files and the same command as for your own model."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
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
    folders = [_copied(name.strip(), out) for name in only.split(",")]
    started = [(folder, _start(folder, quiet, live=folder is folders[0])) for folder in folders]
    worst = 0
    for folder, process in started:
        print(f"$ safelight audit {folder / 'safelight.toml'} --out {folder / 'report'}", flush=True)
        said, progress = process.communicate()
        print(progress or "", end="", file=sys.stderr, flush=True)
        print(said, flush=True)
        worst = max(worst, process.returncode if process.returncode > 1 else 0)
    return worst


def _start(folder: Path, quiet: bool, live: bool) -> subprocess.Popen[str]:
    """Start one audit in a process of its own: the examples run side by side where there are cores for them.

    `live` shows its progress at once; that of the others is shown when their turn has come.
    """
    command = [sys.executable, "-m", "safelight", "audit", str(folder / "safelight.toml"), "--out",
               str(folder / "report"), *(["--quiet"] if quiet else [])]  # fmt: skip
    terminal = {"COLUMNS": str(shutil.get_terminal_size().columns)}
    colour = {"FORCE_COLOR": "1"} if sys.stdout.isatty() else {}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=None if live else subprocess.PIPE, text=True,
                            env={"OMP_NUM_THREADS": "1", **os.environ, **terminal, **colour})  # fmt: skip


def _copied(name: str, out: Path) -> Path:
    """Copy one example to the folder `out`; raises InputError where there is none, or nothing can be written."""
    source = files("safelight.examples") / name
    if not source.is_dir():
        raise InputError(f"There is no example {name!r}; choose among faces, survey and digits.")
    folder = out / name
    try:
        with as_file(source) as path:
            shutil.copytree(path, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    except OSError as error:
        raise InputError(f"Cannot write to {folder}: {error.strerror}; choose another --out folder.") from error
    return folder
