"""Tensors as bytes: little-endian, row-major; words are each preceded by their length in four bytes.

Source: Triton's protocol/extension_binary_data.md.
"""

from __future__ import annotations

import numpy as np
from numpy import ndarray as Array

from safelight.guard.protocols.base import NotUnderstood

DATATYPES = {
    "BOOL": "biu",
    **{f"{sign}INT{bits}": "biuf" for sign in ("", "U") for bits in (8, 16, 32, 64)},
    **{f"FP{bits}": "biuf" for bits in (16, 32, 64)},
    "BYTES": "O",
}
"""Datatype -> the kinds of JSON data that may fill it. BF16 is not among them: NumPy has no such numbers."""
_TYPES = {"BOOL": "?"} | {
    name: f"<{name[0].lower() if name[0] in 'IU' else 'f'}{int(name.lstrip('UINTFP')) // 8}"
    for name in DATATYPES
    if name not in ("BOOL", "BYTES")
}


def unpacked(raw: bytes, datatype: str) -> Array:
    """Return the values (n,) in some bytes; raises NotUnderstood where they do not come out even."""
    if datatype == "BYTES":
        words, at = [], 0
        while at < len(raw):
            size = int.from_bytes(raw[at : at + 4], "little")
            if at + 4 + size > len(raw):
                raise NotUnderstood("the words of a tensor are cut off")
            try:
                words.append(raw[at + 4 : at + 4 + size].decode())
            except UnicodeDecodeError:
                raise NotUnderstood("a tensor holds bytes that are no text") from None
            at += 4 + size
        return np.array(words, dtype=object)
    kind = np.dtype(_TYPES[datatype])
    if len(raw) % kind.itemsize:
        raise NotUnderstood("the bytes of a tensor do not come out even")
    return np.frombuffer(raw, dtype=kind)


def packed(values: Array, datatype: str) -> bytes:
    """Return values (...) as bytes."""
    if datatype == "BYTES":
        words = [str(word).encode() for word in values.reshape(-1)]
        return b"".join(len(word).to_bytes(4, "little") + word for word in words)
    return values.astype(_TYPES[datatype]).tobytes()
