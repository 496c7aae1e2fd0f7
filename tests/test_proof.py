"""A method without a green row in benchmarks/proof.json may not be in the package."""

import json
from pathlib import Path

import pytest

from safelight.attacks.base import all_attacks

ROWS = {row["code"]: row for row in json.loads((Path(__file__).parents[1] / "benchmarks" / "proof.json").read_text())}


@pytest.mark.parametrize("code", all_attacks())
def test_every_attack_has_a_green_row(code):
    assert code in ROWS, f"run: python benchmarks/proof.py {code}"
    assert ROWS[code]["green"], ROWS[code]
