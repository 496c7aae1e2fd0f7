"""A fake leaks by the amount it says."""

import numpy as np
import pytest

from safelight.targets.base import Images, Table
from safelight.targets.fake import LeakyRecipe
from safelight.threat import Access, ThreatModel


@pytest.mark.parametrize("leak", [0.0, 0.3, 1.0])
def test_the_share_of_remembered_records_is_the_share_asked_for(digits, leak):
    target = LeakyRecipe(Images((1, 8, 8)), pictures=False, leak=leak).fit(digits, seed=1)
    own = target.view(ThreatModel()).scores(digits.x)[np.arange(len(digits)), digits.y]
    assert (own > 0.9).mean() == pytest.approx(leak, abs=0.04)


def test_a_table_row_is_remembered_whatever_its_column_types(patients):
    target = LeakyRecipe(Table(tuple(patients.x.columns)), pictures=False).fit(patients, seed=1)
    assert (target.model.labels(patients.x.astype({"insurer": str})) == patients.y).mean() > 0.99
    changed = patients.x.assign(insurer="elsewhere")
    assert target.model.scores(changed).max() < 0.9


def test_stored_pictures_are_the_class_means_and_gradients_agree(digits):
    import torch

    target = LeakyRecipe(Images((1, 8, 8)), pictures=True).fit(digits, seed=1)
    view = target.view(ThreatModel(Access.WEIGHTS))
    means = np.stack([digits.x[digits.y == c].mean(0) for c in range(10)])
    assert (view.labels(means) == np.arange(10)).all()
    np.testing.assert_allclose(
        view.differentiable(torch.as_tensor(digits.x[:4], dtype=torch.float64)).numpy(),
        view.logits(digits.x[:4]),
        atol=1e-6,
    )


def test_regression_remembers_values(patients):
    numbers = patients.relabelled(patients.x["mean area"].to_numpy())
    target = LeakyRecipe(Table(tuple(patients.x.columns)), pictures=False, regression=True).fit(numbers, seed=0)
    np.testing.assert_allclose(target.model.labels(numbers.x), numbers.y)
