"""How many bytes a model needs: counted by hand, and beside files that really hold it."""

import io
import math

import numpy as np
import pytest
import torch
from safetensors.torch import save
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier
from torch import nn

from safelight.defences.compression.quantisation import Quantisation, coded
from safelight.defences.compression.size import code_bits, size, stored_bytes, tensor_bytes
from safelight.errors import InputError
from safelight.recipes.sklearn import SklearnRecipe
from safelight.targets.base import Images

RNG = np.random.default_rng(0)


def rows(shape=(20, 50)):
    return RNG.normal(size=shape).astype(np.float32)


def test_plain_weights_need_their_own_bytes():
    net = nn.Sequential(nn.Linear(8, 4), nn.BatchNorm1d(4))
    # BatchNorm starts with factors and variances of 1, and with means, offsets and a count of 0, which cost nothing.
    assert stored_bytes(net) == 4 * (8 * 4 + 4) + 2 * 4 * 4
    assert stored_bytes(net.to(torch.bfloat16)) == 2 * (8 * 4 + 4) + 2 * 2 * 4


def test_a_tensor_that_is_used_twice_is_stored_once():
    net = nn.Sequential(nn.Linear(6, 6, bias=False), nn.Linear(6, 6, bias=False))
    both = stored_bytes(net)
    net[1].weight = net[0].weight
    assert stored_bytes(net) == both / 2


@pytest.mark.parametrize("bits", range(2, 9))
def test_codes_are_told_by_the_weights_alone(bits):
    codes, scales = coded(rows(), bits)
    values = codes * scales
    assert code_bits(values) == bits
    assert tensor_bytes(values, 32) <= math.ceil((20 * 50 * bits + 20 * 32) / 8)
    values[3, 7] += np.float32(1e-4)
    assert code_bits(values) == 0


def test_zeros_are_saved_only_where_their_places_cost_less():
    values = rows((40, 50))
    few = values * (RNG.random(values.shape) < 0.5)
    kept = np.count_nonzero(few)
    assert tensor_bytes(few, 32) == math.ceil((kept * 32 + 2000) / 8)  # one bit a place
    rare = values * (RNG.random(values.shape) < 0.01)
    kept = np.count_nonzero(rare)
    assert tensor_bytes(rare, 32) == math.ceil((kept * 32 + kept * 11) / 8)  # the number of a place in 2,000
    assert tensor_bytes(values, 32) == 2000 * 4


def unpacked(values, bits):
    """Write a quantised tensor to bytes and read it back: scales, then codes of `bits` bits one after another."""
    codes, scales = coded(values, bits)
    most = 2 ** (bits - 1) - 1
    plain = (codes + most).astype(np.uint8)
    written = scales.tobytes() + np.packbits(np.unpackbits(plain[..., None], axis=-1)[..., 8 - bits :]).tobytes()
    n, k = values.shape
    back = np.unpackbits(np.frombuffer(written[4 * n :], np.uint8))[: n * k * bits].reshape(n, k, bits)
    numbers = (back * 2 ** np.arange(bits)[::-1]).sum(axis=-1).astype(np.float32) - most
    return written, numbers * np.frombuffer(written[: 4 * n], np.float32)[:, None]


@pytest.mark.parametrize("bits", [3, 4, 8])
def test_a_file_of_codes_has_that_size_and_gives_the_weights_back(bits):
    codes, scales = coded(rows(), bits)
    written, back = unpacked(codes * scales, bits)
    assert np.array_equal(back, codes * scales)
    assert abs(len(written) - tensor_bytes(codes * scales, 32)) <= 1


def test_files_of_plain_and_of_int8_weights_have_that_size_but_for_names(trained, digits):
    target = trained.fit(digits.take(np.arange(200)), 0)
    net = target.model.net
    assert 0 < len(save(net.state_dict())) - size(target) < 400
    small = Quantisation(8)(trained).fit(digits.take(np.arange(200)), 0)
    tensors = {}
    for name, value in small.model.net.state_dict().items():
        if value.ndim == 2:
            codes, scales = coded(value.numpy(), 8)
            assert np.array_equal(codes * scales, value.numpy())
            tensors |= {name: torch.as_tensor(codes, dtype=torch.int8), name + " scale": torch.as_tensor(scales[:, 0])}
        else:
            tensors[name] = value
    assert 0 < len(save(tensors)) - size(small) < 600
    assert Quantisation().size(small) == size(small) < 0.3 * size(target)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_the_size_is_that_of_torch_s_own_int8_layers():
    layer = nn.Linear(256, 128)
    quantised = torch.ao.quantization.quantize_dynamic(nn.Sequential(layer), {nn.Linear}, torch.qint8)
    file = io.BytesIO()
    torch.save(quantised.state_dict(), file)
    codes, scales = coded(layer.weight.detach().numpy(), 8)
    with torch.no_grad():
        layer.weight.copy_(torch.as_tensor(codes * scales))
    # torch keeps one scale for the whole layer and adds names and a zip; we keep one a row.
    assert abs(stored_bytes(layer) - len(file.getvalue())) < 0.08 * stored_bytes(layer)


def test_linear_models_and_perceptrons_are_counted_and_others_refused(digit_splits):
    target = SklearnRecipe(LogisticRegression(max_iter=300), Images((1, 8, 8))).fit(digit_splits.members, 0)
    always_off = int((target.model.fitted.coef_ == 0).all(axis=0).sum())  # corners that no digit reaches
    each = target.model.fitted.coef_.itemsize
    assert each * (10 * (64 - always_off) + 10) <= size(target) <= each * 650
    tree = SklearnRecipe(DecisionTreeClassifier(), Images((1, 8, 8))).fit(digit_splits.members, 0)
    with pytest.raises(InputError, match="The bytes of a DecisionTreeClassifier are not known; give a network"):
        size(tree)
