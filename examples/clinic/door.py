"""Who asks at the clinic's door: practices about their patients, and somebody with a stolen key."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass

import httpx
import numpy as np
import pandas as pd
from clinic import Patients, fields

import safelight as sl
from safelight.attacks.membership.label_only import LabelOnly
from safelight.errors import SafelightError
from safelight.evidence import WhoWasIn
from safelight.targets.base import Table
from safelight.targets.http import from_http

BATCH = 4  # patients in one question of a practice


def ask(url: str, key: str | None, some: pd.DataFrame) -> httpx.Response:
    """Ask about some patients, as every practice does."""
    split = {"columns": list(some.columns), "data": some.to_numpy().tolist()}
    headers = {} if key is None else {"authorization": f"Bearer {key}"}
    return httpx.post(
        f"{url}/invocations", json={"dataframe_split": split}, headers=headers, trust_env=False, timeout=30.0
    )


def a_day(url: str, keys: Mapping[str, str], people: pd.DataFrame, seed: int) -> dict[int, int]:
    """Let every practice ask about 24 to 40 patients in turn; return how many questions got which status."""
    rng = np.random.default_rng(seed)
    questions = []
    for key in keys.values():
        rows = rng.choice(len(people), BATCH * int(rng.integers(6, 11)))
        questions += [(key, rows[start : start + BATCH]) for start in range(0, len(rows), BATCH)]
    found: dict[int, int] = {}
    for place in rng.permutation(len(questions)):
        key, rows = questions[place]
        status = ask(url, key, people.iloc[rows]).status_code
        found[status] = found.get(status, 0) + 1
    return found


class Counting(httpx.BaseTransport):
    """Passes questions on, and counts the records that got an answer."""

    def __init__(self) -> None:
        self.network, self.answered = httpx.HTTPTransport(trust_env=False), 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = self.network.handle_request(request)
        if answer.status_code == 200:
            self.answered += len(json.loads(request.content)["dataframe_split"]["data"])
        return answer


@dataclass(frozen=True)
class Robbery:
    """What became of an attack through the door.

    Attributes:
        wanted: records that it would have asked about.
        answered: records that it got an answer for.
        ended: the sentence that it ended with, or "" where it got all that it wanted.
    """

    wanted: int
    answered: int
    ended: str


def rob(url: str, key: str, people: Patients, seed: int) -> Robbery:
    """Ask who of 20 patients was trained on (half were), by the audit's own attack M006, unchanged, over HTTP."""
    both = pd.concat([people.trained[:10], people.kept_back[:10]], ignore_index=True)
    suspects, network, attack = sl.Records.of(fields(both), both["benign"]), Counting(), LabelOnly()
    os.environ["STOLEN_KEY"] = key
    inputs = Table(tuple(fields(both).columns))
    target = from_http(
        url, "mlflow", classes=("0", "1"), inputs=inputs, auth_env="STOLEN_KEY", inexact=True, transport=network
    )
    ended = ""
    try:
        attack.run(target.view(sl.ThreatModel(sl.Access.LABEL)), WhoWasIn(suspects), np.random.default_rng(seed))
    except SafelightError as error:
        ended = str(error)
    return Robbery(len(suspects) * (1 + attack.copies), network.answered, ended)
