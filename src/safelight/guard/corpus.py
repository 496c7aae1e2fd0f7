"""The texts that a language model was trained on, read from a file of any size part by part."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from safelight.errors import InputError

PART = 2**22
"""Characters that are read at once."""
SHARED = 1024
"""Characters that two parts share, so that no passage is cut."""


def read_corpus(path: Path) -> Iterator[str]:
    """Yield texts of a file in UTF-8: of .jsonl each text in each line's JSON, of another file all of it in parts.

    Raises:
        InputError: it cannot be read, is not in UTF-8, or a line holds no JSON.
    """
    try:
        with path.open(encoding="utf-8") as file:
            if path.suffix == ".jsonl":
                for number, line in enumerate(file, start=1):
                    yield from _texts(_json(path, number, line) if line.strip() else None)
                return
            rest = ""
            while part := file.read(PART):
                yield rest + part
                rest = part[-SHARED:]
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); name a file of training texts.") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is no text in UTF-8; write it again.") from None


def _json(path: Path, number: int, line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        raise InputError(f"{path}, line {number} is no JSON; write one value a line.") from None


def _texts(found: Any) -> Iterator[str]:
    if isinstance(found, str):
        yield found
    elif isinstance(found, list | dict):
        for each in found.values() if isinstance(found, dict) else found:
            yield from _texts(each)
