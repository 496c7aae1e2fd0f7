"""Load labelled pictures: a folder with one folder a class, one .npz file, or x.npy beside y.npy."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy import ndarray as Array

from safelight.data.labels import number_labels
from safelight.data.pgm import is_mangled, read_pgm
from safelight.data.records import Records
from safelight.errors import InputError

ENDINGS = (".png", ".jpg", ".jpeg", ".pgm", ".ppm", ".bmp")
"""Picture files that a class folder may hold."""

_UNREAD = (".webp", ".tif", ".tiff", ".gif", ".jp2", ".heic", ".avif")
_GRAY = ("1", "L", "LA", "I", "I;16")
_ARRAYS = ("x", "y", "ids", "person", "classes")


def load_images(path: Path | str, classes: Sequence[str] | None = None) -> tuple[Records, tuple[str, ...]]:
    """Return pictures as Records (n, channels, height, width) float32, and the names of their classes.

    - A folder with one folder a class: its pictures (PNG, JPEG, PGM, PPM, BMP) are scaled to [0, 1]. Classes are the
      folders in the order of their names; ids are "class/file". If any picture has colours, gray ones get three equal
      channels. Transparency is dropped; pictures are not turned.
    - `.npz` with arrays x and y, and optionally ids and person (n,) and classes (names in the order of the numbers in
      y); or a folder with these as x.npy, y.npy and so on. x may be (n, h, w), (n, h, w, c) or (n, c, h, w) with 1 to
      4 channels; if both the second and the last axis could be channels, the second is. uint8 is divided by 255,
      uint16 by 65,535; real numbers keep their own range. Labels may be words. Pickled arrays are refused.

    Args:
        path: the folder or file.
        classes: names in the order to keep, such as those of the members; by default the order found here.

    Raises:
        InputError: a missing or unreadable file, pictures of unequal size, arrays of another shape or kind, a class
            without a picture, a class that is not among `classes`, NaN or infinite values.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"There is no file or folder {path}; correct the path.")
    if path.suffix == ".npz" and path.is_file():
        return _records(_load(path), path, classes)
    if (path / "x.npy").exists():
        arrays = {name: _load(file)["x"] for name in _ARRAYS if (file := path / f"{name}.npy").exists()}
        return _records(arrays, path, classes)
    if path.is_dir():
        return _from_folder(path, classes)
    raise InputError(f"{path} is neither a folder nor an .npz file; give pictures in one of these two forms.")


# Folders -------------------------------------------------------------------------------------------------------------
def _from_folder(root: Path, classes: Sequence[str] | None) -> tuple[Records, tuple[str, ...]]:
    folders = sorted(folder for folder in root.iterdir() if folder.is_dir() and not folder.name.startswith("."))
    if not folders:
        raise InputError(f"{root} holds no folders; put the pictures of each class into a folder with its name.")
    files = [file for folder in folders for file in _pictures(folder)]
    pictures = [_read(file) for file in files]
    coloured = any(picture.ndim == 3 for picture in pictures)
    first = pictures[0].shape[:2]
    for file, picture in zip(files, pictures):
        if picture.shape[:2] != first:
            raise InputError(
                f"{file} is {picture.shape[0]} x {picture.shape[1]} pixels (height x width), but {files[0]} is "
                f"{first[0]} x {first[1]}; make all pictures one size."
            )
    x = np.stack([_channels_first(picture, coloured) for picture in pictures])
    names = np.array([file.parent.name for file in files])
    y, known = number_labels(names, str(root), classes)
    return Records.of(x, y, np.array([f"{file.parent.name}/{file.name}" for file in files])), known


def _pictures(folder: Path) -> list[Path]:
    files = sorted(file for file in folder.iterdir() if file.is_file() and not file.name.startswith("."))
    for file in files:
        if file.suffix.lower() in _UNREAD:
            raise InputError(f"{file} is in a format that is not read here; save it as PNG.")
    found = [file for file in files if file.suffix.lower() in ENDINGS]
    if not found:
        raise InputError(
            f"The class folder {folder} holds no picture ({', '.join(ENDINGS)}); add members of that class, or remove "
            "the folder."
        )
    return found


