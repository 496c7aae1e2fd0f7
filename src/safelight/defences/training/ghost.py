"""Sums of clipped gradients of single records, without a gradient a record.

The gradient of a linear layer for one record is the outer product of what comes back, g, and what went in, a, so that
its squared norm is |g|^2 |a|^2, and |g|^2 for the bias (Goodfellow 2015, arXiv:1510.01799). All norms come from one
backward pass to the layers' outputs; the clipped sum is then one product a layer (Bu et al. 2023, arXiv:2210.00038).
Other layers than those of `ghost_layers` go through Opacus (ghost clipping, Li et al. 2022, arXiv:2110.05679).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Protocol

from safelight.errors import InputError, MissingExtra

try:
    import torch
    from torch import Tensor, nn

    from safelight.defences.training.ghost_layers import LAYERS, wants
except ImportError:
    raise MissingExtra("torch", "torch", "Training with clipped gradients") from None

Losses = Callable[[Tensor], Tensor]
"""Logits (n, classes) to one loss a record (n,)."""

TINY = 1e-12


class Clipping(Protocol):
    """Sums clipped gradients."""

    def __call__(self, images: Tensor, losses: Losses, clip: float) -> list[Tensor]:
        """Return the sum over the batch of each record's gradient, cut to the norm `clip` over all weights together.

        Args:
            images: (n, ...), n >= 1.
            losses: of the batch's logits.
            clip: the largest norm.

        Returns:
            one tensor a trainable weight, in the order of `trainable`.
        """
        ...


def trainable(net: nn.Module) -> list[nn.Parameter]:
    return [weights for weights in net.parameters() if weights.requires_grad]


def factors(norms: Tensor, clip: float) -> Tensor:
    """Return what gradients of these norms (n,) are multiplied by: min(1, clip / norm)."""
    return (clip / norms.clamp(min=TINY)).clamp(max=1.0)


@contextmanager
def clipping(net: nn.Module, probe: Tensor) -> Iterator[Clipping]:
    """Give the fastest way to clip for this network; the network is as it was afterwards.

    Args:
        net: in training mode.
        probe: some images, no records.

    Raises:
        InputError: what it gives is not what clipping each of these images alone gives.
        MissingExtra: the network has layers to train that `ghost_layers` does not know and Opacus is not installed.
    """
    if not trainable(net):
        raise InputError(f"{type(net).__name__} has no weights that want a gradient; let some layers train.")
    kept = [buffer.clone() for buffer in net.buffers()]
    with nullcontext(OnePass(net)) if _all_known(net, probe) else _opacus(net) as made:
        _same_as_one_by_one(net, made, probe)
        if any(not torch.equal(old, new) for old, new in zip(kept, net.buffers())):
            raise InputError(
                f"{type(net).__name__} keeps statistics of its inputs in its buffers, outside of every promise; use "
                "layers without running statistics."
            )
        yield made


class OnePass:
    """For networks whose trainable layers are all of the kinds in `ghost_layers`, each used once."""

    def __init__(self, net: nn.Module) -> None:
        self._net = net
        self._layers = [part for part in net.modules() if _trains(part)]

    def __call__(self, images: Tensor, losses: Losses, clip: float) -> list[Tensor]:
        went_in: dict[nn.Module, Tensor] = {}
        came_out: dict[nn.Module, Tensor] = {}

        def keep(layer: nn.Module, given: tuple[Tensor, ...], out: Tensor) -> Tensor:
            went_in[layer], came_out[layer] = given[0].detach(), out
            return out.clone()  # a ReLU in place would change what is asked for below

        hooks = [layer.register_forward_hook(keep) for layer in self._layers]
        try:
            total = losses(self._net(images)).sum()
        finally:
            for hook in hooks:
                hook.remove()
        pushed = torch.autograd.grad(total, list(came_out.values()))
        parts = [LAYERS[type(layer)](layer, went_in[layer], back) for layer, back in zip(came_out, pushed)]
        by = factors(torch.stack([squares for squares, _ in parts]).sum(0).sqrt(), clip)
        found: dict[nn.Parameter, Tensor] = {}
        for _, sums in parts:
            found |= sums(by)
        return [found[weights] for weights in trainable(self._net)]


def one_by_one(net: nn.Module, images: Tensor, losses: Callable[[Tensor, int], Tensor], clip: float) -> list[Tensor]:
    """Return what a `Clipping` must return, by one backward pass a record: slow and literal.

    Args:
        losses: the loss () of logits (1, classes) and the number of the record.
    """
    weights = trainable(net)
    total = [torch.zeros_like(one) for one in weights]
    for row in range(len(images)):
        found = torch.autograd.grad(losses(net(images[row : row + 1]), row), weights, allow_unused=True)
        own = [torch.zeros_like(one) if gradient is None else gradient for one, gradient in zip(weights, found)]
        norm = torch.sqrt(sum((gradient.square().sum() for gradient in own), torch.zeros(())))
        for whole, gradient in zip(total, own):
            whole += gradient * factors(norm, clip)
    return total


def _same_as_one_by_one(net: nn.Module, made: Clipping, probe: Tensor) -> None:
    """Raise InputError unless the fast sums are the literal ones, with all, some and none of the gradients cut."""
    modes = {part: part.training for part in net.modules()}
    for part in net.modules():
        if isinstance(part, nn.modules.dropout._DropoutNd):
            part.eval()  # it would draw differently
    try:
        sizes = torch.arange(1, len(probe) + 1, dtype=torch.float32)

        def loss(logits: Tensor, row: int) -> Tensor:
            return -sizes[row] * logits.log_softmax(1)[0, 0]

        def losses(logits: Tensor) -> Tensor:
            return torch.stack([loss(logits[row : row + 1], row) for row in range(len(logits))])

        for clip in (1e-3, 1.0, 1e3):
            fast, slow = made(probe, losses, clip), one_by_one(net, probe, loss, clip)
            whole = torch.cat([part.flatten() for part in slow])
            apart = torch.cat([part.flatten() for part in fast]) - whole
            if not apart.norm() <= 1e-3 * whole.norm() + 1e-9:
                raise InputError(
                    f"{type(net).__name__} does not treat each record alone, so clipping bounds nothing: the sum of "
                    f"clipped gradients is off by {float(apart.norm() / whole.norm()):.1%} from that of single "
                    "records; take out layers that mix a batch, and weights that are used twice."
                )
    finally:
        for part, mode in modes.items():
            part.training = mode


def _trains(part: nn.Module) -> bool:
    return any(wants(weights) for weights in part.parameters(recurse=False))


def _all_known(net: nn.Module, probe: Tensor) -> bool:
    """Tell whether all trainable layers are of known kinds and each is met once."""
    layers = [part for part in net.modules() if _trains(part)]
    if any(type(part) not in LAYERS for part in layers):
        return False
    met: list[int] = []
    hooks = [layer.register_forward_hook(lambda part, given, out: met.append(id(part))) for layer in layers]
    try:
        with torch.no_grad():
            net(probe)
    finally:
        for hook in hooks:
            hook.remove()
    owners = [id(weights) for part in layers for weights in part.parameters(recurse=False)]
    return len(set(owners)) == len(owners) and sorted(met) == sorted(map(id, layers))


@contextmanager
def _opacus(net: nn.Module) -> Iterator[Clipping]:
    try:
        from opacus.grad_sample import GradSampleModuleFastGradientClipping
    except ImportError:
        raise MissingExtra("opacus", "dp", "Clipping the gradients of layers of this kind") from None
    try:
        # "sum": the losses are one a record, nothing is to be multiplied back.
        wrapped = GradSampleModuleFastGradientClipping(net, loss_reduction="sum", strict=False)
    except (NotImplementedError, ValueError) as error:
        raise InputError(
            f"Opacus cannot clip {type(net).__name__}: {str(error).splitlines()[0]}; use other layers."
        ) from None

    def clipped(images: Tensor, losses: Losses, clip: float) -> list[Tensor]:
        weights = trainable(net)
        try:
            wrapped.enable_hooks()
            each = losses(wrapped(images))
            torch.autograd.backward(each.sum(), retain_graph=True, inputs=weights)
            by = factors(wrapped.get_norm_sample(), clip).detach()
            wrapped.disable_hooks()
            found = torch.autograd.grad((each * by).sum(), weights)
        except (NotImplementedError, RuntimeError) as error:
            raise InputError(
                f"Opacus cannot clip {type(net).__name__}: {str(error).splitlines()[0]}; use each weight once, and "
                "no layers that work in place."
            ) from None
        for one in weights:
            one.grad = None
        return list(found)

    try:
        yield clipped
    finally:
        wrapped._close()
        for part in net.modules():
            for left in ("activations", "max_batch_len"):  # Opacus leaves its records' places behind
                vars(part).pop(left, None)
        for one in net.parameters():
            one.grad = None
