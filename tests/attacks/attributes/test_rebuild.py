"""A table rebuilt from a forest: held against the counts, against every possible table, and against the true one."""

import sys
from itertools import combinations_with_replacement, product

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from safelight.attacks.attributes import rebuild as module
from safelight.attacks.attributes.counts import Leaf, drawn, leaves
from safelight.attacks.attributes.held import held_values
from safelight.attacks.attributes.placing import Unplaced, place
from safelight.attacks.attributes.rebuild import rebuild
from safelight.errors import AccessDenied, MissingExtra
from safelight.measures.table_error import chance_error, table_error


def patients(n: int, columns: int):
    """Return cut-in-half columns and diagnosis of n patients, and the columns of the others."""
    bunch = load_breast_cancer()
    x = (bunch.data[:, :columns] > np.median(bunch.data[:, :columns], axis=0)).astype(int)
    order = np.random.default_rng(7).permutation(len(x))
    return x[order[:n]], bunch.target[order[:n]], x[order[n:]]


def forest(n: int = 40, columns: int = 6, trees: int = 40, **settings):
    x, y, others = patients(n, columns)
    return RandomForestClassifier(trees, random_state=0, **settings).fit(x, y), x, y, others


def counts_of(tree, x, y, copies, classes):
    """Count, with a table in hand, the records of each class in every leaf and how many of them are different."""
    home = tree.apply(x.astype(np.float32))
    found = {}
    for leaf in np.unique(home[copies > 0]):
        inside = (home == leaf) & (copies > 0)
        held = [int(copies[inside & (y == c)].sum()) for c in range(classes)]
        found[int(leaf)] = (held, int(inside.sum()))
    return found


def stored_counts(tree):
    ends = np.flatnonzero(tree.children_left == -1)
    counts = np.rint(tree.value[:, 0] * tree.weighted_n_node_samples[:, None]).astype(int)
    return {int(leaf): (counts[leaf].tolist(), int(tree.n_node_samples[leaf])) for leaf in ends}


@pytest.mark.parametrize("bootstrap", [True, False])
def test_leaves_and_draws_are_those_of_the_training_data(bootstrap):
    model, x, y, _ = forest(bootstrap=bootstrap)
    copies = drawn(model)
    for tree, often in zip(model.estimators_, copies):
        assert counts_of(tree.tree_, x, y, often, 2) == stored_counts(tree.tree_)
        read = leaves(tree.tree_)
        assert sorted((leaf.counts.tolist(), leaf.distinct) for leaf in read) == sorted(
            stored_counts(tree.tree_).values()
        )
        for leaf in read:
            reaches = np.all([(x[:, column] > cut) == above for column, cut, above in leaf.path], axis=0)
            assert [int(often[reaches & (y == c)].sum()) for c in range(2)] == leaf.counts.tolist()


def test_draws_are_unknown_without_the_seeds():
    model, *_ = forest()
    for tree in model.estimators_:
        tree.random_state = None
    assert drawn(model) is None
    del model._n_samples
    assert drawn(model) is None


@pytest.mark.parametrize("settings", [{}, {"max_samples": 0.6}, {"max_depth": 3}, {"bootstrap": False}])
def test_the_rebuilt_table_has_every_count_of_every_tree(settings):
    model, *_ = forest(**settings)
    found = rebuild(model)
    assert found.trees.tolist() == [40, 40]
    assert found.of == 40
    for tree, often in zip(model.estimators_, drawn(model)):
        assert counts_of(tree.tree_, found.table.x, found.table.y, often, 2) == stored_counts(tree.tree_)


def test_a_default_forest_gives_every_cell_back_in_its_place():
    model, x, y, _ = forest(60, 8, 100)
    found = rebuild(make_pipeline(StandardScaler(), model))
    assert found.in_order
    assert np.array_equal(found.table.x, x)
    assert np.array_equal(found.table.y, y)


