"""A model server that counts what it gets, and `safelight guard run` before it, over real connections."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

UPSTREAM = '[upstream]\nurl = "http://127.0.0.1:{}"\nprotocol = "{}"\nmodel = "diag"\n'


def rewrite(path: Path, text: str) -> None:
    """Write a file anew, as if it had been still for a while: a guard takes it at the next look."""
    path.write_text(text)
    then = time.time_ns() - 5_000_000_000
    os.utime(path, ns=(then, then))


class Counted:
    """A model server: two classes, sure of one. `got` holds (method, path, headers, body) of each request."""

    def __init__(self) -> None:
        self.got: list[tuple[str, str, list[tuple[str, str]], bytes]] = []
        self.reply: tuple[int, dict[str, str], bytes] | None = None
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def respond(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                outer.got.append((self.command, self.path, list(self.headers.items()), body))
                status, headers, content = outer.reply or outer.predict(body)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = respond

            def log_message(self, *words: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    @staticmethod
    def predict(body: bytes) -> tuple[int, dict[str, str], bytes]:
        try:
            asked = json.loads(body)["inputs"]
        except (ValueError, KeyError, TypeError):
            return 400, {"content-type": "application/json"}, b'{"error": "no inputs"}'
        rows = len(asked) if isinstance(asked, list) else len(next(iter(asked.values())))
        said = {"predictions": [[0.912345, 0.087655]] * rows}
        return 200, {"content-type": "application/json"}, json.dumps(said).encode()


class GuardProcess:
    """`safelight guard run`, its policy, and raw bytes to it."""

    def __init__(self, folder: Path, port: int, process: subprocess.Popen) -> None:
        self.folder, self.port, self.process = folder, port, process
        self.policy = folder / "guard.toml"

    def change(self, policy: str) -> None:
        """Give it another policy, which holds for the next call."""
        rewrite(self.policy, policy)

    def raw(self, request: bytes, patience: float = 2.0) -> bytes:
        """Send bytes as they are, and return all that comes back until the other end hangs up or falls silent."""
        parts = []
        address = ("127.0.0.1", self.port)
        with socket.create_connection(address, timeout=patience) as line, suppress(TimeoutError, ConnectionError):
            line.sendall(request)
            while part := line.recv(65536):
                parts.append(part)
        return b"".join(parts)

    def said(self) -> str:
        return (self.folder / "said").read_text()


@contextmanager
def running(folder: Path, policy: str, *more: str):
    """Run a guard until the end of the block."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "guard.toml").write_text(policy)
    argv = [sys.executable, "-m", "safelight", "guard", "run", "--policy", str(folder / "guard.toml")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with open(folder / "said", "w") as said:
        process = subprocess.Popen([*argv, "--port", str(port), *more], stderr=said, env=environment)
    try:
        for _ in range(600):
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            assert process.poll() is None, (folder / "said").read_text()
            time.sleep(0.05)
        yield GuardProcess(folder, port, process)
    finally:
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=10)
        if process.poll() is None:
            process.kill()
            process.wait()


@contextmanager
def serve(app):
    """Serve an app in a thread of its own; yields its address."""
    import uvicorn

    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", ws="none", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
        listening.close()


@pytest.fixture(scope="module")
def counted():
    server = Counted()
    yield server
    server.server.shutdown()
    server.server.server_close()


@pytest.fixture(scope="session", name="rewrite")
def rewritten():
    return rewrite


@pytest.fixture(scope="session")
def serving():
    return serve


@pytest.fixture(scope="session")
def guard_running():
    return running


@pytest.fixture(scope="session")
def guard_upstream():
    return UPSTREAM
