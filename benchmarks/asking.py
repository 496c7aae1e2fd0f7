"""Asks a server over plain sockets, in turn, by a clock or as fast as it answers: one thread, so little of its own.

An asyncio client rounds its sleeps up to milliseconds and takes more of the processor than a small model server does;
here waiting is done by select, which is exact to about 0.05 ms, and a question takes about 0.05 ms of the processor.
"""

from __future__ import annotations

import select
import socket
import time
from collections import deque
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy import ndarray as Array

LINES, WARM, PATIENCE = 16, 30, 10.0
IN_PIECES = -1
"""Length of an answer that is not told beforehand: it ends with an empty piece (chunked)."""


@dataclass(frozen=True)
class Asked:
    """What came of asking.

    Attributes:
        took: (n,) milliseconds from when a question was due to the end of its answer.
        late: (n,) milliseconds of these that a question was sent late though a line was free: the asking's fault.
        rate: answers a second, from the first question to the last answer.
    """

    took: Array
    late: Array
    rate: float

    @property
    def p50_p99(self) -> tuple[float, float]:
        """The median and the 99th percentile of what it took, in milliseconds."""
        p50, p99 = np.percentile(self.took, (50, 99))
        return float(p50), float(p99)


class Line:
    """One connection.

    Attributes:
        got: of the answer, its head included.
        due: seconds (perf_counter) when the question should have been sent.

    Args:
        port: on this machine.
    """

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.got, self._whole = b"", 0
        self.due = 0.0

    def fileno(self) -> int:
        """For select."""
        return self.socket.fileno()

    def send(self, question: bytes) -> None:
        """Send a whole question."""
        self.got, self._whole = b"", 0
        self.socket.sendall(question)

    def answered(self) -> bool:
        """Read what is there, waiting for something; say whether the answer is whole. Raises SystemExit unless 200."""
        piece = self.socket.recv(1 << 18)
        if not piece:
            raise SystemExit("A server closed a connection.")
        self.got += piece
        if not self._whole and (end := self.got.find(b"\r\n\r\n") + 4) > 3:
            if not self.got.startswith(b"HTTP/1.1 200"):
                raise SystemExit(f"A server answered {self.got[:300]!r}.")
            head = self.got[:end].lower()
            at = head.find(b"content-length:")
            self._whole = end + int(head[at + 15 : head.find(b"\r", at)]) if at > 0 else IN_PIECES
        if self._whole == IN_PIECES:
            return self.got.endswith(b"\r\n0\r\n\r\n")
        return 0 < self._whole <= len(self.got)


@contextmanager
def lines(port: int, count: int) -> Iterator[list[Line]]:
    """Open connections."""
    opened = [Line(port) for _ in range(count)]
    try:
        yield opened
    finally:
        for line in opened:
            line.socket.close()


def ready(busy: Collection[Line], wait: float) -> list[Line]:
    """Return the lines that something came over, after so many seconds at the most."""
    found: list[Line] = select.select(busy, (), (), wait)[0]
    if not found and wait >= PATIENCE:
        raise SystemExit(f"A server did not answer within {PATIENCE:g} s.")
    return found


def posted(path: str, key: str, body: bytes) -> bytes:
    """Return a request as it goes over the line."""
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def in_turn(port: int, questions: Iterator[bytes], count: int) -> Asked:
    """Ask one after the other over one line."""
    took = []
    with lines(port, 1) as (line,):
        for number in range(count + WARM):
            question = next(questions)
            began = time.perf_counter()
            line.send(question)
            while not line.answered():
                pass
            if number >= WARM:
                took.append(1000 * (time.perf_counter() - began))
    return Asked(np.array(took), np.zeros(count), 1000 * count / sum(took))


def by_the_clock(port: int, questions: Iterator[bytes], rate: float, seconds: float) -> Asked:
    """Ask so many times a second, evenly, over 16 lines; what finds no free line waits for one."""
    took, late, count = [], [], int(rate * seconds)
    with lines(port, LINES) as opened:
        free, busy, waiting = deque(opened), set[Line](), deque[float]()
        start, number = time.perf_counter() + 0.02, 0
        while number < count or waiting or busy:
            now = time.perf_counter()
            while number < count and start + number / rate <= now:
                waiting.append(start + number / rate)
                number += 1
                if free and len(waiting) == 1:
                    late.append(1000 * (now - waiting[0]))
            while waiting and free:
                line = free.popleft()
                line.due = waiting.popleft()
                line.send(next(questions))
                busy.add(line)
            wait = max(0.0, start + number / rate - time.perf_counter()) if number < count else PATIENCE
            for line in ready(busy, wait):
                if line.answered():
                    took.append(1000 * (time.perf_counter() - line.due))
                    busy.remove(line)
                    free.append(line)
        rate = count / (time.perf_counter() - start)
    return Asked(np.array(took), np.array(late or [0.0]), rate)


def without_pause(port: int, questions: Iterator[bytes], seconds: float) -> Asked:
    """Ask over 16 lines, on each again as soon as it has answered: the most that the server holds."""
    took, stop = [], np.inf
    with lines(port, LINES) as opened:
        busy, start = set(opened), time.perf_counter()
        for line in opened:
            line.due = time.perf_counter()
            line.send(next(questions))
        while busy:
            for line in ready(busy, PATIENCE):
                if not line.answered():
                    continue
                now = time.perf_counter()
                if now > start + seconds and len(took) >= LINES:  # what is still under way does not count
                    stop = min(stop, now)
                    busy.remove(line)
                    continue
                took.append(1000 * (now - line.due))
                line.due = now
                line.send(next(questions))
    return Asked(np.array(took), np.zeros(1), len(took) / (stop - start))
