"""Shares and codes: any t shares give the secret back, fewer say nothing; a sum of codes is the code of the sum."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safelight.defences.federated.fixed_point import FixedPoint
from safelight.defences.federated.shamir import PRIME, join, split
from safelight.errors import InputError


def seeded(seed):
    return np.random.default_rng(seed).bytes


@settings(max_examples=20, deadline=None)
@given(st.binary(min_size=32, max_size=32), st.integers(1, 6), st.integers(0, 3))
def test_any_threshold_of_shares_gives_the_secret_back(secret, threshold, more):
    holders = [3 * number for number in range(threshold + more)]
    shares = split(secret, holders, threshold, seeded(0))
    for some in combinations(holders, threshold):
        assert join({holder: shares[holder] for holder in some}, threshold) == secret


def test_with_a_share_too_few_every_secret_is_as_likely():
    """Slow and literal: for two shares of three, each other secret has its own third share, so nothing is excluded."""
    shares = split(b"\1" * 32, range(3), 3, seeded(1))
    points = {holder + 1: int.from_bytes(share, "big") for holder, share in list(shares.items())[:2]}
    for secret in (0, 5, int.from_bytes(b"\1" * 32, "big")):
        points[0] = secret
        third = 0  # the parabola through (0, secret) and the two known points, at 3
        for x, y in points.items():
            term = y
            for other in points:
                if other != x:
                    term = term * (3 - other) * pow(x - other, -1, PRIME) % PRIME
            third = (third + term) % PRIME
        given_back = {0: shares[0], 1: shares[1], 2: third.to_bytes(33, "big")}
        assert join(given_back, 3) == secret.to_bytes(32, "big")


def test_too_few_shares_and_mixed_shares_are_refused():
    shares = split(bytes(32), range(4), 3, seeded(2))
    with pytest.raises(InputError, match="opens with 3 shares, and 2 are there; ask more clients"):
        join({0: shares[0], 1: shares[1]}, 3)
    with pytest.raises(InputError, match="has 32 bytes, and this one has 5; hash or pad it"):
        split(b"short", range(4), 3, seeded(2))
    wrong = {0: (2**256).to_bytes(33, "big")}
    with pytest.raises(InputError, match="do not belong together"):
        join(wrong, 1)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.floats(-8, 8), min_size=3, max_size=3), min_size=1, max_size=40), st.sampled_from([32, 64]))
def test_the_sum_of_codes_is_the_code_of_the_sum(rows, bits):
    code = FixedPoint(bits)
    code.check(len(rows))
    total = np.zeros(3, dtype=code.dtype)
    for row in rows:
        total += code.encode(np.array(row))
    assert np.array_equal(code.decode(total), sum(np.rint(np.array(row) * 2**20) for row in rows) / 2**20)
    assert np.abs(code.decode(total) - np.sum(rows, axis=0)).max() <= len(rows) * 2.0**-21 + 1e-12


def test_what_cannot_be_coded_is_refused():
    code = FixedPoint()
    with pytest.raises(InputError, match=r"The array holds NaN or infinity in 2 of 1,000 places; mend the training"):
        code.encode(np.r_[np.nan, np.inf, np.zeros(998)])
    with pytest.raises(InputError, match=r"value of size 9, and at most 8 can be sent; clip it, or raise largest"):
        code.encode(np.array([1.0, -9.0]))
    with pytest.raises(InputError, match=r"The sum of 300 values up to 8 .* into 32 bits; lower largest"):
        code.check(300)
    FixedPoint(64).check(10**6)
    with pytest.raises(InputError, match="bits is 16"):
        FixedPoint(16)
    with pytest.raises(InputError, match="largest nan"):
        FixedPoint(largest=float("nan"))
