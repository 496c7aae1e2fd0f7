"""Three processes that compute a network together and see nothing: secret sharing by MPyC, over TLS on this machine."""

from __future__ import annotations

import contextlib
import io
import json
import os
import selectors
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray as Array

from safelight.defences.encrypted.layers import Convolution, Dense, Layer, Relu
from safelight.errors import InputError, MissingExtra, TargetFailed

PARTIES = 3


@dataclass(frozen=True)
class Precision:
    """Numbers as the parties share them.

    Attributes:
        bits: of a whole number (>= 8); values lie below 2^(bits - fraction - 1).
        fraction: of them after the point (>= 4).
        patience: seconds that one message may take (> 0).
    """

    bits: int = 40
    fraction: int = 20
    patience: float = 120.0

    @property
    def largest(self) -> float:
        return 2.0 ** (self.bits - self.fraction - 1)


class Parties:
    """Three running parties. Close them, or use `with parties(...)`: then no process is left behind.

    They are semi-honest and do not share what they see: two of the three together see everything.
    """

    def __init__(
        self, layers: Sequence[Layer], precision: Precision | None = None, program: Path | None = None
    ) -> None:
        """Start the parties and share the weights.

        Args:
            layers: of the network.
            precision: of shared numbers.
            program: what party 2 runs; the same as the others when left out.

        Raises:
            MissingExtra: mpyc is not installed.
            InputError: a weight is out of range.
            TargetFailed: a party ends or answers nonsense before it is ready.
        """
        if find_spec("mpyc") is None:
            raise MissingExtra("mpyc", "encrypted", "Three-party inference")
        from safelight.defences.encrypted.certificates import write_certificates

        self._precision = precision or Precision()
        self._check([part for layer in layers for part in vars(layer).values() if isinstance(part, Array)], "a weight")
        self._folder = tempfile.TemporaryDirectory(prefix="safelight-parties-")
        self._processes: list[subprocess.Popen[bytes]] = []
        try:
            config = Path(self._folder.name) / ".config"
            config.mkdir(mode=0o700)
            write_certificates(config, PARTIES)
            own = Path(__file__).with_name("party.py")
            ports = free_ports(PARTIES)
            for party in range(PARTIES):
                self._processes.append(self._start(program if program and party == 2 else own, party, ports))
            plan = json.dumps({"bits": self._precision.bits, "fraction": self._precision.fraction,
                               "layers": [described(layer) for layer in layers]})  # fmt: skip
            weights = {
                f"{name}{i}": np.reshape(getattr(layer, name), described(layer)[name])
                for i, layer in enumerate(layers)
                if isinstance(layer, (Dense, Convolution))
                for name in ("weights", "offsets")
            }
            self._tell([{"plan": np.array(plan)}, {"plan": np.array(plan), **weights}, {"plan": np.array(plan)}])
            self._hear()
        except BaseException:  # also Ctrl-C: no process may be left behind
            self.close()
            raise

    def answer(self, x: Array) -> Array:
        """Return logits (n, outputs) for rows (n, inputs); the parties learn n and the shape of the network.

        Raises:
            InputError: a value is NaN or out of range.
            TargetFailed: a party ended, took too long, or sent wrong shares; all parties are ended.
        """
        x = np.asarray(x, dtype=float)
        self._check([x], "an input")
        shape = np.array(x.shape)
        try:
            self._tell([{"x": x, "shape": shape}, {"shape": shape}, {"shape": shape}])
            answer = self._hear()[0].get("answer")
            if answer is None or len(answer) != len(x) or not np.isfinite(answer).all():
                raise TargetFailed("Party 0 gave no whole answer; nothing was learnt, start the parties again.")
            most = float(np.abs(answer).max(initial=0.0))
            if most >= self._precision.largest:
                raise TargetFailed(
                    f"The parties' answer holds a value of size {most:.3g}, and shared numbers lie below "
                    f"{self._precision.largest:.3g}: a party sent wrong shares, or a layer overflowed; start them "
                    "again, with more bits if it happens with parties that you trust."
                )
        except BaseException:  # also Ctrl-C: half an answer may wait in a pipe, so these parties are of no more use
            self.close()
            raise
        return np.asarray(answer)

    def close(self) -> None:
        """End all parties and remove their certificates."""
        for process in self._processes:
            with contextlib.suppress(OSError):
                process.kill()
        for process in self._processes:
            process.wait()
            for pipe in (process.stdin, process.stdout):
                with contextlib.suppress(OSError):
                    assert pipe is not None
                    pipe.close()
        self._folder.cleanup()

    def _start(self, program: Path, party: int, ports: Sequence[int]) -> subprocess.Popen[bytes]:
        where = [word for port in ports for word in ("-P", f"127.0.0.1:{port}")]
        return subprocess.Popen(
            # Safe path: what lies beside the program is not imported by accident.
            [sys.executable, "-P", str(program), *where, "-I", str(party), "--ssl", "--no-log"],
            cwd=self._folder.name,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONWARNINGS": "ignore"},
        )

    def _check(self, arrays: Sequence[Array], what: str) -> None:
        for values in arrays:
            if not np.isfinite(values).all() or np.abs(values).max(initial=0.0) >= self._precision.largest:
                raise InputError(
                    f"Shared numbers lie below {self._precision.largest:g}, and {what} is NaN or larger; scale it, or "
                    "use more bits."
                )

    def _tell(self, messages: Sequence[dict[str, Array]]) -> None:
        for party, (process, arrays) in enumerate(zip(self._processes, messages, strict=True)):
            buffer = io.BytesIO()
            np.savez(buffer, **arrays)  # type: ignore[arg-type]
            content = buffer.getvalue()
            try:
                assert process.stdin is not None
                process.stdin.write(len(content).to_bytes(8, "little") + content)
                process.stdin.flush()
            except OSError:
                raise self._ended(party) from None

    def _hear(self) -> list[dict[str, Any]]:
        """Return one message of each party; raises TargetFailed for the first that ends, and after the patience."""
        until, heard = time.monotonic() + self._precision.patience, dict.fromkeys(range(PARTIES), b"")
        done: dict[int, dict[str, Any]] = {}
        with selectors.DefaultSelector() as waiting:
            for party, process in enumerate(self._processes):
                assert process.stdout is not None
                waiting.register(process.stdout, selectors.EVENT_READ, party)
            while len(done) < PARTIES:
                ready = waiting.select(max(0.0, until - time.monotonic()))
                if not ready:
                    late = ", ".join(str(party) for party in range(PARTIES) if party not in done)
                    raise TargetFailed(
                        f"No answer came within {self._precision.patience:g} s from party {late}; all parties were "
                        "ended, start them again with more patience or smaller batches."
                    )
                for key, _ in ready:
                    party = key.data
                    more = os.read(key.fd, 1 << 20)
                    if not more:
                        raise self._ended(party)
                    heard[party] += more
                    size = int.from_bytes(heard[party][:8], "little")
                    if size > 1 << 32:
                        raise self._nonsense(party)
                    if len(heard[party]) >= 8 + size:
                        done[party] = self._message(party, heard[party][8:])
        return [done[party] for party in range(PARTIES)]

    def _message(self, party: int, content: bytes) -> dict[str, Any]:
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as file:
                return dict(file)
        except Exception:  # a party may send any bytes, and zip, zlib and numpy each raise errors of their own
            raise self._nonsense(party) from None

    def _nonsense(self, party: int) -> TargetFailed:
        return TargetFailed(
            f"Party {party} answered with something that is no message; all parties were ended, look at what it runs."
        )

    def _ended(self, party: int) -> TargetFailed:
        """Return the error for a party that is gone: the first that really ended, others fall after it."""
        time.sleep(0.05)
        codes = [process.poll() for process in self._processes]
        gone = next((other for other, code in enumerate(codes) if code is not None and code < 0), party)
        code = codes[gone]
        if code is None:
            with contextlib.suppress(subprocess.TimeoutExpired):  # it may have closed its answers and live on
                code = self._processes[gone].wait(timeout=5)
        why = ", as one does that is sent wrong shares" if code == 1 else ""
        return TargetFailed(
            f"Party {gone} of {PARTIES} ended in the middle of a computation (exit code {code}{why}); nothing was "
            "answered and the others were ended, start them again."
        )


@contextlib.contextmanager
def parties(layers: Sequence[Layer], precision: Precision | None = None) -> Iterator[Parties]:
    """Keep three parties running for a while; all are ended at the end, whatever happens."""
    running = Parties(layers, precision)
    try:
        yield running
    finally:
        running.close()


def described(layer: Layer) -> dict[str, Any]:
    """Return what all parties know of a layer: its kind and shapes, none of its weights."""
    if isinstance(layer, Dense):
        return {"kind": "dense", "weights": list(layer.weights.shape), "offsets": list(layer.offsets.shape)}
    if isinstance(layer, Convolution):
        flat = [len(layer.weights), int(layer.weights[0].size)]
        return {"kind": "convolution", "weights": flat, "offsets": flat[:1], "places": layer.places().tolist()}
    return {"kind": "relu" if isinstance(layer, Relu) else "square"}


def free_ports(count: int) -> list[int]:
    """Return ports of this machine that nobody listens at just now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
