"""A leak of known size is measured at each strength of a defence, beside accuracy and cost."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
from leaks import Leaks
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from safelight.data.records import Records, Split, Splits
from safelight.defences.base import InTraining, defence_of
from safelight.defences.outputs.policy import OutputPolicy
from safelight.errors import InputError
from safelight.measures.base import Measurement
from safelight.recipes.function import FunctionRecipe
from safelight.recipes.sklearn import SklearnRecipe
from safelight.targets.base import Images
from safelight.targets.fake import LeakyRecipe
from safelight.threat import Access, ThreatModel
from safelight.tradeoff.case import Case
from safelight.tradeoff.chart import draw, save
from safelight.tradeoff.grid import chain_of, defaults
from safelight.tradeoff.measure import tradeoff
from safelight.tradeoff.pareto import front
from safelight.tradeoff.point import Leak, Point, as_json
from safelight.tradeoff.table import lines
from safelight.tradeoff.words import said, verdict


@dataclass(frozen=True)
class Refuses(InTraining):
    name: ClassVar[str] = "refuses"
    title: ClassVar[str] = "Refuses"
    source: ClassVar[str] = "none"

    def misfit(self, recipe):
        return "It fits nothing; take another."


@pytest.fixture(scope="module")
def case():
    rng = np.random.default_rng(0)
    everyone = Records.of(rng.random((1200, 1, 4, 4)), np.arange(1200) % 2)
    splits = Splits(everyone.take(np.arange(600)), everyone.take(np.arange(600, 1200)), drawn=Split.RANDOM)
    recipe = LeakyRecipe(Images((1, 4, 4)), pictures=False, leak=1.0)
    return Case(splits, ThreatModel(Access.SCORES), recipe, only=("M001",))


@pytest.fixture(scope="module")
def points(case):
    return tradeoff(case, [(Leaks(0.5),), (Leaks(0.0),), (Refuses(),)], runs=2, models=1)


def test_a_leak_of_known_size_is_measured_at_each_strength(points):
    full, half, none, refused = points
    assert full.worst("membership").success.value == 1.0
    assert half.worst("membership").success.low < 0.99  # of the surest quarter, which half of the members fill
    low, high = none.worst("membership").success.low, none.worst("membership").success.high
    assert low <= 0.5 <= high
    assert verdict(none, "membership") == "helps"
    assert refused.refused == "It fits nothing; take another."
    assert none.cost.training_ratio > 0


def test_the_coins_of_every_defence_are_the_same(case):
    once = tradeoff(case, [(Leaks(1.0),)], runs=1, models=1)
    assert once[0].leaks[0].right == once[1].leaks[0].right
    assert once[1].changes["membership"].value == 0


def test_an_output_policy_reaches_target_recipe_and_shadows(case):
    points = tradeoff(replace(case, only=("M001", "M003")), [(OutputPolicy(label_only=True),)], runs=1, models=1)
    assert {leak.code for leak in points[0].leaks} == {"M001", "M003"}
    assert points[1].leaks == ()  # both need scores
    assert any("no attack can look here" in line for line in lines(points))
    assert any("not the same as no leak" in line for line in said(points))


def test_the_table_and_the_words_say_what_was_measured(points):
    table = "\n".join(lines(points))
    assert "leaks" in table
    assert "not tried: refuses: It fits nothing" in table
    words = "\n".join(said(points))
    assert "leaks helps: M001 is right in" in words
    assert as_json(points)[0]["leaks"][0]["mu"]["value"] is None  # every guess right: no finite mu


def test_who_is_on_the_front():
    def at(name, good, told):
        leak = Leak(
            "M001", "", "membership", "record", 0, 1, 2, 1, Measurement("success", told), Measurement("mu", told)
        )
        return Point(name, Measurement("accuracy", good), (leak,))

    points = [at("none", 0.9, 0.9), at("weak", 0.85, 0.95), at("strong", 0.8, 0.5), at("equal", 0.9, 0.9)]
    assert [point.name for point in front(points, "membership")] == ["strong", "none", "equal"]


def test_the_picture_is_drawn_with_a_panel_a_claim_and_everybody_in_the_key(points, tmp_path):
    figure = draw(points, "A title")
    assert len(figure.axes) == 2
    for end in ("svg", "png"):
        save(points, tmp_path / f"t.{end}", "A title")
    svg = (tmp_path / "t.svg").read_text()
    for word in ("leaks(leak=0.5)", "no defence", "whether a record was trained on", "A title"):
        assert word in svg
    save(points, tmp_path / "again.svg", "A title")
    assert (tmp_path / "again.svg").read_text() == svg
    with pytest.raises(InputError, match="choose another folder"):
        save(points, tmp_path / "no" / "t.svg", "A title")
    with pytest.raises(InputError, match="nothing to draw"):
        draw(points[3:], "A title")


def test_chains_are_read_from_words():
    assert chain_of("output-policy:decimals=1,label_only=true") == (OutputPolicy(decimals=1, label_only=True),)
    assert chain_of("label-smoothing:alpha=-0.1 + output-policy:top_k=1") == (
        defence_of("label-smoothing", {"alpha": -0.1}),
        OutputPolicy(top_k=1),
    )
    assert chain_of("data-minimisation:drop=age|")[0] == defence_of("data-minimisation", {"drop": ["age"]})
    with pytest.raises(InputError, match="name:setting=value"):
        chain_of("output-policy:decimals")
    with pytest.raises(InputError, match="label-smoothing"):
        chain_of("label-smooting")


def test_defaults_fit_the_recipe():
    for recipe in (SklearnRecipe(RandomForestClassifier()), FunctionRecipe(len)):
        chains = defaults(recipe)
        assert len(chains) >= 2
        assert not any(chain[0].misfit(recipe) for chain in chains)


def test_a_regressor_is_judged_by_r_squared():
    from safelight.targets.sklearn import from_sklearn
    from safelight.tradeoff.measure import accuracy

    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 3))
    y = x @ [1.0, 2.0, 3.0] + rng.normal(size=200)
    import pandas as pd
    from sklearn.linear_model import LinearRegression

    table = pd.DataFrame(x, columns=list("abc"))
    model = LinearRegression().fit(table, y)
    made = accuracy([from_sklearn(model, table)], Records.of(table, y))
    assert made.name == "r_squared"
    assert made.value == pytest.approx(model.score(table, y))


def test_without_nonmembers_nothing_can_be_compared():
    records = Records.of(np.zeros((8, 1, 4, 4)), np.arange(8) % 2)
    with pytest.raises(InputError, match="no nonmembers"):
        Case(Splits(records), ThreatModel(), FunctionRecipe(lambda records, seed: LogisticRegression()))