def test_without_bootstrap_the_table_comes_back_in_no_order():
    model, x, y, others = forest(60, 8, 100, bootstrap=False)
    found = rebuild(model)
    assert not found.in_order
    assert np.bincount(found.table.y).tolist() == np.bincount(y).tolist()
    assert table_error(found.table.x, x) < 0.05 < chance_error(others, x, np.random.default_rng(0))


def test_without_seeds_most_of_the_table_comes_back():
    model, x, _, others = forest(40, 8, 30)
    found = rebuild(model, seeds=False, seconds=10)
    assert not found.in_order
    assert table_error(found.table.x, x) < 0.6 * chance_error(others, x, np.random.default_rng(0))


def every_table(rows: int, columns: int):
    cells = list(product((0, 1), repeat=columns))
    return [np.array(table) for table in combinations_with_replacement(cells, rows)]


def test_the_solver_finds_a_table_if_and_only_if_there_is_one():
    """All 20 tables of 3 records with 2 binary columns, against all counts that one or two small trees can have."""
    tree = [[(0, 0.5, False)], [(0, 0.5, True), (1, 0.5, False)], [(0, 0.5, True), (1, 0.5, True)]]
    other = [[(1, 0.5, False)], [(1, 0.5, True)]]

    def counted(paths, table):
        reached = [np.all([(table[:, j] > cut) == above for j, cut, above in path], axis=0).sum() for path in paths]
        return tuple(int(count) for count in reached)

    tables = every_table(3, 2)
    possible = {(counted(tree, table), counted(other, table)) for table in tables}
    known = Unplaced(np.zeros(3, dtype=int), np.ones((2, 3), dtype=int), 3, 3, alike=True)
    for first in product(range(4), repeat=3):
        for second in product(range(4), repeat=2):
            if sum(first) != 3 or sum(second) != 3:
                continue
            trees = [
                [Leaf(tuple(path), np.array([count]), count) for path, count in zip(paths, counts) if count]
                for paths, counts in ((tree, first), (other, second))
            ]
            found = place(trees, known, [np.arange(2.0)] * 2, (), 10, 0)
            assert (found.x is not None) == ((first, second) in possible)
            assert found.impossible == ((first, second) not in possible)
            if found.x is not None:
                assert (counted(tree, found.x), counted(other, found.x)) == (first, second)


def test_where_draws_are_unknown_two_records_fill_eight_places_of_a_mixed_leaf_and_not_nine():
    alone = Unplaced(np.zeros(2, dtype=int), None, 5, 10, alike=True)
    for count, impossible in ((2, False), (8, False), (9, True)):
        mixed = Leaf((), np.array([count, 1]), 3)
        assert place([[mixed]], alone, [np.zeros(1)], (), 10, 0).impossible == impossible


def test_classes_are_read_from_the_roots_only_where_they_are_the_only_ones():
    model, _, y, _ = forest(40, 6, 40)
    for trees, proven in ((40, True), (2, False)):
        stored = [leaves(tree.tree_) for tree in model.estimators_[:trees]]
        table = module._Table(stored, held_values(stored, [None] * 6), (), 40, 0)
        found = table.labels(drawn(model)[:trees], 10)
        assert np.array_equal(found, y if proven else np.full(40, -1))


def test_classes_that_the_roots_leave_open_are_found_with_the_rest():
    model, *_ = forest(12, 4, 6)
    found = rebuild(model)
    assert found.trees.min() == 6
    for tree, often in zip(model.estimators_, drawn(model)):
        assert counts_of(tree.tree_, found.table.x, found.table.y, often, 2) == stored_counts(tree.tree_)


def test_cuts_become_the_values_between_them():
    def cut(*pairs):
        return [[Leaf(tuple((column, float(at), True) for column, at in pairs), np.ones(1), 1)]]

    trees = cut((0, 0.5), (1, 1.5), (1, 2.0), (1, 4.5), (2, 0.3), (2, 0.7))
    halves, whole, real, never = held_values(trees, [None] * 4)
    assert halves.tolist() == [0, 1]
    assert whole.tolist() == [1, 2, 4, 5] or whole.tolist() == [1, 2, 3, 5]
    assert real == pytest.approx([0.1, 0.5, 0.9])
    assert never.tolist() == [0]
    assert held_values(trees, [True] * 4)[2].tolist() == [0, 1]
    assert held_values(trees, [False] * 4)[0].tolist() == [0, 1]


