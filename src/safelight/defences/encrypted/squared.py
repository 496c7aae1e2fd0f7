"""A square as the activation of a torch network: what homomorphic encryption can compute."""

from __future__ import annotations

from typing import ClassVar

from safelight.errors import MissingExtra

try:
    from torch import Tensor, nn
except ImportError:
    raise MissingExtra("torch", "torch", "A square activation") from None


class Squared(nn.Module):
    """x becomes x * x (Gilad-Bachrach et al. 2016, CryptoNets, section 3.2)."""

    squares: ClassVar[bool] = True

    def forward(self, x: Tensor) -> Tensor:
        return x * x
