"""The attacks on released tables beside literal versions, on real patients and on ties."""

import json

import numpy as np
import pandas as pd
import pytest

from safelight.attacks.linkage.domias import Domias, log_ratio
from safelight.attacks.linkage.gower import distances
from safelight.attacks.linkage.inference import NearestValue, votes
from safelight.attacks.linkage.linkability import Linkability, meeting
from safelight.attacks.linkage.singling_out import SinglingOut
from safelight.controls.coins.releases import in_two_halves
from safelight.data.predicates import holding, of_form
from safelight.data.records import Records
from safelight.errors import AccessDenied, InputError
from safelight.evidence import WhatSinglesOut, WhichBelongTogether, WhichValue, WhoWasIn
from safelight.measures.roc import auc
from safelight.recipes.release import column_shuffled
from safelight.targets.base import Side, Target
from safelight.threat import Observes, ThreatModel


@pytest.fixture(scope="module")
def people(patients):
    order = np.random.default_rng(0).permutation(len(patients))
    return patients.take(order[:200]), patients.take(order[200:400]), patients.take(order[400:])


def door(table, public=None):
    return Target.from_release(table).view(ThreatModel(observes=Observes.RELEASE), Side(public))


def rng():
    return np.random.default_rng(1)


# Linkability ---------------------------------------------------------------------------------------------------------
def test_the_least_k_is_that_of_growing_lists():
    left, right = np.random.default_rng(0).integers(0, 6, (2, 40, 12)) / 6  # many ties
    for row, k in enumerate(meeting(left, right)):

        def near(of, size, row=row):
            return {place for place, d in enumerate(of[row]) if (of[row] <= d).sum() <= size}

        least = next(size for size in range(1, 13) if near(left, size) & near(right, size))
        assert k == least


def test_a_copied_table_links_its_people_and_a_shuffled_one_nobody(people):
    members, others, _ = people
    attack = Linkability()
    rates = {}
    for name, table in (("copy", members.x), ("shuffled", column_shuffled(members.x, rng()))):
        for whose, records in (("members", members), ("others", others)):
            pairs = in_two_halves(records, "mean radius, mean texture, mean area", rng())
            rates[name, whose] = float((attack.run(door(table), pairs, rng()).values >= 0).mean())
    assert rates["copy", "members"] == 1
    assert max(rate for place, rate in rates.items() if place != ("copy", "members")) < 0.1


def test_a_crowd_of_equals_links_nobody():
    table = pd.DataFrame({"town": ["Salem"] * 5, "sex": ["f"] * 5})
    records = Records.of(table, np.zeros(5))
    pairs = in_two_halves(records, "town", rng())
    assert (Linkability(neighbours=4).run(door(table), pairs, rng()).values < 0).all()
    assert (Linkability(neighbours=5).run(door(table), pairs, rng()).values >= 0).all()


def test_halves_hold_every_column_once_and_a_wrong_name_is_said(people):
    pairs = in_two_halves(people[0], "", rng())
    assert isinstance(pairs, WhichBelongTogether)
    assert sorted([*pairs.left.x.columns, *pairs.right.x.columns]) == sorted(people[0].x.columns)
    with pytest.raises(InputError, match=r"there is no column 'insurrer'. Did you mean 'insurer'\?"):
        in_two_halves(people[0], "insurrer", rng())
    with pytest.raises(InputError, match="at least one column in each of two sources"):
        in_two_halves(people[0], ",".join(people[0].x.columns), rng())


# Inference -----------------------------------------------------------------------------------------------------------
def test_a_small_width_is_the_nearest_neighbour(people):
    members, others, _ = people
    question = WhichValue(others, "insurer", np.array(["north", "south"]))
    answer = NearestValue(width=1e-5).run(door(members.x), question, rng()).values
    known = [name for name in members.x.columns if name != "insurer"]
    near = np.concatenate(list(distances(others.x, members.x[known]))).argmin(axis=1)
    assert np.array_equal(question.values[answer.argmax(axis=1)], members.x["insurer"].to_numpy()[near])


def test_among_equally_near_records_the_most_frequent_value_wins_and_an_absent_one_is_last():
    distance = np.array([[0.0, 0.0, 0.0, 0.5]])
    held = np.array([[1, 0, 0], [0, 1, 0], [0, 1, 0], [1, 0, 0]])
    found = votes(distance, held, 0.01)[0]
    assert found[1] - found[0] == pytest.approx(np.log(2))
    assert found[2] == -100  # as one record at distance 1 would count
    literal = np.log(np.exp(-distance[0] / 0.01) @ held + np.exp(-100))
    assert np.allclose(found, literal)


