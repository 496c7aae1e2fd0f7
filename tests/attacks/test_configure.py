"""Settings of attacks: plain words in, typed attacks out, one clear sentence for what cannot be."""

import pytest

from safelight.attacks.base import all_attacks, settings
from safelight.attacks.configure import check, configured
from safelight.attacks.inversion.losses import Loss
from safelight.attacks.inversion.pixels import GradientInversion
from safelight.docstrings import meanings
from safelight.errors import InputError


def test_words_become_types():
    attack = configured("V001", {"loss": "poincare", "steps": 7, "smooth": 3})
    assert attack == GradientInversion(loss=Loss.POINCARE, steps=7, smooth=3.0)
    assert configured("V001", {"loss": "max_margin"}) == configured("V001", {"loss": "max margin"})
    assert configured("V001", {}) == GradientInversion()


@pytest.mark.parametrize(
    ("code", "values", "message"),
    [
        ("V01", {}, "Did you mean 'V001'"),
        ("V001", {"step": 3}, "V001 has no setting 'step'; it has loss, .* Did you mean 'steps'"),
        ("V001", {"steps": 0}, "V001, steps is 0; it must be at least 1"),
        ("V001", {"steps": 2.5}, "V001, steps is 2.5; it must be int"),
        ("V001", {"steps": True}, "it must be int"),
        ("V001", {"smooth": float("nan")}, "it must be a finite number"),
        ("V001", {"loss": "poincaré"}, "use one of 'cross-entropy', .* Did you mean 'poincare'"),
        ("V005", {"samples": 1.0}, r"V005, samples is 1.0; it must be in \(0, 1\)"),
        ("V005", {"radius": 0}, "V005, radius is 0.0; it must be above 0"),
    ],
)
def test_what_cannot_be_is_one_sentence(code, values, message):
    with pytest.raises(InputError, match=message):
        configured(code, values)


def test_a_range_may_hold_its_ends():
    assert configured("M002", {"offline_a": 1}) is not None
    with pytest.raises(InputError, match=r"offline_a is 1\.5"):
        configured("M002", {"offline_a": 1.5})


@pytest.mark.parametrize("code", list(all_attacks()))
def test_every_default_keeps_to_its_own_docstring(code):
    attack = all_attacks()[code]()
    check(attack)
    assert set(meanings(type(attack))) == set(settings(attack))
