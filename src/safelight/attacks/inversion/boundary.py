"""Walk away from a class's boundary, seeing nothing but labels."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator


@dataclass(frozen=True)
class Walk:
    """Where the walk of each class stands.

    Attributes:
        place: (classes, size) latents; each was labelled as its class if `inside`.
        radius: (classes,) radius of the sphere around it; the largest that lay all inside tells how deep it is.
        depth: (classes,) largest radius of a sphere whose points were all inside; 0 before the first.
        idle: (classes,) rounds since the last one that grew.
        inside: (classes,) bool: whether the place is inside its class at all.
    """

    place: Array
    radius: Array
    depth: Array
    idle: Array
    inside: Array

    @classmethod
    def begin(cls, place: Array, inside: Array, radius: float) -> Walk:
        nothing = np.zeros(len(place))
        return cls(place, np.full(len(place), float(radius)), nothing, nothing.astype(int), inside)

    def grown(self, all_inside: Array, factor: float = 1.3) -> Walk:
        """Widen the spheres that lie all inside."""
        return replace(
            self,
            depth=np.where(all_inside, self.radius, self.depth),
            radius=np.where(all_inside, factor * self.radius, self.radius),
            idle=np.where(all_inside, 0, self.idle + 1),
        )

    def moved(self, place: Array, kept_label: Array) -> Walk:
        """Take the steps after which the class's label was kept; drop the others."""
        return replace(self, place=np.where(kept_label[:, None], place, self.place))


def sphere(classes: int, points: int, size: int, rng: Generator) -> Array:
    """Return random unit vectors (classes, points, size)."""
    vectors = rng.standard_normal((classes, points, size))
    return vectors / np.linalg.norm(vectors, axis=2, keepdims=True)


def repulsion(directions: Array, outside: Array) -> Array:
    """Return the unit vector away from the mean of the outside points, or 0 where none is outside: (classes, size).

    Only points outside the class push; points inside say nothing on where the boundary is (Kahla et al. 2022, eq. 5).

    Args:
        directions: (classes, points, size) unit vectors to the points of each sphere.
        outside: (classes, points) bool.
    """
    push = -(directions * outside[:, :, None]).sum(axis=1)
    length = np.linalg.norm(push, axis=1, keepdims=True)
    return np.divide(push, length, out=np.zeros_like(push), where=length > 0)
