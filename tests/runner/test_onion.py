"""The onion: exposure is measured on known truths, by other models than those that choose who leaves."""

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from safelight.cli import main
from safelight.compute.shadows import ShadowPool
from safelight.data.records import Records
from safelight.errors import InputError
from safelight.recipes.sklearn import SklearnRecipe
from safelight.runner.onion import exposure, peel
from safelight.targets.base import Table
from safelight.targets.fake import LeakyRecipe


@pytest.fixture(scope="module")
def patients():
    bunch = load_breast_cancer(as_frame=True)
    return Records.of(bunch.data, bunch.target)


@pytest.fixture(scope="module")
def linear():
    return SklearnRecipe(make_pipeline(StandardScaler(), LogisticRegression(C=100, max_iter=3000)))


@pytest.mark.parametrize(("leak", "low", "high"), [(1.0, 0.99, 1.0), (0.3, 0.25, 0.35), (0.0, 0.0, 0.03)])
def test_exposure_is_the_share_of_records_that_a_model_remembers(patients, leak, low, high):
    pool = ShadowPool(LeakyRecipe(Table(tuple(patients.x.columns)), pictures=False, leak=leak))
    assert low <= exposure(pool, patients, 8).mean() <= high


def test_a_layer_takes_the_most_exposed_and_stands_beside_a_random_one(patients, linear):
    first, second = peel(linear, patients, layers=2, share=0.05, references=8)
    assert (first.records, second.records) == (569, 541)
    assert len(first.riskiest) == len(set(first.riskiest)) == 28
    assert not set(first.riskiest) & set(second.riskiest)
    assert np.mean(first.exposures) > first.exposure
    for change in (first.rest, first.control, second.rest):
        assert change.low <= change.gain <= change.high
        assert change.gain == pytest.approx(change.after - change.before)
    again = peel(linear, patients, layers=1, share=0.05, references=8)
    assert again[0].riskiest == first.riskiest


def test_luck_does_not_look_like_calming_down(patients):
    """Where nobody is exposed but by luck, the rest is found as often before as after."""
    rng = np.random.default_rng(0)
    noise = Records.of(pd.DataFrame(rng.random((600, 3)), columns=list("abc")), rng.integers(0, 2, 600))
    (layer,) = peel(SklearnRecipe(LogisticRegression()), noise, layers=1, share=0.2, references=8)
    assert layer.rest.low < 0.005
    assert layer.rest.high > -0.005
    assert layer.rest.before > 0.004, "those who were found by luck in other models have left, but luck strikes anew"


def test_numbers_out_of_range_are_said(patients, linear):
    with pytest.raises(InputError, match="an even number of at least 8 references"):
        peel(linear, patients, references=7)
    with pytest.raises(InputError, match="4 layers of 142 leave 1 of 569 records; at least 100 must stay"):
        peel(linear, patients, layers=4, share=0.25)


def test_the_command_says_who_leaves_and_what_it_does(tmp_path, capsys, patients):
    frame = patients.x.iloc[:300, :5].assign(ill=patients.y[:300])
    frame.to_csv(tmp_path / "patients.csv", index=False)
    (tmp_path / "train.py").write_text(
        "from sklearn.linear_model import LogisticRegression\n"
        "from safelight.recipes.sklearn import SklearnRecipe\n"
        "recipe = SklearnRecipe(LogisticRegression())\n"
        "import pandas as pd, pathlib\n"
        "def model():\n"
        "    frame = pd.read_csv(pathlib.Path(__file__).with_name('patients.csv'))\n"
        "    return LogisticRegression().fit(frame.drop(columns='ill'), frame.ill)\n"
    )
    (tmp_path / "safelight.toml").write_text(
        '[target]\nmodel = "train.py:model"\n[data]\nmembers = "patients.csv"\nlabel = "ill"\n'
    )
    config, out = str(tmp_path / "safelight.toml"), str(tmp_path / "out")
    assert main(["onion", config, "--layers", "1", "--references", "8", "--out", out]) == 0
    printed = capsys.readouterr().out
    assert "Layer 1: 300 records." in printed
    assert "Control, as many leave at random:" in printed
