"""Gradient canaries: known noise is measured, true promises stand, broken ones fall, chance stays chance."""

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.datasets import load_digits

from safelight.controls.gradient_canaries import audit_training, beliefs, guesses_of, log_ratios, quietest
from safelight.errors import InputError
from safelight.evidence import Evidence
from safelight.measures.binomial import clopper_pearson
from safelight.measures.dp_sgd import epsilon_of_training
from safelight.measures.trade_off import DpSgd, curve_rejected


def released(sigma, sampling):
    """A training of canaries alone whose steps lean on what was released before."""

    def train(canaries, seed):
        rng = np.random.default_rng([seed, 9])
        rows, drift = [], np.zeros(len(canaries.where))
        for there in canaries.inside:
            drawn = rng.random(len(there)) < sampling
            rows.append((there & drawn) + sigma * rng.normal(size=len(there)) + drift)
            drift = 0.01 * np.sin(np.sum(rows, axis=0))
        return np.array(rows)

    return train


def literal_dp_sgd(sigma, sampling, clip, noise_divided=1.0, clips=True):
    """Softmax regression on digits: one record after another, as Abadi et al. 2016, algorithm 1, says."""
    x, y = load_digits(return_X_y=True)
    x, y = x[:150] / 16, y[:150]

    def train(canaries, seed):
        rng = np.random.default_rng([seed, 8])
        weights, rows = np.zeros(640), []
        for there in canaries.inside:
            total = np.zeros(640)
            for image, label in zip(x, y):
                if rng.random() < sampling:
                    odds = np.exp(image @ weights.reshape(64, 10))
                    gradient = np.outer(image, odds / odds.sum() - np.eye(10)[label]).ravel()
                    total += gradient / max(1.0, np.linalg.norm(gradient) / clip)
            for place, inside in zip(canaries.where, there):
                if inside and rng.random() < sampling:
                    gradient = np.zeros(640)
                    gradient[place] = canaries.norm
                    total += gradient / max(1.0, np.linalg.norm(gradient) / clip) if clips else gradient
            total += sigma * clip / noise_divided * rng.normal(size=640)
            weights -= 0.5 * total / (sampling * len(x))
            rows.append(total[canaries.where] / clip)
        return np.array(rows)

    return train


def quiet_pixels():
    """Weights of pixels that hardly any digit uses."""
    x, _ = load_digits(return_X_y=True)
    return quietest(np.repeat(x[:150], 10, axis=1), 200)


def test_known_noise_is_measured_within_its_interval():
    """One full step: whoever guesses every coin is right in Phi(1 / (2 sigma)) of them."""
    inside, sigma = 0, 0.8
    for seed in range(60):
        made = guesses_of(
            audit_training(released(sigma, 1.0), DpSgd(sigma, 1.0, 1), np.arange(1000), 1.0, share=1.0, seed=seed)
        )
        low, high = clopper_pearson(made.right, made.guesses)
        inside += 2 * norm.ppf(low) <= 1 / sigma <= 2 * norm.ppf(high)
    assert inside >= 53


def test_the_bound_comes_near_the_truth_and_stays_below_it():
    claimed = DpSgd(1.0, 0.2, 50)
    truth = claimed.epsilon(1e-5)
    for each_step, nearest in ((False, 0.2), (True, 0.35)):
        bounds = []
        for seed in range(10):
            made = guesses_of(audit_training(released(1.0, 0.2), claimed, np.arange(500), 1.0, each_step, seed=seed))
            bounds.append(epsilon_of_training(claimed, made.coins, made.guesses, made.right, 1e-5, 0.05, each_step))
        assert max(bounds) < truth
        assert np.mean(bounds) > nearest * truth


@pytest.mark.parametrize("each_step", [False, True])
def test_true_promises_stand(each_step):
    """200 trainings each: no more than 5 % of true promises may fall."""
    claimed = DpSgd(1.2, 0.25, 12)
    curve = claimed.step_curve() if each_step else claimed.curve()
    refuted = 0
    for seed in range(200):
        made = guesses_of(audit_training(released(1.2, 0.25), claimed, np.arange(100), 1.0, each_step, seed=seed))
        refuted += curve_rejected(curve, made.coins, made.guesses, made.right, 2, 0.05)
    assert refuted <= 10


