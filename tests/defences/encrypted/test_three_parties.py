"""Three real parties over TLS: the plain answers, one clear sentence when a party fails, and nobody left behind."""

import os
import shutil
import signal
import ssl
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from safelight.defences.encrypted import three_parties
from safelight.defences.encrypted.certificates import write_certificates
from safelight.defences.encrypted.layers import Convolution, Dense, Relu, Square, plainly
from safelight.defences.encrypted.three_parties import Parties, Precision, parties
from safelight.defences.encrypted.three_party import ThreeParty
from safelight.errors import InputError, TargetFailed

RNG = np.random.default_rng(0)
SMALL = (Dense(RNG.normal(size=(3, 4)), RNG.normal(size=3)), Relu(), Dense(RNG.normal(size=(2, 3)), RNG.normal(size=2)))
X = RNG.random((5, 4))
PARTY = Path(three_parties.__file__).with_name("party.py")


def gone(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_the_parties_answer_as_the_plain_network_and_all_end():
    wide = (
        Convolution(RNG.normal(size=(2, 1, 3, 3)) / 3, RNG.normal(size=2), (1, 6, 6), 2, 1),
        Relu(),
        Convolution(RNG.normal(size=(2, 2, 2, 2)) / 3, RNG.normal(size=2), (2, 3, 3)),
        Square(),
        Dense(RNG.normal(size=(3, 8)) / 3, RNG.normal(size=3)),
    )
    x = RNG.random((4, 36))
    with parties(wide) as running:
        pids, folder = [process.pid for process in running._processes], running._folder.name
        for part in (x, x[:1], -x):
            assert np.abs(running.answer(part) - plainly(wide, part)).max() < 1e-3
        assert len(set(pids)) == 3
        assert oct(os.stat(f"{folder}/.config/party_0.key").st_mode)[-3:] == "600"
    assert all(map(gone, pids))
    assert not Path(folder).exists()


def test_an_outer_error_leaves_no_party_behind_and_small_and_large_numbers_are_answered_or_refused():
    """A party that saw whole numbers by accident would leave the common protocol."""
    layers, pids = (Dense(np.array([[1.0, 0.0], [0.0, -1000.0]]), np.zeros(2)), Relu()), []

    def ask(running):
        pids.extend(process.pid for process in running._processes)
        answer = running.answer(np.array([[1.0, 2.0], [0.0, 0.0], [3.0, -4.0]]))
        assert np.abs(answer - [[1, 0], [0, 0], [3, 4000]]).max() < 1e-4
        with pytest.raises(InputError, match="and an input is NaN"):
            running.answer(np.array([[np.nan, 0.0]]))
        with pytest.raises(
            TargetFailed, match=r"size 1e\+06, and shared numbers lie below 5.24e\+05: a party sent wrong"
        ):
            running.answer(np.full((1, 2), -1000.0))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), parties(layers) as running:
        ask(running)
    assert len(pids) == 3
    assert all(map(gone, pids))


@pytest.mark.parametrize("party", [0, 2])
def test_a_party_that_dies_is_named_and_the_others_are_ended(party):
    with parties(SMALL) as running:
        pids = [process.pid for process in running._processes]
        running._processes[party].kill()
        with pytest.raises(
            TargetFailed, match=rf"Party {party} of 3 ended in the middle of .* \(exit code -9\); nothing"
        ):
            running.answer(X)
        assert all(map(gone, pids))


def rogue(folder, body):
    path = folder / "rogue.py"
    path.write_text(f"PARTY = {str(PARTY)!r}\n" + body)
    return path


