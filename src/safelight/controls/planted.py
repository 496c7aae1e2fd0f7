"""A leak of known size on the user's own data: an attack that misses it cannot say "no leak" here."""

from __future__ import annotations

from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from safelight.attacks.base import Attack
from safelight.evidence import WhatIsInside
from safelight.recipes.base import Recipe
from safelight.recipes.sklearn import SklearnRecipe
from safelight.targets.base import Images, Table
from safelight.targets.fake import LeakyRecipe
from safelight.threat import Access


def planted_recipe(attack: Attack, inputs: Images | Table, regression: bool, leak: float = 1.0) -> Recipe:
    """Return a recipe whose models leak what `attack` looks for.

    An attack may bring its own by a method `planted(inputs, leak) -> Recipe`: one that reads BatchNorm statistics needs
    a model that has some. Attacks on the inside of table models get a tree that splits at
    random columns until every record has its leaf: one that picked the best columns need not look at the secret.
    """
    own = getattr(attack, "planted", None)
    if own is not None:
        return own(inputs, leak)  # type: ignore[no-any-return]
    if isinstance(inputs, Table) and attack.needs > Access.SCORES:
        tree = DecisionTreeRegressor if regression else DecisionTreeClassifier
        return SklearnRecipe(tree(max_features=1, splitter="random"))
    return LeakyRecipe(inputs, pictures=attack.answers is WhatIsInside, leak=leak, regression=regression)
