"""What a defence is: it wraps a recipe or a target, so that every attack and control runs on it unchanged."""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import pkgutil
from abc import ABC, abstractmethod
from dataclasses import MISSING, dataclass, fields, replace
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, cast

from safelight.data.records import Records
from safelight.errors import InputError, did_you_mean
from safelight.recipes.base import Recipe
from safelight.settings import check, filled
from safelight.targets.base import Target

if TYPE_CHECKING:
    from safelight.recipes.torch import TorchRecipe


class Defence(Protocol):
    """One defence. Its settings are dataclass fields; its docstring is its page in the docs.

    The docstring's paragraphs "What it does:", "Evidence for:", "Evidence against:" and "Cost:" are read by the docs
    and the command line.

    Attributes:
        name: in kebab case.
        title: two to five words for tables.
        source: paper and section.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    source: ClassVar[str]

    def misfit(self, recipe: Recipe) -> str:
        """Return why it cannot change this recipe, as one sentence that says what to do, or an empty string."""
        ...

    def __call__(self, recipe: Recipe) -> Recipe:
        """Return the recipe with the defence in it; raises InputError where it does not fit."""
        ...


class InTraining(ABC):
    """A defence that trains in its own way: it has `misfit(recipe)` and `fit(recipe, records, seed)`."""

    def misfit(self, recipe: Recipe) -> str:
        return ""

    @abstractmethod
    def fit(self, recipe: Recipe, records: Records, seed: int) -> Target:
        """Train on `records` as `recipe` would, but for the defence."""

    def __call__(self, recipe: Recipe) -> Recipe:
        refuse(self.misfit(recipe))
        return DefendedRecipe(recipe, self)


class InSlots(ABC):
    """A defence that exchanges slots of a torch recipe: it has `slots(recipe)`, and its settings are checked.

    Attributes:
        changes: what of the training, for the sentence that refuses another recipe.
    """

    changes: ClassVar[str] = "the loss"
    name: ClassVar[str]

    def __post_init__(self) -> None:
        check(self.name, self)

    def misfit(self, recipe: Recipe) -> str:
        return needs_torch(self, recipe, self.changes)

    @abstractmethod
    def slots(self, recipe: TorchRecipe) -> TorchRecipe:
        """Return the recipe with other slots."""

    def __call__(self, recipe: Recipe) -> Recipe:
        refuse(self.misfit(recipe))
        return self.slots(cast("TorchRecipe", recipe))


@dataclass(frozen=True)
class DefendedRecipe:
    """A recipe with a defence that trains in its own way.

    Attributes:
        recipe: what the defence changes.
        defence: how.
    """

    recipe: Recipe
    defence: InTraining

    @property
    def key(self) -> str:
        return key_of(self.defence, self.recipe)

    def fit(self, records: Records, seed: int) -> Target:
        target = self.defence.fit(self.recipe, records, seed)
        return replace(target, name="retrained", description=describe(self.defence))


def key_of(defence: Any, recipe: Recipe) -> str:
    """Return the key of a defended recipe: records among the settings count by their content."""
    values = {item.name: getattr(defence, item.name) for item in fields(defence)}
    content = {name: value.digest if isinstance(value, Records) else value for name, value in values.items()}
    whole = repr((recipe.key, type(defence).__module__, type(defence).__name__, sorted(content.items())))
    return "defended-" + hashlib.sha256(whole.encode()).hexdigest()[:16]


def refuse(why: str) -> None:
    """Raise InputError unless `why` is empty."""
    if why:
        raise InputError(why)


def needs_torch(defence: Any, recipe: Recipe, what: str) -> str:
    """Return why a defence that changes `what` of a torch training cannot change this recipe, or an empty string."""
    try:
        from safelight.recipes.torch import TorchRecipe
    except InputError as error:
        return str(error)
    if isinstance(recipe, TorchRecipe):
        return ""
    kind = type(recipe.defence if isinstance(recipe, DefendedRecipe) else recipe).__name__
    return f"{defence.title} changes {what} of a torch training, and {kind} hides its own; give a TorchRecipe instead."


def needs_sklearn(defence: Any, recipe: Recipe, what: str) -> str:
    """Return why a defence that changes `what` of a scikit-learn model cannot change this recipe, or ""."""
    from safelight.recipes.sklearn import SklearnRecipe

    if isinstance(recipe, SklearnRecipe):
        return ""
    return (
        f"{defence.title} changes {what} of a scikit-learn model, and the recipe is a {type(recipe).__name__}; "
        "give a SklearnRecipe instead."
    )


def describe(defence: Any) -> str:
    """Return a defence with its epsilon and the settings that are not its defaults, such as "dp-sgd(epsilon=8)"."""
    changed = [
        f"{item.name}={_short(getattr(defence, item.name))}"
        for item in fields(defence)
        if item.name == "epsilon" or item.default is MISSING or getattr(defence, item.name) != item.default
    ]
    return defence.name + (f"({', '.join(changed)})" if changed else "")


def room(defence: type[Defence]) -> str:
    """Return where a defence works, such as "training" or "outputs": the folder that it is in."""
    parts = defence.__module__.split(".")
    return parts[2] if parts[:2] == ["safelight", "defences"] else "elsewhere"


def _short(value: Any) -> str:
    if isinstance(value, Records):
        return f"{len(value)} records"
    return f"{value:g}" if isinstance(value, float) else str(value)


_NAMES = "name: ClassVar[str] = "
"""What a file that defines a defence holds."""


@cache
def all_defences() -> dict[str, type[Defence]]:
    """Return every defence by name: those in this folder and those of the entry-point group `safelight.defences`.

    A file that names no defence is not imported, since it may need packages that take seconds; one whose package is not
    installed is left out.
    """
    import safelight.defences as room

    found: dict[str, type[Defence]] = {}
    for module in pkgutil.walk_packages(room.__path__, room.__name__ + "."):
        spec = importlib.util.find_spec(module.name)
        if spec is None or spec.origin is None or _NAMES not in Path(spec.origin).read_text("utf-8"):
            continue
        try:
            home = importlib.import_module(module.name)
        except InputError:
            continue
        for _, member in inspect.getmembers(home, inspect.isclass):
            if member.__module__ == module.name and {"name", "title", "source"} <= set(vars(member)):
                found[vars(member)["name"]] = cast("type[Defence]", member)
    for entry in entry_points(group="safelight.defences"):
        defence = entry.load()
        found[defence.name] = defence
    return dict(sorted(found.items()))


def defence_of(name: str, values: dict[str, Any] | None = None) -> Defence:
    """Return the defence `name` with these settings; raises InputError with the closest known name."""
    known = all_defences()
    if name not in known:
        raise InputError(
            f"There is no defence {name!r}; `safelight defences` lists them.{did_you_mean(name, list(known))}"
        )
    return cast("Defence", filled(name, known[name], values or {}))
