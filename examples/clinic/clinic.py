"""The clinic: its patients, two versions of its model, its clients, and the files that Safelight reads."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier
from skops import io

FORESTS = {
    "1": RandomForestClassifier(50, min_samples_leaf=15, max_depth=4, random_state=0),
    "2": RandomForestClassifier(50, random_state=0),
}
"""Version 1 lumps patients together; version 2 learns each by heart."""
CLIENTS = tuple(f"practice-{number:02}" for number in range(1, 61))
COHORT = 15  # practices of one region

AUDIT = """\
[target]
model = "version-{version}.skops"
trusted = true                  # it is our own file

[data]
members = "trained.csv"
nonmembers = "kept-back.csv"
label = "benign"
split = "random"                # who was trained on was drawn by lot

[threat]
access = "scores"
queries = 1000

[attacks.M002]                  # the same in both audits, so that neither looked harder
references = 8
"""

POLICY = """\
[upstream]
protocol = "mlflow"
model = "biopsy@champion"       # the version that this alias points at is asked
[[upstream.version]]
id = "1"
url = "{one}"
audit = "audit-1"
[[upstream.version]]
id = "2"
url = "{two}"
audit = "audit-2"

[budget]
per_day = 2000

[outputs]
decimals = 2

[actions]
playbooks = "playbooks.toml"
approval_above = 0.2            # what would hit a fifth of all practices waits for a person

[signals]
{signals}
"""

PLAYBOOKS = """\
[[playbook]]                    # far above the line: nobody asks like this by chance
name = "surely"
match = {above = 2.0}
actions = ["quarantine:24h", "incident:high"]

[[playbook]]                    # a little above it: with few clients that may be chance
name = "perhaps"
actions = ["coarsen:60m"]
"""


@dataclass(frozen=True)
class Patients:
    """Biopsies of 569 women (Wisconsin, 1995), in three parts drawn by lot; the column `benign` is the finding.

    Attributes:
        trained: that both versions are trained on.
        kept_back: for the audits.
        later: who came after the training; the practices ask about them.
    """

    trained: pd.DataFrame
    kept_back: pd.DataFrame
    later: pd.DataFrame


def patients() -> Patients:
    """Return the three parts, the same in every run."""
    table = load_breast_cancer(as_frame=True).frame.rename(columns={"target": "benign"})
    order = np.random.default_rng(0).permutation(len(table))
    return Patients(*(table.iloc[rows].reset_index(drop=True) for rows in np.split(order, [250, 410])))


def fields(part: pd.DataFrame) -> pd.DataFrame:
    """Return what the model is asked: all but the finding."""
    return part.drop(columns="benign")


def lay_out(folder: Path, people: Patients) -> dict[str, float]:
    """Write both versions, trained, and the settings of their audits; return how often each is right later on."""
    people.trained.to_csv(folder / "trained.csv", index=False)
    people.kept_back.to_csv(folder / "kept-back.csv", index=False)
    accuracy = {}
    for version, forest in FORESTS.items():
        forest.fit(fields(people.trained), people.trained["benign"])
        io.dump(forest, folder / f"version-{version}.skops")
        (folder / f"audit-{version}.toml").write_text(AUDIT.format(version=version))
        accuracy[version] = forest.score(fields(people.later), people.later["benign"])
    return accuracy


def new_keys() -> dict[str, str]:
    """Return a key for each client; the policy gets their hashes alone."""
    return {client: secrets.token_urlsafe(24) for client in CLIENTS}


def write_policy(path: Path, urls: tuple[str, str], keys: dict[str, str], signals: str) -> None:
    """Write guard.toml with one line in [signals], and the playbooks beside it."""
    path.with_name("playbooks.toml").write_text(PLAYBOOKS)
    lines = [POLICY.format(one=urls[0], two=urls[1], signals=signals)]
    for number, (client, key) in enumerate(keys.items()):
        digest = hashlib.sha256(key.encode()).hexdigest()
        lines.append(
            f'[[clients.key]]\nid = "{client}"\nsha256 = "{digest}"\ncohort = "region-{number // COHORT + 1}"\n'
        )
    path.write_text("\n".join(lines))
