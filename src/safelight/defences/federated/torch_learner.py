"""A torch recipe as a client runs it: the recipe's own loss, optimiser and batches, from weights that are given."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from numpy import ndarray as Array

from safelight.data.records import Records
from safelight.errors import InputError, MissingExtra
from safelight.recipes.torch import TorchRecipe
from safelight.targets.base import Target
from safelight.targets.torch import from_torch

try:
    import torch
    from torch import nn
    from torch.nn.functional import cross_entropy
    from torch.nn.utils import parameters_to_vector, vector_to_parameters
except ImportError:
    raise MissingExtra("torch", "torch", "A federated torch model") from None


@dataclass(frozen=True)
class TorchLearner:
    """A module trained in rounds; its weights are all parameters in the module's own order.

    Attributes:
        recipe: its `epochs`, `batch`, `optimiser` and `rate` are those of a client in one round.
        classes: how many.
    """

    recipe: TorchRecipe
    classes: int

    def start(self, seed: int) -> Array:
        return self.vector(self.module(seed).parameters())

    def module(self, seed: int = 0) -> nn.Module:
        """Return a fresh module, its weights drawn from `seed`; raises InputError where it keeps running averages."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            net = self.recipe.module(self.classes)
        kept = [name for name, buffer in net.named_buffers() if buffer.is_floating_point()]
        if kept:
            raise InputError(
                f"The module keeps running averages ({kept[0]}), which are no weights and would leave a client "
                "unprotected; use GroupNorm or LayerNorm in place of BatchNorm."
            )
        return net

    def loaded(self, weights: Array) -> nn.Module:
        """Return the module with the weights (d,)."""
        net = self.module()
        vector_to_parameters(torch.as_tensor(weights, dtype=torch.float32), net.parameters())
        return net

    def trained(self, weights: Array, records: Records, seed: int) -> Array:
        net = self.loaded(weights)
        for _ in self.recipe.passes(net, *self.recipe.tensors(records), seed):
            pass
        return self.vector(net.parameters())

    def gradient(self, weights: Array, records: Records) -> Array:
        net = self.loaded(weights)
        images, labels = self.recipe.tensors(records)
        return self.vector(torch.autograd.grad(cross_entropy(net(images), labels), list(net.parameters())))

    def first_layer(self, update: Array) -> tuple[Array, Array]:
        layers = [(name, part) for name, part in self.module().named_modules() if next(part.children(), None) is None]
        first = next((each for each in layers if next(each[1].parameters(), None) is not None), ("", None))
        if not isinstance(first[1], nn.Linear) or first[1].bias is None:
            raise InputError(
                f"The first layer with weights is {type(first[1]).__name__} and the analytic attack reads a Linear "
                "with a bias; use invert_gradients on this model."
            )
        parts, name = self.parts(update), first[0] + "." if first[0] else ""
        return parts[f"{name}weight"], parts[f"{name}bias"]

    def target(self, weights: Array) -> Target:
        return from_torch(self.loaded(weights), self.recipe.inputs, name="federated")

    @staticmethod
    def vector(parts: Iterator[nn.Parameter] | tuple[torch.Tensor, ...]) -> Array:
        """Return parameters or gradients as one row (d,)."""
        return parameters_to_vector(parts).detach().double().numpy()  # type: ignore[arg-type, no-any-return]

    def parts(self, update: Array) -> dict[str, Array]:
        """Return the pieces of an update (d,), by the name and in the shape of each parameter."""
        found, start = {}, 0
        for name, weights in self.module().named_parameters():
            found[name] = update[start : start + weights.numel()].reshape(tuple(weights.shape))
            start += weights.numel()
        return found
