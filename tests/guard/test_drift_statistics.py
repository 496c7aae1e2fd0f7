"""PSI, KS and MMD beside literal slow versions, scipy's, and values worked out by hand."""

import math

import numpy as np
import pytest
from scipy import stats

from safelight.guard.drift.sketch import FEATURES, counted_bins, sketched
from safelight.guard.drift.statistics import ks, ks_p, mmd, mmd_p, psi, psi_p, quadratic_p


def literal_psi(before, after) -> float:
    n, m, total = sum(before), sum(after), 0.0
    for b, a in zip(before, after):
        if b + a:
            share = (b + a) / (n + m)
            p, q = (b + share) / (n + 1), (a + share) / (m + 1)
            total += (q - p) * math.log(q / p)
    return total


def test_psi_is_the_literal_sum_and_near_the_textbook_formula():
    rng = np.random.default_rng(0)
    before, after = rng.integers(0, 900, (5, 21)), rng.integers(0, 90, (5, 21))
    found = psi(before, after)
    assert np.allclose(found, [literal_psi(b, a) for b, a in zip(before.tolist(), after.tolist())])
    p, q = before / before.sum(1, keepdims=True), after / after.sum(1, keepdims=True)
    full = (before > 0).all(1) & (after > 0).all(1)
    assert np.allclose(found[full], ((q - p) * np.log(q / p)).sum(1)[full], rtol=0.05)
    # ten even bins of which one share moves by hand: (.2 - .1) ln 2 + (0.1 - 0.2) ln .5 = 0.1386
    one, other = np.array([[1e8, 2e8, 7e8]]), np.array([[2e8, 1e8, 7e8]])
    assert psi(one, other)[0] == pytest.approx(0.2 * math.log(2), abs=1e-6)
    assert psi(one, one)[0] == 0.0
    assert np.isfinite(psi(np.array([[5.0, 0.0]]), np.array([[0.0, 5.0]]))[0])


def test_the_p_of_psi_is_uniform_where_nothing_drifts():
    rng = np.random.default_rng(1)
    share = rng.dirichlet(np.ones(10) * 5)
    before, after = rng.multinomial(4000, share, 4000), rng.multinomial(500, share, 4000)
    p = psi_p(psi(before, after), np.full(4000, 10), 4000, 500)
    assert 0.035 < (p < 0.05).mean() < 0.07
    assert (p < 0.005).mean() < 0.012


def test_ks_is_scipys_when_every_value_has_a_bin_and_no_larger_in_bins():
    rng = np.random.default_rng(2)
    one, other = rng.normal(0, 1, 300), rng.normal(0.3, 1, 200)
    values = np.union1d(one, other)
    fine = [np.bincount(values.searchsorted(x), minlength=len(values))[None] for x in (one, other)]
    exact = stats.ks_2samp(one, other, method="asymp")
    d = ks(*fine)
    assert d[0] == pytest.approx(exact.statistic)
    assert ks_p(d, 300, 200)[0] == pytest.approx(exact.pvalue, rel=0.15)
    coarse = [np.add.reduceat(x, np.arange(0, len(values), 25), axis=1) for x in fine]
    assert 0.5 * d[0] < ks(*coarse)[0] <= d[0]


def test_the_tail_of_a_sum_of_chi_squares():
    for k in (1, 2, 7, 60):
        for p in (0.9, 0.5, 0.01, 1e-6, 1e-12):
            assert quadratic_p(stats.chi2.isf(p, k), np.ones(k)) == pytest.approx(p, rel=0.12 if k < 3 else 0.05)
    weights = np.array([3.0, 1.0, 0.5, 0.1, 0.0])
    drawn = (np.random.default_rng(3).standard_normal((400_000, 5)) ** 2) @ weights
    for value in (1.0, 4.6, 10.0, 25.0):
        assert quadratic_p(value, weights) == pytest.approx((drawn > value).mean(), rel=0.06)
    assert quadratic_p(0.0, weights) == 1.0
    assert quadratic_p(1.0, np.zeros(3)) == 0.0


def literal_mmd(x, y, gamma) -> float:
    """The quadratic-time biased estimator (Gretton et al. 2012, eq. 5), a pair at a time."""

    def mean(a, b) -> float:
        return sum(math.exp(-gamma * ((p - q) ** 2).sum()) for p in a for q in b) / (len(a) * len(b))

    return mean(x, x) + mean(y, y) - 2 * mean(x, y)


