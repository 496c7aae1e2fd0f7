"""Read records off the gradient of a first linear layer, exactly and at no cost; and the label off that of the last."""

from __future__ import annotations

import numpy as np
from numpy import ndarray as Array


def first_layer_inputs(weights: Array, biases: Array, smallest: float = 1e-9) -> Array:
    """Return what each unit of a first linear layer says that its input was, the most active unit first.

    For one record dL/dW_j = (dL/db_j) x, so each active unit gives x back exactly. Of several records a unit gives the
    mean over those that it is active for, weighted by dL/db_j (Geiping et al. 2020, arXiv:2003.14053, proposition 3.1).
    Steps of a rate, and a sign, cancel.

    Args:
        weights: (units, inputs) of the gradient or the update.
        biases: (units,) of the same.
        smallest: units with a bias smaller than this share (> 0) of the largest are left out.

    Returns:
        (active units, inputs).
    """
    sizes = np.abs(biases)
    order = np.argsort(-sizes, kind="stable")
    active = order[sizes[order] > smallest * max(float(sizes.max(initial=0.0)), 1e-300)]
    return weights[active] / biases[active, None]  # type: ignore[no-any-return]


def label_of_one(biases: Array) -> int:
    """Return the class of a single record from the gradient (classes,) of the last layer's bias.

    It is p - 1 at the true class and p elsewhere (Zhao et al. 2020, arXiv:2001.02610, section 3.1): the only one
    below 0.
    """
    return int(np.argmin(biases))
