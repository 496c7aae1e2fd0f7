"""What the guard's benchmarks measure with: a delay of known size is measured, and a load of known size seen."""

import asyncio
import importlib
import itertools
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
asking, quiet, rounds = (importlib.import_module(name) for name in ("asking", "quiet", "rounds"))
sys.path.pop(0)
DELAY = 0.02
WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
PIECES = [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"5\r\nhello\r\n", b"0\r\n\r\n"]
QUESTION = asking.posted("/", "key", b"{}")


class Slow:
    """A server that answers after a delay, all at a time or one after the other."""

    def __init__(self, pieces, one_by_one=False):
        self.pieces, self.one_by_one, self.ready = pieces, one_by_one, threading.Event()

    async def answer(self, reader, writer):
        try:
            while True:
                await reader.readexactly(len(QUESTION))
                if self.one_by_one:
                    async with self.turn:
                        await asyncio.sleep(DELAY)
                else:
                    await asyncio.sleep(DELAY)
                for piece in self.pieces:
                    writer.write(piece)
                    await asyncio.sleep(0)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def serve(self):
        self.turn, self.loop, self.over = asyncio.Lock(), asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self.answer, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self.ready.set()
        await self.over.wait()

    def __enter__(self):
        self.thread = threading.Thread(target=lambda: asyncio.run(self.serve()))
        self.thread.start()
        self.ready.wait()
        return self.port

    def __exit__(self, *_):
        self.loop.call_soon_threadsafe(self.over.set)
        self.thread.join()


@pytest.mark.parametrize("pieces", [[WHOLE], PIECES])
def test_a_delay_of_known_size_is_measured_in_every_way(pieces, monkeypatch):
    monkeypatch.setattr(asking, "WARM", 2)
    with Slow(pieces) as port:
        questions = itertools.repeat(QUESTION)
        in_turn = asking.in_turn(port, questions, 10)
        by_the_clock = asking.by_the_clock(port, questions, 100, 0.5)
        without_pause = asking.without_pause(port, questions, 0.5)
    assert len(in_turn.took) == 10
    assert len(by_the_clock.took) == 50
    for asked in (in_turn, by_the_clock, without_pause):
        assert np.min(asked.took) > 1000 * DELAY - 0.5
        assert asked.p50_p99[0] < 1000 * DELAY + 20
    assert 0.4 * asking.LINES / DELAY < without_pause.rate <= asking.LINES / DELAY


def test_a_server_that_falls_behind_is_not_waited_for():
    with Slow([WHOLE], one_by_one=True) as port:
        asked = asking.by_the_clock(port, itertools.repeat(QUESTION), 100, 0.6)
        most = asking.without_pause(port, itertools.repeat(QUESTION), 0.5)
    assert len(asked.took) == 60
    assert asked.took[-1] > 1000 * (60 * DELAY - 0.6) - 5  # the last one waited for all that were asked before it
    assert most.rate < 1.1 / DELAY


def test_what_is_no_answer_ends_the_benchmark():
    with Slow([b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"]) as port, pytest.raises(SystemExit, match="503"):
        asking.in_turn(port, itertools.repeat(QUESTION), 1)


def test_a_server_that_says_nothing_ends_the_benchmark(monkeypatch):
    monkeypatch.setattr(asking, "PATIENCE", 0.2)
    with Slow([b""]) as port:
        with pytest.raises(SystemExit, match=r"did not answer within 0\.2 s"):
            asking.by_the_clock(port, itertools.repeat(QUESTION), 100, 0.05)
        with pytest.raises(SystemExit, match=r"did not answer within 0\.2 s"):
            asking.without_pause(port, itertools.repeat(QUESTION), 0.1)


@pytest.mark.parametrize("n", [3, 5, 6, 9, 15])
def test_the_interval_of_a_median_holds_it_as_often_as_said(n):
    rng, held = np.random.default_rng(0), 0
    for _ in range(2000):
        _, low, high = rounds.middle(rng.exponential(size=n).tolist())
        held += low <= np.log(2) <= high
    assert min(0.95, 1 - 2 ** (1 - n)) - 0.015 < held / 2000 < 0.99


def test_what_a_setup_adds_is_taken_within_a_round():
    found = rounds.Rounds("alone")
    for drift in (1.0, 5.0, 9.0):
        for setup, more in (("alone", 0.0), ("guard", 0.5), ("other", 2.0)):
            found.add("in turn", setup, asking.Asked(np.full(10, drift + more), np.zeros(1), 1.0))
    assert np.allclose(found.added("in turn", "guard", 0), 0.5)
    assert np.allclose(found.times("in turn", "other", "guard", 1), 4.0)


def test_the_load_of_others_is_told_from_our_own():
    spins = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        theirs, ours = quiet.Machine([os.getpid()]), quiet.Machine([os.getpid(), spins.pid])
        time.sleep(0.2)
        before = quiet.taken(spins.pid)
        with theirs.round(), ours.round():
            time.sleep(1.0)
        share = (quiet.taken(spins.pid) - before) / (os.cpu_count() or 1)
    finally:
        spins.kill()
        spins.wait()
    assert share > 0
    assert theirs.others[0] - ours.others[0] == pytest.approx(share, rel=0.3, abs=0.03)
    assert "NOT QUIET in 1 of 2" in quiet.Machine([], [0.0, 0.5]).verdict()
    assert "was quiet" in quiet.Machine([], [0.01, 0.02]).verdict()