def test_mmd_of_random_features_is_near_the_quadratic_time_estimator():
    rng = np.random.default_rng(4)
    x, y = rng.normal(0, 1, (300, 4)), rng.normal(0.6, 1, (60, 4))
    literal = literal_mmd((x - x.mean(0)) / x.std(0), (y - x.mean(0)) / x.std(0), 1 / (2 * sketched(x, rng).reach ** 2))
    found = []
    for seed in range(20):
        sketch = sketched(x, np.random.default_rng(seed))
        found.append(mmd(sketch.mean, sketch.look(y)[1].mean(axis=0, dtype=float)))
    assert np.mean(found) == pytest.approx(literal, rel=0.15)
    assert np.std(found) < 0.3 * literal


def test_its_p_is_that_of_a_permutation_test():
    rng = np.random.default_rng(5)
    for shift in (0.0, 0.15):
        x, y = rng.normal(0, 1, (800, 5)), rng.normal(shift, 1, (200, 5))
        sketch = sketched(x, np.random.default_rng(0))
        both = np.concatenate([sketch.look(x)[1], sketch.look(y)[1]]).astype(float)
        seen = mmd(both[:800].mean(0), both[800:].mean(0))
        drawn = []
        for _ in range(1500):
            order = rng.permutation(1000)
            drawn.append(mmd(both[order[:800]].mean(0), both[order[800:]].mean(0)))
        permuted = (1 + np.sum(np.array(drawn) >= seen)) / 1501
        assert mmd_p(seen, sketch.weights, 800, 200) == pytest.approx(permuted, abs=0.03)
        assert both.shape[1] == 2 * FEATURES


def literal_bins(x, sketch):
    rows = []
    for record in x:
        row = []
        for place, borders in zip(sketch.counted, sketch.borders):
            value = record[place]
            row.append(20 if value is None or value != value else sum(value >= border for border in borders))
        rows.append(row)
    return rows


def test_a_sketch_counts_each_column_and_holds_no_value_of_a_record():
    rng = np.random.default_rng(6)
    x = np.column_stack(
        [rng.normal(50, 20, 1000), rng.integers(0, 2, 1000), np.full(1000, 3.0), rng.lognormal(size=1000)]
    )
    x[:7, 0] = np.nan
    sketch = sketched(x, rng)
    bins, _ = sketch.look(x[:50])
    assert bins.tolist() == literal_bins(x[:50], sketch)
    assert sketch.counts.sum(axis=1).tolist() == [1000.0] * 4
    assert sketch.counts[0, 20] == 7
    assert (counted_bins(sketch.look(x)[0]) == sketch.counts).all()
    for column in (0, 3):  # those with a value of its own for each record
        assert not np.isin(sketch.borders[column], x[:, column]).any()
    moved = sketch.look(np.array([[50.0, 0.0, 3.5, 1.0], [50.0, 2.0, 2.5, 1.0]]))[0]
    assert moved[0, 2] != sketch.look(x[:1])[0][0, 2] != moved[1, 2]  # a constant that moves, either way
    assert moved[1, 1] not in sketch.look(x)[0][:, 1]  # a third value of a flag


def test_words_are_kept_as_hashes_and_a_new_one_is_another():
    rng = np.random.default_rng(7)
    towns = rng.choice(["Oslo", "Rome", "Bonn"], 600).astype(object)
    x = np.column_stack([towns, rng.normal(size=600).astype(object)])
    sketch = sketched(x, rng)
    assert sketch.worded.tolist() == [True, False]
    assert sorted(sketch.counts[0][sketch.counts[0] > 0]) == sorted(np.unique(towns, return_counts=True)[1])
    known, features = sketch.look(x)
    fresh, other = sketch.look(np.array([["Kiel", 0.0], [None, 0.0]], object))
    assert set(fresh[:, 0]) == {19}
    assert not set(fresh[:, 0]) & set(known[:, 0])
    assert np.linalg.norm(other.mean(0) - features.mean(0)) > 5 * np.linalg.norm(
        features[:300].mean(0) - features[300:].mean(0)
    )
