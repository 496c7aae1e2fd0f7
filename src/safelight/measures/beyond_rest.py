"""How much more exposed one group is than all the others together, from the intervals of both."""

from __future__ import annotations

import math

from safelight.measures.base import Measurement


def beyond_rest(own: Measurement, rest: Measurement) -> Measurement:
    """Return the difference of two numbers about different records, with an interval from those of the two.

    With d = a - b, and (la, ua), (lb, ub) around a and b: (d - sqrt((a - la)^2 + (ub - b)^2),
    d + sqrt((ua - a)^2 + (b - lb)^2)) (Newcombe 1998; Zou and Donner 2008, Statistics in Medicine 27, section 2). It
    has the confidence that the two intervals have.

    Args:
        own: of the group; rest: of all other groups together. Without value or interval there is no number.
    """
    if own.value is None or own.low is None or own.high is None:
        return Measurement("beyond_rest", None, control=0.0)
    if rest.value is None or rest.low is None or rest.high is None:
        return Measurement("beyond_rest", None, control=0.0)
    difference = own.value - rest.value
    below = math.hypot(own.value - own.low, rest.high - rest.value)
    above = math.hypot(own.high - own.value, rest.value - rest.low)
    return Measurement("beyond_rest", difference, difference - below, difference + above, control=0.0)
