"""Every setting of a defence in training keeps to the range that its page gives, however it is set."""

import pytest

from safelight.defences.base import all_defences, defence_of
from safelight.errors import InputError

WRONG = [
    ("transfer-learning", "frozen", 1.5),
    ("regularisation", "dropout", 1.0),
    ("regularisation", "min_samples_leaf", 0),
    ("early-stopping", "held_out", 0.0),
    ("augmentation", "shift", -1),
    ("mixup", "alpha", -0.5),
    ("distillation", "temperature", 0.0),
    ("selena", "models", 1),
    ("relaxloss", "alpha", -1.0),
    ("hamp", "gamma", 1.0),
    ("mid", "size", 0),
    ("bido", "sigma", 0.0),
    ("adversarial-training", "bound", -0.1),
    ("deduplication", "near", 1.1),
    ("data-minimisation", "bins", 0),
    ("anonymisation", "k", 0),
    ("local-noise", "epsilon", 0.0),
    ("sisa", "shards", 0),
    ("unlearning", "share", 1.0),
]


@pytest.mark.parametrize(("name", "setting", "value"), WRONG)
def test_a_value_out_of_range_is_refused_in_code_and_in_a_file(name, setting, value):
    for make in (lambda: all_defences()[name](**{setting: value}), lambda: defence_of(name, {setting: value})):
        with pytest.raises(InputError, match=f"{name}, {setting} is .*; it must be"):
            make()


@pytest.mark.parametrize(("name", "setting"), [("data-minimisation", "drop"), ("local-noise", "columns")])
def test_columns_stand_in_a_file_as_a_list(name, setting):
    assert getattr(defence_of(name, {setting: ["age", "town"]}), setting) == ("age", "town")
