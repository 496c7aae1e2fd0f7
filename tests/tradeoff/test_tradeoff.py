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
from safelight.tradeoff.grid import chain_of, defaults, guarded, yardstick
from safelight.tradeoff.measure import tradeoff
from safelight.tradeoff.pareto import front
from safelight.tradeoff.point import Cost, Leak, Point, as_json
from safelight.tradeoff.table import lines
from safelight.tradeoff.words import said, verdict


@dataclass(frozen=True)
class Refuses(InTraining):
    name: ClassVar[str] = "refuses"
    title: ClassVar[str] = "Refuses"
    source: ClassVar[str] = "none"

    def misfit(self, recipe):
        return "It fits nothing; take another."

    def fit(self, recipe, records, seed):
        raise AssertionError


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


def test_a_folder_gives_back_no_evidence_of_another_seed_attacker_or_data(case, tmp_path):
    other = replace(case.splits, members=case.splits.members.take(np.arange(500)))
    changed = [{}, {"seed": 1}, {"threat": ThreatModel(Access.SCORES, queries=100)}, {"splits": other}]
    cases = [replace(case, recipe=replace(case.recipe, leak=0.5), **change) for change in changed]

    def guesses(case):
        return [leak.right for leak in tradeoff(case, [(Leaks(0.3),)], 1, 1)[1].leaks]

    fresh = [guesses(case) for case in cases]
    assert len({str(right) for right in fresh}) == len(cases)  # so that one taken for another would be seen
    assert [guesses(replace(case, out=tmp_path)) for case in cases] == fresh
    assert [guesses(replace(case, out=tmp_path)) for case in cases] == fresh  # and what is there is read again


def test_another_case_of_the_same_folder_starts_with_no_evidence_in_memory(case):
    tradeoff(case, [], 1, 1)
    assert case._stores
    assert not replace(case, seed=5)._stores


def test_an_output_policy_reaches_target_recipe_and_shadows(case):
    points = tradeoff(replace(case, only=("M001", "M003")), [(OutputPolicy(label_only=True),)], runs=1, models=1)
    assert {leak.code for leak in points[0].leaks} == {"M001", "M003"}
    assert points[1].leaks == ()  # both need scores
    assert any("no attack can look here" in line for line in lines(points))
    assert any("not the same as no leak" in line for line in said(points))


def test_the_table_and_the_words_say_what_was_measured(points):
    table = "\n".join(lines(points))
    assert "leaks" in table
    best, each = table.split("membership: right guesses in 100 of each attack")
    assert {"mu", "change", "training", "answer", "bytes"} <= set(best.splitlines()[1].split())
    measured = points[2].leaks[0].success.value
    assert each.splitlines()[4].split() == ["leaks", f"{100 * measured:.1f}"]
    words = "\n".join(said(points))
    assert "leaks helps: M001 is right in" in words
    assert as_json(points)[0]["leaks"][0]["mu"]["value"] is None  # every guess right: no finite mu


def test_the_table_says_what_a_defence_costs_as_ratios(points):
    dear = replace(points[1], cost=Cost(1.0, 1.0, 1, training_ratio=12.3, latency_ratio=1.52, size_ratio=0.041))
    assert any(line.endswith("12 x    1.5 x  0.04 x") for line in lines([points[0], dear]))
    figure = draw([points[0], dear], "A title")
    drawn = {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in figure.axes[2].lines}
    assert drawn["CPU time of a training"] == ([12.3], [1])
    assert drawn["CPU time of an answer"] == ([1.52], [1])
    assert drawn["bytes of the model"] == ([0.041], [1])


def test_membership_of_canaries_stands_apart_from_that_of_records():
    def leak(code, unit, told):
        return Leak(code, "", "membership", unit, int(100 * told), 100, 2, 1, Measurement("success", told, 0, 1, 0.5),
                    Measurement("mu", told))  # fmt: skip

    points = [Point("none", Measurement("accuracy", 0.9), (leak("M001", "record", 0.6), leak("M008", "canary", 0.95)))]
    assert points[0].worst("membership").code == "M001"
    assert points[0].worst("membership of a canary").code == "M008"
    assert points[0].worst().code == "M008"
    table = "\n".join(lines(points))
    assert "membership of a canary: the best attack on each" in table
    assert len(draw(points, "A title").axes) == 2 + 3


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
    assert len(figure.axes) == 1 + 3  # a claim; the key, the cost, the notes
    for end in ("svg", "png"):
        save(points, tmp_path / f"t.{end}", "A title")
    svg = (tmp_path / "t.svg").read_text()
    for word in (
        "leaks(leak=0.5)",
        "no defence",
        "whether a record was trained on",
        "A title",
        ">mu<",
        "CPU time of an answer",
    ):
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


def test_the_yardstick_is_differential_privacy_where_it_fits():
    for model, name in ((RandomForestClassifier(), "dp-forest"), (LogisticRegression(), "dp-linear")):
        chains = yardstick(SklearnRecipe(model))
        assert [chain[0].name for chain in chains] == [name, name]
        assert all(map(guarded, chains))
        assert len({chain[0].epsilon for chain in chains}) == 2
    assert yardstick(FunctionRecipe(len)) == []
    assert not guarded(chain_of("label-smoothing + output-policy"))
    assert guarded(chain_of("output-policy + dp-sgd"))


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