@pytest.mark.parametrize("each_step", [False, True])
def test_without_a_trace_of_the_canaries_guesses_are_luck(each_step):
    def train(canaries, seed):
        return np.random.default_rng([seed, 7]).normal(size=canaries.inside.shape)

    made = [
        guesses_of(audit_training(train, DpSgd(1.0, 0.5, 20), np.arange(100), 1.0, each_step, seed=seed))
        for seed in range(50)
    ]
    right, guesses = sum(one.right for one in made), sum(one.guesses for one in made)
    low, high = clopper_pearson(right, guesses, 0.999)
    assert low < 0.5 < high
    same = guesses_of(audit_training(lambda canaries, _: np.zeros(canaries.inside.shape), DpSgd(1.0, 0.5, 20),
                                     np.arange(1000), 1.0, each_step))  # fmt: skip
    assert 0.35 < same.right / same.guesses < 0.65, "ties are broken by luck"


@pytest.mark.parametrize("each_step", [False, True])
@pytest.mark.parametrize(
    ("bug", "falls"),
    [({}, False), ({"sigma": 0.0}, True), ({"noise_divided": 30.0}, True), ({"clips": False}, True)],
    ids=["true", "no noise", "noise divided", "no clipping"],
)
def test_a_real_training_falls_by_its_bugs_alone(each_step, bug, falls):
    claimed = DpSgd(2.0, 0.2, 30)
    train = literal_dp_sgd(**{"sigma": 2.0, "sampling": 0.2, "clip": 0.7, **bug})
    made = guesses_of(audit_training(train, claimed, quiet_pixels(), 0.7, each_step))
    curve = claimed.step_curve() if each_step else claimed.curve()
    assert curve_rejected(curve, made.coins, made.guesses, made.right, 2, 0.05) == falls


def test_noise_that_never_changes_hides_no_step():
    def train(canaries, seed):
        rng = np.random.default_rng([seed, 6])
        drawn = rng.random(canaries.inside.shape) < 0.2
        return (canaries.inside & drawn) + 2.0 * rng.normal(size=len(canaries.where))

    claimed = DpSgd(2.0, 0.2, 30)
    made = guesses_of(audit_training(train, claimed, np.arange(200), 1.0, each_step=True))
    assert curve_rejected(claimed.step_curve(), made.coins, made.guesses, made.right, 2, 0.05)


def test_coins_that_put_in_or_leave_out_are_held_against_that_adjacency():
    """At 1 / sigma = 2 a claim of 0.9 falls; replacing moves the sum twice as far, and 1.8 would stand."""
    made = guesses_of(audit_training(released(0.5, 1.0), DpSgd(0.5, 1.0, 1), np.arange(2000), 1.0, share=0.5))
    counts = made.coins, made.guesses, made.right
    claimed = DpSgd(1 / 0.9, 1.0, 1)
    assert curve_rejected(claimed.curve(), *counts, 2, 0.05)
    assert not curve_rejected(claimed.curve(replace=True), *counts, 2, 0.05)


def test_scores_are_the_log_likelihood_ratio():
    observed = np.random.default_rng(0).normal(size=(4, 3))
    for sigma, sampling in ((0.7, 0.1), (2.0, 1.0)):
        without = norm.pdf(observed, 0, sigma)
        literal = np.log(((1 - sampling) * without + sampling * norm.pdf(observed, 1, sigma)) / without)
        assert log_ratios(observed, DpSgd(sigma, sampling, 4)) == pytest.approx(literal)
    assert np.isfinite(log_ratios(np.array([1e6, -1e6]), DpSgd(0.01, 0.1, 2))).all(), "far out stays finite"


def test_guesses_are_half_in_and_half_out_and_of_single_steps_all_in():
    scores = np.array([5.0, 1.0, 2.0, 4.0])
    assert beliefs(scores, False)[:, 1].tolist() == [1.5, -1.5, -0.5, 0.5]
    assert (beliefs(scores, True)[:, 1] > 0).all()


def test_the_same_seed_gives_the_same_file_and_it_reads_back():
    first, again = (audit_training(released(1.0, 0.5), DpSgd(1.0, 0.5, 4), np.arange(20), 1.0, seed=3) for _ in "ab")
    assert first.to_bytes() == again.to_bytes()
    assert guesses_of(Evidence.from_bytes(first.to_bytes())) == guesses_of(first)


def test_what_cannot_be_audited_is_said():
    claimed, where = DpSgd(1.0, 0.5, 4), np.arange(20)
    with pytest.raises(InputError, match=r"shape \(4, 3\).*4 steps by 20 canaries"):
        audit_training(lambda canaries, seed: np.zeros((4, 3)), claimed, where, 1.0)
    with pytest.raises(InputError, match="not finite"):
        audit_training(lambda canaries, seed: np.full((4, 20), np.nan), claimed, where, 1.0)
    with pytest.raises(InputError, match=r"share is 1\.5"):
        audit_training(released(1.0, 0.5), claimed, where, 1.0, share=1.5)
    with pytest.raises(InputError, match="4 weights for 5 canaries"):
        quietest(np.zeros((2, 4)), 5)
