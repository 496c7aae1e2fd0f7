"""Pictures: as PNG to write into a page, and as npz beside report.json."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy import ndarray as Array

from safelight.errors import InputError
from safelight.report.model import Pictures

FILE = Path("evidence") / "pictures.npz"
"""Where the pictures of a report lie, seen from the folder of report.json."""

_LONGEST = 112  # a page with a hundred pictures stays small


@dataclass(frozen=True)
class Triplet:
    """One row on the page: pictures as data addresses, "" where there is none.

    Attributes:
        small: whether it has so few pixels that they should stay visible as squares.
    """

    name: str
    rebuilt: str
    control: str
    nearest: str
    recognised: bool
    small: bool

    @property
    def size(self) -> int:
        return len(self.rebuilt) + len(self.control) + len(self.nearest)


def triplets(pictures: Pictures, room: int) -> tuple[Triplet, ...]:
    """Return the first pictures, in the order of the classes, that fit into `room` bytes; at least one."""
    rows: list[Triplet] = []
    for row, name in enumerate(pictures.names):
        made = [
            "" if group is None else png(group[row], pictures.low, pictures.high)
            for group in (pictures.rebuilt, pictures.control, pictures.nearest)
        ]
        small = max(pictures.rebuilt.shape[-2:]) < 48
        label = f"class {name}" if name.isdigit() else name
        triplet = Triplet(label, made[0], made[1], made[2], bool(pictures.recognised[row]), small)
        room -= triplet.size
        if rows and room < 0:
            break
        rows.append(triplet)
    return tuple(rows)


def png(image: Array, low: float, high: float) -> str:
    """Return one picture (channels, height, width) in [low, high] as a `data:` address; values outside are clipped."""
    from PIL import Image

    pixels = np.asarray(image, dtype=np.float64)
    if pixels.shape[0] not in (1, 3):
        pixels = pixels.mean(axis=0, keepdims=True)
    span = (high - low) or 1.0
    grey = np.round(255 * np.clip((pixels - low) / span, 0, 1)).astype(np.uint8)
    drawn = Image.fromarray(grey[0]) if len(grey) == 1 else Image.fromarray(np.moveaxis(grey, 0, -1))
    if max(drawn.size) > _LONGEST:
        drawn.thumbnail((_LONGEST, _LONGEST))
    buffer = io.BytesIO()
    drawn.save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def write_pictures(pictures: Sequence[Pictures], folder: Path) -> Path | None:
    """Write evidence/pictures.npz under `folder`, the same bytes for the same pictures; None when there are none."""
    if not pictures:
        return None
    arrays: dict[str, Array] = {}
    for number, group in enumerate(pictures):
        arrays[f"{number}_code"] = np.array(group.code)
        arrays[f"{number}_names"] = np.array(group.names, dtype=str)
        arrays[f"{number}_range"] = np.array([group.low, group.high])
        arrays[f"{number}_recognised"] = np.asarray(group.recognised, dtype=bool)
        for part in ("rebuilt", "control", "nearest"):
            if getattr(group, part) is not None:
                arrays[f"{number}_{part}"] = np.asarray(getattr(group, part), dtype=np.float32)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    path = folder / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(buffer.getvalue())
    partial.replace(path)
    return path


def read_pictures(folder: Path) -> tuple[Pictures, ...]:
    """Read what `write_pictures` wrote; () when there is no such file. Nothing in it can run code.

    Raises:
        InputError: the file is no such archive.
    """
    path = folder / FILE
    if not path.exists():
        return ()
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        return tuple(_group(arrays, number) for number in range(sum(name.endswith("_code") for name in arrays)))
    except (ValueError, KeyError, OSError, EOFError, BadZipFile) as error:
        raise InputError(
            f"{path} cannot be read as pictures ({error}); run the audit again to write it anew."
        ) from None


def _group(arrays: dict[str, Array], number: int) -> Pictures:
    low, high = arrays[f"{number}_range"]
    return Pictures(
        str(arrays[f"{number}_code"]),
        tuple(str(name) for name in arrays[f"{number}_names"]),
        arrays[f"{number}_rebuilt"],
        arrays.get(f"{number}_control"),
        arrays.get(f"{number}_nearest"),
        float(low),
        float(high),
        arrays[f"{number}_recognised"],
    )
