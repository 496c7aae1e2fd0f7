"""A real Ray cluster on this machine: two nodes, each with processes, ports and a folder of its own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

RAY = Path(sys.executable).with_name("ray")

COUNT = "import ray, sys; ray.init(address=sys.argv[1], log_to_driver=False); print(ray.cluster_resources()['CPU'])"


@contextmanager
def ray_nodes(processors: tuple[int, ...] = (1, 1), gpus: int = 0) -> Iterator[str]:
    """Start a Ray cluster with one node an entry of `processors`; yields the address of its head.

    Each node says that it has `gpus`: Ray hands them out by number, whether they are there or not.

    Every node is a session of its own, so that it ends as one, and no Ray of anybody else's does.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with ExitStack() as stack:
        for number, count in enumerate(processors):
            # A short path: names of sockets are limited to 107 letters.
            folder = tempfile.mkdtemp(prefix="ray", dir="/tmp")
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            head = ["--head", "--port", address.rpartition(":")[2], "--include-dashboard", "false"]
            node = subprocess.Popen(
                [RAY, "start", "--block", *(head if number == 0 else ["--address", address]),
                 "--node-ip-address", "127.0.0.1", "--num-cpus", str(count), "--num-gpus", str(gpus),
                 "--min-worker-port", "0", "--max-worker-port", "0", "--object-store-memory", "100000000",
                 "--disable-usage-stats", "--temp-dir", folder],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
            stack.callback(_end, node)
            _until_it_has(address, sum(processors[: number + 1]))
        yield address


def _until_it_has(address: str, processors: int, seconds: float = 60.0) -> None:
    end, seen = time.monotonic() + seconds, ""
    while time.monotonic() < end:
        try:
            with socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2])), 1):
                pass
        except OSError:
            time.sleep(0.2)
            continue
        asked = subprocess.run([sys.executable, "-W", "ignore", "-c", COUNT, address], capture_output=True, text=True)
        seen = asked.stdout.strip() or asked.stderr[-500:]
        if seen.replace(".", "").isdigit() and float(seen) >= processors:
            return
    raise TimeoutError(f"The Ray cluster did not get {processors} processors in {seconds:g} s: {seen}")


def _end(node: subprocess.Popen[bytes]) -> None:
    for kind in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(node.pid, kind)
            node.wait(10)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue
