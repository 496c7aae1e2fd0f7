"""Commands that must end as expected, servers that end with the story, and sentences that must be true."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

PATIENCE = 120.0  # seconds that a server may take to answer
QUIET = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "MLFLOW_DISABLE_TELEMETRY": "true", "COLUMNS": "100"}


class NotSo(Exception):
    """A step did not do what it says."""


def check(so: bool, words: str) -> None:
    """Print a sentence that is so; raise NotSo where it is not."""
    if not so:
        raise NotSo(f"This should be so, and is not: {words}")
    print(f"   {words}", flush=True)


@dataclass(frozen=True)
class Desk:
    """The folder in which the operator types.

    Attributes:
        folder: where commands run.
        shown: lines of a command's answer that are printed.
    """

    folder: Path
    shown: int = 12

    def safelight(self, *words: str, ends: int = 0, shown: int | None = None) -> str:
        """Print and run a command of Safelight and return its answer; raise NotSo where it ends with another code."""
        print(f"   $ safelight {shlex.join(words)}", flush=True)
        argv = [sys.executable, "-m", "safelight", *words]
        environment = {**os.environ, **QUIET}
        done = subprocess.run(argv, cwd=self.folder, capture_output=True, text=True, env=environment, timeout=600)
        said = (done.stdout or done.stderr).rstrip().splitlines()
        most = self.shown if shown is None else shown
        for line in said[:most]:
            print(f"     {line}", flush=True)
        if len(said) > most > 0:
            print(f"     ... {len(said) - most} more lines", flush=True)
        if done.returncode != ends:
            raise NotSo(f"The command ended with {done.returncode}, not {ends}: {done.stdout}{done.stderr}")
        return done.stdout + done.stderr


@dataclass(frozen=True)
class Server:
    """A server that was started.

    Attributes:
        process: of it.
        log: what it says.
    """

    process: subprocess.Popen[bytes]
    log: Path

    def answers(self, url: str) -> None:
        """Wait until it answers at an address; raise NotSo where it ends, or takes too long."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                if httpx.get(url, trust_env=False, timeout=5.0).status_code < 400:
                    return
            except httpx.TransportError:
                pass
            if self.process.poll() is not None or time.monotonic() > end:
                raise NotSo(f"Nothing serves at {url}; {self.log} says why.")
            time.sleep(0.1)


@contextmanager
def serving(argv: Sequence[str], log: Path, **environment: str) -> Iterator[Server]:
    """Run a server until the block ends, in a process group of its own.

    Args:
        argv: its command.
        log: file that takes what it says.
        environment: variables besides this process's own.
    """
    with log.open("ab") as out:
        server = subprocess.Popen(
            argv, cwd=log.parent, env={**os.environ, **QUIET, **environment}, stdout=out, stderr=out,
            start_new_session=True,
        )  # fmt: skip
    try:
        yield Server(server, log)
    finally:
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()
