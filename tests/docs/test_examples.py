"""The example programs run as they stand."""

import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_the_prescreen_of_a_build_says_how_it_ended(capsys):
    program = runpy.run_path(str(EXAMPLES / "ci_prescreen.py"))
    assert program["main"]() in (0, 1)
    assert "M011" in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore")
def test_a_hospital_sees_what_its_forest_holds_and_who_is_at_risk(tmp_path, capsys):
    program = runpy.run_path(str(EXAMPLES / "hospital_forest.py"))
    program["main"](tmp_path)
    printed = capsys.readouterr().out
    assert "default forest: leak" in printed
    assert "small_leaves" in printed
    assert "most at risk: patient" in printed
    for name in ("default", "careful"):
        assert (tmp_path / name / "report.html").exists()
