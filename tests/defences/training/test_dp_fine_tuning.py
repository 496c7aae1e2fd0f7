"""Private fine-tuning: only the last layers move, and a public base is worth its epsilon."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.datasets import load_digits

torch = pytest.importorskip("torch")
pytest.importorskip("dp_accounting")

from torch import nn  # noqa: E402

from safelight.data.records import Records  # noqa: E402
from safelight.defences.training.dp_finetune import DpFineTuning  # noqa: E402
from safelight.defences.training.dp_sgd import DpSgd  # noqa: E402
from safelight.errors import InputError  # noqa: E402
from safelight.recipes.torch import TorchRecipe  # noqa: E402
from safelight.targets.base import Images  # noqa: E402

BUNCH = load_digits()
DIGITS = Records.of(BUNCH.images[:, None] / 16, BUNCH.target)
TRAIN, PUBLIC, TEST = (DIGITS.take(np.arange(*span)) for span in ((0, 600), (600, 1000), (1000, 1797)))


def dense(classes):
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, 48), nn.ReLU(), nn.Linear(48, 32), nn.ReLU(), nn.Linear(32, classes)
    )


def normalised(classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, classes))


RECIPE = TorchRecipe(dense, Images((1, 8, 8)), epochs=15, batch=50, optimiser="sgd", rate=0.1)


def accuracy(target):
    return (target.model.labels(TEST.x) == TEST.y).mean()


@pytest.mark.parametrize("layers", [1, 2])
def test_only_the_last_layers_learn_from_private_records(layers):
    defence = DpFineTuning(layers=layers, epochs=2, public=PUBLIC)
    before = defence.start(RECIPE, TRAIN, 0).state_dict()
    base = RECIPE.build(PUBLIC, 0)
    for _ in RECIPE.passes(base, *RECIPE.tensors(PUBLIC), 0):
        pass
    after = defence(RECIPE).fit(TRAIN, 0).model.module().state_dict()
    moved = {name.split(".")[0] for name in after if not torch.equal(before[name], after[name])}
    assert moved == {"3", "5"} if layers == 2 else moved == {"5"}
    assert all(torch.equal(before[name], value) for name, value in base.state_dict().items())


def test_other_classes_get_a_fresh_last_layer():
    few = PUBLIC.take(PUBLIC.y < 7)
    net, fresh = DpFineTuning(public=few).start(RECIPE, TRAIN, 0), RECIPE.build(TRAIN, 0)
    assert torch.equal(net[5].weight, fresh[5].weight)
    assert not torch.equal(net[1].weight, fresh[1].weight)


def test_a_public_base_is_worth_its_epsilon():
    hard = {"epsilon": 0.5, "epochs": 5}
    tuned = [accuracy(DpFineTuning(**hard, public=PUBLIC)(RECIPE).fit(TRAIN, seed)) for seed in range(3)]
    scratch = [accuracy(DpSgd(**hard)(RECIPE).fit(TRAIN, seed)) for seed in range(3)]
    assert np.mean(tuned) > np.mean(scratch) + 0.15


def test_the_promise_is_that_of_dp_sgd():
    assert DpFineTuning(2.0).guarantee(RECIPE, 600) == DpSgd(2.0).guarantee(RECIPE, 600)


def test_frozen_batchnorm_is_kept_as_it_was():
    recipe = replace(RECIPE, module=normalised)
    defence = DpFineTuning(epochs=3, public=PUBLIC)
    before = defence.start(recipe, TRAIN, 0).state_dict()
    target = defence(recipe).fit(TRAIN, 0)
    assert accuracy(target) > 0.5
    after = target.model.module().state_dict()
    assert all(torch.equal(before[name], after[name]) for name in after if name.startswith("2."))
    with pytest.raises(InputError, match="Opacus cannot clip Sequential: This layer has buffers"):
        DpFineTuning(layers=2, public=PUBLIC)(recipe).fit(TRAIN, 0)


def test_errors_say_what_to_do():
    with pytest.raises(InputError, match="has no public records to work with"):
        DpFineTuning()(RECIPE).fit(TRAIN, 0)
    with pytest.raises(InputError, match="layers is 9, and Sequential has 3 with weights"):
        DpFineTuning(layers=9, public=PUBLIC)(RECIPE).fit(TRAIN, 0)
    with pytest.raises(InputError, match="layers is 0; it must be at least 1"):
        DpFineTuning(layers=0)
