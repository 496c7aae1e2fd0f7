"""From what is seen of a question back to its picture: a linear decoder and a small network on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator
from scipy.linalg import solve

from safelight.priors.pca import Pca


@dataclass(frozen=True)
class Decoder:
    """Maps observations (n, d) to pictures: ridge regression, and a network trained on what the ridge leaves.

    Networks do not reach beyond what they were trained on; a linear map does. Observations of people that the model
    knows are stronger than those of the public, so the ridge carries the picture, and the network, of bounded units,
    mends it. Both put out places along eigenfaces of the public images, where the squared error is that of the pixels.

    Attributes:
        prior: eigenfaces that span the pictures.
        seen: (d,) mean observation of the public images.
        drawn: (size,) their mean place along the eigenfaces, in pixel units.
        weights: (d, size) the ridge.
        mend: maps observations (n, d) to what the ridge leaves (n, size); None for the ridge alone.
    """

    prior: Pca
    seen: Array
    drawn: Array
    weights: Array
    mend: Callable[[Array], Array] | None = None

    @classmethod
    def fit(
        cls, prior: Pca, observed: Array, images: Array, shrink: float, hidden: int, epochs: int, rng: Generator
    ) -> Decoder:
        """Train on pairs of observations (n, d) and the images (n, channels, height, width) that they are of.

        Args:
            shrink: ridge penalty, as a share of the mean variance of the observations.
            hidden: units of the network; 0 for the ridge alone.
            epochs: passes of the network over the pairs.
        """
        places = prior.encode(images) * prior.scale
        seen, drawn = observed.mean(axis=0), places.mean(axis=0)
        weights = ridge(observed - seen, places - drawn, shrink)
        linear = cls(prior, seen, drawn, weights)
        if not hidden:
            return linear
        return cls(
            prior, seen, drawn, weights, network(observed, places - linear.places(observed), hidden, epochs, rng)
        )

    def places(self, observed: Array) -> Array:
        """Return places along the eigenfaces (n, size), in pixel units, of observations (n, d)."""
        linear = self.drawn + (observed - self.seen) @ self.weights
        return linear if self.mend is None else linear + self.mend(observed)  # type: ignore[no-any-return]

    def __call__(self, observed: Array) -> Array:
        """Return the pictures (n, channels, height, width), float32, of observations (n, d)."""
        return np.asarray(self.prior.decode(self.places(observed) / self.prior.scale), dtype=np.float32)


def ridge(observed: Array, places: Array, shrink: float) -> Array:
    """Return the weights (d, size) that minimise |observed @ w - places|^2 + penalty |w|^2; both are centred.

    The penalty is `shrink` times the mean of the min(n, d) first variances. Solved on the smaller side: features are
    many and pairs are few.
    """
    n, d = observed.shape
    penalty = max(shrink * (observed**2).sum() / min(n, d), 1e-12)
    if d <= n:
        return solve(observed.T @ observed + penalty * np.eye(d), observed.T @ places, assume_a="pos")  # type: ignore[no-any-return]
    return observed.T @ solve(observed @ observed.T + penalty * np.eye(n), places, assume_a="pos")  # type: ignore[no-any-return]


def network(
    observed: Array, left: Array, hidden: int, epochs: int, rng: Generator, rate: float = 1e-3, batch: int = 64
) -> Callable[[Array], Array]:
    """Train a network of one hidden layer from observations (n, d) to `left` (n, size) by squared error; return it.

    Its units are bounded and its last layer starts at 0, so it begins as no change and never goes far.
    """
    import torch
    from torch import nn

    seen, deviation = observed.mean(axis=0), max(float(observed.std()), 1e-12)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(rng.integers(2**31)))
        net = nn.Sequential(nn.Linear(observed.shape[1], hidden), nn.Tanh(), nn.Linear(hidden, left.shape[1]))
    last = net[2]
    nn.init.zeros_(last.weight)  # type: ignore[arg-type]
    nn.init.zeros_(last.bias)  # type: ignore[arg-type]

    def tensor(values: Array) -> torch.Tensor:
        return torch.as_tensor((values - seen) / deviation, dtype=torch.float32)

    x, y = tensor(observed), torch.as_tensor(left, dtype=torch.float32)
    walk = torch.optim.AdamW(net.parameters(), lr=rate, weight_decay=0.01)
    for _ in range(epochs):
        for rows in np.array_split(rng.permutation(len(x)), max(1, len(x) // batch)):
            walk.zero_grad()
            ((net(x[rows]) - y[rows]) ** 2).sum(1).mean().backward()
            walk.step()
    net.requires_grad_(False)
    return lambda values: net(tensor(values)).double().numpy()  # type: ignore[no-any-return]
