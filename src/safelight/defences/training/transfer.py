"""Transfer learning: the first layers learn from public records alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, cast

from safelight.data.records import Records
from safelight.defences.base import InTraining, needs_torch
from safelight.defences.training.public import public_for
from safelight.recipes.base import Recipe
from safelight.settings import check
from safelight.targets.base import Target

if TYPE_CHECKING:
    from torch import Tensor, nn

    from safelight.recipes.torch import TorchRecipe


@dataclass(frozen=True)
class TransferLearning(InTraining):
    """Learn the first layers from public records and only the last ones from the members.

    What it does: the network is trained on public records with their own classes. All its weights but those of the
    head are kept, the first layers are frozen, and the rest is trained on the members. A frozen layer holds nothing of
    them, its running means and variances included.
    Evidence for: inversion needs the first layers more than classification does, and freezing them lowered seven
    kinds of inversion at little cost in accuracy (Ho et al. 2024, arXiv:2405.05588, sections 3 and 4).
    Evidence against: the layers that are trained, the head above all, still hold the members; membership is not what
    it aims at. If the public records are like the members, the attacker's own prior is as good as the features.
    Cost: one more training on public records, made once in a process and then kept; public records of the same kind.

    A share f of the n layers with weights below the head means the first round(f n) of them, in the order in which an
    image meets them. With f = 1 the head alone learns from members.

    Attributes:
        public: records of other people, images of the same shape; None leaves it to the audit to give its own.
        frozen: in [0, 1], the share of the layers below the head that members do not change.
        seed: of the training on public records (>= 0).
    """

    name: ClassVar[str] = "transfer-learning"
    title: ClassVar[str] = "Transfer learning"
    source: ClassVar[str] = "Ho et al. 2024, CVPR, arXiv:2405.05588, section 3 (TL-DMI)"

    public: Records | None = None
    frozen: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        check(self.name, self)

    def misfit(self, recipe: Recipe) -> str:
        return needs_torch(self, recipe, "the layers")

    def fit(self, recipe: Recipe, records: Records, seed: int) -> Target:
        """Return the model; raises InputError without public records of the same shape."""
        from safelight.defences.training.layers import weighted
        from safelight.targets.torch import from_torch

        recipe = cast("TorchRecipe", recipe)
        public = public_for(self, records)
        weights, head = pretrained(recipe, public, self.seed)
        net = recipe.build(records, seed)
        own = net.state_dict()
        net.load_state_dict({name: own[name] if _in(name, head) else value for name, value in weights.items()})
        below = [layer for name, layer in weighted(net, recipe.inputs) if name != head]
        still = below[: round(self.frozen * len(below))]
        hooks = [layer.register_forward_pre_hook(_keep_still) for layer in still]
        for layer in still:
            for values in layer.parameters(recurse=False):
                values.requires_grad_(False)
        for _ in recipe.passes(net, *recipe.tensors(records), seed):
            pass
        for hook in hooks:
            hook.remove()
        return from_torch(net, recipe.inputs)


def pretrained(recipe: TorchRecipe, public: Records, seed: int) -> tuple[dict[str, Tensor], str]:
    """Return the weights of the network trained on public records, and the name of its head.

    They are kept for the next call in this process: coins and shadows train many models on the same public records.
    """
    weights, head = _lesson(_Lesson(recipe.key, public.digest, seed, recipe, public))
    return {name: value.clone() for name, value in weights.items()}, head


@dataclass(frozen=True)
class _Lesson:
    key: str
    digest: str
    seed: int
    recipe: Any = field(compare=False)
    public: Any = field(compare=False)


@lru_cache(maxsize=4)
def _lesson(lesson: _Lesson) -> tuple[dict[str, Tensor], str]:
    from safelight.defences.training.layers import head_of

    net = lesson.recipe.build(lesson.public, lesson.seed)
    for _ in lesson.recipe.passes(net, *lesson.recipe.tensors(lesson.public), lesson.seed):
        pass
    return net.state_dict(), head_of(net, lesson.recipe.inputs)[0]


def _in(name: str, layer: str) -> bool:
    """Return whether the weight of this name belongs to the layer."""
    return not layer or name.startswith(f"{layer}.")


def _keep_still(layer: nn.Module, _: Any) -> None:
    """Normalise by what was learnt from public records, and learn nothing more."""
    layer.eval()
