"""A threat model is a capability: narrowed to what an attack needs, checked when it is made."""

import pytest

from safelight.errors import InputError
from safelight.threat import Access, ThreatModel


def test_an_attack_is_run_at_the_least_access_it_needs():
    white_box = ThreatModel(Access.WEIGHTS, queries=10)
    assert white_box.narrowed(Access.SCORES).access is Access.SCORES
    assert white_box.narrowed(Access.SCORES).queries == 10
    assert white_box.narrowed(Access.GRADIENTS).access is Access.WEIGHTS, "with the weights a gradient is free"
    assert ThreatModel(Access.LABEL).narrowed(Access.SCORES).access is Access.LABEL, "never more than was granted"


@pytest.mark.parametrize(("name", "value"), [("queries", 0), ("top_k", 0), ("decimals", -1)])
def test_impossible_limits_are_refused(name, value):
    with pytest.raises(InputError, match=f"{name} is {value}"):
        ThreatModel(**{name: value})


def test_access_by_name_suggests_the_closest():
    assert Access.named("logits") is Access.LOGITS
    with pytest.raises(InputError, match="Did you mean 'scores'"):
        Access.named("score")
