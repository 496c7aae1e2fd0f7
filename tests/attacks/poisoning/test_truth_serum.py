"""Truth Serum: the formula, what shadows learn from, and that wrong labels make right ones stand out."""

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier

from safelight.attacks.poisoning.truth_serum import TruthSerum, gap
from safelight.compute.shadows import ShadowPool
from safelight.controls.coins.base import Guesses, guess
from safelight.controls.coins.poisoned import PoisonedCoins
from safelight.data.records import Records, Splits, concat
from safelight.errors import AccessDenied
from safelight.evidence import WhoWasInPoisoned
from safelight.recipes.sklearn import SklearnRecipe
from safelight.targets.base import Side
from safelight.targets.recorded import RecordedShadows
from safelight.threat import Access, ThreatModel

FOREST = SklearnRecipe(RandomForestClassifier(20))


@pytest.fixture(scope="module")
def splits():
    """Breast-cancer patients with their true diagnoses: little is learnt by heart."""
    bunch = load_breast_cancer(as_frame=True)
    everyone = Records.of(bunch.data.iloc[:, :6], bunch.target)
    order = np.random.default_rng(1).permutation(len(everyone))
    return Splits(*(everyone.take(rows) for rows in np.split(order, [300, 450])))


def test_the_gap_is_that_of_logits_and_stays_finite():
    answers = np.array([[0.5, 0.25, 0.25], [1.0, 0.0, 0.0], [0.2, 0.8, 0.0]])
    own, wrong = np.array([0, 1, 0]), np.array([1, 0, 2])
    least = 0.2 / 2  # the smallest step is .2, so that a probability of 0 is taken as .1
    slow = [np.log(max(row[a], least) / max(row[b], least)) for row, a, b in zip(answers, own, wrong)]
    assert np.allclose(gap(answers, own, wrong), slow)
    assert np.allclose(gap(answers[None], own, wrong), [slow])


class Watching:
    """A recipe that keeps what it was trained on."""

    key = "watching"

    def __init__(self):
        self.sets = []

    def fit(self, records, seed):
        self.sets.append(records)
        return FOREST.fit(records, seed)


def asked(splits, recipe, copies=3):
    question = PoisonedCoins(copies=copies).flip(splits, np.random.default_rng(0)).question
    target = FOREST.fit(splits.members, 0)
    pool = ShadowPool(recipe)
    return question, [
        TruthSerum(copies=copies, references=4).run(
            target.view(ThreatModel(Access.SCORES), Side(splits.public, pool)), question, np.random.default_rng(seed)
        )
        for seed in range(2)
    ]


def test_every_shadow_learns_all_copies_and_half_of_the_records(splits):
    recipe = Watching()
    question, (first, again) = asked(splits, recipe)
    assert len(recipe.sets) == 4, "the second model that is asked is compared with the same shadows"
    assert np.array_equal(first.values, again.values)
    poison, records = question.poison, concat([question.records, splits.public])
    assert len(poison) == 3 * len(question.records)
    times = np.zeros(len(records), dtype=int)
    for learnt in recipe.sets:
        assert learnt.take(np.arange(len(poison))).digest == poison.digest
        clean = learnt.take(np.arange(len(poison), len(learnt)))
        seen = {tuple(row) for row in clean.x.assign(y=clean.y).itertuples(index=False)}
        times += [tuple(row) in seen for row in records.x.assign(y=records.y).itertuples(index=False)]
    assert (times == 2).all()


def test_wrong_labels_make_the_right_one_stand_out(splits):
    shares = {}
    for copies in (0, 4):
        coins, total = PoisonedCoins(copies=copies, most=20), Guesses(0, 0, 0, 2)
        for run in range(3):
            rng = np.random.default_rng([run, 5])
            draw = coins.flip(splits, rng)
            side = Side(splits.public, ShadowPool(FOREST))
            view = FOREST.fit(draw.train, run).view(ThreatModel(Access.SCORES), side)
            belief = draw.match(TruthSerum(references=8).run(view, draw.question, rng))
            total = total + guess(belief, draw.secret, coins.share, rng)
        shares[copies] = total.right / total.guesses
    assert shares[4] >= 0.95
    assert shares[4] > shares[0] + 0.1


def test_it_says_what_it_lacks(splits):
    question = PoisonedCoins().flip(splits, np.random.default_rng(0)).question
    assert isinstance(question, WhoWasInPoisoned)
    target, scores = FOREST.fit(splits.members, 0), ThreatModel(Access.SCORES)
    on_file = Side(splits.public, RecordedShadows(np.zeros((2, 1, 2)), np.ones((2, 1), dtype=bool)))
    with pytest.raises(AccessDenied, match=r'must train reference models on records that it chooses.*"recipe"'):
        TruthSerum().run(target.view(scores, on_file), question, np.random.default_rng(0))
    with pytest.raises(AccessDenied, match="needs public records of classes that the target knows"):
        TruthSerum().run(target.view(scores, Side(None, ShadowPool(FOREST))), question, np.random.default_rng(0))
