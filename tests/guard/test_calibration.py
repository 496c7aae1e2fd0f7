"""Calibration: the promised rate, files that open without pickle, and what is said when it cannot be done."""

import os

import numpy as np
import pytest

from safelight.cli import main
from safelight.errors import InputError
from safelight.guard.calibrate import calibrate
from safelight.guard.calibration import load, save
from safelight.guard.recording import Recorder, recorded
from safelight.guard.scale import fit_scale, statistic
from safelight.guard.seen import Seen

BASE = np.random.default_rng(5).normal(size=(10, 80))
SECRET = b"s" * 32


def traffic(clients, seed, records=16, values=80, words=False):
    """Clients that ask about records of their own liking, one after the other, within a day."""
    rng = np.random.default_rng(seed)
    for number in range(clients):
        taste = 0.5 * rng.normal(size=10)
        x = (taste + rng.normal(size=(records, 10))) @ BASE[:, :values] + 0.3 * rng.normal(size=(records, values))
        answers = rng.dirichlet(np.ones(3), records)
        if words:
            x = x.astype(object)
            x[:, 0] = rng.choice(["north", "south"], records)
        for row in range(records):
            yield Seen(f"c{number}", f"g{number % 3}", "m", 60.0 * row, x[[row]], answers[[row]])


@pytest.fixture(scope="module")
def calibrated():
    return calibrate(traffic(120, 0), 50.0, secret=SECRET)


def test_normal_clients_ring_no_more_often_than_promised():
    """Over many sites, each calibrated on its own clients: the planted clients are as exchangeable as can be."""
    rng, rung, asked = np.random.default_rng(0), 0, 0
    for _ in range(400):
        scores = [rng.normal(size=(6, 3)) * rng.exponential() for _ in range(60)]
        scale = fit_scale("abc", np.full(3, 0.01), np.zeros(3), scores[:20], scores[20:59], 0.05, 1.0)
        floor = scale.threshold <= 1.5  # the line is never lower, which only makes it quieter
        rung += not floor and statistic(scale, scores[59]) > scale.threshold
        asked += 1
    assert rung / asked <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / asked)
    assert rung > 0, "a line that nobody ever reaches would pass the test above"


def test_too_few_clients_support_a_higher_rate_and_say_so():
    rng = np.random.default_rng(0)
    scores = [rng.normal(size=(6, 2)) for _ in range(40)]
    scale = fit_scale("ab", np.full(2, 0.01), np.zeros(2), scores[:20], scores[20:], 0.001, 1.0)
    assert scale.rate == pytest.approx(1 / 21)
    assert scale.threshold == max(1.5, *(statistic(scale, one) for one in scores[20:]))


def test_headroom_raises_the_line():
    rng = np.random.default_rng(0)
    scores = [rng.normal(size=(6, 2)) for _ in range(40)]
    low, high = (fit_scale("ab", np.ones(2), np.zeros(2), scores[:20], scores[20:], 0.1, size) for size in (1.0, 1.5))
    assert high.threshold == pytest.approx(1.5 * max(low.threshold, 1.5), rel=0.2)
    assert high.drift >= low.drift


def test_a_calibration_survives_its_file(tmp_path, calibrated):
    path = tmp_path / "calibration.npz"
    save(path, calibrated)
    again = load(path)["m"]
    assert os.stat(path).st_mode & 0o077 == 0
    call = next(iter(traffic(1, 9)))
    for name in ("z", "numbers", "digest", "scores"):
        one, other = (getattr(each.reference.read(call), name) for each in (calibrated["m"], again))
        assert (one == other).all(), name
    assert again.clients.threshold == calibrated["m"].clients.threshold
    assert again.cohorts is not None
    assert again.cohorts.names == calibrated["m"].cohorts.names


def test_the_same_seed_gives_the_same_calibration(calibrated):
    again = calibrate(traffic(120, 0), 50.0, secret=SECRET)["m"]
    assert again.clients.threshold == calibrated["m"].clients.threshold
    assert (again.reference.axes == calibrated["m"].reference.axes).all()


