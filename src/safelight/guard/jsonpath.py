"""Where in a JSON body the records and the answers are: paths of names, places and `*`, as RFC 9535 writes them.

Filters, slices and `..` are left out on purpose. What is left can be held against every leaf of a body in one walk, so
that a body is read whole or not at all, and no rule costs more than the body is long.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from safelight.errors import InputError
from safelight.settings import filled

Path = tuple[str | int | None, ...]
"""Names of members, places in lists, and None for each of them."""
Place = tuple[str | int, ...]
"""Where one value stands in a body."""

_SEGMENT = re.compile(r"""\.([^\W\d][\w-]*|\*)|\[(?:(\*)|(\d{1,6})|'([^'\\]*)'|"([^"\\]*)")\]""")
ONE_OR_MORE = ("records", "answers", "labels", "also_asked", "also_answered", "health")


class _Nothing:
    pass


NOTHING = _Nothing()
"""Stands for a body of which nothing is kept; None is a value."""


@dataclass(frozen=True)
class JsonRule:
    """[upstream.jsonpath]: how a server's own JSON is read. Each of the lists may also be a single word.

    A path with `*` finds one value a record; a path without one finds the list of all records' values.

    Attributes:
        path: that questions are sent to; {model} in it stands for the name of the model.
        records: paths of the records in a question; of several, each holds a part of every record.
        answers: paths of scores, labels or predictions in an answer, which are hardened.
        labels: paths of answers that may be nothing but labels.
        also_asked: paths of what else a question may hold; it goes on as it is.
        also_answered: paths of what else may leave: words, whole numbers, true and false.
        health: addresses that all may read by GET.
    """

    path: str
    records: tuple[str, ...]
    answers: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    also_asked: tuple[str, ...] = ()
    also_answered: tuple[str, ...] = ()
    health: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.path.startswith("/") or not set(re.findall(r"\{.*?\}", self.path)) <= {"{model}"}:
            raise InputError(f"path is {self.path!r}; it must begin with /, and {{model}} is all it may leave open.")
        if not self.records or not (self.answers or self.labels):
            raise InputError("The rule needs paths of records, and of answers or labels.")
        _apart([*self.records, *self.also_asked])
        _apart([*self.answers, *self.labels, *self.also_answered])


def rule_of(where: str, content: Mapping[str, Any]) -> JsonRule:
    """Return the rule of a table of guard.toml; raises InputError."""
    for needed in ("path", "records"):
        if needed not in content:
            raise InputError(f"{where} needs the key {needed!r}.")
    lists = {key: [value] if key in ONE_OR_MORE and isinstance(value, str) else value for key, value in content.items()}
    try:
        rule: JsonRule = filled(where, JsonRule, lists)
    except InputError as error:
        raise InputError(str(error) if str(error).startswith(where) else f"{where}: {error}") from None
    return rule


def path_of_text(text: str) -> Path:
    """Return the segments of `$.data[*].features`; raises InputError where it says more than this file reads."""
    segments: list[str | int | None] = []
    at = 1
    while text.startswith("$") and at < len(text):
        found = _SEGMENT.match(text, at)
        if found is None:
            break
        name, every, number, single, double = found.groups()
        if every or name == "*":
            segments.append(None)
        elif number is not None:
            segments.append(int(number))
        else:
            segments.append(next(word for word in (name, single, double) if word is not None))
        at = found.end()
    if not text.startswith("$") or at < len(text):
        raise InputError(
            f"The path {text!r} cannot be read at {text[at:][:20]!r}; write names, [0] and [*], as in $.data[*].scores."
        )
    return tuple(segments)


def places(content: Any, path: Path) -> Iterator[tuple[Place, Any]]:
    """Yield (place, value) of each match of a path, in the order of the body."""
    if not path:
        yield (), content
    else:
        for step, value in _below(content, path[0]):
            for place, found in places(value, path[1:]):
                yield (step, *place), found


def uncovered(content: Any, paths: Sequence[Path]) -> Place | None:
    """Return the place of a leaf that lies under none of the paths, or None where there is none.

    A leaf is a word, a number, true, false, null, or an empty list or object.
    """
    if not all(paths):
        return None  # one path ends here, and all below is its own
    steps = list(_below(content, None))
    if not steps:
        return ()
    for step, value in steps:
        deeper = uncovered(value, [path[1:] for path in paths if path[0] is None or path[0] == step])
        if deeper is not None:
            return (step, *deeper)
    return None


def kept(content: Any, paths: Sequence[Path]) -> Any:
    """Return a body with what lies under the paths and nothing else, or NOTHING.

    What goes from the middle of a list leaves a null, so that the rest keeps its place.
    """
    if not all(paths):
        return content
    found = {}
    for step, value in _below(content, None):
        deeper = [path[1:] for path in paths if path[0] is None or path[0] == step]
        part = kept(value, deeper) if deeper else NOTHING
        if part is not NOTHING:
            found[step] = part
    if not found:
        return NOTHING
    if isinstance(content, dict):
        return found
    return [found.get(step) for step in range(max(step for step in found if isinstance(step, int)) + 1)]


def put(content: Any, place: Place, value: Any) -> Any:
    """Return a body with `value` at a place; lists and objects on the way are changed."""
    if not place:
        return value
    inside = content
    for step in place[:-1]:
        inside = inside[step]
    inside[place[-1]] = value
    return content


def _below(content: Any, step: str | int | None) -> Iterator[tuple[str | int, Any]]:
    if isinstance(content, dict):
        if step is None:
            yield from content.items()
        elif step in content:
            yield step, content[step]
    elif isinstance(content, list):
        if step is None:
            yield from enumerate(content)
        elif isinstance(step, int) and step < len(content):
            yield step, content[step]


def _apart(texts: Sequence[str]) -> None:
    paths = [path_of_text(text) for text in texts]
    for here, one in enumerate(paths):
        for there, other in enumerate(paths[:here]):
            if all(a is None or b is None or a == b for a, b in zip(one, other)):
                raise InputError(f"The paths {texts[there]!r} and {texts[here]!r} may mean the same value; keep one.")
