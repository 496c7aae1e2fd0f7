"""Record linkage beside the literal weights of Fellegi and Sunter, on misspelt people, ties and missing values."""

import numpy as np
import pandas as pd
import pytest

from safelight.attacks.linkage.fellegi_sunter import nearly_equal, pair_weights
from safelight.attacks.linkage.records import RecordLinkage, best, shared
from safelight.data.records import Records
from safelight.errors import AccessDenied, InputError
from safelight.evidence import WhoIsWho
from safelight.recipes.release import column_shuffled
from safelight.targets.base import Target
from safelight.threat import Access, Observes, ThreatModel

TOWNS = ["Aachen", "Bremen", "Celle", "Dresden", "Essen", "Fulda", "Greifswald", "Hannover"]


def register(n, seed=0):
    """Return n people: age, town, and three answers of five."""
    rng = np.random.default_rng(seed)
    answers = {f"q{i}": rng.integers(0, 5, n).astype(str) for i in range(3)}
    return pd.DataFrame({"age": rng.normal(50, 20, n).round(), "town": rng.choice(TOWNS, n), **answers})


def misspelt(table, share, seed=1):
    """Return the table with this share of its towns mistyped and of its ages a few years off."""
    rng = np.random.default_rng(seed)
    typed = [town[:-1] + "x" if rng.random() < share else town for town in table["town"]]
    off = np.where(rng.random(len(table)) < share, rng.integers(-4, 5, len(table)), 0)
    return table.assign(town=typed, age=table["age"] + off)


def weights_of(people, released, pairs=10**6):
    return np.concatenate(list(pair_weights(people, released, pairs, np.random.default_rng(0))))


def run(released, people, seed=3, attack=None):
    view = Target.from_release(released).view(ThreatModel(observes=Observes.RELEASE))
    question = WhoIsWho(Records.of(people, np.zeros(len(people))))
    return (attack or RecordLinkage()).run(view, question, np.random.default_rng(seed))


# Weights -------------------------------------------------------------------------------------------------------------
def literal_weights(people, released, rounds=200):
    """Compute every pair's weight by the formulas: u counted, m by expectation maximisation, rarity of equal values."""
    n, m, columns = len(people), len(released), list(people.columns)

    def grade(column, a, b):
        if a == b:
            return 0
        if column == "age":
            spread = released["age"].std(ddof=0)
            return 1 if abs(a - b) <= 0.02 * spread else 2 if abs(a - b) <= 0.5 * spread else 3
        return 1 if literally_near(a, b) else 2

    grades = {c: np.array([[grade(c, a, b) for b in released[c]] for a in people[c]]) for c in columns}
    kinds = {c: 4 if c == "age" else 3 for c in columns}

    def shares(weight):
        counts = {c: np.bincount(grades[c].ravel(), weight.ravel(), kinds[c]) + 0.5 for c in columns}
        return {c: found / found.sum() for c, found in counts.items()}

    u, match = shares(np.ones((n, m))), 1 / max(n, m)
    chance = {c: np.r_[0.9, np.full(kinds[c] - 1, 0.1 / (kinds[c] - 1))] for c in columns}
    for _ in range(rounds):
        odds = np.full((n, m), match / (1 - match))
        for c in columns:
            odds *= (chance[c] / u[c])[grades[c]]
        before, chance = chance, shares(odds / (1 + odds))
        if max(np.abs(chance[c] - before[c]).max() for c in columns) < 1e-4:
            break
    total = np.full((n, m), np.log2(match / (1 - match)))
    for c in columns:
        values = pd.concat([people[c], released[c]])
        rarity = values.map(values.value_counts(normalize=True)).to_numpy()[:n]
        below = np.where(grades[c] == 0, rarity[:, None], u[c][grades[c]])
        total += np.log2(chance[c][grades[c]] / below)
    return total


def literally_near(a, b):
    """Return whether the words become equal when one letter at the most is left out of each."""
    if min(len(a), len(b)) < 4 or a == b:
        return False
    shorter = [{word, *(word[:i] + word[i + 1 :] for i in range(len(word)))} for word in (a.lower(), b.lower())]
    return bool(shorter[0] & shorter[1])


def test_weights_are_the_literal_ones():
    released = register(80)
    people = misspelt(released, 0.2)
    wrong = np.random.default_rng(5).random(80) < 0.1
    people.loc[wrong, "q0"] = "4"
    found = weights_of(people, released)
    assert found == pytest.approx(literal_weights(people, released))
    assert (found.argmax(axis=1) == np.arange(80)).mean() > 0.9


def test_nearly_equal_words_are_the_literal_ones():
    words = ["anna", "anne", "ann", "hanna", "nana", "aann", "maria", "mraia", "mari", "marla", "bob", "rob", "xyzzy"]
    found = nearly_equal(words).toarray().astype(bool)
    assert found.tolist() == [[literally_near(a, b) for b in words] for a in words]
    assert found[words.index("anna"), words.index("hanna")]
    assert found[words.index("maria"), words.index("mraia")]
    assert not found[words.index("bob"), words.index("rob")]


