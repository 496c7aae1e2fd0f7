"""The small networks that the benchmarks attack: softmax regression, MLP, CNN, CNN with BatchNorm, vision transformer.

Each takes faces (n, 1, 56, 46) in [0, 1] and gives logits (n, classes); each trains in seconds on one core.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from safelight.recipes.torch import TorchRecipe
from safelight.targets.base import Images

FACES = Images((1, 56, 46))


class Centred(nn.Module):
    """Maps [0, 1] to [-1, 1]: preprocessing belongs to the target."""

    def forward(self, x: Tensor) -> Tensor:
        return 2 * x - 1


class Transformer(nn.Module):
    """A vision transformer on 8 x 8 patches, one class token, two layers (Dosovitskiy et al. 2021, section 3.1)."""

    def __init__(self, classes: int, width: int = 64, heads: int = 4, layers: int = 2) -> None:
        super().__init__()
        self.pad = nn.ZeroPad2d((1, 1, 0, 0))
        self.patches = nn.Conv2d(1, width, 8, stride=8)
        self.token = nn.Parameter(torch.zeros(1, 1, width))
        self.places = nn.Parameter(0.02 * torch.randn(1, 43, width))
        layer = nn.TransformerEncoderLayer(width, heads, 2 * width, dropout=0.0, batch_first=True, norm_first=True)
        self.body = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, classes))

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patches(self.pad(2 * x - 1)).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.token.expand(len(x), -1, -1), tokens], dim=1) + self.places
        return self.head(self.body(tokens)[:, 0])


def softmax(classes: int) -> nn.Module:
    """Softmax regression on pixels."""
    return nn.Sequential(nn.Flatten(), Centred(), nn.Linear(FACES.size, classes))


def mlp(classes: int) -> nn.Module:
    """One hidden layer of 1,000 sigmoid units."""
    return nn.Sequential(nn.Flatten(), Centred(), nn.Linear(FACES.size, 1000), nn.Sigmoid(), nn.Linear(1000, classes))


def cnn(classes: int) -> nn.Module:
    """Two convolutions and two dense layers, ReLU."""
    return nn.Sequential(
        Centred(),
        nn.Conv2d(1, 16, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * 14 * 11, 64),
        nn.ReLU(),
        nn.Linear(64, classes),
    )


def cnn_batchnorm(classes: int) -> nn.Module:
    """The CNN with BatchNorm after each of three convolutions."""
    return nn.Sequential(
        Centred(),
        nn.Conv2d(1, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 32, 3, padding=1),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * 7 * 5, classes),
    )


def recipes() -> dict[str, TorchRecipe]:
    """Return how each network is trained, by name."""
    return {
        "softmax": TorchRecipe(softmax, FACES, epochs=60, batch=32, rate=1e-3),
        "mlp": TorchRecipe(mlp, FACES, epochs=40, batch=32, rate=5e-4),
        "cnn": TorchRecipe(cnn, FACES, epochs=25, batch=32, rate=1e-3),
        "cnn_batchnorm": TorchRecipe(cnn_batchnorm, FACES, epochs=20, batch=32, rate=2e-3),
        "transformer": TorchRecipe(Transformer, FACES, epochs=60, batch=32, rate=1e-3, decay=1e-4),
    }
