"""Settings as they stand in a file: lists of words, and what is refused in one sentence."""

from dataclasses import dataclass

import pytest

from safelight.errors import InputError
from safelight.settings import filled


@dataclass(frozen=True)
class Knobs:
    """Something with settings.

    Attributes:
        columns: names of columns.
        share: in (0, 1], of them.
        count: how many (>= 1).
    """

    columns: tuple[str, ...] = ()
    share: float = 1.0
    count: int | None = None


def test_a_list_of_words_becomes_a_tuple():
    assert filled("knobs", Knobs, {"columns": ["age", "town"]}) == Knobs(("age", "town"))
    assert filled("knobs", Knobs, {"columns": ()}) == Knobs()
    assert filled("knobs", Knobs, {"share": 1, "count": 3}) == Knobs((), 1.0, 3)


@pytest.mark.parametrize("value", ["age", ["age", 3], 5, None])
def test_anything_else_is_no_list_of_words(value):
    with pytest.raises(InputError, match=r"knobs, columns is .*; it must be a list of words, such as"):
        filled("knobs", Knobs, {"columns": value})


def test_other_settings_are_held_to_their_type_and_bounds():
    with pytest.raises(InputError, match="count is True; it must be"):
        filled("knobs", Knobs, {"count": True})
    with pytest.raises(InputError, match=r"share is 0.0; it must be in \(0, 1\]"):
        filled("knobs", Knobs, {"share": 0})
    with pytest.raises(InputError, match=r"no setting 'colums'.*columns"):
        filled("knobs", Knobs, {"colums": []})
