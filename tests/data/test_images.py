"""Pictures from folders and arrays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from safelight.data.images import load_images
from safelight.errors import InputError

GRAY = np.arange(20, dtype=np.uint8).reshape(5, 4) * 12
COLOUR = np.stack([GRAY, 255 - GRAY, GRAY // 2], axis=-1)


def save(root: Path, name: str, pixels: np.ndarray, **options: object) -> None:
    file = root / name
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(file, **options)


@pytest.mark.parametrize("ending", ["png", "pgm", "bmp"])
def test_a_folder_a_class(tmp_path: Path, ending: str) -> None:
    save(tmp_path, f"zoe/2.{ending}", GRAY)
    save(tmp_path, f"ann/1.{ending}", GRAY.T[::-1].T)
    save(tmp_path, f"ann/0.{ending}", GRAY)
    (tmp_path / "ann" / ".DS_Store").write_bytes(b"x")
    (tmp_path / "ann" / "notes.txt").write_text("taken in May")
    records, classes = load_images(tmp_path)
    assert classes == ("ann", "zoe")
    assert records.y.tolist() == [0, 0, 1]
    assert records.ids.tolist() == [f"ann/0.{ending}", f"ann/1.{ending}", f"zoe/2.{ending}"]
    assert records.x.shape == (3, 1, 5, 4)
    assert records.x.dtype == np.float32
    assert np.allclose(records.x[0, 0], GRAY / 255)


def test_gray_among_colours_gets_three_channels(tmp_path: Path) -> None:
    save(tmp_path, "a/1.png", COLOUR)
    save(tmp_path, "b/1.png", GRAY)
    records, _ = load_images(tmp_path)
    assert np.allclose(records.x[0], np.moveaxis(COLOUR, -1, 0) / 255)
    assert np.allclose(records.x[1], GRAY / 255)


def test_jpeg_and_sixteen_bits(tmp_path: Path) -> None:
    save(tmp_path, "a/1.jpg", GRAY, quality=95)
    save(tmp_path, "b/1.png", GRAY.astype(np.uint16) * 257)
    records, _ = load_images(tmp_path)
    assert np.abs(records.x[0, 0] - GRAY / 255).max() < 0.05
    assert np.allclose(records.x[1, 0], GRAY / 255, atol=1e-6)


def test_a_mangled_pgm_is_mended(tmp_path: Path) -> None:
    picture = GRAY.copy()
    picture[1, 1] = 10
    save(tmp_path, "a/1.pgm", picture)
    file = tmp_path / "a" / "1.pgm"
    file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    assert np.allclose(load_images(tmp_path)[0].x[0, 0], picture / 255)


def test_nonmembers_keep_the_classes_of_members(tmp_path: Path) -> None:
    save(tmp_path, "members/ann/1.png", GRAY)
    save(tmp_path, "members/zoe/1.png", GRAY)
    save(tmp_path, "others/zoe/1.png", GRAY)
    save(tmp_path, "strangers/tom/1.png", GRAY)
    _, classes = load_images(tmp_path / "members")
    assert load_images(tmp_path / "others", classes)[0].y.tolist() == [1]
    with pytest.raises(InputError, match=r"class 'tom'.*known classes"):
        load_images(tmp_path / "strangers", classes)


def test_unequal_sizes_name_the_file_and_both_sizes(tmp_path: Path) -> None:
    save(tmp_path, "a/1.png", GRAY)
    save(tmp_path, "b/2.png", GRAY[:4])
    with pytest.raises(InputError, match=r"b/2.png is 4 x 4 pixels.*a/1.png is 5 x 4; make all pictures one size"):
        load_images(tmp_path)


def test_folders_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"There is no file or folder .*nowhere"):
        load_images(tmp_path / "nowhere")
    with pytest.raises(InputError, match="holds no folders"):
        load_images(tmp_path)
    (tmp_path / "a").mkdir()
    with pytest.raises(InputError, match=r"class folder .*a holds no picture.*add members of that class"):
        load_images(tmp_path)
    (tmp_path / "a" / "1.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"1.png cannot be read as a picture"):
        load_images(tmp_path)
    (tmp_path / "a" / "2.webp").write_bytes(b"")
    with pytest.raises(InputError, match=r"2.webp is in a format that is not read here; save it as PNG"):
        load_images(tmp_path)
    with pytest.raises(InputError, match=r"neither a folder nor an .npz file"):
        load_images(tmp_path / "a" / "1.png")


X = np.random.default_rng(0).random((4, 3, 6, 5)).astype(np.float32)


@pytest.mark.parametrize("x", [X, np.moveaxis(X, 1, 3)])
def test_channels_may_come_first_or_last(tmp_path: Path, x: np.ndarray) -> None:
    np.savez(tmp_path / "d.npz", x=x, y=[0, 1, 1, 0])
    records, classes = load_images(tmp_path / "d.npz")
    assert np.array_equal(records.x, X)
    assert classes == ("0", "1")
    assert records.ids.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("kind", "scale"), [("uint8", 255), ("uint16", 65535), ("bool", 1), ("float64", 1), ("float32", 1)]
)
def test_what_is_done_to_values(tmp_path: Path, kind: str, scale: int) -> None:
    x = (np.array([[[0, 1], [1, 0]]]) * (3 if kind.startswith("float") else scale)).astype(kind)
    np.savez(tmp_path / "d.npz", x=x, y=[0])
    values = load_images(tmp_path / "d.npz")[0].x
    assert values.shape == (1, 1, 2, 2)
    assert values.max() == (3 if kind.startswith("float") else 1)


def test_all_that_an_npz_may_hold(tmp_path: Path) -> None:
    np.savez(
        tmp_path / "d.npz",
        x=X,
        y=[1, 0, 1, 1],
        classes=["ann", "bob", "cat"],
        person=["p", "q", "p", "r"],
        ids=list("wxyz"),
    )
    records, classes = load_images(tmp_path / "d.npz")
    assert classes == ("ann", "bob", "cat")
    assert records.y.tolist() == [1, 0, 1, 1]
    assert records.person is not None
    assert records.person.tolist() == ["p", "q", "p", "r"]
    assert records.ids.tolist() == list("wxyz")
    assert load_images(tmp_path / "d.npz", ("bob", "ann"))[0].y.tolist() == [0, 1, 0, 0]


def test_a_pair_of_npy_files_with_words_as_labels(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "y.npy", np.array(["dog", "cat", "dog", "cat"]))
    records, classes = load_images(tmp_path)
    assert classes == ("cat", "dog")
    assert records.y.tolist() == [1, 0, 1, 0]
    (tmp_path / "y.npy").unlink()
    with pytest.raises(InputError, match="holds no array 'y'"):
        load_images(tmp_path)


def test_real_answers_stay_real(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=X, y=[0.5, 1, 2, 3])
    records, classes = load_images(tmp_path / "d.npz")
    assert classes == ()
    assert records.y.tolist() == [0.5, 1, 2, 3]


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"x": X}, "holds no array 'y'"),
        ({"x": X, "y": np.zeros((4, 2))}, r"y in .* has the shape \(4, 2\)"),
        ({"x": X[:, 0, 0], "y": [0, 1, 0, 1]}, r"x in .* has the shape \(4, 5\)"),
        ({"x": np.zeros((4, 5, 6, 7)), "y": [0, 1, 0, 1]}, "with 1 to 4 channels"),
        ({"x": X.astype(np.int64), "y": [0, 1, 0, 1]}, "holds int64, whose range is not known; save it as uint8"),
        ({"x": X, "y": [0, 1, 3, 1]}, "class 2 has no member"),
        ({"x": X, "y": [0, 1, 2, 1], "classes": ["a", "b"]}, "runs from 0 to 2, but classes names 2"),
        ({"x": X, "y": [0, 1, np.nan, 1]}, "holds 1 NaN or infinite label"),
        ({"x": X, "y": [0, 1, 0]}, "x has 4, y has 3"),
        ({"x": np.where(X > 0.9, np.nan, X), "y": [0, 1, 0, 1]}, r"x holds \d+ NaN or infinite"),
        ({"x": X, "y": np.array([0, "a", None, 1], dtype=object)}, "nothing pickled"),
    ],
)
def test_arrays_that_cannot_be_used(tmp_path: Path, arrays: dict[str, object], says: str) -> None:
    np.savez(tmp_path / "d.npz", **arrays)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=says):
        load_images(tmp_path / "d.npz")


def test_a_file_that_is_no_archive(tmp_path: Path) -> None:
    (tmp_path / "d.npz").write_bytes(b"not a zip")
    with pytest.raises(InputError, match="cannot be read as plain arrays"):
        load_images(tmp_path / "d.npz")
