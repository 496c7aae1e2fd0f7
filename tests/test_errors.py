"""Errors help: the message says what to do, the class carries the exit code."""

from safelight.errors import BudgetSpent, InputError, MissingExtra, PolicyFailed, TargetFailed, did_you_mean


def test_exit_codes_follow_the_kind_of_error():
    assert InputError("x").exit_code == 2
    assert TargetFailed("x").exit_code == 3
    assert PolicyFailed("x").exit_code == 1
    assert BudgetSpent("x").exit_code == 2


def test_a_missing_extra_names_its_pip_line():
    error = MissingExtra("onnxruntime", "onnx", "An ONNX target")
    assert str(error) == (
        'An ONNX target needs the package onnxruntime, which is not installed; run: pip install "safelight[onnx]".'
    )


def test_a_close_word_is_suggested_and_a_far_one_is_not():
    assert did_you_mean("bugdet", ["budget", "seed"]) == " Did you mean 'budget'?"
    assert did_you_mean("zzz", ["budget", "seed"]) == ""
