"""The contract of every defence: it documents itself, says whom it does not fit, and is another recipe."""

import re
from dataclasses import dataclass, fields

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import safelight as sl
from safelight.data.records import Records
from safelight.defences.base import InTraining, all_defences, defence_of, describe, key_of
from safelight.docstrings import meanings, paragraph
from safelight.errors import InputError
from safelight.recipes.function import FunctionRecipe

NAMES = list(all_defences())


@pytest.mark.parametrize("name", NAMES)
def test_a_defence_documents_itself(name):
    defence = all_defences()[name]
    for heading in ("What it does:", "Evidence for:", "Evidence against:", "Cost:"):
        assert len(paragraph(defence, heading)) > 15, heading
    assert set(meanings(defence)) == {item.name for item in fields(defence)}
    assert getattr(sl.defences, defence.__name__) is defence


def opaque(records, seed):
    return LogisticRegression().fit(records.x, records.y)


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_that_hides_its_training_is_wrapped_or_refused_in_one_sentence(name):
    recipe, defence = FunctionRecipe(opaque), all_defences()[name]()
    reason = defence.misfit(recipe)
    if reason:
        assert "; " in reason
        with pytest.raises(InputError, match=re.escape(reason)):
            defence(recipe)
    else:
        assert defence(recipe).key != recipe.key


def test_an_unknown_defence_or_setting_is_refused_with_the_closest():
    with pytest.raises(InputError, match="output-policy"):
        defence_of("output-polcy")
    with pytest.raises(InputError, match="decimals"):
        defence_of("output-policy", {"decimal": 1})
    assert describe(defence_of("output-policy", {"decimals": 1})) == "output-policy(decimals=1)"


def test_the_name_of_a_private_training_always_says_its_epsilon():
    assert describe(defence_of("dp-sgd")) == "dp-sgd(epsilon=8)"
    assert describe(defence_of("dp-forest", {"epsilon": 1.0})) == "dp-forest(epsilon=1)"


def test_a_defence_without_its_own_step_cannot_be_made():
    @dataclass(frozen=True)
    class Empty(InTraining):
        pass

    with pytest.raises(TypeError, match="fit"):
        Empty()


def test_records_among_the_settings_count_by_their_content():
    @dataclass(frozen=True)
    class Holding(InTraining):
        public: Records

        def fit(self, recipe, records, seed):
            return recipe.fit(records, seed)

    recipe = FunctionRecipe(opaque)
    some, other = (Records.of(np.full((4, 2), value), np.zeros(4, int)) for value in (0, 1))
    assert key_of(Holding(some), recipe) == key_of(Holding(some), recipe) != key_of(Holding(other), recipe)
