"""calibration.npz: what the watch knows of normal traffic, one model after another. Opened without pickle."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray as Array

from safelight.errors import InputError
from safelight.guard.passages import Passages
from safelight.guard.reference import Reference
from safelight.guard.scale import Scale

VERSION = 3
SHAPE = ("shape_mean", "shape_deviation", "shape_weights")
USUAL = ("usual_keys", "usual_shares")


@dataclass(frozen=True)
class Calibration:
    """What was learnt from the normal traffic of one model.

    Attributes:
        model: its name.
        reference: what its records look like.
        clients: the scale of single clients.
        cohorts: that of groups of clients, or None where there were too few.
        group: clients in each of those groups.
        window: records of a cohort that are looked at together: about as many as a group had, 512 at the most.
    """

    model: str
    reference: Reference
    clients: Scale
    cohorts: Scale | None
    group: int
    window: int


def save(path: Path, calibrations: Mapping[str, Calibration]) -> None:
    """Write a file that its owner alone can read.

    It holds the key of its own hashes and coarse sketches of typical records: keep it as you keep the training data.

    Raises:
        InputError: it cannot be written.
    """
    arrays: dict[str, Array] = {"version": np.array(VERSION), "models": np.array(list(calibrations), dtype=str)}
    for place, calibration in enumerate(calibrations.values()):
        parts = _of_reference(calibration.reference) | {"group": np.array(calibration.group)}
        parts["window"] = np.array(calibration.window)
        for name, scale in (("clients", calibration.clients), ("cohorts", calibration.cohorts)):
            if scale is not None:
                parts |= {f"{name}_{key}": np.asarray(value) for key, value in vars(scale).items()}
        arrays |= {f"{place}_{name}": value for name, value in parts.items()}
    beside = path.with_name(path.name + ".new")
    try:
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
        os.replace(beside, path)
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror}); name another file with --out.") from None


def load(path: Path) -> dict[str, Calibration]:
    """Read a file; raises InputError where it cannot be used."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        if int(arrays["version"]) != VERSION:
            raise InputError(
                f"{path} is a calibration of format {int(arrays['version'])}, and this version reads format {VERSION}; "
                "run `safelight guard calibrate` again."
            )
        found = {}
        for place, model in enumerate(arrays["models"].tolist()):
            start = f"{place}_"
            parts = {name.removeprefix(start): value for name, value in arrays.items() if name.startswith(start)}
            cohorts = _scale(parts, "cohorts") if "cohorts_names" in parts else None
            sizes = int(parts["group"]), int(parts["window"])
            found[model] = Calibration(model, _reference(parts), _scale(parts, "clients"), cohorts, *sizes)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); run `safelight guard calibrate`.") from None
    except (KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is no calibration ({error}); run `safelight guard calibrate`.") from None
    return found


def _of_reference(reference: Reference) -> dict[str, Array]:
    parts: dict[str, Array] = {}
    for item in fields(reference):
        value: Any = getattr(reference, item.name)
        if item.name == "shape":
            parts |= dict(zip(SHAPE, value))
        elif item.name == "usual":
            parts |= dict(zip(USUAL, value))
        elif item.name == "words":
            rows = [(column, word, code) for column, known in value.items() for word, code in known.items()]
            parts["words_columns"] = np.array([row[0] for row in rows], np.int64)
            parts["words_hashes"] = np.array([row[1] for row in rows], np.uint64)
            parts["words_numbers"] = np.array([row[2] for row in rows], float)
        elif item.name == "passages":
            parts |= {"passages_hashes": value.hashes, "passages_halvings": np.array(value.halvings)}
        elif item.name == "names":
            parts["names"] = np.array(json.dumps(value))
        elif item.name == "secret":
            parts["secret"] = np.frombuffer(value, np.uint8)
        else:
            parts[item.name] = np.asarray(value)
    return parts


def _reference(parts: Mapping[str, Array]) -> Reference:
    words: dict[int, dict[int, float]] = {}
    rows = (parts["words_columns"].tolist(), parts["words_hashes"].tolist(), parts["words_numbers"].tolist())
    for column, word, number in zip(*rows):
        words.setdefault(column, {})[word] = number
    plain = {item.name for item in fields(Reference)} - {"shape", "usual", "words", "secret", "passages", "names"}
    facts: dict[str, Any] = {name: parts[name] for name in plain}
    facts |= {"width": int(facts["width"]), "width_classes": int(facts["width_classes"]), "off": float(facts["off"])}
    facts["shape"] = tuple(parts[name] for name in SHAPE)
    facts["usual"] = tuple(parts[name] for name in USUAL)
    secret = parts["secret"].tobytes()
    passages = Passages(parts["passages_hashes"], int(parts["passages_halvings"]), secret)
    names = tuple(json.loads(str(parts["names"]))) if "names" in parts else ()  # none were kept before there were any
    return Reference(**facts, words=words, secret=secret, passages=passages, names=names)


def _scale(parts: Mapping[str, Array], name: str) -> Scale:
    got = {item.name: parts[f"{name}_{item.name}"] for item in fields(Scale)}
    return Scale(
        tuple(got["names"].tolist()), got["middle"], got["spread"], float(got["drift"]), float(got["threshold"]),
        int(got["clients"]), float(got["rate"]),
    )  # fmt: skip
