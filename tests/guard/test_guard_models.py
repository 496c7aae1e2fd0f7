"""The commands for versions, drift and audits that are due."""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from safelight.cli import main
from safelight.guard.drift.due import Due, schedule
from safelight.guard.drift.reference import DriftReference
from safelight.guard.store import Store

REPORT = {
    "schema_version": "1.3",
    "verdict": "no leak found",
    "findings": [
        {
            "code": "M001",
            "claim": "membership",
            "about": "model",
            "unit": "record",
            "adjacency": "none",
            "status": "no leak found",
            "measured": [],
        }
    ],
    "threat": {"access": "scores"},
    "policy": {"alpha": 0.01, "tolerate": 0.0, "look_for": 0.75},
    "settings": {"M001": {}},
    "kind": "table",
    "incomplete": "",
    "broken": "",
}
POLICY = """[upstream]
protocol = "mlflow"
model = "diag@champion"
[[upstream.version]]
id = "1"
url = "http://127.0.0.1:5001"
audit = "report.json"
[[upstream.version]]
id = "2"
url = "http://127.0.0.1:5002"
audit = "report.json"
"""


@pytest.fixture
def policy(tmp_path) -> Path:
    (tmp_path / "report.json").write_text(json.dumps(REPORT))
    (tmp_path / "guard.toml").write_text(POLICY)
    return tmp_path / "guard.toml"


def ran(capsys, *words: str) -> tuple[int, str, str]:
    code = main(["guard", *words])
    out = capsys.readouterr()
    return code, out.out, out.err


def test_versions_promote_and_rollback(policy, capsys):
    where = ["--policy", str(policy)]
    assert ran(capsys, "versions", *where)[1].startswith("diag@champion points at no version yet\n")
    assert ran(capsys, "promote", "2", *where) == (
        0,
        "nothing -> 2 (at least as good: nothing serves that has an audit).\n",
        "",
    )
    assert ran(capsys, "rollback", "--why", "late", *where)[:2] == (0, "2 -> 1 (at least as good).\n")
    code, _, said = ran(capsys, "rollback", *where)
    assert (code, said.count("\n")) == (2, 1)
    assert "(there is none); name one with --to VERSION --force --why TEXT." in said
    shown = ran(capsys, "versions", *where)[1].splitlines()
    assert shown[0] == "diag@champion points at 1"
    assert shown[1].split() == ["1", "http://127.0.0.1:5001", "audit:", "no", "leak", "found,", "0", "leaks", "serves"]
    assert shown[-1].endswith("UTC  rollback 2 -> 1  late")
    assert ran(capsys, "promote", "2", "--alias", "challenger", *where)[0] == 0
    assert ran(capsys, "versions", "--alias", "challenger", *where)[1].startswith("diag@challenger points at 2\n")
    assert ran(capsys, "verify", *where)[1].startswith(
        "The log is whole.\n0 budgets and 0 steps agree with the log.\n3:"
    )


def test_without_versions_it_says_what_to_write(tmp_path, capsys):
    path = tmp_path / "guard.toml"
    path.write_text('[upstream]\nurl = "http://127.0.0.1:1"\nprotocol = "oip"\n')
    code, _, said = ran(capsys, "versions", "--policy", str(path))
    assert (code, said) == (
        2,
        "safelight: The policy lists no versions; write [[upstream.version]] with id, url and audit for each.\n",
    )


def test_audits_that_are_due_are_listed_and_closed(policy, capsys):
    where = ["--policy", str(policy)]
    store = Store.open(policy.parent / "guard.db")
    schedule(store, Due("diag@champion", "2", "The inputs drifted.", 1_800_000_000.0))
    store.close()
    assert ran(capsys, "due", *where)[:2] == (
        1,
        "diag@champion version 2, since 2027-01-15 08:00 UTC: The inputs drifted.\n",
    )
    code, _, said = ran(capsys, "due", "--done", "diag@champion", *where)
    assert (code, "--done and --report go together" in said) == (2, True)
    closing = ["due", "--done", "diag@champion", "--report", str(policy.parent / "report.json"), *where]
    assert ran(capsys, *closing)[:2] == (0, "The audit of diag@champion is done: no leak found.\n")
    assert ran(capsys, "due", *where)[:2] == (0, "No audit is due.\n")
    code, _, said = ran(capsys, *closing)
    assert (code, "No audit of 'diag@champion' is due." in said) == (2, True)


def test_a_reference_of_drift_is_made_from_a_table_with_words_and_gaps(tmp_path, capsys):
    rng = np.random.default_rng(0)
    people = pd.DataFrame({"age": rng.normal(50, 9, 400), "town": rng.choice(["Oslo", "Rome"], 400)})
    people.loc[3, "age"] = None
    people.to_csv(tmp_path / "people.csv", index=False)
    np.save(tmp_path / "answers.npy", rng.dirichlet(np.ones(3), 400))
    words = ["drift-reference", "--records", str(tmp_path / "people.csv"), "--out", str(tmp_path / "drift.npz")]
    assert ran(capsys, *words, "--answers", str(tmp_path / "answers.npy"))[:2] == (
        0,
        f"{tmp_path / 'drift.npz'} holds 400 records as counts of 2 columns.\n",
    )
    reference = DriftReference.load(tmp_path / "drift.npz")
    assert reference.inputs.worded.tolist() == [False, True]
    assert reference.inputs.counts[0, 20] == 1
    assert reference.outputs.width == 3
    assert b"Oslo" not in (tmp_path / "drift.npz").read_bytes()
    for name in ("none.csv", "answers.npy"):
        (tmp_path / "answers.npy").write_bytes(b"no array")
        code, _, said = ran(capsys, "drift-reference", "--records", str(tmp_path / name))
        assert (code, "cannot be read" in said) == (2, True)


def test_help_names_the_commands_and_loads_none_of_their_parts():
    program = (
        "import sys\nfrom safelight.cli import main\nmain(['guard', '--help'])\n"
        "assert 'safelight.guard.registry' not in sys.modules\nassert 'safelight.guard.drift' not in sys.modules\n"
    )
    start = time.process_time()
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for word in ("versions", "promote", "rollback", "drift-reference", "due"):
        assert word in done.stdout
    assert time.process_time() - start < 5
