"""Who judges whether a picture shows a person: none of them is the attacked model.

A judge describes pictures by vectors and compares these with the held-out photos of each person. Pixels and gradient
histograms are trained on nothing; the evaluation network has another architecture than every target, another seed, and
training photos changed at random.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy import ndarray as Array
from skimage.feature import hog
from torch import nn

from safelight.attacks.inversion.augment import Views
from safelight.controls.matcher import class_likeness
from safelight.data.records import Records

CHANGES = Views(crop=0.8, ratio=1.15, mirror=True)


@dataclass(frozen=True)
class Judge:
    """Compares pictures with photographs of people.

    Attributes:
        name: for tables.
        describe: images (n, channels, height, width) to vectors (n, ...).
    """

    name: str
    describe: Callable[[Array], Array]

    def likeness(self, pictures: Array, held_out: Records, people: Array) -> Array:
        """Return the mean centred cosine (pictures, people) of each picture with the held-out photos of each person."""
        return class_likeness(self.describe(pictures), self.describe(held_out.x), held_out.y, people)

    def recognises(self, held_out: Records, people: Array) -> float:
        """Return the share of held-out photos that are most like the other held-out photos of their own person."""
        vectors, right = self.describe(held_out.x), 0
        for row, person in enumerate(held_out.y):
            rest = np.arange(len(held_out)) != row
            found = class_likeness(vectors[row : row + 1], vectors[rest], held_out.y[rest], people)
            right += people[found[0].argmax()] == person
        return right / len(held_out)


def rank1(likeness: Array, own: Array) -> Array:
    """Return whether each picture is most like its own person (n,): likeness (n, people), columns `own` (n,)."""
    rows = np.arange(len(likeness))
    others = likeness.copy()
    others[rows, own] = -np.inf
    return np.asarray(likeness[rows, own] > others.max(axis=1))


def gradient_histograms(images: Array) -> Array:
    """Return histograms of oriented gradients (n, features) (Dalal and Triggs 2005); images (n, 1, height, width)."""
    return np.stack([hog(image[0], orientations=9, pixels_per_cell=(8, 8), cells_per_block=(1, 1)) for image in images])


class EvaluationNet(nn.Module):
    """Four convolutions with BatchNorm, an embedding, and the cosine with one direction a person, times 12, as logits.

    The cosine makes the embedding one that photos can be compared in (Wang et al. 2018, arXiv:1801.09414, section 3).
    """

    def __init__(self, classes: int, width: int = 24, embedded: int = 96) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        sizes = [1, width, 2 * width, 4 * width, 4 * width]
        for number, (before, after) in enumerate(pairwise(sizes)):
            layers += [nn.Conv2d(before, after, 3, stride=1 if number == 3 else 2, padding=1), nn.BatchNorm2d(after)]
            layers += [nn.SiLU()]
        self.body = nn.Sequential(*layers, nn.AdaptiveAvgPool2d((4, 3)), nn.Flatten(), nn.Dropout(0.3))
        self.embed = nn.Sequential(nn.Linear(4 * width * 12, embedded), nn.BatchNorm1d(embedded))
        self.head = nn.Linear(embedded, classes, bias=False)

    def embedding(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.normalize(self.embed(self.body(2 * x - 1)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 12 * self.embedding(x) @ nn.functional.normalize(self.head.weight).T


@dataclass(frozen=True)
class Evaluator:
    """The evaluation classifier: class probabilities, and its last layer but one as embedding."""

    net: EvaluationNet

    @classmethod
    def fit(cls, train: Records, seed: int, epochs: int = 60) -> Evaluator:
        """Train on photos changed at random; see `changed`."""
        rng = np.random.default_rng([seed, 4242])
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(rng.integers(2**31)))
            net = EvaluationNet(int(train.y.max()) + 1)
            x, y = torch.as_tensor(train.x, dtype=torch.float32), torch.as_tensor(train.y, dtype=torch.int64)
            walk = torch.optim.AdamW(net.parameters(), weight_decay=0.02)
            parts = max(1, len(x) // 40)
            plan = torch.optim.lr_scheduler.OneCycleLR(walk, 4e-3, total_steps=epochs * parts)
            for _ in range(epochs):
                for rows in np.array_split(rng.permutation(len(x)), parts):
                    walk.zero_grad()
                    nn.functional.cross_entropy(net(changed(x[rows], rng)), y[rows], label_smoothing=0.1).backward()
                    walk.step()
                    plan.step()
        return cls(net.eval().requires_grad_(False))

    def probabilities(self, pictures: Array) -> Array:
        """Return class probabilities (n, classes)."""
        with torch.no_grad():
            return self.net(torch.as_tensor(pictures, dtype=torch.float32)).softmax(1).numpy()

    def embedding(self, pictures: Array) -> Array:
        """Return vectors of length 1 (n, embedded)."""
        with torch.no_grad():
            return self.net.embedding(torch.as_tensor(pictures, dtype=torch.float32)).numpy()


def changed(x: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Return photos as bad cameras might have taken them: x (n, 1, height, width) in [0, 1].

    Blurs, stains and noise make a judge that looks at the face, not at fine texture, which rebuilt pictures lack.
    """
    x = CHANGES.of(x, rng)

    def each(values: Array) -> torch.Tensor:
        return torch.as_tensor(values, dtype=x.dtype).reshape(len(x), 1, 1, 1)

    n = len(x)
    x = (x - 0.5) * each(rng.uniform(0.7, 1.3, n)) + 0.5 + each(rng.uniform(-0.1, 0.1, n))
    for side in (3, 5):
        blurred = nn.functional.avg_pool2d(x, side, 1, side // 2, count_include_pad=False)
        x = torch.where(each(rng.random(n) < 0.3).bool(), blurred, x)
    stains = torch.as_tensor(rng.standard_normal((n, 1, 14, 12)), dtype=x.dtype) * each(rng.uniform(0, 0.3, n))
    noise = torch.as_tensor(rng.standard_normal(x.shape), dtype=x.dtype) * each(rng.uniform(0, 0.1, n))
    return (x + noise + nn.functional.interpolate(stains, x.shape[2:], mode="bilinear")).clip(0, 1)


PIXELS = Judge("pixels", lambda images: images)
HOG = Judge("HOG", gradient_histograms)


def judges(evaluator: Evaluator) -> tuple[Judge, ...]:
    """Return the three judges; the last one stands on this evaluation network."""
    return PIXELS, HOG, Judge("embedding", evaluator.embedding)
