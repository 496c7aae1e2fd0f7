"""The PGM reader: plain files, mangled files, wrong files."""

from __future__ import annotations

import numpy as np
import pytest

from safelight.data.pgm import is_mangled, read_pgm
from safelight.errors import InputError


def pgm(picture: np.ndarray, header: str = "P5\n{} {}\n255\n") -> bytes:
    return header.format(*picture.shape[::-1]).encode() + picture.astype(np.uint8).tobytes()


PICTURE = np.random.default_rng(0).integers(0, 256, size=(9, 7))


@pytest.mark.parametrize("header", ["P5\n{} {}\n255\n", "P5 {} {} 255 ", "P5\n# from a scanner\n{} {}\n255\n"])
def test_reads_every_form_of_the_header(header: str) -> None:
    assert np.array_equal(read_pgm(pgm(PICTURE, header), "a.pgm"), PICTURE)


def test_line_ends_that_were_put_in_are_taken_out() -> None:
    picture = PICTURE.copy()
    picture[2, :3] = 10
    mangled = pgm(picture).replace(b"\n", b"\r\n")
    assert is_mangled(mangled)
    assert np.array_equal(read_pgm(mangled, "a.pgm"), picture)


def test_an_intact_picture_keeps_a_13_before_a_10() -> None:
    picture = PICTURE.copy()
    picture[4, 3:5] = 13, 10
    assert not is_mangled(pgm(picture))
    assert np.array_equal(read_pgm(pgm(picture), "a.pgm"), picture)


def test_a_lost_13_comes_back_where_the_picture_is_smooth() -> None:
    slope = np.add.outer(np.arange(40) % 3, np.arange(30)) + 20
    slope[5, 3] = slope[30, 20] = 10
    slope[17, 8:10] = 13, 10
    content = pgm(slope)
    # git's text conversion leaves a line end alone that has its CR already
    mangled = content.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    assert np.array_equal(read_pgm(mangled, "a.pgm"), slope)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"P2\n2 2\n255\n1 2 3 4", "a.pgm is not a binary PGM"),
        (b"P5\n2 2\n65535\n12345678", "8 bits a pixel"),
        (b"P5\n2 2\n255\n123", "2 x 2 pixels but has 3"),
        (b"", "not a binary PGM"),
    ],
)
def test_says_what_is_wrong(content: bytes, says: str) -> None:
    with pytest.raises(InputError, match=says):
        read_pgm(content, "a.pgm")
