"""The contract of every attack: it keeps to its door and its budget, and tells a leak from none."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from scipy.stats import binom
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from safelight.attacks.base import all_attacks, attack_of, observes, settings
from safelight.compute.ledger import Ledger
from safelight.compute.shadows import ShadowPool
from safelight.controls.coins.attributes import AttributeCoins
from safelight.controls.coins.base import Draw, Guesses, guess
from safelight.controls.coins.canaries import CanaryCoins
from safelight.controls.coins.classes import ClassCoins
from safelight.controls.coins.missing import MissingCoins
from safelight.controls.coins.named import NamedCoins
from safelight.controls.coins.poisoned import PoisonedCoins
from safelight.controls.coins.properties import PropertyCoins
from safelight.controls.coins.ranges import RangeCoins
from safelight.controls.coins.records import RecordCoins
from safelight.controls.coins.releases import LinkCoins, SinglingCoins
from safelight.controls.coins.sets import SetCoins
from safelight.controls.planted import planted_recipe
from safelight.data.records import Records, Splits
from safelight.docstrings import paragraph
from safelight.errors import AccessDenied, BudgetSpent, InputError
from safelight.evidence import (
    Evidence,
    Origin,
    Role,
    WhatIsInside,
    WhatSinglesOut,
    WhatWouldItAnswer,
    WhichBelongTogether,
    WhichCanaries,
    WhichIsMissing,
    WhichRanges,
    WhichSets,
    WhichShare,
    WhichValue,
    WhoIsWho,
    WhoWasInPoisoned,
)
from safelight.recipes.sklearn import SklearnRecipe
from safelight.recipes.torch import TorchRecipe
from safelight.targets.base import Images, Side, Table
from safelight.threat import Access, Knows, Observes, ThreatModel

CODES = list(all_attacks())


def batchnorm(classes: int):
    from torch import nn

    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(512, classes)
    )


@pytest.fixture(scope="module")
def pictures(digits):
    order = np.random.default_rng(0).permutation(len(digits))
    splits = Splits(digits.take(order[:600]), digits.take(order[600:900]), digits.take(order[900:1300]))
    return splits, ClassCoins(), SklearnRecipe(LogisticRegression(C=0.1, max_iter=300), Images((1, 8, 8)))


@pytest.fixture(scope="module")
def table():
    """A coarse survey made from nothing: three small columns, a secret, and an answer that no column explains."""
    import pandas as pd

    rng = np.random.default_rng(5)
    n = 900
    x = pd.DataFrame({f"q{i}": rng.integers(0, 4, n) for i in range(5)}).assign(secret=rng.integers(0, 2, n))
    everyone = Records.of(x, rng.integers(0, 3, n))
    groups = (everyone.take(rows) for rows in np.split(np.arange(n), [400, 600]))
    return Splits(*groups, sensitive=("secret",))


def measured(table):
    """Return the survey with three measurements: nobody is singled out by coarse answers."""
    rng = np.random.default_rng(6)
    return replace(table, **{
        name: replace(group, x=group.x.assign(**{f"m {i}": rng.normal(size=len(group)) for i in range(3)}))
        for name, group in (("members", table.members), ("nonmembers", table.nonmembers), ("public", table.public))
    })  # fmt: skip


@dataclass(frozen=True)
class Answers:
    """No coins: what the model answers to the nonmembers is the secret, which is there when the model is."""

    share: float = 1.0

    def flip(self, splits, rng):
        return Draw(splits.members, WhatWouldItAnswer(splits.nonmembers), None, 2, lambda answer: answer.values)

    never_saw = flip


def case(attack, pictures, table):
    """Return splits, coins and an ordinary recipe for this attack's question."""
    if attack.answers is WhatIsInside:
        splits, coins, recipe = pictures
        if hasattr(attack, "planted"):
            recipe = TorchRecipe(batchnorm, Images((1, 8, 8)), epochs=3)
        return splits, coins, recipe
    if attack.answers is WhichRanges:
        splits, _, recipe = pictures
        return splits, RangeCoins(), recipe
    special = {
        WhichValue: AttributeCoins("secret"),
        WhichCanaries: CanaryCoins(),
        WhichSets: SetCoins(),
        WhichIsMissing: MissingCoins(),
    }
    special |= {WhichBelongTogether: LinkCoins(), WhatSinglesOut: SinglingCoins(), WhoIsWho: NamedCoins()}
    special |= {WhoWasInPoisoned: PoisonedCoins(), WhichShare: PropertyCoins("secret", 1)}
    if attack.answers is WhatWouldItAnswer:
        table = measured(table)
        return table, Answers(), attack.planted(Table(tuple(table.members.x.columns)), 0.0)
    if attack.answers is WhatSinglesOut:
        table = measured(table)
    coins = special.get(attack.answers, RecordCoins())
    if hasattr(attack, "planted"):
        # It needs a model of its own kind: as the null stands one that remembers others.
        return table, coins, attack.planted(Table(tuple(table.members.x.columns)), 1.0)
    plain = attack.needs is not Access.WEIGHTS
    return table, coins, SklearnRecipe(
        make_pipeline(StandardScaler(), LogisticRegression()) if plain else DecisionTreeClassifier(max_depth=2)
    )  # fmt: skip


