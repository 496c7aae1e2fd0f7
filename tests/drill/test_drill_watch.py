"""The guard's own watch, calibrated on one crowd, notices an attack through the door and leaves another crowd alone."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from safelight.attacks.membership.label_only import LabelOnly
from safelight.data.records import Records, Splits
from safelight.drill.case import Drill
from safelight.drill.crowds import Regulars
from safelight.drill.rounds import drill, harmless
from safelight.drill.scene import name_of, rehearsed
from safelight.drill.traffic import as_seen, visits
from safelight.drill.visitors import Visitors
from safelight.guard.calibrate import calibrate
from safelight.guard.calibration import save
from safelight.guard.policy import GuardPolicy, Key, Protocol, Signals, Upstream
from safelight.guard.seen import Seen
from safelight.recipes.sklearn import SklearnRecipe
from safelight.targets.base import Images
from safelight.threat import Access, ThreatModel

DIGITS = load_digits()
EVERYONE = Records.of(DIGITS.images[:, None] / 16, DIGITS.target)
SPLITS = Splits(EVERYONE.take(np.arange(400)), EVERYONE.take(np.arange(400, 800)), EVERYONE.take(np.arange(800, 1300)))
RECIPE = SklearnRecipe(LogisticRegression(max_iter=300), Images((1, 8, 8)))


@pytest.fixture(scope="module")
def watching(tmp_path_factory) -> GuardPolicy:
    folder: Path = tmp_path_factory.mktemp("guard")
    model = RECIPE.fit(SPLITS.members, 0).model
    seen = visits(Regulars(clients=80), SPLITS.public, model, np.random.default_rng(1))
    calls = [Seen(one.client, one.cohort, "digits", one.at, one.x, one.answers) for one in seen]
    save(folder / "calibration.npz", calibrate(calls, 1.0, as_seen(SPLITS.members.x), secret=b"0" * 32))
    return GuardPolicy(
        Upstream("http://127.0.0.1:1", Protocol.OIP),
        folder,
        clients={"0" * 64: Key("ward", sha256="0" * 64)},
        signals=Signals(1.0, "calibration.npz", record="traffic"),
    )


def case(policy: GuardPolicy) -> Drill:
    threat = ThreatModel(Access.SCORES, queries=2000)
    target = RECIPE.fit(SPLITS.members, 0)
    return Drill(target, SPLITS, threat, policy, RECIPE, runs=1, only=("M006",), tuned=(LabelOnly(copies=20),))


def test_an_attack_is_noticed_and_stopped_and_others_are_left_alone(watching):
    (found,) = drill(case(watching)).attacks
    assert found.detected_at is not None
    assert found.detected_at == found.contained_at
    assert found.runs[0].contained_by(0.5)
    assert harmless(case(watching), Visitors(40)).alarms == 0
    assert [path.name for path in watching.folder.iterdir()] == ["calibration.npz"]  # nothing of the owner's is touched


def test_the_model_has_a_name_that_the_watch_knows(watching):
    assert name_of(watching) == "digits"


def test_nothing_is_recorded_where_the_owner_records(watching):
    played = rehearsed(watching, Protocol.OIP, ["a"], False)
    assert played.signals.reference == "calibration.npz"
    assert played.signals.record is None
