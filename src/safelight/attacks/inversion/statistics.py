"""What BatchNorm layers remember of the training pictures, and how far a batch is from it."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn


def batchnorms(net: nn.Module) -> list[Any]:
    """Return the BatchNorm layers of a network that keep running statistics, in the order of its definition."""
    from torch.nn import BatchNorm1d, BatchNorm2d, BatchNorm3d, SyncBatchNorm

    kinds = (BatchNorm1d, BatchNorm2d, BatchNorm3d, SyncBatchNorm)
    return [layer for layer in net.modules() if isinstance(layer, kinds) and layer.running_mean is not None]


class Statistics:
    """Listens to a network's BatchNorm layers while it is open; it takes its ears off when closed.

    Args:
        net: the network; each forward pass is measured anew.
        first: weight of the layer that is passed first; all others weigh 1.
    """

    def __init__(self, net: nn.Module, first: float = 1.0) -> None:
        self._net, self._first = net, first
        self._heard: list[Tensor] = []
        self._hooks: list[Any] = []

    def __enter__(self) -> Statistics:
        self._hooks = [layer.register_forward_pre_hook(self._listen) for layer in batchnorms(self._net)]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for hook in self._hooks:
            hook.remove()
        self._heard.clear()

    def distance(self) -> Tensor:
        """Return the distance of the last batch from the kept statistics, a number, and forget that batch."""
        heard, self._heard = self._heard, []
        return sum(heard[1:], self._first * heard[0])

    def _listen(self, layer: Any, inputs: tuple[Tensor, ...]) -> None:
        self._heard.append(distance(inputs[0], layer.running_mean, layer.running_var + layer.eps))


def distance(x: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    """Return how far the channels of x (n, channels, ...) are from a mean and a variance (channels,) in all.

    Yin et al. 2020, section 3.2, with the means in units of the standard deviation, the variances in units of
    themselves, and a root mean square over the channels in place of the root of the sum.
    """
    along = [axis for axis in range(x.ndim) if axis != 1]
    means = (x.mean(along) - mean) / variance.sqrt()
    variances = x.var(along, unbiased=False) / variance - 1
    return _length(means) + _length(variances)


def _length(values: Tensor) -> Tensor:
    """Return the root mean square; the small number keeps its gradient finite at 0."""
    return ((values**2).mean() + 1e-12).sqrt()  # type: ignore[no-any-return]
