import numpy as np
import pytest

from safelight.attacks.attributes.fredrikson import Fredrikson
from safelight.data.records import Records
from safelight.errors import AccessDenied
from safelight.evidence import WhichValue
from safelight.targets.base import Side, Target
from safelight.threat import Access, ThreatModel


def literal(p_v, c, y, answers):
    """argmax_v P(v) * C[y, f(x, v)], record by record."""
    return [int(np.argmax([p_v[v] * c[label, row[v]] for v in range(len(p_v))])) for label, row in zip(y, answers)]


@pytest.fixture
def case(help):
    rng = np.random.default_rng(0)
    answers, y = rng.integers(0, 3, (90, 2)), rng.integers(0, 3, 90)
    target, question, model = help.scripted(answers, y, classes=("a", "b", "c"))
    public = question.records.take(np.arange(30))
    public.x["smoker"] = rng.integers(0, 2, 30)
    return target, question, model, public, answers


def test_it_is_the_papers_rule_with_a_confusion_matrix_asked_of_public_records(case):
    target, question, model, public, answers = case
    attack = Fredrikson(smoothing=0.5, by_heart=0.25)
    got = attack.run(target.view(ThreatModel(Access.LABEL), Side(public)), question, np.random.default_rng(1)).values
    held = public.x["smoker"].to_numpy()
    c = np.full((3, 3), 0.5)
    for row, label in enumerate(public.y):
        c[label, answers[row, held[row]]] += 1
    c = 0.75 * c / c.sum(axis=0) + 0.25 * np.eye(3)
    p_v = (np.bincount(held, minlength=2) + 1) / 32
    assert got.argmax(axis=1).tolist() == literal(p_v, c, question.records.y, answers)
    ratio = np.log(p_v[1] * c[question.records.y, answers[:, 1]] / (p_v[0] * c[question.records.y, answers[:, 0]]))
    assert np.allclose(got[:, 1] - got[:, 0], ratio)
    assert model.asked == [30, 180]


def test_a_small_budget_spends_a_fifth_on_public_records(case):
    target, question, model, public, _ = case
    view = target.view(ThreatModel(Access.LABEL, queries=50), Side(public))
    Fredrikson().run(view, question, np.random.default_rng(1))
    assert model.asked == [10, 40]
    assert view.spent == 50


def test_for_regression_the_nearer_prediction_wins(help):
    answers = np.array([[1.0, 3.0], [1.0, 3.0], [2.0, 2.0]])
    target, question, _ = help.scripted(answers, np.array([2.9, 1.2, 7.0]), classes=())
    public = Records.of(question.records.x.assign(smoker=[0, 1, 0]), np.array([1.5, 3.5, 2.5]))
    got = Fredrikson().run(target.view(ThreatModel(Access.LABEL), Side(public)), question, np.random.default_rng(0))
    margin = got.values[:, 1] - got.values[:, 0]
    prior = np.log(2 / 3)
    assert np.allclose(margin - prior, [(1.9**2 - 0.1**2) / 0.5, (0.2**2 - 1.8**2) / 0.5, 0.0])


def test_a_regressor_that_never_errs_on_public_records_still_ranks(help):
    target, question, _ = help.scripted(np.array([[1.0, 2.0], [5.0, 5.5]]), np.array([2.0, 5.0]), classes=())
    public = Records.of(question.records.x.assign(smoker=[0, 0]), np.array([1.0, 5.0]))
    got = Fredrikson().run(target.view(ThreatModel(Access.LABEL), Side(public)), question, np.random.default_rng(0))
    assert np.isfinite(got.values).all()
    assert got.values.argmax(axis=1).tolist() == [1, 0]


def test_without_public_records_it_says_what_to_do(case):
    target, question, model, _, _ = case
    with pytest.raises(AccessDenied, match='needs public records and holds none; add "public" to knows'):
        Fredrikson().run(target.view(ThreatModel(Access.LABEL)), question, np.random.default_rng(0))
    assert model.asked == []


def test_a_column_with_one_value_is_refused(case):
    target, question, _, public, _ = case
    single = WhichValue(question.records, "smoker", np.array([0]))
    with pytest.raises(Exception, match="has 1 value\\(s\\) to choose from; give at least two") as caught:
        Fredrikson().run(target.view(ThreatModel(Access.LABEL), Side(public)), single, np.random.default_rng(0))
    assert caught.typename == "InputError"
    assert isinstance(target, Target)
