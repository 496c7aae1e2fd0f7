"""A face classifier on the ORL faces (AT&T Laboratories Cambridge): 20 people to recognise, 20 others public."""

from functools import cache

import numpy as np
from torch import nn

from safelight.data.bundled import orl_faces
from safelight.data.records import Records
from safelight.data.splits import random_split
from safelight.recipes.torch import TorchRecipe
from safelight.targets.base import Images, Target

SHAPE = (1, 56, 46)


def network(people: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(56 * 46, 128), nn.ReLU(), nn.Linear(128, people))


recipe = TorchRecipe(network, Images(SHAPE), epochs=40, batch=32, rate=1e-3)


@cache
def groups() -> tuple[Records, Records, Records]:
    """Return photos to train on, held-out photos of the same people, and photos of other people."""
    rng = np.random.default_rng(2026)
    faces = orl_faces(SHAPE[1:])
    private = rng.permutation(40)[:20]
    place = {person: number for number, person in enumerate([*private, *np.setdiff1d(np.arange(40), private)])}
    faces = faces.relabelled(np.array([place[person] for person in faces.y]))
    members, nonmembers = random_split(faces.take(faces.y < 20), 0.7, rng)
    return members, nonmembers, faces.take(faces.y >= 20)


def members() -> Records:
    return groups()[0]


def nonmembers() -> Records:
    return groups()[1]


def public() -> Records:
    return groups()[2]


def model() -> Target:
    return recipe.fit(members(), seed=1)
