"""What holds for every attribute attack: a planted leak is found, a null target is not, the door is kept."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy.stats import binom

from safelight.attacks.attributes.csmia import Csmia
from safelight.attacks.attributes.fredrikson import Fredrikson
from safelight.attacks.attributes.lomia import Lomia
from safelight.attacks.attributes.tree import TreeCounts
from safelight.attacks.base import all_attacks, settings
from safelight.data.records import concat
from safelight.docstrings import paragraph
from safelight.errors import AccessDenied, BudgetSpent
from safelight.recipes.sklearn import SklearnRecipe
from safelight.targets.base import Images, Side, Table
from safelight.targets.fake import LeakyRecipe
from safelight.threat import Access, ThreatModel

ATTACKS = [Fredrikson(), Csmia(), Lomia(), TreeCounts()]
ASKING = [Fredrikson(), Csmia(), Lomia()]


def named(attack: object) -> str:
    return type(attack).__name__


def view_of(target, attack, public=None, queries=None, access=None):
    return target.view(ThreatModel(access or attack.needs, queries=queries), Side(public=public))


@pytest.mark.parametrize("attack", ATTACKS, ids=named)
def test_it_is_found_and_documents_itself(attack):
    assert all_attacks()[attack.code] is type(attack)
    for heading in ("What it shows:", "Who could do it:", "How to lower it:"):
        assert len(paragraph(type(attack), heading)) > 30
    assert all(f"{name}:" in type(attack).__doc__ for name in settings(attack))


@pytest.mark.parametrize("attack", ATTACKS, ids=named)
def test_a_forest_that_fits_single_records_gives_the_secret_away(attack, help):
    records, secret = help.survey(300, seed=1)
    public, _ = help.survey(200, seed=2)
    target = SklearnRecipe(help.forest()).fit(records, seed=0)
    answer = attack.run(view_of(target, attack, public), help.asked(records), np.random.default_rng(0))
    right, guesses = help.surest(answer, secret)
    assert answer.values.shape == (300, 2)
    assert right >= 0.8 * guesses


@pytest.mark.filterwarnings("ignore:LOMIA found")
@pytest.mark.parametrize("attack", ATTACKS, ids=named)
def test_a_model_that_never_saw_the_records_gives_nothing_away(attack, help):
    right = guesses = 0
    for seed in range(6):
        others, _ = help.survey(200, seed=100 + seed)
        records, secret = help.survey(150, seed=200 + seed)
        public, _ = help.survey(100, seed=300 + seed)
        target = SklearnRecipe(help.forest(15)).fit(others, seed)
        answer = attack.run(view_of(target, attack, public), help.asked(records), np.random.default_rng(seed))
        hits = help.surest(answer, secret)
        right, guesses = right + hits[0], guesses + hits[1]
    assert binom.ppf(5e-4, guesses, 0.5) <= right <= binom.ppf(1 - 5e-4, guesses, 0.5)


@pytest.mark.filterwarnings("ignore:LOMIA found")
@pytest.mark.parametrize("attack", ASKING, ids=named)
def test_a_leak_of_a_third_measures_a_third(attack, help):
    records, secret = help.survey(450, seed=3)
    public, _ = help.survey(100, seed=4)
    target = LeakyRecipe(Table(tuple(records.x.columns)), pictures=False, leak=1 / 3).fit(records, seed=0)
    everyone = concat([records, public])
    answer = attack.run(view_of(target, attack, everyone), help.asked(records), np.random.default_rng(0))
    # Where the fake's usual answer is right anyway, a label gives nothing away.
    usual = np.bincount(records.y).argmax()
    tellable = (records.y != usual) | (attack.needs > Access.LABEL)
    given_away = np.ptp(answer.values, axis=1) > 0.6
    assert (answer.values.argmax(axis=1) == secret)[given_away].mean() > 0.97
    low, high = binom.ppf([5e-4, 1 - 5e-4], tellable.sum(), 1 / 3)
    assert low <= (given_away & tellable).sum() <= high


@pytest.mark.parametrize("attack", [Csmia(), TreeCounts()], ids=named)
def test_it_is_refused_one_level_lower(attack, help):
    records, _ = help.survey(40, seed=5)
    target = SklearnRecipe(help.forest(3)).fit(records, seed=0)
    lower = Access(attack.needs - 1)
    with pytest.raises(AccessDenied, match=f"needs {attack.needs.word} and the threat model grants {lower.word}"):
        attack.run(view_of(target, attack, records, access=lower), help.asked(records), np.random.default_rng(0))


@pytest.mark.parametrize("attack", ATTACKS, ids=named)
def test_targets_that_it_cannot_ask_are_refused(attack, help):
    records, _ = help.survey(60, seed=6)
    pictures = LeakyRecipe(Images((1, 2, 2)), pictures=False).fit(
        type(records).of(np.zeros((4, 1, 2, 2)), [0, 1, 0, 1]), seed=0
    )
    with pytest.raises(AccessDenied, match="takes images"):
        attack.run(view_of(pictures, attack, records), help.asked(records), np.random.default_rng(0))
    without = type(records)(records.x.drop(columns="smoker"), records.y, records.ids)
    blind = SklearnRecipe(help.forest(3)).fit(without, seed=0)
    with pytest.raises(AccessDenied, match="never reads the column 'smoker'"):
        attack.run(view_of(blind, attack, records), help.asked(records), np.random.default_rng(0))


@pytest.mark.filterwarnings("ignore:LOMIA found")
@pytest.mark.parametrize("attack", ASKING, ids=named)
def test_a_small_budget_asks_whole_records_only(attack, help):
    records, _ = help.survey(200, seed=7)
    target = SklearnRecipe(help.forest(10)).fit(records, seed=0)
    view = view_of(target, attack, records, queries=101)
    answer = attack.run(view, help.asked(records), np.random.default_rng(0))
    told = np.ptp(answer.values, axis=1) > 0
    assert view.spent <= 101
    assert 0 < told.sum() <= 50
    assert answer.values.shape == (200, 2)
    assert (answer.values[~told] == 0).all()
    assert told[100:].any()
    again = attack.run(
        view_of(target, attack, records, queries=101), help.asked(records), np.random.default_rng(1)
    ).values
    assert not np.array_equal(told, np.ptp(again, axis=1) > 0)


@pytest.mark.filterwarnings("ignore:LOMIA found")
@pytest.mark.parametrize("attack", ASKING, ids=named)
def test_answers_reach_the_records_that_were_asked(attack, help):
    secret = np.random.default_rng(0).integers(0, 2, 100)
    answers = (np.arange(2) == secret[:, None]).astype(int)
    target, question, _ = help.scripted(
        answers if attack.needs == Access.LABEL else np.eye(2)[answers], np.ones(100, int)
    )
    public = question.records.take(np.arange(10))
    public.x["smoker"] = np.arange(10) % 2
    view = view_of(target, attack, public, queries=60)
    got = attack.run(view, question, np.random.default_rng(0)).values
    told = np.ptp(got, axis=1) > 0
    assert told.sum() >= 20
    assert (got.argmax(axis=1) == secret)[told].all()


@pytest.mark.parametrize("attack", ASKING, ids=named)
def test_a_budget_below_one_record_sends_nothing(attack, help):
    target, question, model = help.scripted(np.zeros((5, 3), int), np.zeros(5, int))
    spare = attack.code == "A001"
    view = view_of(target, attack, question.records, queries=2 + spare)
    with pytest.raises(BudgetSpent, match="One record takes 3 queries"):
        attack.run(view, question, np.random.default_rng(0))
    assert sum(model.asked) == view.spent <= spare


@pytest.mark.filterwarnings("ignore:LOMIA found")
@pytest.mark.parametrize("attack", ATTACKS, ids=named)
def test_the_same_seed_gives_the_same_answer(attack, help):
    records, _ = help.survey(120, seed=8)
    target = SklearnRecipe(help.forest(5)).fit(records, seed=0)
    first, second = (
        attack.run(view_of(target, attack, records, queries=120), help.asked(records), np.random.default_rng(9)).values
        for _ in range(2)
    )
    assert np.array_equal(first, second)


@pytest.mark.parametrize("attack", ATTACKS, ids=named)
def test_words_and_three_values_work_too(attack, help):
    values = ("daily", "never", "rarely")
    records, secret = help.survey(240, seed=10, values=values)
    words = help.forest(25)
    words.steps[0][1].transformers[0] = ("words", words.steps[0][1].transformers[0][1], ["region", "smoker"])
    target = SklearnRecipe(words).fit(records, seed=0)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="LOMIA found")
        answer = attack.run(view_of(target, attack, records), help.asked(records, values), np.random.default_rng(0))
    right, guesses = help.surest(answer, secret)
    assert answer.values.shape == (240, 3)
    assert right >= 0.6 * guesses
