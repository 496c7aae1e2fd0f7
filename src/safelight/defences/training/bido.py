"""BiDO: hidden layers are to depend little on the picture and much on its label."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, cast

from safelight.defences.base import InSlots
from safelight.targets.base import Images

if TYPE_CHECKING:
    from torch import Tensor, nn

    from safelight.recipes.objective import Step
    from safelight.recipes.torch import TorchRecipe


@dataclass(frozen=True)
class Bido(InSlots):
    """Make hidden layers depend little on the picture and much on the label.

    What it does: a kernel measure of dependence is added to the loss for each hidden layer: with the picture at
    a price, with the label as a gain. What reaches the next layer with weights counts as a hidden layer.
    Evidence for: attacks with a generative prior succeed less than against MID at higher accuracy (Peng et al. 2022,
    arXiv:2206.05483, section 5).
    Evidence against: its two terms oppose each other and the accuracy, so that each data set needs its own weights;
    freezing layers that learnt from public records did better (Ho et al. 2024, arXiv:2405.05588, section 4). It says
    nothing of membership.
    Cost: one kernel and its inverse a layer and step, cubic in the batch.

    The dependence of U and V over a batch of m is tr(R S), R = K (K + e m I)^-1 and S likewise from L, with the centred
    kernels K and L and e = 0.00001: HSIC after its scale is taken out (Fukumizu et al. 2008, NIPS 20, section 2), which
    is what the authors' weights are for. Kernels are exp(-|u - u'|^2 / (2 sigma^2 d)) for d numbers a record, and for
    labels 1 where they are equal and else 0. The loss is CE + hide sum D(X, Z_j) - show sum D(Z_j, Y).

    Attributes:
        hide: price of dependence on the picture (>= 0).
        show: gain of dependence on the label (>= 0).
        sigma: width of the kernels, in standard units of one number of a record (> 0).
    """

    name: ClassVar[str] = "bido"
    title: ClassVar[str] = "Bilateral dependency (BiDO)"
    source: ClassVar[str] = "Peng et al. 2022, KDD, arXiv:2206.05483, section 4 (HSIC)"

    hide: float = 0.05
    show: float = 0.5
    sigma: float = 5.0

    def slots(self, recipe: TorchRecipe) -> TorchRecipe:
        return replace(recipe, objective=Dependence(recipe.objective, recipe.inputs, self.hide, self.show, self.sigma))


@dataclass(frozen=True)
class Dependence:
    """An objective plus the dependence of hidden layers; see `Bido`.

    Attributes:
        objective: what is lowered besides.
        inputs: shape and range of the images.
        hide, show, sigma: as there.
    """

    stacks: ClassVar[bool] = False  # looks into the network

    objective: Any
    inputs: Images
    hide: float
    show: float
    sigma: float

    def __call__(self, step: Step) -> Tensor:
        from safelight.defences.training.layers import weighted

        net = cast("nn.Module", step.net)
        hidden: list[Tensor] = []
        later = [layer for _, layer in weighted(net, self.inputs)][1:]
        hooks = [layer.register_forward_pre_hook(lambda _, given: hidden.append(given[0])) for layer in later]
        try:
            loss = self.objective(step)
        finally:
            for hook in hooks:
                hook.remove()
        if len(step.images) < 2:
            return cast("Tensor", loss)
        pictures, labels = share(gaussian(step.images, self.sigma)), share(same(step.labels))
        for layer in hidden:
            own = share(gaussian(layer, self.sigma))
            loss = loss + self.hide * (pictures * own).sum() - self.show * (own * labels).sum()
        return cast("Tensor", loss)


def gaussian(values: Tensor, sigma: float) -> Tensor:
    """Return the kernel (m, m) of values (m, ...)."""
    flat = values.flatten(1).float()
    squares = (flat**2).sum(1)
    apart = (squares[:, None] + squares - 2 * flat @ flat.T).clamp(min=0)
    return (-apart / (2 * sigma**2 * flat.shape[1])).exp()


def same(labels: Tensor) -> Tensor:
    """Return the kernel (m, m) of class numbers (m,), or the inner products of probabilities (m, classes)."""
    if labels.is_floating_point():
        return labels @ labels.T
    return (labels[:, None] == labels).float()


def share(kernel: Tensor, smallest: float = 1e-5) -> Tensor:
    """Return R (m, m) of a kernel (m, m): symmetric; each eigenvalue is near 1 where the kernel has one, else near 0.

    The sum of the product of two of them, number by number, is the dependence: tr(R S).
    """
    import torch

    centred = kernel - kernel.mean(0) - kernel.mean(1)[:, None] + kernel.mean()
    return torch.linalg.solve(centred + smallest * len(kernel) * torch.eye(len(kernel)), centred)
