"""What the last layer is fed for public pictures, so that a rebuilt picture feeds it something alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from numpy import ndarray as Array
from numpy.random import Generator

from safelight.errors import AccessDenied
from safelight.priors.base import public_images
from safelight.targets.base import View

if TYPE_CHECKING:
    from torch import Tensor


@contextmanager
def unlikely(view: View, weight: float, rows: int, rng: Generator) -> Iterator[Callable[[], Any]]:
    """Give a function that says how unlike those of public pictures the features of the last look at the target are.

    It returns weight * ||f - p_reg||^2 (rows,) as a mean over features, so that one weight suits layers of any width,
    and over the looks since it was called last; 0 where the weight is 0. p_reg is drawn once, by row. (Nguyen et al.
    2023, arXiv:2304.01669; their public code draws p_reg and then overwrites it by its mean.)

    Args:
        view: holds the public images.
        weight: lambda of the paper; 0 asks nothing of the view.
        rows: how many pictures a look holds.

    Raises:
        AccessDenied: the weights are not granted, there are no public images, or no dense layer ends the network.
    """
    if weight == 0:
        yield lambda: 0.0
        return
    import torch

    net, head = _head(view)
    public = public_images(view)
    heard: list[Tensor] = []
    hook = head.register_forward_pre_hook(lambda _, inputs: heard.append(inputs[0].flatten(1)))
    try:
        with torch.no_grad():
            for start in range(0, len(public), 512):
                net(torch.as_tensor(public[start : start + 512], dtype=torch.float32))
        wanted = torch.as_tensor(drawn(torch.cat(heard).double().numpy(), rows, rng), dtype=heard[0].dtype)
        heard.clear()

        def penalty() -> Tensor:
            looks = torch.stack(heard)  # (looks, rows, features)
            heard.clear()
            return weight * ((looks - wanted) ** 2).mean((0, 2))

        yield penalty
    finally:
        hook.remove()


def drawn(features: Array, rows: int, rng: Generator) -> Array:
    """Return p_reg (rows, width), normal with the mean and standard deviation of features (n, width)."""
    noise = rng.standard_normal((rows, features.shape[1]))
    return features.mean(axis=0) + features.std(axis=0) * noise  # type: ignore[no-any-return]


def _head(view: View) -> tuple[Any, Any]:
    """Return the network and the dense layer that answers with one number a class."""
    from torch import nn

    try:
        net = view.module()
    except AttributeError:
        net = nn.Identity()
    heads = [m for m in net.modules() if isinstance(m, nn.Linear) and m.out_features == len(view.classes)]
    if not heads:
        raise AccessDenied(
            "The weight `features` needs a network that ends in a dense layer, and the target has none; set it to 0."
        )
    return net, heads[-1]
