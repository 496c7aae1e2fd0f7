"""Read gray pictures in the binary PGM format (magic number P5), also those that a text conversion has mangled."""

from __future__ import annotations

import re

import numpy as np
from numpy import ndarray as Array

from safelight.errors import InputError

_COMMENT = rb"(?:\s|#[^\n\r]*[\n\r])+"
_HEADER = re.compile(rb"P5" + _COMMENT + rb"(\d+)" + _COMMENT + rb"(\d+)" + _COMMENT + rb"(\d+)(\r\n|\s)")


def read_pgm(content: bytes, name: str) -> Array:
    """Return the picture (height, width), uint8 in 0..255.

    A file whose header ends its lines with CR LF went through a text conversion that put a CR before every LF, also
    before those that are pixels of value 10; there the CRs are taken out again. If a pixel of value 13 stood before
    one of them, it is lost too, and is put back where the picture becomes smoothest.

    Args:
        content: the whole file.
        name: what an error calls it.

    Raises:
        InputError: not a binary PGM with values up to 255, or more or fewer pixels than its header says.
    """
    header = _HEADER.match(content)
    if header is None or not 0 < int(header[3]) <= 255:
        raise InputError(f"{name} is not a binary PGM picture with 8 bits a pixel; save it as one, or as PNG.")
    width, height = int(header[1]), int(header[2])
    pixels = content[header.end() :]
    if is_mangled(content):
        pixels = pixels.replace(b"\r\n", b"\n")
        if len(pixels) == width * height - 1:
            pixels = _with_lost_byte(pixels, width)
    if len(pixels) != width * height:
        raise InputError(
            f"{name} says that it holds {width} x {height} pixels but has {len(pixels)}; fetch the file again."
        )
    return np.frombuffer(pixels, dtype=np.uint8).reshape(height, width)


def is_mangled(content: bytes) -> bool:
    """Return whether the lines of the header end with CR LF.

    CR LF among the pixels alone proves nothing: an intact picture may hold a 13 followed by a 10.
    """
    header = _HEADER.match(content)
    return header is not None and b"\r\n" in header[0]


def _with_lost_byte(pixels: bytes, width: int) -> bytes:
    """Put one CR back before the LF that makes neighbouring rows differ least: elsewhere part of a row is shifted."""
    places = [place for place, value in enumerate(pixels) if value == ord("\n")]
    repaired = [pixels[:place] + b"\r" + pixels[place:] for place in places]

    def roughness(content: bytes) -> int:
        picture = np.frombuffer(content, dtype=np.uint8).reshape(-1, width).astype(int)
        return int(np.abs(np.diff(picture, axis=0)).sum())

    return min(repaired, key=roughness)
