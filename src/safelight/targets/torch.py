"""torch modules as targets. Preprocessing and the range of the inputs belong to the target, not to the attack."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy import ndarray as Array

from safelight.errors import InputError, MissingExtra
from safelight.targets.base import Images, Target, softmax
from safelight.threat import Access

try:
    import torch
    from torch import Tensor, nn
except ImportError:
    raise MissingExtra("torch", "torch", "A torch target") from None


@dataclass(frozen=True)
class TorchModel:
    """A module that maps images in the data's own range to logits (n, classes).

    Attributes:
        net: the module, in evaluation mode, weights frozen. Put normalisation inside it, as its first layer.
        inputs: shape and range of its images.
        classes: names of the classes.
        batch: images a forward pass.
    """

    net: nn.Module
    inputs: Images
    classes: tuple[str, ...]
    batch: int = 512
    access: Access = field(default=Access.WEIGHTS, init=False)

    def labels(self, x: Any) -> Array:
        return self.logits(x).argmax(axis=1)

    def scores(self, x: Any) -> Array:
        return softmax(self.logits(x))

    def logits(self, x: Any) -> Array:
        images = torch.as_tensor(np.ascontiguousarray(x), dtype=torch.float32)
        with torch.no_grad():
            parts = [self.net(images[start : start + self.batch]) for start in range(0, len(images), self.batch)]
        return torch.cat(parts).double().numpy() if parts else np.empty((0, len(self.classes)))

    def differentiable(self, x: Tensor) -> Tensor:
        return self.net(x)  # type: ignore[no-any-return]

    def module(self) -> nn.Module:
        return self.net


def from_torch(
    module: nn.Module, inputs: Images | None = None, labels: Sequence[str] | None = None, name: str | None = None
) -> Target:
    """Wrap a module that maps images to logits. It is put into evaluation mode and its weights are frozen.

    Args:
        module: maps (n, channels, height, width) in [low, high] to logits (n, classes).
        inputs: shape and range of the images; may be left out when the module has an attribute `inputs`.
        labels: names of the classes; "0", "1", ... when left out.
        name: for the report; the module's class when left out.

    Raises:
        InputError: the module refuses an image of that shape, or answers with something else than (n, classes).
    """
    inputs = inputs if inputs is not None else getattr(module, "inputs", None)
    if not isinstance(inputs, Images):
        raise InputError(
            f"{type(module).__name__} does not say what images it takes; give inputs=safelight.Images(shape)."
        )
    module.eval()
    for weight in module.parameters():
        weight.requires_grad_(False)
    middle = (inputs.low + inputs.high) / 2
    try:
        with torch.no_grad():
            logits = module(torch.full((1, *inputs.shape), middle))
    except RuntimeError as error:
        raise InputError(
            f"{type(module).__name__} refuses an image of shape {inputs.shape}: {str(error).splitlines()[0]}"
        ) from error
    if logits.ndim != 2:
        raise InputError(
            f"{type(module).__name__} answers one image with shape {tuple(logits.shape)}; it must give (1, classes)."
        )
    classes = tuple(map(str, labels)) if labels is not None else tuple(map(str, range(logits.shape[1])))
    if len(classes) != logits.shape[1]:
        raise InputError(f"{len(classes)} class names were given, but the module has {logits.shape[1]} outputs.")
    kind = type(module).__name__
    return Target(name or kind, TorchModel(module, inputs, classes), kind)
