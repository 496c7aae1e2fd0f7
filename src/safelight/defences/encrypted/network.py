"""Read the layers of a target: torch networks of the known kinds, and linear scikit-learn classifiers."""

from __future__ import annotations

from typing import Any

import numpy as np

from safelight.defences.encrypted.layers import Convolution, Dense, Layer, Relu, Square
from safelight.errors import InputError
from safelight.targets.base import Images, Model
from safelight.targets.sklearn import SklearnModel


def layers_of(model: Model) -> tuple[Layer, ...]:
    """Return the layers of a model, from rows of numbers to logits.

    A torch network is made of Linear, Conv2d, ReLU, Flatten, Identity and `Squared`, one after another; a scikit-learn
    classifier has `coef_`. With two classes and one row of coefficients, the logits are minus and plus half of its
    value.

    Raises:
        InputError: any other model or layer.
    """
    if isinstance(model, SklearnModel):
        weights, offsets = model.linear()
        return (Dense(weights.astype(float), offsets.astype(float)),)
    if not hasattr(model, "module") or not isinstance(model.inputs, Images):
        raise InputError(
            f"{type(model).__name__} does not show its weights, and encrypted inference computes with them; give a "
            "torch network or a linear scikit-learn classifier."
        )
    return _torch_layers(model.module(), model.inputs.shape)


def _torch_layers(net: Any, shape: tuple[int, ...]) -> tuple[Layer, ...]:
    from torch import nn

    found: list[Layer] = []
    for part in _in_order(net):
        if isinstance(part, nn.Linear):
            weights = part.weight.detach().double().numpy()
            offsets = np.zeros(len(weights)) if part.bias is None else part.bias.detach().double().numpy()
            found.append(Dense(weights, offsets))
            shape = (len(weights),)
        elif isinstance(part, nn.Conv2d) and _plain(part):
            weights = part.weight.detach().double().numpy()
            offsets = np.zeros(len(weights)) if part.bias is None else part.bias.detach().double().numpy()
            layer = Convolution(weights, offsets, shape, part.stride[0], part.padding[0])  # type: ignore[arg-type]
            found.append(layer)
            shape = layer.output
        elif isinstance(part, nn.ReLU):
            found.append(Relu())
        elif getattr(part, "squares", False):
            found.append(Square())
        elif not isinstance(part, (nn.Flatten, nn.Identity)):
            raise InputError(
                f"The network has a {type(part).__name__}, which is not computed encrypted; use Linear, Conv2d (of one "
                "group, with equal strides and zeros around), ReLU, Squared, Flatten and Identity."
            )
    return tuple(found)


def _in_order(net: Any) -> list[Any]:
    from torch import nn

    if isinstance(net, nn.Sequential):
        return [leaf for part in net for leaf in _in_order(part)]
    return [net]


def _plain(part: Any) -> bool:
    one = part.groups == 1 and part.dilation == (1, 1) and part.padding_mode == "zeros"
    return one and part.stride[0] == part.stride[1] and part.padding[0] == part.padding[1]
