"""Homomorphic encryption of what a model is asked: the server computes on ciphertexts and reads none (CKKS,
TenSEAL)."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy import ndarray as Array

from safelight.defences.encrypted.base import Encrypted
from safelight.defences.encrypted.layers import Convolution, Dense, Layer, Relu, Square
from safelight.errors import InputError, MissingExtra, TargetFailed

try:
    import tenseal
except ImportError:
    raise MissingExtra("tenseal", "encrypted", "Homomorphic encryption") from None

ENDS, STEP = 60, 40
"""Bits of the first and last prime, and of each prime between, which one product uses up; the scale is 2^40."""

MOST_BITS = {4096: 109, 8192: 218, 16384: 438, 32768: 881}
"""Bits of all primes together that keep 128 bits of security, by ring size (Homomorphic Encryption Standard 2018)."""

LARGEST = 2.0 ** (ENDS - STEP - 1)
"""No value of an answer may be larger, or it wraps around unseen."""


@dataclass(frozen=True)
class Ckks(Encrypted):
    """Ask the model under homomorphic encryption.

    What it does: whoever asks encrypts the records; the server computes on the ciphertexts with its weights in the
    open, and only the asker can read the answer. The server learns how many batches were sent, and nothing of what is
    in them.
    Evidence for: it rests on the hardness of ring learning with errors, at 128 bits for the sizes used (Cheon et al.
    2017, CKKS). Answers are those of the plain model to about 1e-5.
    Evidence against: the answers reveal what they reveal in the open: membership, attributes and inversion from scores
    are unchanged, and the server still holds its training data. It is proved against a server that computes as agreed.
    The exact numbers of a decrypted answer must not go back to the server, for they tell of the secret key (Li and
    Micciancio 2021, eprint 2020/1533); what noise is left in an answer may tell the asker of the weights.
    Cost: seconds a batch where the plain model takes less than a millisecond; a batch of thousands costs as much as one
    record. Only sums and products are computed, so a ReLU has to be replaced by a square before training.

    Records lie side by side in one ciphertext a feature (Gilad-Bachrach et al. 2016, CryptoNets, section 3). Each dense
    layer and each square uses one prime up; the ring is the smallest that holds enough of them.

    Attributes:
        ring: the largest ring that may be used (>= 4096): a power of two up to 32768.
        largest: size of the largest value in a record (> 0).
    """

    name: ClassVar[str] = "ckks"
    title: ClassVar[str] = "Homomorphic encryption"
    source: ClassVar[str] = "Cheon et al. 2017, ASIACRYPT, eprint 2016/421; Gilad-Bachrach et al. 2016, ICML"

    ring: int = 16384
    largest: float = 1.0

    def __post_init__(self) -> None:
        if self.ring not in MOST_BITS:
            raise InputError(f"ring is {self.ring}; use one of {', '.join(map(str, MOST_BITS))}.")

    def unfit(self, layers: tuple[Layer, ...]) -> str:
        if any(isinstance(layer, Relu) for layer in layers):
            return (
                "Homomorphic encryption computes sums and products alone, and the network has a ReLU; train it with "
                "Squared in its place, or use three parties."
            )
        if ring_for(depth(layers)) > self.ring:
            allowed = (MOST_BITS[self.ring] - 2 * ENDS) // STEP
            return (
                f"The network needs {depth(layers)} products one after another (dense layers and squares), and a ring "
                f"of {self.ring} has room for {max(allowed, 0)}; use fewer layers or a larger ring (up to 32768)."
            )
        most = reach(layers, self.largest)
        if most > LARGEST:
            return (
                f"A value may become as large as {most:.3g} on its way, and a ciphertext holds {LARGEST:.3g}; scale "
                "the weights or the records down."
            )
        return ""

    @contextmanager
    def running(self, layers: tuple[Layer, ...]) -> Iterator[Asker]:
        yield Asker(self, layers)


class Asker:
    """Who asks: holds the secret key, sends ciphertexts to `computed`, reads the answers."""

    def __init__(self, settings: Ckks, layers: Sequence[Layer]) -> None:
        self._settings, self._layers = settings, layers
        products = depth(layers)
        ring = ring_for(products)
        self.context = tenseal.context(
            tenseal.SCHEME_TYPE.CKKS, ring, coeff_mod_bit_sizes=[ENDS, *[STEP] * products, ENDS]
        )
        self.context.global_scale = 2.0**STEP
        self.slots = ring // 2

    def public(self) -> bytes:
        """Return what the server gets: everything but the secret key."""
        return self.context.serialize(save_secret_key=False)  # type: ignore[no-any-return]

    def encrypted(self, x: Array) -> bytes:
        """Return rows (n, inputs), n up to `slots`, as one ciphertext a feature."""
        sealed: bytes = tenseal.ckks_tensor(self.context, tenseal.plain_tensor(x[:, None]), batch=True).serialize()
        return sealed

    def decrypted(self, answer: bytes) -> Array:
        """Return logits (n, outputs)."""
        opened = tenseal.ckks_tensor_from(self.context, answer).decrypt()
        return np.asarray(opened.tolist())[:, 0]

    def answer(self, x: Array) -> Array:
        """Return logits (n, outputs) for rows (n, inputs).

        Raises:
            InputError: a value is NaN or larger than the settings say.
            TargetFailed: the answer is no number.
        """
        if not np.isfinite(x).all() or np.abs(x).max(initial=0.0) > self._settings.largest:
            raise InputError(
                f"A record holds NaN or a value larger than {self._settings.largest:g}; scale it, or raise largest."
            )
        public, parts = self.public(), []
        for start in range(0, len(x), self.slots):
            part = x[start : start + self.slots]
            found = self.decrypted(computed(public, self.encrypted(part), self._layers))[: len(part)]
            if not np.isfinite(found).all():
                raise TargetFailed("The decrypted answer is no number; ask again, with smaller values.")
            parts.append(found)
        return np.concatenate(parts)


def computed(public: bytes, question: bytes, layers: Sequence[Layer]) -> bytes:
    """Return the encrypted answer: what the server does, without the secret key.

    Raises:
        InputError: the network is too deep for the key, or has a layer that is no sum or product.
    """
    context = tenseal.context_from(public)
    x = tenseal.ckks_tensor_from(context, question)
    for layer in layers:
        try:
            x = _one(x, layer)
        except ValueError as error:
            raise InputError(
                f"The network is too deep for this key ({error}); use fewer dense layers and squares, or a larger ring."
            ) from error
    return x.serialize()  # type: ignore[no-any-return]


def _one(x: Any, layer: Layer) -> Any:
    if isinstance(layer, Square):
        return x.square()
    if isinstance(layer, Relu):
        raise InputError("A ReLU cannot be computed on ciphertexts; train the network with Squared in its place.")
    dense = layer.dense() if isinstance(layer, Convolution) else layer
    # A product with exactly 0 would show that it is one, and the library refuses it.
    weights = np.where(np.abs(dense.weights) < 1e-9, 1e-9, dense.weights)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return x.mm(tenseal.plain_tensor(weights.T)) + tenseal.plain_tensor(dense.offsets[None])


def depth(layers: Sequence[Layer]) -> int:
    """Return how many products lie one after another."""
    return sum(isinstance(layer, (Dense, Convolution, Square)) for layer in layers)


def ring_for(products: int) -> int:
    """Return the smallest ring that holds so many products, or one more than the largest where none does."""
    bits = 2 * ENDS + STEP * products
    return next((ring for ring, most in MOST_BITS.items() if bits <= most), max(MOST_BITS) + 1)


def reach(layers: Sequence[Layer], largest: float) -> float:
    """Return a bound on every value on the way, for records with values up to `largest` in size."""
    if not layers:
        return largest
    first = layers[0].dense() if isinstance(layers[0], Convolution) else layers[0]
    bound, most = np.full(first.weights.shape[1] if isinstance(first, Dense) else 1, largest), largest
    for layer in layers:
        dense = layer.dense() if isinstance(layer, Convolution) else layer
        if isinstance(dense, Dense):
            bound = np.abs(dense.weights) @ bound + np.abs(dense.offsets)
        elif isinstance(dense, Square):
            bound = bound**2
        most = max(most, float(bound.max()))
    return most
