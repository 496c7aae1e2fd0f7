"""Unlearning: who leaves depends on the id alone, exact forgetting passes the judgement, fine-tuning fails it."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from safelight.defences.training.forgetting import judge_forgetting, sureness
from safelight.defences.training.unlearning import Unlearning, leaving
from safelight.errors import InputError
from safelight.recipes.sklearn import SklearnRecipe


@dataclass(frozen=True)
class TrainedAgain(Unlearning):
    """Forgets exactly: it trains again, from another seed, without those who left."""

    def fit(self, recipe, records, seed):
        return recipe.fit(records.take(~leaving(records.ids, self.share, self.seed)), seed + 100)


def test_who_leaves_depends_on_the_id_alone():
    ids = np.arange(4000)
    whole = leaving(ids, 0.2, 0)
    assert whole.mean() == pytest.approx(0.2, abs=0.03)
    assert leaving(ids[::7], 0.2, 0).tolist() == whole[::7].tolist()
    assert not np.array_equal(whole, leaving(ids, 0.2, 1))


def test_without_passes_nothing_is_forgotten(brief, noisy):
    one, two = (recipe.fit(noisy.members, 0).model for recipe in (brief, Unlearning(passes=0)(brief)))
    np.testing.assert_array_equal(one.scores(noisy.public.x), two.scores(noisy.public.x))


def test_it_trains_on_with_who_stays(brief, noisy):
    ours = Unlearning(share=0.3, passes=2)(brief).fit(noisy.members, 4).model
    net = brief.build(noisy.members, 4)
    images, labels = brief.tensors(noisy.members)
    stays = ~leaving(noisy.members.ids, 0.3, 0)
    for records, epochs, seed in ((slice(None), 3, 4), (stays, 2, 5)):
        for _ in replace(brief, epochs=epochs).passes(net, images[records], labels[records], seed):
            pass
    with torch.no_grad():
        expected = net.eval()(images).softmax(1).numpy()
    np.testing.assert_allclose(ours.scores(noisy.members.x), expected, atol=1e-6)


def test_fine_tuning_leaves_what_training_again_does_not(plain, noisy):
    tuned = judge_forgetting(Unlearning(0.2, passes=5), plain, noisy.members, noisy.nonmembers, range(3))
    assert (tuned.before > 0.74).all()
    assert (abs(tuned.retrained - 0.5) < 0.08).all()
    assert (tuned.after > tuned.retrained + 0.1).all()
    assert (tuned.after < tuned.before).all()
    assert tuned.still > 0.3
    exact = judge_forgetting(TrainedAgain(0.2), plain, noisy.members, noisy.nonmembers, range(3))
    assert (abs(exact.after - 0.5) < 0.08).all()
    assert exact.still < 0.25
    assert exact.raised < 0.25


def test_sureness_is_the_log_odds_of_the_true_class(brief, noisy):
    target = brief.fit(noisy.members, 0)
    scores = target.model.scores(noisy.members.x)
    for row, odds in zip(range(20), sureness(target, noisy.members)):
        own = scores[row, noisy.members.y[row]]
        assert odds == pytest.approx(np.log(own / (1 - own)), abs=1e-5)


def test_what_it_cannot_work_with_is_said(plain, noisy):
    everybody = noisy.members.take(np.flatnonzero(leaving(noisy.members.ids, 0.1, 0))[:3])
    with pytest.raises(InputError, match="All 3 records ask to be forgotten; use a smaller share"):
        Unlearning()(plain).fit(everybody, 0)
    with pytest.raises(InputError, match=r"2 seeds and \d+ of 200 records that leave; use 3 or more"):
        judge_forgetting(Unlearning(), plain, noisy.members, noisy.nonmembers, range(2))
    with pytest.raises(InputError, match="Unlearning by fine-tuning changes the passes of a torch training"):
        Unlearning()(SklearnRecipe(LogisticRegression()))
