import warnings

import numpy as np
import pandas as pd
import pytest

from safelight.attacks.attributes.lomia import Lomia
from safelight.data.records import Records
from safelight.errors import AccessDenied
from safelight.evidence import WhichValue
from safelight.targets.base import Side
from safelight.threat import Access, ThreatModel


def test_records_that_one_value_explains_rank_first_and_teach_the_rest(help):
    rng = np.random.default_rng(0)
    secret = rng.integers(0, 2, 200)
    y = rng.integers(0, 2, 200)
    # Half of the records: only the true value gives the label; the others are answered alike for both values.
    answers = np.where(np.arange(2) == secret[:, None], y[:, None], 1 - y[:, None])
    answers[100:] = 0
    target, question, model = help.scripted(answers, y)
    # The true value can be learnt from another column that the target never reads.
    x = question.records.x.assign(hint=secret + rng.normal(0, 0.1, 200))
    question = WhichValue(Records.of(x, y), "smoker", np.array([0, 1]))
    got = Lomia().run(target.view(ThreatModel(Access.LABEL)), question, np.random.default_rng(0)).values
    margin = np.ptp(got, axis=1)
    assert np.allclose(margin[:100], 1)
    assert (margin[100:] <= 0.5).all()
    assert (got.argmax(axis=1) == secret).mean() > 0.97
    assert model.asked == [400]


@pytest.mark.parametrize(
    ("held", "words", "margin"), [(True, "the public marginal", 0.25), (False, "equal chances", 0)]
)
def test_too_few_such_records_leave_the_marginal_and_it_says_so(help, held, words, margin):
    answers = np.zeros((30, 2), int)
    answers[:3, 1] = 1
    target, question, _ = help.scripted(answers, np.zeros(30, int))
    public = Records.of(pd.DataFrame({"age": [1] * 6, "smoker": [1, 1, 1, 1, 1, 0]}), np.zeros(6, int))
    view = target.view(ThreatModel(Access.LABEL), Side(public if held else None))
    with pytest.warns(UserWarning, match=f"LOMIA found 3 of 30 records .*follow {words} alone"):
        got = Lomia().run(view, question, np.random.default_rng(0)).values
    assert (got[:3].argmax(axis=1) == 0).all()
    assert np.allclose(np.ptp(got[:3], axis=1), 1)
    assert np.allclose(got[3:, 1] - got[3:, 0], margin)


def test_records_explained_by_one_value_only_teach_nothing(help):
    answers = np.zeros((60, 2), int)
    answers[:30, 1] = 1
    target, question, _ = help.scripted(answers, np.zeros(60, int))
    with pytest.warns(UserWarning, match=r"LOMIA found 30 of 60 records .*\(1 different value\(s\)\)"):
        got = Lomia().run(target.view(ThreatModel(Access.LABEL)), question, np.random.default_rng(0)).values
    assert np.ptp(got[30:]) == 0


def test_when_every_record_is_explained_nothing_is_learnt(help):
    secret = np.arange(12) % 2
    target, question, _ = help.scripted((np.arange(2) != secret[:, None]).astype(int), np.zeros(12, int))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = Lomia().run(target.view(ThreatModel(Access.LABEL)), question, np.random.default_rng(0)).values
    assert (got.argmax(axis=1) == secret).all()


def test_a_regressor_is_refused(help):
    target, question, _ = help.scripted(np.zeros((4, 2)), np.zeros(4), classes=())
    with pytest.raises(AccessDenied, match="compares class labels and the target is a regressor; use A001"):
        Lomia().run(target.view(ThreatModel(Access.LABEL)), question, np.random.default_rng(0))
