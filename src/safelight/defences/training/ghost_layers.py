"""What each kind of layer adds to the norm of a record's gradient, and its part of the clipped sum.

A linear layer that meets T vectors a record has the gradient G U^T, with what went in U (in, T) and what came back
G (out, T). Its squared norm is the sum of all entries of (G^T G) * (U^T U), or that of G U^T itself, whichever is
smaller to hold (Bu et al. 2022, arXiv:2205.10683, mixed ghost clipping). A convolution is such a layer on its patches.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from safelight.errors import MissingExtra

try:
    import torch
    from torch import Tensor, nn
    from torch.nn import functional
    from torch.nn.grad import conv2d_weight
except ImportError:
    raise MissingExtra("torch", "torch", "Training with clipped gradients") from None

Sums = Callable[[Tensor], dict[nn.Parameter, Tensor]]
"""Factors (n,), one a record, to the sums of the gradients times these factors."""

MOST_KEPT = 2**23
"""Numbers of the gradients of a batch up to which a convolution keeps them (32 MiB) and saves a pass."""

Layer = Callable[[nn.Module, Tensor, Tensor], tuple[Tensor, Sums]]
"""A layer, what went in and what comes back (n, ...) to squared norms (n,) and the sums."""


def wants(weights: object) -> bool:
    return isinstance(weights, nn.Parameter) and weights.requires_grad


def _linear(layer: nn.Module, given: Tensor, pushed: Tensor) -> tuple[Tensor, Sums]:
    n = len(given)
    went_in, back = given.reshape(n, -1, given.shape[-1]), pushed.reshape(n, -1, pushed.shape[-1])
    whole = back.sum(1)
    squares = torch.zeros(n)
    if wants(layer.weight):
        squares = squares + _products(went_in.transpose(1, 2), back.transpose(1, 2))[0]
    if wants(layer.bias):
        squares = squares + whole.square().sum(1)

    def sums(by: Tensor) -> dict[nn.Parameter, Tensor]:
        found = {}
        if wants(layer.weight):
            found[layer.weight] = (back * by[:, None, None]).flatten(0, 1).T @ went_in.flatten(0, 1)
        if wants(layer.bias):
            found[layer.bias] = by @ whole
        return cast("dict[nn.Parameter, Tensor]", found)

    return squares, sums


def _convolution(layer: nn.Module, given: Tensor, pushed: Tensor) -> tuple[Tensor, Sums]:
    assert isinstance(layer, nn.Conv2d)
    n, groups, weight, own = len(given), layer.groups, cast(nn.Parameter, layer.weight), None
    padding = (0, 0) if isinstance(layer.padding, str) else layer.padding
    if layer.padding_mode != "zeros" or isinstance(layer.padding, str):
        mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
        given, padding = functional.pad(given, layer._reversed_padding_repeated_twice, mode), (0, 0)
    whole = pushed.sum((2, 3))
    squares = torch.zeros(n)
    if wants(weight):
        patches = functional.unfold(given, weight.shape[2:], layer.dilation, padding, layer.stride)
        went_in = patches.reshape(n * groups, -1, patches.shape[-1])
        lengths, own = _products(went_in, pushed.reshape(n * groups, -1, patches.shape[-1]))
        squares = squares + lengths.view(n, groups).sum(1)
    if wants(layer.bias):
        squares = squares + whole.square().sum(1)

    def sums(by: Tensor) -> dict[nn.Parameter, Tensor]:
        found: dict[nn.Parameter, Tensor] = {}
        if own is not None:
            found[weight] = torch.tensordot(by, own.view(n, -1), 1).view_as(weight)
        elif wants(weight):
            cut = pushed * by[:, None, None, None]
            found[weight] = conv2d_weight(given, weight.shape, cut, layer.stride, padding, layer.dilation, groups)
        if wants(layer.bias):
            found[cast(nn.Parameter, layer.bias)] = by @ whole
        return found

    return squares, sums


def _group_norm(layer: nn.Module, given: Tensor, pushed: Tensor) -> tuple[Tensor, Sums]:
    assert isinstance(layer, nn.GroupNorm)
    plain = functional.group_norm(given, layer.num_groups, eps=layer.eps)
    return _scaled(layer, (pushed * plain).flatten(2).sum(2), pushed.flatten(2).sum(2))


def _layer_norm(layer: nn.Module, given: Tensor, pushed: Tensor) -> tuple[Tensor, Sums]:
    assert isinstance(layer, nn.LayerNorm)
    plain = functional.layer_norm(given, layer.normalized_shape, eps=layer.eps)
    each = (len(given), -1, *layer.normalized_shape)
    return _scaled(layer, (pushed * plain).reshape(each).sum(1), pushed.reshape(each).sum(1))


def _scaled(layer: nn.Module, weight: Tensor, bias: Tensor) -> tuple[Tensor, Sums]:
    """For few weights, of which each record's gradient (n, ...) is at hand."""
    own = [(one, part) for one, part in ((layer.weight, weight), (layer.bias, bias)) if wants(one)]
    squares = sum((part.square().flatten(1).sum(1) for _, part in own), torch.zeros(len(weight)))
    return squares, lambda by: {cast(nn.Parameter, one): torch.tensordot(by, part, 1) for one, part in own}


def _products(went_in: Tensor, back: Tensor) -> tuple[Tensor, Tensor | None]:
    """Return |G U^T|^2 (n,) for U (n, in, T) and G (n, out, T), and G U^T itself where it is small enough to keep."""
    times, size = went_in.shape[2], went_in.shape[1] * back.shape[1]
    if times == 1:
        return went_in.square().sum((1, 2)) * back.square().sum((1, 2)), None
    if 2 * times**2 < size:
        both = (back.transpose(1, 2) @ back) * (went_in.transpose(1, 2) @ went_in)
        return both.sum((1, 2)).clamp(min=0), None
    own = back @ went_in.transpose(1, 2)
    return own.square().sum((1, 2)), own if own.numel() <= MOST_KEPT else None


LAYERS: dict[type[nn.Module], Layer] = {
    nn.Linear: _linear,
    nn.Conv2d: _convolution,
    nn.GroupNorm: _group_norm,
    nn.LayerNorm: _layer_norm,
}
