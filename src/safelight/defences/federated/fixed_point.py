"""Real numbers as whole numbers modulo 2^k, so that a sum of masked values is exact."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy import ndarray as Array

from safelight.errors import InputError


@dataclass(frozen=True)
class FixedPoint:
    """How a value becomes a whole number modulo 2^bits; the sum of encoded values is the encoded sum.

    A value is off by at most half a step of 2^-fraction, so a sum of n values by at most n / 2 steps.

    Attributes:
        bits: k of the modulus 2^k, 32 or 64.
        fraction: binary digits after the point (>= 0).
        largest: size of the largest value that one client may send (> 0).
    """

    bits: int = 32
    fraction: int = 20
    largest: float = 8.0

    def __post_init__(self) -> None:
        if self.bits not in (32, 64):
            raise InputError(f"bits is {self.bits}; a sum is taken modulo 2^32 or 2^64, so use 32 or 64.")
        if self.fraction < 0 or not 0 < self.largest < np.inf:
            raise InputError(
                f"fraction is {self.fraction} and largest {self.largest}; use at least 0 digits and a number above 0."
            )

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(f"<u{self.bits // 8}")

    def check(self, clients: int) -> None:
        """Raise InputError unless the sum of `clients` values of the largest size stays below 2^(bits - 1)."""
        if clients * (self.largest * 2.0**self.fraction + 0.5) >= 2.0 ** (self.bits - 1):
            raise InputError(
                f"The sum of {clients} values up to {self.largest:g} with {self.fraction} binary digits after the "
                f"point does not fit into {self.bits} bits; lower largest or fraction, or use 64 bits."
            )

    def encode(self, values: Array, whose: str = "The array") -> Array:
        """Return real values (...) as whole numbers (...) modulo 2^bits.

        Raises:
            InputError: a value is NaN, infinite or larger than `largest`; nothing is clipped in silence.
        """
        values = np.asarray(values, dtype=np.float64)
        bad = int((~np.isfinite(values)).sum())
        if bad:
            raise InputError(
                f"{whose} holds NaN or infinity in {bad:,} of {values.size:,} places; mend the training first."
            )
        most = float(np.abs(values).max(initial=0.0))
        if most > self.largest:
            raise InputError(
                f"{whose} holds a value of size {most:.4g}, and at most {self.largest:g} can be sent; clip it, or "
                "raise largest."
            )
        return np.rint(values * 2.0**self.fraction).astype(np.int64).astype(self.dtype)

    def decode(self, whole: Array) -> Array:
        """Return whole numbers (...) modulo 2^bits as real values (...) float64 in [-2^(bits-1), 2^(bits-1)) steps."""
        return whole.view(f"<i{self.bits // 8}").astype(np.float64) / 2.0**self.fraction
