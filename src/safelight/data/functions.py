"""Load the user's own functions: `package.module:function`, or `file.py:function` beside the settings."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from safelight.data.records import Records
from safelight.errors import InputError, did_you_mean


def is_function(spec: object) -> bool:
    """Return whether `spec` names a function (`module:function`) rather than a file, a folder or a web address."""
    if not isinstance(spec, str) or "://" in spec:
        return False
    module, colon, name = spec.rpartition(":")
    return bool(colon) and name.isidentifier() and (module.endswith(".py") or _is_dotted(module))


def load_function(spec: str, folder: Path | str = ".") -> Callable[..., Any]:
    """Import what `spec` names. This runs the code of its module.

    Args:
        spec: `package.module:function`, imported like any installed module, or `file.py:function`.
        folder: what a relative `file.py` is relative to. `sys.path` is left alone.

    Raises:
        InputError: the spec has another form, the module or file is missing, or holds no such callable.
    """
    module_name, _, name = spec.rpartition(":")
    if not is_function(spec):
        raise InputError(f'{spec!r} names no function; write "module:function" or "file.py:function".')
    module = _from_file(Path(folder) / module_name) if module_name.endswith(".py") else _from_name(module_name)
    found = getattr(module, name, None)
    if found is None:
        known = [word for word in vars(module) if not word.startswith("_")]
        raise InputError(f"{module_name} has no {name!r}; define it there.{did_you_mean(name, known)}")
    if not callable(found) and not hasattr(found, "fit"):
        raise InputError(f"{spec} is a {type(found).__name__}, not a function; name a function.")
    return found  # type: ignore[no-any-return]


def user_modules() -> list[ModuleType]:
    """Return the modules that were loaded from a file: no other process can import them by their names."""
    return [module for name, module in sys.modules.items() if name.startswith(_PREFIX)]


def load_records(spec: str, folder: Path | str = ".") -> Records:
    """Call the function that `spec` names, without arguments; it must return `Records`."""
    records = load_function(spec, folder)()
    if not isinstance(records, Records):
        raise InputError(
            f"{spec} returned a {type(records).__name__}; let it return safelight.data.records.Records.of(x, y)."
        )
    return records


_PREFIX = "safelight_user_"


def _from_file(path: Path) -> ModuleType:
    path = path.resolve()
    if not path.is_file():
        raise InputError(f"There is no file {path}; correct the path before the colon.")
    # Known under a name of its own, so that classes defined there can be pickled and are the same at every load.
    name = f"{_PREFIX}{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise InputError(f"{path} cannot be read as a Python file; save it as UTF-8 text with the ending .py.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _from_name(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not (name == error.name or name.startswith(error.name + ".")):
            raise  # the module is there; something that it imports is not
        raise InputError(
            f'There is no module {name!r}; install it, or name its file as "{name.rpartition(".")[2]}.py:function".'
        ) from None


def _is_dotted(name: str) -> bool:
    return bool(name) and all(part.isidentifier() for part in name.split("."))