def test_columns_of_whole_numbers_come_back_from_extra_trees():
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 4, (40, 4)), rng.integers(0, 2, 40)
    model = ExtraTreesClassifier(30, random_state=0).fit(x, y)
    found = rebuild(model, whole=[True] * 4)
    assert all(np.array_equal(values, np.rint(values)) for values in found.table.x.T)
    assert table_error(found.table.x, x) < 0.05


def test_columns_of_one_category_exclude_each_other():
    rng = np.random.default_rng(0)
    x, y = np.eye(3, dtype=int)[rng.integers(0, 3, 40)], rng.integers(0, 2, 40)
    x = np.hstack([x, rng.integers(0, 2, (40, 2))])
    model = DecisionTreeClassifier(max_depth=2, random_state=0).fit(x, y)
    assert (rebuild(model).table.x[:, :3].sum(axis=1) != 1).any()
    assert (rebuild(model, groups=[(0, 1, 2)]).table.x[:, :3].sum(axis=1) <= 1).all()


def test_the_same_seed_gives_the_same_table():
    model, *_ = forest(30, 6, 10, bootstrap=False)
    first, second = rebuild(model, seed=1), rebuild(model, seed=1)
    assert np.array_equal(first.table.x, second.table.x)


def test_a_program_that_is_too_large_takes_fewer_trees(monkeypatch):
    model, *_ = forest(bootstrap=False)
    monkeypatch.setattr(module, "MOST_LITERALS", 1000)
    used = rebuild(model).trees
    assert (used >= 1).all()
    assert (used < 40).all()


def test_weighted_records_are_refused():
    x, y, _ = patients(40, 6)
    halves = RandomForestClassifier(5, bootstrap=False).fit(x, y, sample_weight=np.full(40, 0.3))
    with pytest.raises(AccessDenied, match="weighted records or classes are not undone"):
        rebuild(halves)
    twice = RandomForestClassifier(5, bootstrap=False).fit(x, y, sample_weight=np.full(40, 2))
    with pytest.raises(AccessDenied, match="not those of the records that they drew"):
        rebuild(twice)


def test_counts_of_no_table_are_refused():
    model, *_ = forest(20, 4, 3, bootstrap=False)
    other, *_ = forest(20, 4, 3, bootstrap=False, max_depth=1)
    other.estimators_[0] = DecisionTreeClassifier(max_depth=1).fit(1 - patients(20, 4)[0], patients(20, 4)[1])
    model.estimators_ = [other.estimators_[0], *model.estimators_]
    with pytest.raises(AccessDenied, match=r"No table of 20 records has the counts of the first 4 tree\(s\)"):
        rebuild(model)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (LogisticRegression(), "the target is a LogisticRegression"),
        (RandomForestRegressor(2), "the target is a RandomForestRegressor"),
    ],
)
def test_other_models_are_refused(model, said):
    x, y, _ = patients(40, 6)
    with pytest.raises(AccessDenied, match=said):
        rebuild(model.fit(x, y))


def test_several_labels_at_once_are_refused():
    x, y, _ = patients(40, 6)
    with pytest.raises(AccessDenied, match="predicts 2 labels at once"):
        rebuild(RandomForestClassifier(2).fit(x, np.stack([y, y], axis=1)))


def test_a_missing_solver_is_named(monkeypatch):
    model, *_ = forest(20, 4, 3)
    monkeypatch.setitem(sys.modules, "ortools.sat.python.cp_model", None)
    with pytest.raises(MissingExtra, match=r'needs the package ortools.*pip install "safelight\[forest\]"'):
        rebuild(model)
