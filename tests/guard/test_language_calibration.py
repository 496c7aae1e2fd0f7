"""Calibration of a language model: its texts are recorded, its signals have their line, training texts leave marks."""

import os
from pydoc_data.topics import topics

import numpy as np
import pytest

from safelight.cli import main
from safelight.errors import InputError
from safelight.guard import recording
from safelight.guard.calibrate import Said, calibrate, said
from safelight.guard.calibration import load, save
from safelight.guard.canaries import Canaries
from safelight.guard.passages import READ
from safelight.guard.recording import Recorder, recorded
from safelight.guard.seen import Seen
from safelight.guard.watcher import Watcher

TEXT, KNOWN = topics["debugger"], topics["assignment"]
KEY = b"k" * 32
SECRET = "ward 4711 0815 2342"
LISTED = Canaries.of([SECRET], KEY)


def call(client, number, prompt, answer, model="m", every=60.0):
    return Seen(client, "g", model, every * number, np.empty((1, 0)), np.full(1, np.nan), ((prompt, answer),))


def piece(text, rng, length=400):
    start = int(rng.integers(0, len(text) - length))
    return text[start : start + length]


def traffic(clients=40, calls=16, seed=0, prompt="What is {}?", answer=None):
    rng = np.random.default_rng(seed)
    for client in range(clients):
        for number in range(calls):
            about = prompt.format(f"{client} of {number}") + " " + piece(TEXT, rng, 100)
            yield call(f"c{client}", number, about, piece(TEXT, rng) if answer is None else answer)


@pytest.fixture(scope="module")
def found():
    return calibrate(traffic(), 50.0, secret=KEY, training_texts=[KNOWN], canaries=LISTED)


def line(found, name):
    scale = found["m"].clients
    place = scale.names.index(name)
    return scale.middle[place] + scale.threshold * scale.spread[place]


def rings(found, client, texts, every=60.0):
    watcher = Watcher(found)
    watcher.guard_secrets(LISTED)
    for number, pair in enumerate(texts):
        for alarm in watcher.see(call(client, number, *pair, every=every)):
            if alarm.client:
                return number + 1, alarm.signal
    return 0, ""


def test_signals_of_texts_alone_are_read(found):
    names = ("budget spent", "canary hits", "divergence", "embedding volume", "exact repeats", "rate",
             "regurgitated text", "over time")  # fmt: skip
    assert found["m"].clients.names == names
    assert set(names) - set(found["m"].cohorts.names) == {"budget spent", "rate", "embedding volume"}


def test_each_attack_rings_by_its_own_signal_and_other_normal_clients_do_not(found):
    rng = np.random.default_rng(1)
    prompt = [piece(TEXT, rng, 100) for _ in range(200)]
    assert rings(found, "a", [(one, f"It is {SECRET}.") for one in prompt]) == (8, "canary hits")
    assert rings(found, "a", [(one, "poem " * 100) for one in prompt]) == (8, "divergence")
    assert rings(found, "a", [(one, piece(KNOWN, rng)) for one in prompt]) == (8, "regurgitated text")
    assert rings(found, "a", [("Say it again.", piece(TEXT, rng)) for _ in range(200)])[1]  # with its share, or in time
    asked, by = rings(found, "a", [(f"guess {number}", "") for number in range(200)])
    assert (8 <= asked <= 16, by) == (True, "embedding volume")
    for other in range(20):
        texts = [pair for each in traffic(1, seed=100 + other) for pair in each.texts]
        assert rings(found, "b", texts) == (0, "")


def test_what_is_normal_here_moves_the_line():
    """Another site: its clients send columns of noughts, and name the ward, whose name is on the list."""
    table = "Sum this: " + "0, " * 40
    usual = calibrate(traffic(prompt=table + SECRET + " {}"), 50.0, secret=KEY, canaries=LISTED)
    texts = [pair for each in traffic(1, seed=9, prompt=table + SECRET + " {}") for pair in each.texts]
    assert rings(usual, "b", texts) == (0, "")
    strange = calibrate(traffic(), 50.0, secret=KEY, canaries=LISTED)
    assert rings(strange, "b", texts)[0] == 8
    assert line(usual, "divergence") > 10 * line(strange, "divergence")
    assert line(usual, "canary hits") > 10 * line(strange, "canary hits")


def test_what_the_model_says_of_a_secret_is_never_normal():
    calls = list(traffic(answer=f"It is {SECRET}."))
    leaks = calibrate(calls, 50.0, secret=KEY, canaries=LISTED)
    assert said(calls, leaks["m"], LISTED) == Said(640, 0, 640)
    assert rings(leaks, "b", [("Who?", SECRET)] * 16) == (8, "canary hits")


def test_what_several_clients_are_told_is_no_secret_and_the_rest_of_the_text_is(found):
    calls = [call(each.client, number % 16, each.texts[0][0], KNOWN[:1500]) if each.client[-1] in "123" else each
             for number, each in enumerate(traffic())]  # fmt: skip
    again = calibrate(calls, 50.0, secret=KEY, training_texts=[KNOWN])
    assert said(calls, again["m"]) == Said(640, 0, 0)
    assert line(again, "regurgitated text") == line(found, "regurgitated text")
    known = again["m"].reference.passages
    assert known.repeated("", KNOWN[:1500]) == 0
    assert known.repeated("", KNOWN[1500:4000]) == found["m"].reference.passages.repeated("", KNOWN[1500:4000]) > 1500


