"""Walk uphill: the one gradient loop that all gradient attacks share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def ascend(
    objective: Callable[[Tensor], Tensor],
    x: Tensor,
    steps: int,
    rate: float,
    project: Callable[[Tensor], Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    """Maximise every row of `objective` by Adam (Kingma and Ba 2015), all rows in one batch.

    Args:
        objective: maps x (n, ...) to values (n,); called once a step.
        x: where to start.
        steps: at least 1.
        rate: size of the first steps, in units of x.
        project: maps x back to where it may be, after each step.

    Returns:
        x after the last step, and the values (n,) at the last step's start.
    """
    import torch

    x = x.detach().clone().requires_grad_()
    walk = torch.optim.Adam([x], lr=rate)
    values = torch.empty(0)
    for _ in range(steps):
        walk.zero_grad()
        values = objective(x)
        (-values.sum()).backward()
        walk.step()
        if project is not None:
            with torch.no_grad():
                x.copy_(project(x))
    return x.detach(), values.detach()
