"""Each block beside its literal form."""

import numpy as np
import pytest
import torch

from safelight.attacks.inversion.ascend import ascend
from safelight.attacks.inversion.augment import HEAVY, Views
from safelight.attacks.inversion.budget import passed, rounds
from safelight.attacks.inversion.label_only import repulsion, starts
from safelight.attacks.inversion.linear import largest_margin, linear_model
from safelight.attacks.inversion.losses import Loss
from safelight.attacks.inversion.scores import Search, log_odds
from safelight.attacks.inversion.search import Nes, standardised
from safelight.attacks.inversion.select import best_starts
from safelight.errors import BudgetSpent
from safelight.priors.pca import Pca
from safelight.targets.base import Images, Target
from safelight.targets.fake import LeakyRecipe
from safelight.threat import Access, ThreatModel

LOGITS = torch.tensor([[2.0, -1.0, 0.5], [0.1, 0.2, 0.3]], dtype=torch.float64)
CLASSES = torch.tensor([0, 1])


@pytest.mark.parametrize(
    ("loss", "literal"),
    [
        (Loss.CROSS_ENTROPY, lambda z, t: -np.log(np.exp(z[t]) / np.exp(z).sum())),
        (Loss.CONFIDENCE, lambda z, t: 1 - np.exp(z[t]) / np.exp(z).sum()),
        (Loss.NEGATIVE_LOGIT, lambda z, t: -z[t]),
        (Loss.MAX_MARGIN, lambda z, t: max(np.delete(z, t)) - z[t]),
    ],
)
def test_losses(loss, literal):
    expected = [literal(z, t) for z, t in zip(LOGITS.numpy(), CLASSES.numpy())]
    np.testing.assert_allclose(loss(LOGITS, CLASSES).numpy(), expected)


def test_poincare_is_the_distance_in_the_ball():
    for z, t, value in zip(LOGITS.numpy(), CLASSES.numpy(), Loss.POINCARE(LOGITS, CLASSES).numpy()):
        u, v = z / np.abs(z).sum(), np.zeros(3)
        v[t] = 1 - 1e-4
        inner = 1 + 2 * ((u - v) ** 2).sum() / ((1 - (u**2).sum()) * (1 - (v**2).sum()))
        assert value == pytest.approx(np.arccosh(inner))


def test_ascend_climbs_every_row_by_itself_and_projects():
    goal = torch.tensor([[1.0, 2.0], [-3.0, 0.5]])
    x, values = ascend(lambda x: -((x - goal) ** 2).sum(1), torch.zeros(2, 2), 400, 0.05)
    np.testing.assert_allclose(x.numpy(), goal.numpy(), atol=0.02)
    assert values.shape == (2,)
    capped, _ = ascend(lambda x: x.sum(1), torch.zeros(2, 2), 50, 0.1, lambda x: x.clamp(max=1))
    assert capped.max() == 1
    alone, _ = ascend(lambda x: -((x - goal[1:]) ** 2).sum(1), torch.zeros(1, 2), 400, 0.05)
    np.testing.assert_allclose(alone.numpy()[0], x.numpy()[1], atol=1e-5)


@pytest.mark.parametrize("search", list(Search))
def test_every_search_climbs_for_every_class(search):
    rng = np.random.default_rng(0)
    goals = rng.normal(size=(3, 5))
    climb = search.begin(np.zeros((3, 5)), 40, lambda z: z)
    for _ in range(150):
        z = climb.ask(rng)
        climb.tell(z, -((z - goals[:, None]) ** 2).sum(2))
    before = np.linalg.norm(goals, axis=1)
    assert (np.linalg.norm(climb.place - goals, axis=1) < 0.35 * before).all()


def test_nes_asks_in_antithetic_pairs_and_a_plateau_moves_nobody():
    climb = Nes(np.zeros((2, 4)), 6, lambda z: z)
    z = climb.ask(np.random.default_rng(0))
    np.testing.assert_allclose(z[:, :3], -z[:, 3:])
    climb.tell(z, np.ones((2, 6)))
    assert (climb.place == 0).all()
    assert (standardised(np.ones((1, 4))) == 0).all()


