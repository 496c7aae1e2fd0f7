"""Stored records: exactly those that the file keeps are found, wherever the model keeps them."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import BaggingClassifier, RandomForestClassifier, StackingClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.impute import KNNImputer
from sklearn.kernel_approximation import Nystroem
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR

from safelight.attacks.disclosure.stored import StoredRecords, among, kept_rows
from safelight.data.records import Records
from safelight.errors import AccessDenied
from safelight.evidence import WhoWasIn
from safelight.recipes.nearest import NearestRecord
from safelight.targets.base import Images, Side, Table, Target
from safelight.targets.fake import LeakyRecipe
from safelight.threat import Access, ThreatModel

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def halves():
    bunch = load_breast_cancer(as_frame=True)
    order = np.random.default_rng(0).permutation(len(bunch.target))
    everyone = Records.of(bunch.data, bunch.target).take(order)
    return everyone, np.arange(len(everyone)) < len(everyone) // 2


def found_in(target, records):
    view = target.view(ThreatModel(Access.WEIGHTS))
    scores = StoredRecords().run(view, WhoWasIn(records), RNG).values
    assert scores.shape == (len(records), 1)
    assert view.spent == 0
    return scores[:, 0] == 1


def scaled(model):
    return make_pipeline(StandardScaler(), model)


WHOLE = {
    "1-NN": scaled(KNeighborsClassifier(1)),
    "5-NN, bare": KNeighborsClassifier(5),
    "bagged": scaled(BaggingClassifier(KNeighborsClassifier(), 5, max_features=0.5, bootstrap=False)),
    "Gaussian process": scaled(GaussianProcessClassifier(optimizer=None)),
    "kernel ridge": scaled(KernelRidge(kernel="rbf")),
    "imputer": make_pipeline(make_column_transformer((KNNImputer(), ["mean area"])), LogisticRegression()),
}


@pytest.mark.parametrize("name", WHOLE)
def test_a_model_that_keeps_all_records_gives_all_away(name, halves):
    everyone, member = halves
    members = everyone.take(member)
    found = found_in(Target.from_sklearn(WHOLE[name].fit(members.x, members.y), members.x), everyone)
    assert found[member].all()
    same = everyone.x["mean area"].isin(members.x["mean area"]) if name == "imputer" else member
    assert (found == same).all(), "a record is only found where it equals what is kept"


SOME = {
    "SVC": scaled(SVC()),
    "SVC, narrow": scaled(SVC(gamma=1.0)),
    "SVR": scaled(SVR(epsilon=0.4)),
    "searched": GridSearchCV(scaled(SVC()), {"svc__C": [0.1, 10]}, cv=3),
}


@pytest.mark.parametrize("name", SOME)
def test_support_vectors_are_found_and_no_other_record_is(name, halves):
    everyone, member = halves
    members = everyone.take(member)
    model = SOME[name].fit(members.x, members.y)
    found = found_in(Target.from_sklearn(model, members.x), everyone)
    kept = np.zeros(len(everyone), dtype=bool)
    kept[np.flatnonzero(member)[getattr(model, "best_estimator_", model)[-1].support_]] = True
    assert 0.2 < kept[member].mean() <= 1
    assert (found == kept).all()


def test_models_inside_others_are_opened(halves):
    everyone, member = halves
    members = everyone.take(member)
    for model in (
        CalibratedClassifierCV(scaled(SVC()), cv=3),
        StackingClassifier([("svc", scaled(SVC())), ("lr", scaled(LogisticRegression()))], cv=2),
        make_pipeline(StandardScaler(), Nystroem(n_components=20, random_state=0), LogisticRegression()),
    ):
        found = found_in(Target.from_sklearn(model.fit(members.x, members.y), members.x), everyone)
        assert 20 <= found[member].sum() < member.sum()
        assert not found[~member].any()


def test_texts_are_compared_as_sparse_rows():
    words = [f"word{number}" for number in range(300)]
    texts = np.array([" ".join(np.random.default_rng(row).choice(words, 8)) for row in range(120)])
    table = pd.DataFrame({"note": texts})
    model = make_pipeline(make_column_transformer((TfidfVectorizer(), "note")), KNeighborsClassifier(3))
    y = np.arange(120) % 2
    target = Target.from_sklearn(model.fit(table[:60], y[:60]), table)
    assert (found_in(target, Records.of(table, y)) == (np.arange(120) < 60)).all()


def test_single_and_double_precision_are_the_same_record(halves, digits):
    everyone, member = halves
    members = everyone.take(member)
    single = members.x.astype(np.float32)
    found = found_in(Target.from_sklearn(scaled(KNeighborsClassifier()).fit(single, members.y), single), everyone)
    assert (found == member).all()
    flat = digits.x[:500].reshape(500, -1).astype(float)
    model = KNeighborsClassifier().fit(flat, digits.y[:500])
    found = found_in(Target.from_sklearn(model, Images((1, 8, 8))), digits.take(np.arange(1000)))
    assert found[:500].all()
    assert not found[500:].any()


@given(st.integers(0, 10_000), st.booleans())
def test_equal_rows_are_those_that_a_plain_comparison_finds(seed, sparse):
    rng = np.random.default_rng(seed)
    width = int(rng.integers(1, 5))
    kept, asked = (rng.integers(-1, 2, (int(rng.integers(1, 30)), width)).astype(float) for _ in range(2))
    asked[:3] += rng.choice([0.0, 1e-9, 1e-3], (len(asked[:3]), width))
    scale = np.where(abs(kept).max(axis=0) == 0, 1, abs(kept).max(axis=0))
    plain = [any((abs(row - other) <= 1e-6 * scale).all() for other in kept) for row in asked]
    both = (csr_array(asked), csr_array(kept)) if sparse else (asked, kept)
    assert among(*both, tolerance=1e-6).tolist() == plain


def test_rows_with_gaps_and_of_another_width_equal_none():
    kept = np.array([[1.0, np.nan], [2.0, 3.0]])
    assert among(np.array([[1.0, 0.0], [2.0, 3.0]]), kept, 1e-6).tolist() == [False, True]
    assert among(np.ones((2, 3)), kept, 1e-6).tolist() == [False, False]
    assert among(np.ones((2, 2)), kept[:1], 1e-6).tolist() == [False, False]


def test_a_model_that_keeps_nothing_is_left_out_in_one_sentence(halves):
    everyone, _ = halves
    for model in (scaled(RandomForestClassifier(3)), scaled(LogisticRegression())):
        target = Target.from_sklearn(model.fit(everyone.x, everyone.y), everyone.x)
        kind = type(model[-1]).__name__
        assert StoredRecords().misfit(target.model, Side()) == f"a {kind} keeps no training records"
        with pytest.raises(AccessDenied, match=f"nothing to look for: a {kind} keeps no training records"):
            found_in(target, everyone)


def test_a_model_that_cannot_be_opened_is_said_to_be_none_of_scikit_learn(halves):
    everyone, _ = halves
    fake = LeakyRecipe(Table(tuple(everyone.x.columns)), pictures=False).fit(everyone, 0)
    assert StoredRecords().misfit(fake.model, Side()) == "the target is no scikit-learn model"
    object.__setattr__(fake.model, "access", Access.WEIGHTS)
    with pytest.raises(AccessDenied, match="opens scikit-learn models, and the target is none"):
        found_in(fake, everyone)


def test_distances_are_no_records():
    x = np.random.default_rng(0).random((20, 3))
    assert kept_rows(SVC(kernel="precomputed").fit(x @ x.T, np.arange(20) % 2)) is None
    assert kept_rows(KNeighborsClassifier(metric="precomputed").fit(abs(x @ x.T), np.arange(20) % 2)) is None
    assert kept_rows(SVC().fit(x, np.arange(20) % 2)).shape[1] == 3


def test_the_planted_model_keeps_its_share(patients, digits):
    """Of a table with words, of a regression, and of pictures."""
    answers = patients.relabelled(patients.x["mean area"].to_numpy(float))
    table = Table(tuple(patients.x.columns))
    for records, inputs in ((patients, table), (answers, table), (digits.take(np.arange(600)), Images((1, 8, 8)))):
        found = found_in(NearestRecord(inputs, 0.3).fit(records, 4), records)
        assert abs(found.mean() - 0.3) < 0.06
    assert found_in(NearestRecord(table, 0.0).fit(patients, 0), patients).sum() == 1
    assert found_in(NearestRecord(table).fit(patients, 0), patients).all()
