"""Drills over real HTTP before the real guard: planted leaks, nothing to leak, budgets, quarantine, going on."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
from sklearn.datasets import load_digits

from safelight.attacks.membership.loss import LossThreshold
from safelight.attacks.stealing.knockoff import Knockoff
from safelight.controls.coins.records import RecordCoins
from safelight.data.records import Records, Splits
from safelight.drill.adaptive import Plain, Slow, Sybil
from safelight.drill.benign import FalseAlarms
from safelight.drill.case import Drill
from safelight.drill.result import Drills, as_json, details, lines
from safelight.drill.rounds import drill, harmless
from safelight.drill.server import ModelServer, serving
from safelight.drill.visitors import Visitors
from safelight.errors import TargetFailed
from safelight.evidence import Evidence
from safelight.guard.alarm import Alarm
from safelight.guard.policy import Budget, GuardPolicy, Key, Outputs, Protocol, Upstream
from safelight.guard.seen import Seen
from safelight.recipes.sklearn import SklearnRecipe
from safelight.targets.base import Images, Target
from safelight.targets.fake import LeakyRecipe
from safelight.targets.http import from_http
from safelight.threat import Access, ThreatModel

DIGITS = load_digits()
PIXELS = Images((1, 8, 8))
EVERYONE = Records.of(DIGITS.images[:, None] / 16, DIGITS.target % 2)
SPLITS = Splits(EVERYONE.take(np.arange(200)), EVERYONE.take(np.arange(200, 400)), EVERYONE.take(np.arange(400, 700)))
KEY = {"0" * 64: Key("ward", sha256="0" * 64)}
OPEN = GuardPolicy(Upstream("http://127.0.0.1:1", Protocol.OIP), clients=KEY)
THREAT = ThreatModel(Access.SCORES)


@dataclass(frozen=True)
class Faint:
    """Remembers records so faintly that no label tells."""

    leak: float = 1.0
    key: str = "faint"

    def fit(self, records: Records, seed: int) -> Target:
        target = LeakyRecipe(PIXELS, pictures=False, leak=self.leak).fit(records, seed)
        prior = np.array([0.7, 0.3])
        return Target("faint", replace(target.model, certainty=0.2, prior=prior))


class Bell:
    """A watch that rings for a client after so many records, once."""

    def __init__(self, after: int) -> None:
        self.after, self.seen, self.rung = after, 0, False

    def see(self, seen: Seen) -> Sequence[Alarm]:
        self.seen += len(seen.x)
        if self.rung or self.seen < self.after:
            return ()
        self.rung = True
        return (Alarm(seen.client, seen.cohort, seen.model, seen.at, "bell", 2.0, 1.0, self.seen),)


def case(policy: GuardPolicy = OPEN, recipe: object = None, **more: object) -> Drill:
    recipe = recipe or Faint()
    return Drill(
        recipe.fit(SPLITS.members, 0), SPLITS, THREAT, policy, recipe, **{"runs": 1, "only": ("M001",), **more}
    )


def test_a_planted_leak_is_seen_without_a_guard_and_gone_behind_labels_alone():
    (found,) = drill(case(replace(OPEN, outputs=Outputs(label_only=True)))).attacks
    assert found.mu_unguarded.low > 1
    assert found.mu_guarded.low == 0
    assert (found.queries, found.detected_at, found.contained_at) == (200, None, None)


def test_a_guard_that_only_stands_there_changes_nothing():
    (found,) = drill(case()).attacks
    assert found.mu_guarded == found.mu_unguarded
    assert found.runs[0].answered == 200


def test_quarantine_is_dated_and_leaves_what_was_answered_before():
    (found,) = drill(case(watch=lambda: Bell(60), batch=8)).attacks
    assert (found.detected_at, found.contained_at) == (64, 64)
    assert found.runs[0].answered == 56
    assert found.runs[0].contained_by(0.5)
    (early,) = drill(case(watch=lambda: Bell(1))).attacks
    assert early.runs[0].answered == 0
    assert early.mu_guarded.low == 0
    assert early.mu_unguarded.low > 1


def test_an_attacker_knows_when_the_guard_will_shut(tmp_path):
    """What counts is the answer of the attack that was planned for the 96 records that were answered."""
    drilled = case(watch=lambda: Bell(100), batch=4, out=tmp_path)
    (found,) = drill(drilled).attacks
    assert found.runs[0].answered == 96
    (path,) = tmp_path.glob("evidence/*/*guarded*.npz")
    kept = Evidence.from_bytes(path.read_bytes())
    assert (kept.origin.queries, kept.origin.threat.queries, kept.origin.complete) == (96, 96, False)
    draw = RecordCoins().flip(SPLITS, drilled.session().rng("flip", "records", 0))
    view = Faint().fit(draw.train, 0).view(replace(THREAT, queries=96))
    alone = LossThreshold().run(view, draw.question, np.random.default_rng(kept.origin.seed))
    assert np.allclose(kept.answer.values, alone.values)
    assert np.array_equal(kept.belief, draw.match(alone))
    assert (kept.secret == draw.secret).all()


def test_a_lifetime_is_the_end_and_a_day_is_waited_for():
    (spent,) = drill(case(replace(OPEN, budget=Budget(lifetime=80)), batch=8)).attacks
    assert (spent.contained_at, spent.detected_at, spent.runs[0].answered) == (88, None, 80)
    (waits,) = drill(case(replace(OPEN, budget=Budget(per_minute=40, per_day=50)), batch=10)).attacks
    assert waits.contained_at is None
    assert waits.runs[0].answered == 200
    assert 3 <= waits.runs[0].days < 4
    (gives_up,) = drill(case(replace(OPEN, budget=Budget(per_day=50)), batch=10, days=1.5)).attacks
    assert gives_up.runs[0].answered == 100
    assert gives_up.contained_at == 110


def test_no_question_is_larger_than_a_limit():
    (found,) = drill(case(replace(OPEN, budget=Budget(per_minute=5)), batch=64)).attacks
    assert found.runs[0].answered == 200


def test_where_all_are_one_client_keys_buy_nothing():
    policy = replace(OPEN, clients={}, budget=Budget(lifetime=80))
    (found,) = drill(case(policy, batch=8, ways=(Sybil(keys=3),))).attacks
    assert found.runs[0].answered == 80


def test_nothing_to_leak_is_nothing_with_and_without_a_guard():
    (found,) = drill(case(recipe=Faint(leak=0.0), runs=2)).attacks
    assert found.mu_unguarded.low == 0
    assert found.mu_guarded.low == 0


def test_a_copy_is_measured_by_fidelity_and_has_no_mu():
    from sklearn.linear_model import LogisticRegression

    recipe = SklearnRecipe(LogisticRegression(C=0.1, max_iter=300), PIXELS)
    policy = replace(OPEN, budget=Budget(lifetime=40))
    drilled = drill(case(policy, recipe, only=("S003",), tuned=(Knockoff(queries=300),), batch=20))
    (found,) = drilled.attacks
    assert found.mu_unguarded is None
    assert found.mu_guarded is None
    assert found.fidelity_unguarded.value > found.fidelity_guarded.value
    assert found.contained_at == 60
    assert "copy 0." in "\n".join(lines(drilled))


def test_the_json_is_exactly_what_is_promised():
    drilled = drill(case(watch=lambda: Bell(60), ways=(Plain(), Slow())))
    drilled = replace(drilled, benign=FalseAlarms(200, 1.0, 1, {"iid": (200, 1)}))
    text = as_json(drilled)
    assert list(text) == ["attacks", "benign"]
    for each, name in zip(text["attacks"], ("M001", "M001 slow"), strict=True):
        assert list(each) == ["attack", "queries", "detected_at", "contained_at", "mu_unguarded", "mu_guarded"]
        assert each["attack"] == name
        assert list(each["mu_guarded"]) == ["value", "low", "high"]
    assert text["benign"]["per_1000_clients_a_day"]["value"] == 5.0
    assert json.loads(json.dumps(text, allow_nan=False)) == text
    assert details(drilled)["attacks"][0]["runs"][0]["detected_at"] == 64


def test_what_is_never_is_null_and_the_rest_is_the_median():
    (found,) = drill(case(watch=lambda: Bell(60))).attacks
    run = found.runs[0]
    never = replace(run, detected_at=None)
    assert replace(found, runs=(run, never, never)).detected_at is None
    assert replace(found, runs=(run, run, never)).detected_at == run.detected_at
    assert as_json(Drills((replace(found, runs=(never,)),)))["attacks"][0]["detected_at"] is None


class Stopped(Exception):
    pass


def test_an_interrupted_drill_goes_on_where_it_stopped(tmp_path):
    fits = []

    @dataclass(frozen=True)
    class Counted(Faint):
        def fit(self, records, seed):
            fits.append(seed)
            return super().fit(records, seed)

    def stop(line: str) -> None:
        if "run 2" in line:
            raise Stopped

    whole = drill(case(recipe=Counted(), runs=3))
    fits.clear()
    with pytest.raises(Stopped):
        drill(case(recipe=Counted(), runs=3, out=tmp_path, say=stop))
    written = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in tmp_path.glob("evidence/*/*.npz")}
    assert len(written) == 4  # two runs, each without a guard and behind it
    before = len(fits)
    again = drill(case(recipe=Counted(), runs=3, out=tmp_path))
    assert len(fits) - before == 2  # the model that the drill is given, and the one of the third run
    assert again.attacks == whole.attacks
    kept = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in tmp_path.glob("evidence/*/*.npz")}
    assert {name: kept[name] for name in written} == written
    drill(case(replace(OPEN, outputs=Outputs(decimals=1)), recipe=Counted(), runs=1, out=tmp_path))
    assert len(list(tmp_path.glob("evidence/*"))) == 2  # another policy is another drill


def test_a_live_server_is_attacked_as_it_is_and_has_no_mu():
    model = Faint().fit(SPLITS.members, 0).model
    app = ModelServer(model)
    with serving(app) as url:
        target = from_http(url + app.path, classes=model.classes, inputs=PIXELS)
        live = Drill(target, SPLITS, THREAT, OPEN, only=("M001",), runs=1, live=url + app.path, watch=lambda: Bell(60))
        (found,) = drill(live).attacks
    assert (found.queries, found.detected_at, found.contained_at) == (200, 64, 64)
    assert found.mu_unguarded is None
    assert found.mu_guarded is None


def test_a_server_that_fails_is_no_refusal_of_the_guard():
    @dataclass(frozen=True)
    class Broken:
        access: Access = Access.SCORES
        classes: tuple[str, ...] = ("0", "1")
        inputs: Images = PIXELS

        def scores(self, x):
            raise RuntimeError("out of order")

    with pytest.raises(TargetFailed, match="status 500"):
        drill(replace(case(), recipe=None, target=Target("broken", Broken())))


def test_what_does_not_fit_is_left_out_with_its_reason():
    drilled = drill(replace(case(only=("V001", "M001")), threat=replace(THREAT, access=Access.LABEL)))
    reasons = {item.code: item.reason for item in drilled.left_out}
    assert reasons["M001"] == "it needs scores, and the threat model grants label"
    assert reasons["V001"].startswith("it needs gradients")


def test_harmless_clients_ring_as_often_as_the_watch_says():
    assert harmless(case(), Visitors(20)) is None  # nothing watches
    counted = harmless(case(watch=lambda: Bell(10)), Visitors(20))
    assert (counted.clients, counted.alarms) == (20, 1)