def test_what_each_client_is_told_alone_is_counted_and_raises_the_line(found):
    rng = np.random.default_rng(5)
    apart = {f"c{n}": f"{n} " + KNOWN[(start := 190 * n) : start + 190] for n in range(40)}
    calls = [call(each.client, number % 16, each.texts[0][0], apart[each.client] if number % 4 else piece(TEXT, rng))
             for number, each in enumerate(traffic())]  # fmt: skip
    again = calibrate(calls, 50.0, secret=KEY, training_texts=[KNOWN])
    assert said(calls, again["m"]).repeating > 100
    assert line(again, "regurgitated text") > 2 * line(found, "regurgitated text")


def test_a_calibration_of_texts_survives_its_file_and_holds_none(tmp_path, found):
    save(tmp_path / "c.npz", found)
    again = load(tmp_path / "c.npz")["m"].reference
    assert np.array_equal(again.passages.hashes, found["m"].reference.passages.hashes)
    assert again.passages.repeated("", KNOWN) == found["m"].reference.passages.repeated("", KNOWN) > 1000
    assert os.stat(tmp_path / "c.npz").st_mode & 0o077 == 0
    assert b"ssignment" not in (tmp_path / "c.npz").read_bytes()
    one = call("a", 0, "Who?", KNOWN[:1000])
    for name in ("numbers", "digest", "z", "fields"):
        assert np.array_equal(getattr(again.read(one), name), getattr(found["m"].reference.read(one), name)), name


# Recordings ----------------------------------------------------------------------------------------------------------


def test_a_recording_gives_texts_back_cut_to_what_is_looked_at(tmp_path, monkeypatch):
    monkeypatch.setattr(recording, "MOST_LETTERS", 3000)
    path, calls = tmp_path / "traffic.npy", list(traffic(3, 8))
    calls += [Seen("b", "g", "m", 1.0, np.empty((2, 0)), np.full(2, np.nan), (("Ágnes", ""), ("b", "x" * READ + "y")))]
    calls += [Seen("c", "g", "digits", 1.0, np.ones((2, 3)), np.ones((2, 2)))]
    recorder = Recorder(path)
    for each in calls:
        recorder.keep(each)
    assert path.stat().st_size > 3000  # long texts do not wait for 256 records
    recorder.flush()
    found = list(recorded(path))
    assert [each.texts for each in found[:-2]] == [each.texts for each in calls[:-2]]
    assert found[-2].texts == (("Ágnes", ""), ("b", "x" * READ))
    assert found[-1].texts == ()
    assert found[-1].x.shape == (2, 3)
    assert os.stat(path).st_mode & 0o077 == 0
    path.write_bytes(path.read_bytes()[:-2000])
    assert 0 < len(list(recorded(path))) < len(calls)


def test_what_does_not_fit_texts_is_said():
    with pytest.raises(InputError, match="holds texts alone, and training records were given; give texts"):
        calibrate(traffic(), training=np.ones((3, 3)))
    bare = [Seen(f"c{n % 20}", "", "m", 60.0 * n, np.empty((1, 0)), np.full(1, np.nan)) for n in range(400)]
    with pytest.raises(InputError, match="'m' holds neither values nor texts; let this version of the guard record"):
        calibrate(bare)
    records = [Seen(f"c{n % 20}", "", "m", 60.0 * n, np.ones((1, 3)), np.ones((1, 2))) for n in range(400)]
    with pytest.raises(InputError, match="holds no texts, and training texts were given; leave them out"):
        calibrate(records, training_texts=[KNOWN])


def test_the_command_reads_training_texts_and_says_what_leaks_already(tmp_path, capsys):
    (tmp_path / "guard.toml").write_text(
        '[upstream]\nurl = "http://127.0.0.1:5000"\nprotocol = "openai"\n[signals]\ncanaries = "canaries.json"\n'
    )
    (tmp_path / "secrets.txt").write_text(SECRET + "\n")
    (tmp_path / "training.txt").write_text(KNOWN)
    policy = ["--policy", str(tmp_path / "guard.toml")]
    assert main(["guard", "canaries", *policy, "--secrets", str(tmp_path / "secrets.txt")]) == 0
    recorder = Recorder(tmp_path / "traffic.npy")
    for each in [*traffic(40, 8), call("c1", 9, "Who?", f"It is {SECRET}."), call("c1", 10, "Who?", KNOWN[:1000])]:
        recorder.keep(each)
    recorder.flush()
    words = ["--traffic", str(tmp_path / "traffic.npy"), "--training-texts", str(tmp_path / "training.txt")]
    assert main(["guard", "calibrate", *policy, *words]) == 0
    out = capsys.readouterr().out
    assert "Of 322 recorded answers 1 repeat 50 tokens or more of the training texts, beside what several" in out
    assert "Of 322 recorded answers 1 hold a piece of a secret. That is a leak" in out
    assert main(["guard", "calibrate", *policy, *words[:2], "--training-texts", str(tmp_path / "none")]) == 2
    assert "none cannot be read" in capsys.readouterr().err
