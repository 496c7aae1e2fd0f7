"""Masks that only two clients know, or only one: key agreement by X25519, keys by HKDF, numbers by ChaCha20."""

from __future__ import annotations

import numpy as np
from numpy import ndarray as Array

from safelight.errors import InputError, MissingExtra

try:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF
except ImportError:
    raise MissingExtra("cryptography", "federated", "Secure aggregation") from None

_ZEROS = bytes(1 << 20)


def public_key(secret: bytes) -> bytes:
    """Return the public key (32 bytes) of a secret key (32 bytes)."""
    return X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()


def shared_key(secret: bytes, public: bytes, purpose: bytes) -> bytes:
    """Return the key (32 bytes) that the holders of two X25519 keys have in common for one purpose.

    Raises:
        InputError: the public key is of low order, which nobody sends by accident.
    """
    try:
        agreed = X25519PrivateKey.from_private_bytes(secret).exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError:
        raise InputError("A client's public key is not a key of X25519; leave this client out.") from None
    return HKDF(SHA256(), 32, None, purpose).derive(agreed)


def seal(key: bytes, content: bytes, about: bytes) -> bytes:
    """Encrypt `content` under a key that is used once; `about` is bound to it and not hidden (RFC 8439)."""
    return ChaCha20Poly1305(key).encrypt(bytes(12), content, about)


def unseal(key: bytes, sealed: bytes, about: bytes) -> bytes | None:
    """Return the content, or None where the key, the bytes or `about` are others than when it was sealed."""
    try:
        return ChaCha20Poly1305(key).decrypt(bytes(12), sealed, about)
    except InvalidTag:
        return None


def add_mask(to: Array, key: bytes, sign: int) -> None:
    """Add the numbers that ChaCha20 makes of `key` to `to` (n,) in place, modulo 2^bits; take them off for sign -1.

    A key serves one round, so the nonce is zero.
    """
    stream = Cipher(algorithms.ChaCha20(key, bytes(16)), None).encryptor()
    piece = len(_ZEROS) // to.itemsize  # of a megabyte: it stays in the cache
    numbers = np.empty(min(piece, len(to)), dtype=to.dtype)
    for start in range(0, len(to), piece):
        part = to[start : start + piece]
        stream.update_into(memoryview(_ZEROS)[: part.nbytes], numbers.view(np.uint8).data)
        if sign > 0:
            part += numbers[: len(part)]
        else:
            part -= numbers[: len(part)]