def test_words_are_compared_without_capitals_and_spaces_around():
    released = register(60)
    shouted = released.assign(town="  " + released["town"].str.upper())
    assert np.array_equal(weights_of(shouted, released), weights_of(released, released))


def test_learning_from_a_part_and_in_parts_covers_everybody_once():
    released = register(120)
    whole, parts = weights_of(released, released), weights_of(released, released, pairs=3000)
    assert np.isfinite(parts).all()
    assert (parts.argmax(axis=1) == whole.argmax(axis=1)).mean() > 0.95


def test_a_copy_of_a_wide_table_makes_no_difference_impossible():
    rng = np.random.default_rng(0)
    wide = pd.DataFrame({f"c{i}": rng.integers(0, 50, 200).astype(str) for i in range(40)})
    weights = weights_of(wide, wide)
    assert np.isfinite(weights).all()
    assert (weights.argmax(axis=1) == np.arange(200)).all()


@pytest.mark.parametrize("empty", [np.nan, None, pd.NA])
def test_a_missing_value_adds_nothing(empty):
    released = register(60)
    people = released.astype({"age": "Float64"} if empty is pd.NA else {"age": float}).astype({"town": object})
    people.loc[[0, 1], ["age", "town"]] = empty
    weights = weights_of(people, released)
    assert np.isfinite(weights).all()
    groups = released[["q0", "q1", "q2"]].apply("".join, axis=1)
    for person in (0, 1):
        for rows in groups.groupby(groups).groups.values():
            assert np.ptp(weights[person, list(rows)]) < 1e-9  # rows that differ in nothing else weigh the same


def test_a_rare_value_says_more_than_a_common_one():
    released = register(200).assign(town=["Aachen"] * 190 + ["Jever"] * 10)
    released.loc[195, ["age", "q0", "q1", "q2"]] = released.loc[5, ["age", "q0", "q1", "q2"]]
    weights = weights_of(released, released)
    assert weights[195, 195] - weights[5, 5] == pytest.approx(np.log2(190 / 10))


# The attack ----------------------------------------------------------------------------------------------------------
def test_misspelt_people_are_found_and_strangers_score_lower():
    everyone = register(400)
    released, people = everyone.iloc[:200].sample(frac=1, random_state=2), misspelt(everyone, 0.2)
    links = run(released, people)
    owner = released.index.to_numpy()
    right = owner[links.row[:200]] == np.arange(200)
    equal = [(released == person).all(axis=1).any() for _, person in people.iloc[:200].iterrows()]
    assert np.mean(equal) < 0.8 < right.mean()
    assert np.median(links.score[:200]) > np.median(links.score[200:]) + 3


def test_a_shuffled_release_names_nobody():
    table = register(300)
    links = run(column_shuffled(table, np.random.default_rng(4)), table)
    assert (links.row == np.arange(300)).mean() < 0.03


def test_ties_are_drawn_at_random_and_lead_by_nothing():
    table = pd.concat([register(30)] * 4, ignore_index=True)
    draws = np.stack([run(table, table.iloc[:30], seed).row for seed in range(3)])
    assert (draws % 30 == np.arange(30)).all()
    assert len(np.unique(draws // 30)) == 4
    links = run(table, table.iloc[:30])
    assert links.margin.max() == 0
    assert (links.score < np.log2(1 / 3) + 1e-6).all()  # one of four equal rows: odds of 1 to 3 at the most


def test_the_best_row_has_the_odds_of_one_person_one_row():
    weights = np.random.default_rng(0).normal(0, 4, (50, 7))
    row, score, margin = best(weights, np.random.default_rng(1))
    odds = 2.0**weights
    share = odds / (1 + odds.sum(axis=1, keepdims=True))
    chosen = share[np.arange(50), row]
    assert (row == weights.argmax(axis=1)).all()
    assert score == pytest.approx(np.log2(chosen / (1 - chosen)))
    ordered = np.sort(weights, axis=1)
    assert margin == pytest.approx(ordered[:, -1] - ordered[:, -2])
    alone = best(weights[:, :1], np.random.default_rng(1))
    assert alone[1] == pytest.approx(weights[:, 0])
    assert np.isinf(alone[2]).all()


def test_only_the_named_columns_are_compared():
    table = register(60)
    links = run(table, table.assign(age=0.0), attack=RecordLinkage(columns="town, q0,q1 ,q2"))
    assert np.array_equal(links.row, run(table, table, attack=RecordLinkage(columns="town,q0,q1,q2")).row)


def test_what_cannot_be_linked_is_refused_in_one_sentence():
    table = register(20)
    with pytest.raises(InputError, match=r"identified table has no column 'twon'\. Did you mean 'town'\?"):
        shared("town, twon", ["town"], ["town", "twon"])
    with pytest.raises(InputError, match="have no column in common; rename"):
        shared("", ["age"], ["years"])
    with pytest.raises(InputError, match="'age' holds numbers in the identified table and words in the release"):
        run(table.assign(age="30-39"), table)
    view = Target.from_release(table).view(ThreatModel(Access.WEIGHTS))
    with pytest.raises(AccessDenied, match="reads a released table"):
        RecordLinkage().run(view, WhoIsWho(Records.of(table, np.zeros(20))), np.random.default_rng(0))