def test_log_odds_stay_finite_where_scores_are_cut():
    scores = np.array([[0.7, 0.3, 0.0], [0.7, 0.3, 0.0]])
    found = log_odds(scores, np.array([0, 2]), 1e-6)
    np.testing.assert_allclose(found, [np.log(0.7 / 0.3), np.log(1e-6 / 0.7)], rtol=1e-4)


def test_views_keep_the_shape_and_the_whole_image_where_nothing_is_cropped():
    rng = np.random.default_rng(0)
    x = torch.rand(3, 1, 8, 8)
    np.testing.assert_allclose(Views(crop=1.0).of(x, rng).numpy(), x.numpy(), atol=1e-5)
    heavy = HEAVY.of(x, rng)
    assert heavy.shape == x.shape
    assert not torch.allclose(heavy, x)
    assert np.abs(HEAVY.boxes(500, rng) @ np.array([1, 1, 1])).max() <= 1 + 1e-9, "never beyond the border"


def test_best_starts_are_the_samples_that_look_most_like_each_class():
    values = np.array([[0.1, 0.9], [0.8, 0.2], [0.5, 0.5]])
    assert best_starts(values, np.array([0, 1]), 2).tolist() == [[1, 2], [0, 2]]
    assert best_starts(values, np.array([1]), 5).tolist() == [[0, 2, 1, 0, 2]]


def test_rounds_follow_the_budget(digits):
    target: Target = LeakyRecipe(Images((1, 8, 8)), pictures=True).fit(digits, 0)
    view = target.view(ThreatModel(Access.GRADIENTS, queries=35))
    assert rounds(view, 10, 50) == 3
    with pytest.raises(BudgetSpent, match="One round of this attack sends 40 records and 35 of 35"):
        rounds(view, 40, 50)
    assert rounds(target.view(ThreatModel(Access.WEIGHTS, queries=35)), 40, 50) == 50, "with the weights, free"
    assert passed(5, 10)
    assert not passed(10, 29)


def test_only_points_that_lost_the_label_push(digits):
    directions = np.array([[[1.0, 0], [0, 1.0], [-1.0, 0]]])
    push = repulsion(directions, np.array([[False, True, True]]))
    np.testing.assert_allclose(push, [[-1, 0]])
    both = repulsion(directions, np.array([[False, False, True]]))
    np.testing.assert_allclose(both, [[-(0.5**0.5), -(0.5**0.5)]])


def test_starts_are_the_middle_of_what_carries_the_label(digits):
    prior = Pca.fit(digits.x[:100], Images((1, 8, 8)), 5)
    drawn = np.arange(20.0).reshape(4, 5)
    mean, one = starts(prior, drawn, np.array([1, 0, 1, 0]), np.array([1, 7]))
    np.testing.assert_allclose(mean[0], (drawn[0] + drawn[2]) / 2)
    np.testing.assert_allclose(one[0], drawn[0])
    assert (mean[1] == prior.centre).all()
    assert np.isnan(one[1]).all()


def test_a_linear_model_of_a_linear_target_is_found_and_its_margin_climbed():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(6, 4))
    z = rng.normal(size=(400, 6))
    scores = np.exp(z @ truth)
    scores /= scores.sum(axis=1, keepdims=True)
    weights, offsets = linear_model(z, scores, 0.0, shrink=1e-9)
    np.testing.assert_allclose(weights, truth - truth.mean(axis=1, keepdims=True), atol=1e-6)
    np.testing.assert_allclose(offsets, 0, atol=1e-6)
    best = largest_margin(weights, offsets, np.arange(4), 1.0)
    assert (best @ truth).argmax(axis=1).tolist() == [0, 1, 2, 3]
    assert ((best**2).mean(axis=1) <= 1 + 1e-9).all()