def test_words_are_kept_as_keyed_hashes(tmp_path):
    found = calibrate(traffic(40, 1, words=True), 50.0, secret=SECRET)
    save(tmp_path / "c.npz", found)
    assert b"north" not in (tmp_path / "c.npz").read_bytes()
    call = next(iter(traffic(1, 2, words=True)))
    assert (load(tmp_path / "c.npz")["m"].reference.read(call).z == found["m"].reference.read(call).z).all()
    assert np.isfinite(found["m"].reference.read(call).z).all()


@pytest.mark.parametrize(
    ("calls", "words"),
    [
        (lambda: traffic(5, 0), "of 5 clients, and a calibration needs at least 20"),
        (lambda: traffic(20, 0, records=1), "a reference needs at least 60"),
        (lambda: iter(()), "no recorded traffic"),
        (lambda: [*traffic(20, 0), *traffic(20, 0, values=40)], "records of 40 and of 80 values"),
    ],
)
def test_what_cannot_be_calibrated_is_said(calls, words):
    with pytest.raises(InputError, match=words):
        calibrate(calls(), secret=SECRET)


def test_training_records_of_another_length_are_refused():
    with pytest.raises(InputError, match="The training records have 40 values each and the recorded traffic 80"):
        calibrate(traffic(80, 0), training=np.zeros((10, 40)), secret=SECRET)


@pytest.mark.parametrize("words", [False, True])
def test_a_recording_gives_back_what_was_kept(tmp_path, words):
    path, calls = tmp_path / "traffic.npy", list(traffic(30, 0, words=words))
    recorder = Recorder(path)
    for call in calls:
        recorder.keep(call)
    recorder.flush()
    found = list(recorded(path))
    assert [(call.client, call.cohort, call.model, call.at) for call in found] == [
        (call.client, call.cohort, call.model, call.at) for call in calls
    ]
    assert all((one.x == other.x).all() and (one.answers == other.answers).all() for one, other in zip(found, calls))
    assert os.stat(path).st_mode & 0o077 == 0


def test_a_recording_that_was_cut_off_is_read_up_to_there(tmp_path):
    path = tmp_path / "traffic.npy"
    recorder = Recorder(path)
    for call in traffic(40, 0):
        recorder.keep(call)
    recorder.flush()
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    assert 0 < len(list(recorded(path))) < 640


def test_files_that_are_none_are_refused(tmp_path):
    (tmp_path / "x").write_bytes(b"nothing of the kind")
    with pytest.raises(InputError, match="is no calibration"):
        load(tmp_path / "x")
    with pytest.raises(
        InputError, match=r"holds no recorded traffic; let the guard record some: record in \[signals\]"
    ):
        list(recorded(tmp_path / "x"))
    with pytest.raises(InputError, match="cannot be read"):
        load(tmp_path / "missing")


def test_the_command_writes_a_calibration(tmp_path, capsys):
    (tmp_path / "guard.toml").write_text('[upstream]\nurl = "http://127.0.0.1:5000"\nprotocol = "mlflow"\n')
    recorder = Recorder(tmp_path / "traffic.npy")
    for call in traffic(80, 0):
        recorder.keep(call)
    recorder.flush()
    np.save(tmp_path / "training.npy", np.random.default_rng(0).normal(size=(50, 80)))
    words = ["guard", "calibrate", "--policy", str(tmp_path / "guard.toml"), "--traffic", str(tmp_path / "traffic.npy")]
    assert main([*words, "--training", str(tmp_path / "training.npy")]) == 0
    said = capsys.readouterr().out
    assert "from 40 clients" in said
    assert "They support 24.4 false alarms a day of 1,000 clients, not 1" in said
    assert load(tmp_path / "calibration.npz")["m"].reference.training.shape == (4, 50)
    (tmp_path / "training.npy").write_bytes(b"no")
    assert main([*words, "--training", str(tmp_path / "training.npy")]) == 2
    assert "holds no training records" in capsys.readouterr().err
