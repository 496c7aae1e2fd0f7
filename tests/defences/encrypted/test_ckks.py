"""Inference on ciphertexts: the plain answers, nothing for a server to read, one sentence where it cannot be done."""

import re

import numpy as np
import pytest
import tenseal

from safelight.defences.encrypted.ckks import Asker, Ckks, computed, depth, reach, ring_for
from safelight.defences.encrypted.layers import Convolution, Dense, Relu, Square, plainly
from safelight.errors import InputError

RNG = np.random.default_rng(0)
X = RNG.random((6, 9))
LINEAR = (Dense(RNG.normal(size=(3, 9)), RNG.normal(size=3)),)
SQUARES = (
    Dense(RNG.normal(size=(2, 9)) / 3, RNG.normal(size=2)),
    Square(),
    Dense(RNG.normal(size=(3, 2)), np.zeros(3)),
)
CONVOLUTION = (Convolution(RNG.normal(size=(1, 1, 2, 2)) / 3, np.ones(1), (1, 3, 3)), Square())


@pytest.mark.parametrize("layers", [LINEAR, SQUARES, CONVOLUTION], ids=["linear", "squares", "convolution"])
def test_answers_are_those_of_the_plain_network(layers):
    defence = Ckks()
    assert defence.unfit(layers) == ""
    with defence.running(layers) as asker:
        assert np.abs(asker.answer(X) - plainly(layers, X)).max() < 1e-3
        assert asker.answer(X[:1]).shape == (1, len(plainly(layers, X)[0]))


def test_zeros_among_the_weights_are_computed_too():
    layers = (Dense(np.array([[0.0, 2.0], [0.0, 0.0]]), np.zeros(2)),)
    with Ckks().running(layers) as asker:
        assert np.abs(asker.answer(np.array([[1.0, 0.5], [0.0, 0.0]])) - [[1, 0], [0, 0]]).max() < 1e-6


def test_more_records_than_slots_go_in_several_batches():
    asker = Asker(Ckks(), LINEAR)
    asker.slots = 4
    assert np.abs(asker.answer(X) - plainly(LINEAR, X)).max() < 1e-3


def test_the_server_has_no_key_and_its_messages_do_not_show_the_record():
    asker = Asker(Ckks(), LINEAR)
    given = tenseal.context_from(asker.public())
    assert not given.has_secret_key()
    question = tenseal.ckks_tensor_from(given, asker.encrypted(X))
    with pytest.raises(ValueError, match="doesn't hold a secret_key"):
        question.decrypt()
    other = Asker(Ckks(), LINEAR)  # another key opens nothing
    opened = np.array(tenseal.ckks_tensor_from(other.context, asker.encrypted(X)).decrypt().tolist())[:6, 0]
    assert not np.abs(opened - X).max() < 1.0
    assert asker.encrypted(X) != asker.encrypted(X), "the same record looks different each time"


def test_a_network_that_is_too_deep_is_refused_in_one_sentence():
    deep = (*SQUARES, Square(), *[Dense(np.eye(3), np.zeros(3)), Square()] * 2)
    words = r"needs 8 products one after another \(dense layers and squares\), and a ring of 16384 has room for 7; use"
    assert depth(deep) == 8
    assert re.search(words, Ckks().unfit(deep))
    shallow = Asker(Ckks(), LINEAR)
    with pytest.raises(InputError, match=r"too deep for this key \(.*\); use fewer dense layers and squares"):
        computed(shallow.public(), shallow.encrypted(X), SQUARES)
    with pytest.raises(InputError, match="A ReLU cannot be computed on ciphertexts"):
        computed(shallow.public(), shallow.encrypted(X), (Relu(),))


@pytest.mark.parametrize(("products", "ring"), [(0, 8192), (2, 8192), (3, 16384), (7, 16384), (8, 32768), (20, 32769)])
def test_the_ring_is_the_smallest_with_room(products, ring):
    assert ring_for(products) == ring


def test_what_does_not_fit_is_refused():
    assert "has a ReLU; train it with Squared in its place, or use three parties." in Ckks().unfit((Relu(),))
    assert "as large as 1e+06 on its way, and a ciphertext holds 5.24e+05" in Ckks().unfit(
        (Dense(np.full((1, 1), 1e6), np.zeros(1)),)
    )
    with pytest.raises(InputError, match="ring is 1000; use one of 4096, 8192"):
        Ckks(ring=1000)
    asker = Asker(Ckks(), LINEAR)
    for bad in (np.nan, 2.0):
        with pytest.raises(InputError, match="holds NaN or a value larger than 1; scale it, or raise largest"):
            asker.answer(np.full((1, 9), bad))


def test_the_bound_holds_for_every_record_and_is_met():
    layers = (Dense(np.array([[1.0, -2.0]]), np.array([0.5])), Square())
    assert reach(layers, 1.0) == 3.5**2
    corners = np.array([[a, b] for a in (-1, 1) for b in (-1, 1)], dtype=float)
    assert plainly(layers, corners).max() == 3.5**2
