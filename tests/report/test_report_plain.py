from __future__ import annotations

import pytest

from safelight.measures.base import Measurement
from safelight.report import plain, vocabulary
from safelight.verdict.finding import Status, Verdict


@pytest.mark.parametrize(
    ("rate", "words"),
    [
        (0.03, "3 in 100"),
        (1.0, "100 in 100"),
        (0.0, "0 in 100"),
        (0.004, "4 in 1,000"),
        (0.0004, "4 in 10,000"),
        (0.00002, "fewer than 1 in 10,000"),
        (0.999, "more than 99 in 100"),
        (None, "not measurable"),
        (float("nan"), "not measurable"),
    ],
)
def test_a_rate_is_said_as_people_do(rate: float | None, words: str) -> None:
    assert plain.in_100(rate) == words


@pytest.mark.parametrize(
    ("p", "words"),
    [
        (1e-30, "at most 1 in a million"),
        (0.00009, "at most 1 in 10,000"),
        (0.0011, "at most 1 in 500"),
        (0.05, "at most 1 in 20"),
        (0.301, "about 31 in 100"),
        (1.0, "about 100 in 100"),
    ],
)
def test_a_p_value_is_never_said_smaller_than_it_is(p: float, words: str) -> None:
    assert plain.luck(p) == words


@pytest.mark.parametrize(
    ("rate", "words"), [(0.75, "3 of 4"), (0.9, "9 of 10"), (0.663, "66 of 100"), (2 / 3, "2 of 3")]
)
def test_a_share_becomes_a_small_fraction_where_one_fits(rate: float, words: str) -> None:
    assert plain.of(rate) == words


def test_intervals_keep_a_decimal_near_the_ends() -> None:
    assert plain.between(0.15, 0.23) == "between 15 and 23 in 100"
    assert plain.between(0.93, 0.998) == "between 93 and 99.8 in 100"
    assert plain.between(None, 0.2) == ""


def test_numbers_counts_and_percentages() -> None:
    assert [plain.percent(x) for x in (0.19, 0.006, 0.996, 1.0, 0.0001, None)] == [
        "19%", "0.6%", "99.6%", "100%", "below 0.1%", "not measurable",
    ]  # fmt: skip
    assert [plain.number(x) for x in (0.834, 12.34, 1234.5, 0.0031, None)] == [
        "0.83", "12.3", "1,234", "0.003", "not measurable",
    ]  # fmt: skip
    assert [plain.count(x) for x in (2000, 6.66, 5.0)] == ["2,000", "6.7", "5"]
    assert [plain.several(x, "query", "queries") for x in (1, 2)] == ["1 query", "2 queries"]


def test_sentences_start_large_and_end_with_a_stop() -> None:
    assert plain.sentence("it needs weights") == "It needs weights."
    assert plain.sentence("Why?") == "Why?"
    assert plain.sentence("  ") == ""
    assert plain.bare("It stopped. ") == "It stopped"


def test_a_measure_is_written_as_its_kind_asks() -> None:
    assert vocabulary.written("rank1", 0.4) == "40%"
    assert vocabulary.written("coins_correct", 98) == "98"
    assert vocabulary.written("mu", 1.024) == "1.02"
    assert vocabulary.written("mu", None) == "not measurable"
    assert vocabulary.interval(Measurement("success", 0.98, 0.93, 0.998)) == "[93, 99.8]%"
    assert vocabulary.interval(Measurement("mu", 1.0, 1.0)) == "[1.00, …]"
    assert vocabulary.interval(Measurement("mu", 1.0)) == ""


def test_operating_points_and_unknown_measures_explain_themselves() -> None:
    assert vocabulary.term("tpr_at_fpr_0.001").label == "found at 0.1% false alarms"
    assert "1 in 1,000 others" in vocabulary.term("tpr_at_fpr_0.001").meaning
    assert vocabulary.term("bits_leaked").label == "bits leaked"


def test_the_glossary_holds_the_measures_that_are_printed_and_no_others() -> None:
    words = vocabulary.glossary({"auc", "bits_leaked"})
    assert "AUC" in words
    assert "G-mean" not in words
    assert "bits leaked" not in words
    assert list(words) == sorted(words, key=str.lower)


def test_every_ending_has_its_own_shape_and_meaning() -> None:
    shapes = [vocabulary.SHAPES[status] for status in Status]
    assert len(set(shapes)) == len(Status)
    assert len({vocabulary.SHAPES[verdict] for verdict in Verdict}) == len(Verdict)
