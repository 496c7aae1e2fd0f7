"""A small network on digits whose compression is tried."""

from __future__ import annotations

import pytest
from torch import nn

from safelight.recipes.torch import TorchRecipe
from safelight.targets.base import Images


def dense(classes: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 96), nn.ReLU(), nn.Linear(96, classes))


@pytest.fixture(scope="session")
def trained() -> TorchRecipe:
    return TorchRecipe(dense, Images((1, 8, 8)), epochs=20, batch=32, rate=3e-3)