SAYS = "import sys, time\nsys.stdout.buffer.write({})\nsys.stdout.flush()\ntime.sleep(60)\n"
CHATTERS, SHOUTS = SAYS.format("(5).to_bytes(8, 'little') + b'hello'"), SAYS.format("b'no message at all'")
QUITS = "import sys\nsys.exit(3)\n"
BENDS = """
import random, runpy
import mpyc.asyncoro as network
honest = network.MessageExchanger.send
network.MessageExchanger.send = lambda self, pc, payload: honest(self, pc, random.Random(pc).randbytes(len(payload)))
runpy.run_path(PARTY, run_name="__main__")
"""


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (CHATTERS, "Party 2 answered with something that is no message; all parties were ended"),
        (SHOUTS, "Party 2 answered with something that is no message; all parties were ended"),
        (QUITS, r"Party 2 of 3 ended in the middle of a computation \(exit code 3\)"),
    ],
)
def test_a_party_that_runs_something_else_is_named(tmp_path, body, words):
    with pytest.raises(TargetFailed, match=words):
        Parties(SMALL, Precision(patience=20), rogue(tmp_path, body))


def test_wrong_shares_are_noticed_by_absurd_answers(tmp_path):
    with pytest.raises(
        TargetFailed, match=r"as one does that is sent wrong shares|a party sent wrong shares, or a layer"
    ):
        Parties(SMALL, Precision(patience=20), rogue(tmp_path, BENDS)).answer(X)


def test_a_party_that_is_slow_is_not_waited_for(tmp_path):
    started = time.monotonic()
    with pytest.raises(
        TargetFailed, match="No answer came within 1 s from party 0, 1, 2; all parties were ended, start them"
    ):
        Parties(SMALL, Precision(patience=1), rogue(tmp_path, "import time\ntime.sleep(60)\n"))
    assert time.monotonic() - started < 10


def test_parties_end_when_their_starter_is_killed():
    program = (
        "import sys, time, numpy as np\n"
        "from safelight.defences.encrypted.layers import Dense\n"
        "from safelight.defences.encrypted.three_parties import Parties\n"
        "running = Parties([Dense(np.eye(2), np.zeros(2))])\n"
        "print(*[process.pid for process in running._processes], running._folder.name, flush=True)\n"
        "time.sleep(60)\n"
    )
    source = str(Path(three_parties.__file__).parents[3])
    starter = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": source}
    )
    *pids, folder = starter.stdout.readline().split()
    starter.send_signal(signal.SIGKILL)
    starter.wait()
    starter.stdout.close()
    until = time.monotonic() + 15
    while not all(map(gone, pids)) and time.monotonic() < until:
        time.sleep(0.05)
    assert all(map(gone, pids))
    shutil.rmtree(folder)


def test_numbers_out_of_range_are_refused_before_they_are_shared():
    with pytest.raises(InputError, match="Shared numbers lie below 524288, and a weight is NaN or larger; scale it"):
        Parties((Dense(np.full((1, 1), 1e6), np.zeros(1)),))
    with pytest.raises(InputError, match="20 bits with 20 of them after the point leave no room"):
        ThreeParty(bits=20, fraction=20)


def handshake(server, client, name):
    """Return whether the two agree, message by message, without a network."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [
        server.wrap_bio(to_server, to_client, server_side=True),
        client.wrap_bio(to_client, to_server, server_hostname=name),
    ]
    done = [False, False]
    for _ in range(10):
        for number, side in enumerate(sides):
            try:
                side.do_handshake()
                done[number] = True
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError:
                return False
    return all(done)


def test_a_party_of_another_computation_is_refused(tmp_path):
    folders = [tmp_path / "one", tmp_path / "other"]
    for folder in folders:
        folder.mkdir()
        write_certificates(folder, 2)

    def context(purpose, folder, party, trusts):
        made = ssl.create_default_context(purpose, cafile=trusts / "mpyc_ca.crt")
        made.load_cert_chain(folder / f"party_{party}.crt", folder / f"party_{party}.key")
        made.verify_mode = ssl.CERT_REQUIRED
        return made

    server = context(ssl.Purpose.CLIENT_AUTH, folders[0], 1, folders[0])
    friend = context(ssl.Purpose.SERVER_AUTH, folders[0], 0, folders[0])
    stranger = context(ssl.Purpose.SERVER_AUTH, folders[1], 0, folders[0])
    assert handshake(server, friend, "MPyC party 1")
    assert not handshake(server, friend, "MPyC party 0"), "nobody can pass for another party"
    assert not handshake(server, stranger, "MPyC party 1")
    assert not list(folders[0].glob("*ca*.key"))
