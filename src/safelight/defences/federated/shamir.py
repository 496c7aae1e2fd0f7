"""A secret in n shares: any t of them give it back, fewer say nothing (Shamir 1979, CACM 22(11))."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from safelight.errors import InputError

PRIME = 2**256 + 297
"""The smallest prime above 2^256: every secret of 32 bytes is below it."""

Draw = Callable[[int], bytes]
"""Gives so many unguessable bytes; `os.urandom` unless a test needs the same ones again."""


def split(secret: bytes, holders: Iterable[int], threshold: int, draw: Draw) -> dict[int, bytes]:
    """Return one share of 33 bytes a holder: the values at `holder + 1` of a random polynomial of degree t - 1.

    Args:
        secret: 32 bytes, the value at 0.
        holders: different numbers of at least 0.
        threshold: t, how many shares give the secret back.
        draw: randomness for the other coefficients.
    """
    if len(secret) != 32:
        raise InputError(f"A secret has 32 bytes, and this one has {len(secret)}; hash or pad it.")
    # 48 bytes modulo the prime are uniform up to 2^-127.
    drawn = [int.from_bytes(draw(48), "big") % PRIME for _ in range(threshold - 1)]
    coefficients = [int.from_bytes(secret, "big"), *drawn]
    shares = {}
    for holder in holders:
        value = 0
        for coefficient in reversed(coefficients):
            value = (value * (holder + 1) + coefficient) % PRIME
        shares[holder] = value.to_bytes(33, "big")
    return shares


def join(shares: Mapping[int, bytes], threshold: int) -> bytes:
    """Return the secret (32 bytes) from the shares of at least `threshold` holders, by Lagrange at 0.

    Raises:
        InputError: too few shares, or shares that belong to different secrets (where that can be seen).
    """
    if len(shares) < threshold:
        raise InputError(f"A secret opens with {threshold} shares, and {len(shares)} are there; ask more clients.")
    used = dict(list(shares.items())[:threshold])
    value = 0
    for holder, share in used.items():
        above, below = 1, 1
        for other in used:
            if other != holder:
                above = above * (other + 1) % PRIME
                below = below * (other - holder) % PRIME
        value = (value + int.from_bytes(share, "big") * above * pow(below, -1, PRIME)) % PRIME
    if value >= 2**256:
        raise InputError("The shares do not belong together: they give no secret of 32 bytes; run the round again.")
    return value.to_bytes(32, "big")
