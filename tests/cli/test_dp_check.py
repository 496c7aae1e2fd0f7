"""`safelight dp-check` on evidence of gradient canaries: three answers, a drawing, and files of something else."""

import json
from xml.etree import ElementTree

import numpy as np
import pytest

from safelight.cli import main
from safelight.controls.gradient_canaries import audit_training
from safelight.evidence import Evidence, Origin, Role, Scores
from safelight.measures.trade_off import DpSgd
from safelight.threat import Access, ThreatModel

CLAIMED = DpSgd(2.0, 1.0, 4)
PROMISE = ["--claim", "4.4,1e-5", "--dp-sgd", "2,1,4"]


def released(noise):
    def train(canaries, seed):
        return canaries.inside + noise * np.random.default_rng([seed, 5]).normal(size=canaries.inside.shape)

    return train


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Evidence by name: a true training and one with a quarter of its noise, by coins of the whole and of each step."""
    folder = tmp_path_factory.mktemp("canaries")
    for name, noise in (("true", 2.0), ("broken", 0.5)):
        for each_step in (False, True):
            evidence = audit_training(released(noise), CLAIMED, np.arange(300), 1.0, each_step)
            (folder / f"{name}-{'step' if each_step else 'whole'}.npz").write_bytes(evidence.to_bytes())
    return folder


def test_a_true_training_stands_and_a_broken_one_falls(files, capsys):
    for coins in ("whole", "step"):
        assert main(["dp-check", str(files / f"true-{coins}.npz"), *PROMISE]) == 0
        assert capsys.readouterr().out.startswith("NOT REFUTED: epsilon 4.4")
        assert main(["dp-check", str(files / f"broken-{coins}.npz"), *PROMISE, "--json"]) == 1
        document = json.loads(capsys.readouterr().out)
        promised = CLAIMED.epsilon(1e-5)
        assert promised <= document["tests"][0]["bound"] <= document["reach"]


def test_what_is_said_names_coins_bound_and_reach(files, capsys):
    main(["dp-check", str(files / "true-step.npz"), *PROMISE])
    said = capsys.readouterr().out
    assert "of 120 guesses right (1200 coins, 2 candidates, step, add-remove): does not refute it; at least" in said
    assert "Measured by" not in said, "what one step shows is no rate of the training"
    main(["dp-check", str(files / "true-whole.npz"), *PROMISE])
    allowed, measured = (line for line in capsys.readouterr().out.splitlines() if " at 10.0%" in line)
    assert allowed.startswith("Allowed by the promise: members recognised at false alarms")
    share = [float(line.split(", ")[-1].split("%")[0]) for line in (allowed, measured)]
    assert 0.6 * share[0] < share[1] < 1.3 * share[0], "gradient canaries show what the promise allows"


def test_coins_of_single_steps_need_the_mechanism(files, capsys):
    assert main(["dp-check", str(files / "broken-step.npz"), "--claim", "4.4,1e-5"]) == 3
    assert "say how the model was trained (noise, sampling rate, steps)" in capsys.readouterr().out
    assert main(["dp-check", str(files / "broken-whole.npz"), "--claim", "1,1e-5"]) == 1, "(epsilon, delta) will do"
    capsys.readouterr()
    assert main(["dp-check", str(files / "true-step.npz"), *PROMISE, "--adjacency", "replace"]) == 3


def test_the_promise_is_drawn(files, tmp_path, capsys):
    drawing = tmp_path / "promise.svg"
    main(["dp-check", str(files / "broken-step.npz"), *PROMISE, "--plot", str(drawing)])
    picture = drawing.read_text("utf-8")
    assert ElementTree.fromstring(picture).tag.endswith("svg")
    assert "claimed: at most 4.4" in picture
    assert "gradient canaries, step" in picture
    assert "--accent:#" in picture, "its colours come with it"
    again = tmp_path / "again.svg"
    main(["dp-check", str(files / "broken-step.npz"), *PROMISE, "--plot", str(again)])
    assert again.read_bytes() == drawing.read_bytes()
    capsys.readouterr()


def test_other_files_are_refused_in_one_sentence(tmp_path, capsys):
    bad = tmp_path / "bad.npz"
    foreign = Evidence(Origin("M001", {}, ThreatModel(Access.SCORES), Role.COINS, "x", 0, 0, True), Scores(np.ones(2)))
    for content, said in (
        (b"no archive", "cannot be read as evidence"),
        (foreign.to_bytes(), "the evidence is of M001; give one that `audit_training` made"),
    ):
        bad.write_bytes(content)
        assert main(["dp-check", str(bad), *PROMISE]) == 2
        assert said in capsys.readouterr().err
    assert main(["dp-check", str(tmp_path / "none.npz"), *PROMISE]) == 2
    assert "cannot be read as evidence" in capsys.readouterr().err