def run(code, pictures, table, fit, runs, flip="flip", queries=None):
    """Return pooled guesses of an attack."""
    attack = attack_of(code)()
    splits, coins, recipe = case(attack, pictures, table)
    total, ledger = Guesses(0, 0, 0, 2), Ledger()
    for number in range(runs):
        rng = np.random.default_rng([number, 3])
        draw = getattr(coins, flip)(splits, rng)
        threat = ThreatModel(Access.WEIGHTS, observes(attack), queries).narrowed(attack.needs)
        # Who knows how a model is made has reference models that are made like it.
        known = shaped(attack, draw) if fit is planted else recipe
        target = fit(attack, recipe, draw, number)
        view = target.view(threat, Side(splits.public, ShadowPool(known, ledger=ledger)))
        secret = draw.secret if draw.secret is not None else target.model.labels(draw.question.records.x)
        total = total + guess(draw.match(attack.run(view, draw.question, rng)), secret, coins.share, rng)
    return total


def shaped(attack, draw):
    shape = Table(tuple(draw.train.x.columns)) if draw.train.is_table else Images(draw.train.x.shape[1:])
    return planted_recipe(attack, shape, False)


def planted(attack, recipe, draw, number):
    return shaped(attack, draw).fit(draw.train, number)


@pytest.mark.parametrize("code", CODES)
def test_it_documents_itself(code):
    attack = attack_of(code)
    assert code[0] in "VAMDLPKS"
    assert len(code) == 4
    assert attack.source
    assert 2 <= len(attack.title.split()) <= 6
    for heading in ("What it shows:", "Who could do it:", "How to lower it:"):
        assert paragraph(attack, heading).endswith("."), heading
    text = attack.__doc__ or ""
    for name in settings(attack()):
        assert f"{name}:" in text or f"{name}," in text, f"the setting {name} is not explained"


@pytest.mark.parametrize("code", CODES)
def test_it_finds_a_planted_leak(code, pictures, table):
    runs = {WhatIsInside: 8, WhichIsMissing: 20, WhichShare: 20}.get(attack_of(code).answers, 1)
    total = run(code, pictures, table, planted, runs)
    assert binom.sf(total.right - 1, total.guesses, 0.5) < 1e-3, f"{total.right} of {total.guesses}"


@pytest.mark.parametrize("code", CODES)
def test_it_stays_silent_on_a_model_that_never_saw_the_data(code, pictures, table):
    def trained(attack, recipe, draw, number):
        return recipe.fit(draw.train, number)

    runs = {WhatIsInside: 6, WhichIsMissing: 60, WhichShare: 60}.get(attack_of(code).answers, 2)
    total = run(code, pictures, table, trained, runs, flip="never_saw")
    assert 5e-4 < binom.cdf(total.right, total.guesses, 0.5) < 1 - 5e-4, f"{total.right} of {total.guesses}"


def door(code, pictures, table, **threat):
    """Return the attack, its view of a planted model, and a question."""
    attack = attack_of(code)()
    splits, coins, recipe = case(attack, pictures, table)
    draw = coins.flip(splits, np.random.default_rng(0))
    view = planted(attack, recipe, draw, 0).view(
        ThreatModel(**{"observes": observes(attack), **threat}), Side(splits.public, ShadowPool(recipe))
    )
    return attack, view, draw


@pytest.mark.parametrize("code", [code for code in CODES if attack_of(code).needs > Access.LABEL])
def test_it_is_refused_one_access_level_lower(code, pictures, table):
    lower = Access(attack_of(code).needs - 1)
    attack, view, draw = door(code, pictures, table, access=lower)
    with pytest.raises(AccessDenied, match=f"the threat model grants {lower.word}"):
        attack.run(view, draw.question, np.random.default_rng(0))


@pytest.mark.parametrize("code", CODES)
def test_it_is_refused_at_another_door(code, pictures, table):
    other = Observes.RELEASE if observes(attack_of(code)) is Observes.QUERIES else Observes.QUERIES
    attack, view, draw = door(code, pictures, table, access=Access.WEIGHTS, observes=other)
    with pytest.raises(AccessDenied, match="released table"):
        attack.run(view, draw.question, np.random.default_rng(0))


@pytest.mark.parametrize("code", [code for code in CODES if Knows.PUBLIC in attack_of(code).knows])
def test_it_says_what_it_must_know(code, pictures, table):
    attack, view, draw = door(code, pictures, table, access=Access.WEIGHTS)
    view.side = Side()
    with pytest.raises((AccessDenied, InputError), match="public"):
        attack.run(view, draw.question, np.random.default_rng(0))


@pytest.mark.parametrize("code", [code for code in CODES if attack_of(code).needs < Access.WEIGHTS])
@pytest.mark.parametrize("queries", [1, 37, 400])
def test_it_stops_at_its_budget(code, queries, pictures, table):
    attack, view, draw = door(code, pictures, table, access=attack_of(code).needs, queries=queries)
    try:
        attack.run(view, draw.question, np.random.default_rng(0))
    except BudgetSpent:
        assert queries < 400
    assert view.spent <= queries


@pytest.mark.parametrize("code", CODES)
def test_the_same_seed_gives_the_same_evidence_and_it_survives_the_disk(code, pictures, table):
    contents = []
    for _ in range(2):
        attack, view, draw = door(code, pictures, table, access=Access.WEIGHTS)
        answer = attack.run(view, draw.question, np.random.default_rng(3))
        origin = Origin(code, settings(attack), view.threat, Role.PLANTED, "planted", 3, view.spent, True)
        contents.append(Evidence(origin, answer, draw.match(answer), draw.secret).to_bytes())
    assert contents[0] == contents[1]
    assert Evidence.from_bytes(contents[0]).to_bytes() == contents[0]