def test_values_that_the_release_does_not_hold_are_said(people):
    table = people[0].x.assign(insurer="?")
    with pytest.raises(InputError, match="column 'insurer' holds none of the 2 values in question; code it"):
        NearestValue().run(door(table), WhichValue(people[1], "insurer", np.array(["north", "south"])), rng())


# DOMIAS --------------------------------------------------------------------------------------------------------------
def test_the_ratio_is_that_of_two_kernel_densities():
    release, public = np.random.default_rng(0).random((2, 5, 8))
    public = public[:, :6]
    for row, found in enumerate(log_ratio(release, public, 0.25)):
        width = 0.25 * (release[row].min() + public[row].min()) / 2
        dense, plain = np.exp(-release[row] / width).mean(), np.exp(-public[row] / width).mean()
        assert found == pytest.approx(np.log(dense / plain))


def test_among_copies_only_their_number_counts():
    assert log_ratio(np.zeros((1, 4)), np.array([[0.0, 1.0, 1.0, 1.0]]), 0.25)[0] == pytest.approx(np.log(4))


def test_copies_are_told_and_other_tables_tell_nothing(people):
    members, others, public = people
    asked = Records.of(pd.concat([members.x, others.x]), np.zeros(400))
    member = np.arange(400) < 200
    for table, low, high in ((members.x, 0.99, 1), (column_shuffled(members.x, rng()), 0.4, 0.6)):
        scores = Domias().run(door(table, public), WhoWasIn(asked), rng()).values[:, 0]
        assert low <= auc(scores[member], scores[~member]) <= high


def test_it_needs_public_records(people):
    few = people[2].take(np.arange(19))
    with pytest.raises(InputError, match="at least 20 public records, and there are 19"):
        Domias().run(door(people[0].x, few), WhoWasIn(people[1]), rng())
    assert Domias().misfit(None, Side(few)) == "it needs 20 public records, and there are 19"


# Singling out --------------------------------------------------------------------------------------------------------
def test_every_guess_holds_for_one_released_record_and_both_forms_are_there(people):
    table = people[0].x
    attack = SinglingOut(guesses=60)
    answer = attack.run(door(table), WhatSinglesOut(tuple(table.columns)), rng())
    assert (holding(answer.texts, table).sum(axis=1) == 1).all()
    for several in (False, True):
        assert len(of_form(answer.texts, several)) == len(of_form(answer.blind, several)) == 60
    assert {len(json.loads(text)) for text in answer.texts} == {1, 3}
    assert len(set(answer.texts)) == len(answer.texts)


def test_guesses_of_one_condition_are_extremes_and_values_released_once():
    table = pd.DataFrame({"the age": [30, 30, 41, 52], "town": ["a", "b", "b", "b"]})
    answer = SinglingOut().run(door(table), WhatSinglesOut(tuple(table.columns)), rng())
    assert set(of_form(answer.texts, False)) == {
        '[["the age", "==", 41.0]]', '[["the age", "==", 52.0]]', '[["the age", ">=", 52.0]]', '[["town", "==", "a"]]'
    }  # fmt: skip


def test_guesses_of_several_conditions_point_away_from_the_middle(people):
    table = people[0].x
    answer = SinglingOut(columns=2).run(door(table), WhatSinglesOut(tuple(table.columns)), rng())
    for text in of_form(answer.texts, True):
        for name, how, value in json.loads(text):
            if how == "==":
                assert name == "insurer"
            else:
                assert (value > table[name].median()) == (how == ">=")


# Doors ---------------------------------------------------------------------------------------------------------------
def test_a_column_that_was_not_released_is_said(people):
    view = door(people[0].x.drop(columns="mean area"))
    with pytest.raises(InputError, match="has no column 'mean area'; its columns are mean radius"):
        Domias().run(Target.from_release(people[0].x.drop(columns="mean area")).view(view.threat, Side(people[2])),
                     WhoWasIn(people[1]), rng())  # fmt: skip


def test_a_release_answers_no_query_and_a_model_releases_nothing(people):
    view = door(people[0].x)
    for ask in (view.labels, view.scores):
        with pytest.raises(AccessDenied, match="sees nothing but a released table"):
            ask(people[0].x)
    with pytest.raises(AccessDenied, match="A released table answers no queries"):
        Target.from_release(people[0].x).model.labels(people[0].x)
    with pytest.raises(AccessDenied, match="reads a released table, and this attacker sees none"):
        Target.from_release(people[0].x).view(ThreatModel()).released()
