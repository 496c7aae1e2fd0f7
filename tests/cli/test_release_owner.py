"""`owner` in safelight.toml: the column that says whose row each released one is tells which links were right."""

import json

import numpy as np
import pandas as pd
import pytest

from safelight.cli import main

SETTINGS = """
[target]
kind = "release"
model = "released.csv"
owner = "patient"

[data]
members = "members.csv"
person = "patient"

[attacks.L004]
columns = "age, town"
"""


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    people = pd.DataFrame({"patient": [f"p{i}" for i in range(150)], "age": rng.integers(18, 90, 150)})
    people["town"] = rng.choice(["Aachen", "Bremen", "Celle", "Dresden"], 150)
    people.assign(extra=1).to_csv("members.csv", index=False)
    people.assign(illness="flu").sample(frac=1, random_state=1).to_csv("released.csv", index=False)


def test_names_are_given_back_by_the_columns_that_a_list_has(files, tmp_path):
    (tmp_path / "safelight.toml").write_text(SETTINGS)
    assert main(["audit", "--only", "L004", "--quiet"]) == 1
    found = json.loads((tmp_path / "safelight-report" / "report.json").read_text())["findings"]
    named = {item["name"]: item for item in found[0]["measured"]}["named"]
    assert 0.3 < named["value"] < 0.9  # several people share an age and a town
    assert named["control"] < 0.05
    assert found[0]["unit"] == "person"


def test_a_column_that_is_not_there_is_said(files, tmp_path, capsys):
    (tmp_path / "safelight.toml").write_text(SETTINGS.replace('owner = "patient"', 'owner = "pateint"'))
    assert main(["audit", "--only", "L004", "--quiet"]) == 2
    assert "has no owner column 'pateint'" in capsys.readouterr().err
    (tmp_path / "safelight.toml").write_text(SETTINGS.replace("age, town", "age, twon"))
    assert main(["audit", "--only", "L004", "--quiet"]) == 3
    assert "Did you mean 'town'?" in (tmp_path / "safelight-report" / "report.json").read_text()
