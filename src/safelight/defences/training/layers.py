"""Which layers of a network hold weights, in the order in which an image meets them, and how one is exchanged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from safelight.errors import InputError
from safelight.recipes.base import source_of
from safelight.targets.base import Images

if TYPE_CHECKING:
    from torch import nn


def weighted(net: nn.Module, inputs: Images) -> list[tuple[str, nn.Module]]:
    """Return the layers that hold weights of their own, by name, in the order in which an image meets them first."""
    import torch

    names = {part: name for name, part in net.named_modules() if next(part.parameters(recurse=False), None) is not None}
    met: list[nn.Module] = []
    hooks = [part.register_forward_pre_hook(lambda layer, _: met.append(layer)) for part in names]
    training = net.training
    try:
        with torch.no_grad():
            net.eval()(torch.full((1, *inputs.shape), (inputs.low + inputs.high) / 2))
    finally:
        net.train(training)
        for hook in hooks:
            hook.remove()
    return [(names[layer], layer) for layer in dict.fromkeys(met)]


def head_of(net: nn.Module, inputs: Images) -> tuple[str, nn.Linear]:
    """Return the name of the last linear layer that an image meets, and the layer.

    Raises:
        InputError: the network has none.
    """
    from torch import nn

    for name, layer in reversed(weighted(net, inputs)):
        if isinstance(layer, nn.Linear):
            return name, layer
    raise InputError(
        f"{type(net).__name__} has no linear layer that gives the classes; use a network that ends with an nn.Linear."
    )


def exchanged(net: nn.Module, name: str, layer: nn.Module) -> nn.Module:
    """Return `net` with another layer at this name; it is changed in place, but for the name "" of the whole."""
    if not name:
        return layer
    above, _, own = name.rpartition(".")
    setattr(net.get_submodule(above), own, layer)
    return net


@dataclass(frozen=True, repr=False)
class WithHead:
    """A factory of modules whose last linear layer is exchanged: a value for the slot `module` of a torch recipe.

    Attributes:
        module: the factory that it changes.
        inputs: shape and range of the images.
        change: given the last linear layer, returns what stands in its place; its `repr` tells two changes apart.
    """

    module: Callable[[int], nn.Module]
    inputs: Images
    change: Callable[[nn.Linear], nn.Module]

    def __call__(self, classes: int) -> nn.Module:
        net = self.module(classes)
        name, head = head_of(net, self.inputs)
        return exchanged(net, name, self.change(head))

    def __repr__(self) -> str:
        return f"WithHead({self.change!r}, {source_of(self.module)})"
