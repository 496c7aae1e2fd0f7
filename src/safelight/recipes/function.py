"""Train a model again by the user's own function `fit(records, seed) -> model`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from safelight.data.records import Records
from safelight.recipes.base import source_of
from safelight.targets.base import Images, Target


@dataclass(frozen=True)
class FunctionRecipe:
    """Calls `function(records, seed)` and wraps what it returns.

    Attributes:
        function: returns a Target, a torch module or a fitted scikit-learn estimator.
        inputs: shape and range of images; None for a table.
    """

    function: Callable[[Records, int], Any]
    inputs: Images | None = None

    @property
    def key(self) -> str:
        return "function-" + hashlib.sha256(source_of(self.function).encode()).hexdigest()[:16]

    def fit(self, records: Records, seed: int) -> Target:
        model = self.function(records, seed)
        if isinstance(model, Target):
            return model
        if hasattr(model, "predict"):
            return Target.from_sklearn(model, self.inputs if self.inputs is not None else records.x, name="retrained")
        return Target.from_torch(model, self.inputs, name="retrained")
