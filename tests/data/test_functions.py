"""The user's own functions are loaded from files and modules."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import pytest

from safelight.data.functions import is_function, load_function, load_records
from safelight.errors import InputError

CODE = """
from __future__ import annotations
from dataclasses import dataclass
from safelight.data.records import Records

@dataclass
class Thing:
    size: int

def people():
    return Records.of([[[[0.0]]], [[[1.0]]]], [0, 1])

def number():
    return 3

limit = 3
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "data.py").write_text(CODE)
    return tmp_path


@pytest.mark.parametrize(
    ("spec", "is_one"),
    [
        ("train.py:fit", True),
        ("sub/train.py:fit", True),
        ("my_project.train:fit", True),
        ("train.csv", False),
        ("http://127.0.0.1:8080/x", False),
        ("localhost:8080", False),
        (r"C:\data\train.csv", False),
        (":fit", False),
        (3, False),
    ],
)
def test_tells_functions_from_files_and_addresses(spec: object, is_one: bool) -> None:
    assert is_function(spec) is is_one


def test_a_file_is_loaded_once_and_the_path_is_left_alone(project: Path) -> None:
    before = list(sys.path)
    thing = load_function("mine/data.py:Thing", project)
    assert load_function("data.py:Thing", project / "mine") is thing
    assert pickle.loads(pickle.dumps(thing(3))) == thing(3)
    assert sys.path == before


def test_an_installed_module_is_imported() -> None:
    assert load_function("os.path:join") is __import__("os").path.join


def test_records_come_from_a_function(project: Path) -> None:
    assert len(load_records("mine/data.py:people", project)) == 2
    with pytest.raises(InputError, match=r"mine/data.py:number returned a int"):
        load_records("mine/data.py:number", project)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("mine/data.csv", 'write "module:function" or "file.py:function"'),
        ("mine/dat.py:people", "There is no file .*dat.py"),
        ("mine/data.py:peple", "mine/data.py has no 'peple'.*Did you mean 'people'"),
        ("mine/data.py:limit", "is a int, not a function"),
        ("no_such_module_here.train:fit", "There is no module 'no_such_module_here.train'.*\"train.py:function\""),
        ("os.no_such_part:fit", "There is no module 'os.no_such_part'"),
    ],
)
def test_says_what_is_wrong(project: Path, spec: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        load_function(spec, project)


def test_a_fault_in_the_users_file_is_theirs_to_see(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("import no_such_module_here\n")
    for _ in range(2):  # a half-loaded module does not stay behind
        with pytest.raises(ModuleNotFoundError):
            load_function("broken.py:fit", tmp_path)
