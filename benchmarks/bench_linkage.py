"""Risks of released tables beside anonymeter's, on 285 breast-cancer patients: copied, half copied and shuffled.

anonymeter runs in .venv-anonymeter (ANONYMETER_PYTHON names another one). Goal: the same verdict (is the lower end
above 0?) and our value within anonymeter's 95 % interval, for every table and kind of risk.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
import release_tables

HERE = Path(__file__).parent
PYTHON = os.environ.get("ANONYMETER_PYTHON", str(HERE.parent / ".venv-anonymeter/bin/python"))


def anonymeter(released: pd.DataFrame, members: pd.DataFrame, others: pd.DataFrame) -> dict[str, dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        for name, table in (("members", members), ("others", others), ("released", released)):
            table.to_csv(Path(folder) / f"{name}.csv", index=False)
        task = {"secret": release_tables.SECRET, "halves": release_tables.halves(list(members.columns))}
        (Path(folder) / "task.json").write_text(json.dumps(task))
        script = [PYTHON, str(HERE / "anonymeter_risks.py"), folder]
        done = subprocess.run(script, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])  # type: ignore[no-any-return]


def main() -> int:
    members, others = release_tables.patients()
    good = True
    print(f"{'table':10}{'risk':16}{'Safelight':>24}{'anonymeter':>24}  same verdict  within")
    for table, released in release_tables.releases(members).items():
        theirs = anonymeter(released, members, others)
        for kind, ours in release_tables.risks(released, members, others).items():
            peer = theirs[kind]
            assert ours.value is not None
            assert ours.low is not None
            same = (ours.low > 0) == (peer["low"] > 0)
            within = peer["low"] - 1e-9 <= ours.value <= peer["high"] + 1e-9
            good &= same and within
            print(f"{table:10}{kind:16}{_interval(ours.value, ours.low, ours.high):>24}"
                  f"{_interval(peer['value'], peer['low'], peer['high']):>24}  {same!s:12}  {within}")  # fmt: skip
    print("goal reached" if good else "GOAL MISSED")
    return int(not good)


def _interval(value: float, low: float | None, high: float | None) -> str:
    return f"{value:.3f} [{low or 0:.3f}, {high or 0:.3f}]"


if __name__ == "__main__":
    sys.exit(main())
