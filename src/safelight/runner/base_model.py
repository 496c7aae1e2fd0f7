"""The model that the target was fine-tuned from: may its answers serve as a reference that nobody has to train?"""

from __future__ import annotations

from safelight.targets.base import Target
from safelight.threat import Access


def unfit(base: Target, target: Target) -> str:
    """Return why the base model's answers cannot be compared with the target's, or an empty string.

    They can where both take the same records and give scores over the same classes; names that are plain numbers stand
    for any names, in the same order. Both may be regressors, too.
    """
    ours, theirs = target.model, base.model
    if theirs.access < Access.SCORES and ours.classes:
        return "it gives no class scores"
    if theirs.inputs != ours.inputs:
        return "it takes other records than the audited model"
    if len(theirs.classes) != len(ours.classes):
        return f"it has {len(theirs.classes)} classes, and the audited model has {len(ours.classes)}"
    numbers = tuple(map(str, range(len(ours.classes))))
    if theirs.classes != ours.classes and numbers not in (theirs.classes, ours.classes):
        return f"its classes have other names ({', '.join(theirs.classes[:3])}, ...) than those of the audited model"
    return ""