def _read(file: Path) -> Array:
    """Return one picture in [0, 1] as float32: (height, width) if gray, (height, width, 3) if not."""
    from PIL import Image

    if file.suffix.lower() == ".pgm" and is_mangled(content := file.read_bytes()):
        return read_pgm(content, str(file)) / np.float32(255)
    try:
        # Only the formats above: fewer decoders stand open to files from elsewhere.
        with Image.open(file, formats=("PNG", "JPEG", "PPM", "BMP")) as picture:
            if picture.mode in ("I", "I;16"):
                return np.asarray(picture, dtype=np.float32) / np.float32(65535)
            return np.asarray(picture.convert("L" if picture.mode in _GRAY else "RGB")) / np.float32(255)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"{file} cannot be read as a picture ({error}); replace it, or take it out.") from error


def _channels_first(picture: Array, coloured: bool) -> Array:
    if picture.ndim == 3:
        return np.moveaxis(picture, -1, 0)
    return np.repeat(picture[None], 3, axis=0) if coloured else picture[None]


# Arrays --------------------------------------------------------------------------------------------------------------
def _load(file: Path) -> dict[str, Array]:
    """Return the arrays of one file by name; a .npy file holds one, called x."""
    try:
        with file.open("rb") as stream:
            loaded = np.load(stream, allow_pickle=False)
            if isinstance(loaded, Array):
                return {"x": loaded}
            return {name: loaded[name] for name in _ARRAYS if name in loaded.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{file} cannot be read as plain arrays ({error}); save numbers or text with numpy.savez, nothing pickled."
        ) from error


def _records(arrays: dict[str, Array], path: Path, classes: Sequence[str] | None) -> tuple[Records, tuple[str, ...]]:
    for name in ("x", "y"):
        if name not in arrays:
            raise InputError(f"{path} holds no array {name!r}; it needs x (pictures) and y (labels).")
    y = arrays["y"]
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1:
        raise InputError(f"y in {path} has the shape {arrays['y'].shape}; give one label a picture, (n,).")
    x = _scaled(_with_channels(arrays["x"], path), path)
    number, names = _numbered(y, arrays.get("classes"), path, classes)
    return Records.of(x, number, arrays.get("ids"), arrays.get("person")), names


def _with_channels(x: Array, path: Path) -> Array:
    if x.ndim == 3:
        return x[:, None]
    if x.ndim == 4 and 1 <= x.shape[1] <= 4:
        return x
    if x.ndim == 4 and 1 <= x.shape[3] <= 4:
        return np.moveaxis(x, 3, 1)
    raise InputError(
        f"x in {path} has the shape {x.shape}; give (n, height, width), (n, height, width, channels) or "
        "(n, channels, height, width) with 1 to 4 channels."
    )


def _scaled(x: Array, path: Path) -> Array:
    if x.dtype.kind == "f":
        return x
    most = {"uint8": 255, "uint16": 65535, "bool": 1}.get(x.dtype.name)
    if most is None:
        raise InputError(
            f"x in {path} holds {x.dtype.name}, whose range is not known; save it as uint8 (0 to 255), or as real "
            "numbers in the range that the model takes."
        )
    return x / np.float32(most)


def _numbered(y: Array, own: Array | None, path: Path, classes: Sequence[str] | None) -> tuple[Array, tuple[str, ...]]:
    """Return class numbers and names; `own` are the names that the file itself gives to its numbers."""
    where = f"y in {path}"
    if y.dtype.kind == "f":
        if not np.isfinite(y).all():
            raise InputError(f"{where} holds {int((~np.isfinite(y)).sum())} NaN or infinite label(s); correct them.")
        if (y != np.round(y)).any():
            return y.astype(float), ()  # answers of a regression
        y = y.astype(np.int64)
    if y.dtype.kind in "iu" and own is not None:
        if y.min() < 0 or y.max() >= len(own):
            raise InputError(
                f"{where} runs from {y.min()} to {y.max()}, but classes names {len(own)}; number the labels from 0."
            )
        return number_labels(own.astype(str)[y], where, classes or tuple(map(str, own)))
    if y.dtype.kind in "iu" and classes is None and y.min() == 0 and len(np.unique(y)) <= y.max():
        gap = int(np.setdiff1d(np.arange(y.max()), y)[0])
        raise InputError(
            f"{where} runs from 0 to {y.max()}, but class {gap} has no member; add members, renumber the labels, or "
            "save the names as an array called classes."
        )
    return number_labels(y, where, classes or (None if own is None else tuple(map(str, own))))
