"""A drill plays noise on answers as the owner's guard does: by a key of its own, that the seed decides."""

from dataclasses import dataclass, replace

import numpy as np
from sklearn.datasets import load_digits

from safelight.data.records import Records, Splits
from safelight.drill.case import Drill
from safelight.drill.result import Drilled
from safelight.drill.rounds import drill
from safelight.drill.scene import outputs_alone
from safelight.guard.policy import GuardPolicy, Key, Noise, Outputs, Protocol, Upstream
from safelight.targets.base import Images, Target
from safelight.targets.fake import LeakyRecipe
from safelight.threat import Access, ThreatModel

DIGITS = load_digits()
PIXELS = Images((1, 8, 8))
EVERYONE = Records.of(DIGITS.images[:, None] / 16, DIGITS.target % 2)
SPLITS = Splits(EVERYONE.take(np.arange(200)), EVERYONE.take(np.arange(200, 400)), EVERYONE.take(np.arange(400, 700)))
OPEN = GuardPolicy(Upstream("http://127.0.0.1:1", Protocol.OIP), clients={"0" * 64: Key("ward", sha256="0" * 64)})


@dataclass(frozen=True)
class Faint:
    """Remembers records so faintly that no label tells."""

    key: str = "faint"

    def fit(self, records: Records, seed: int) -> Target:
        target = LeakyRecipe(PIXELS, pictures=False, leak=1.0).fit(records, seed)
        return Target("faint", replace(target.model, certainty=0.2, prior=np.array([0.7, 0.3])))


def drilled(noise: Noise, **more: object) -> Drilled:
    policy = replace(OPEN, outputs=Outputs(noise=noise))
    target, threat = Faint().fit(SPLITS.members, 0), ThreatModel(Access.SCORES)
    (found,) = drill(Drill(target, SPLITS, threat, policy, Faint(), runs=2, only=("M001",), **more)).attacks
    return found


def test_more_noise_hides_more_and_the_same_seed_gives_the_same_drill():
    little, much, again = drilled(Noise(2000.0)), drilled(Noise(2.0)), drilled(Noise(2.0))
    assert little.mu_unguarded == much.mu_unguarded == again.mu_unguarded
    assert little.mu_guarded.low > 1.5
    assert much.mu_guarded.high < little.mu_guarded.low
    assert (again.mu_guarded, again.runs) == (much.mu_guarded, much.runs)


def test_a_spent_epsilon_stops_and_what_was_answered_is_attacked_with_the_same_noise():
    found = drilled(Noise(2000.0, epsilon_lifetime=2000.0 * 40), batch=8)
    assert [(run.contained_at, run.answered) for run in found.runs] == [(48, 40)] * 2
    few = drilled(Noise(2000.0, epsilon_lifetime=2000.0 * 3), batch=8)  # no question is larger than the limit
    assert [(run.contained_at, run.answered) for run in few.runs] == [(6, 3)] * 2
    policy = outputs_alone(replace(OPEN, outputs=Outputs(noise=Noise(2.0, epsilon_lifetime=4.0, series="s"))))
    assert policy.outputs.noise == Noise(2.0, series="s")
