"""Released tables as targets, and tables released again."""

import numpy as np
import pandas as pd
import pytest

from safelight.data.records import Records
from safelight.errors import InputError
from safelight.recipes.base import Recipe
from safelight.recipes.release import LeakyRelease, ReleaseRecipe
from safelight.targets.base import Target
from safelight.threat import Observes, ThreatModel

TABLE = pd.DataFrame({"the age": [30, 41], "town": ["Salem", "Rye"]}, index=[7, 3])


def test_a_table_or_a_file_is_a_target(tmp_path):
    path = tmp_path / "synthetic.csv"
    TABLE.to_csv(path, index=False)
    for target, name in ((Target.from_release(TABLE), "released table"), (Target.from_release(path), "synthetic.csv")):
        assert target.name == name
        assert target.description == "a released table of 2 rows"
        assert target.model.inputs.columns == ("the age", "town")
        seen = target.view(ThreatModel(observes=Observes.RELEASE)).released()
        pd.testing.assert_frame_equal(seen, TABLE.reset_index(drop=True))


def test_what_cannot_be_a_release_is_said():
    with pytest.raises(InputError, match=r"column 'town' of my table has 1 missing value\(s\); fill them, with a word"):
        Target.from_release(TABLE.assign(town=["Salem", None]), "my table")
    with pytest.raises(InputError, match="released table has 0 rows and 2 columns; a release needs both"):
        Target.from_release(TABLE[:0])


def test_whose_row_each_one_is_stays_behind_the_door():
    target = Target.from_release(TABLE.assign(patient=["p9", "p2"]), owner="patient")
    assert target.model.owners.tolist() == ["p9", "p2"]
    assert list(target.view(ThreatModel(observes=Observes.RELEASE)).released().columns) == ["the age", "town"]
    with pytest.raises(InputError, match=r"released table has no owner column 'twn'; .* Did you mean 'town'\?"):
        Target.from_release(TABLE, owner="twn")


def test_a_recipe_releases_again_and_says_what_it_got():
    records = Records.of(TABLE, np.zeros(2))
    recipe = ReleaseRecipe(lambda records, seed: records.x.assign(seed=seed))
    assert isinstance(recipe, Recipe)
    assert recipe.fit(records, 5).model.table["seed"].tolist() == [5, 5]
    with pytest.raises(InputError, match="The release function returned list; return a pandas DataFrame"):
        ReleaseRecipe(lambda records, seed: [1]).fit(records, 0)


def test_the_planted_leak_copies_its_share_and_keeps_every_column():
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"a": rng.normal(size=2000), "b": rng.normal(size=2000), "c": rng.choice(list("xyz"), 2000)})
    records = Records.of(table, np.zeros(2000))
    released = LeakyRelease(0.3).fit(records, 1).model.table
    copied = released.merge(table, how="inner", on=list(table.columns))
    assert len(copied) == pytest.approx(600, abs=80)
    for name in table.columns:
        assert sorted(released[name]) == sorted(table[name])
        assert released[name].dtype == table[name].dtype
    pd.testing.assert_frame_equal(released, LeakyRelease(0.3).fit(records, 1).model.table)
    assert len(LeakyRelease(1.0).fit(records, 1).model.table.merge(table)) == 2000
    owners = LeakyRelease(0.3).fit(records, 1).model.owners
    own = (released.to_numpy() == table.to_numpy()[owners]).all(axis=1)
    assert own.sum() == len(copied)
    assert sorted(owners) == list(range(2000))
