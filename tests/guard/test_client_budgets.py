"""Budgets of a client, of a cohort and for a model, through the guard and its store."""

import asyncio
import hashlib
import json

import httpx
import pytest

from safelight.guard.exchange import Answer, send_answer
from safelight.guard.middleware import GuardMiddleware

KEYS = "".join(
    f'[[clients.key]]\nid = "{name}"\nsha256 = "{hashlib.sha256(name.encode()).hexdigest()}"\ncohort = "{cohort}"\n'
    for name, cohort in (("ward-3", "wards"), ("desk", "wards"), ("lab", ""))
)
BUDGETS = """
[budget]
lifetime = 8
[[budget.client]]
id = "lab"
lifetime = 3
[[budget.cohort]]
name = "wards"
lifetime = 10
[[budget.model]]
name = "diag"
lifetime = 4
"""


class Budgeted:
    """A guard before an app that answers every question."""

    def __init__(self, path) -> None:
        path.write_text('[upstream]\nurl = "http://127.0.0.1:1"\nprotocol = "kserve-v1"\n' + KEYS + BUDGETS)
        self.asked = 0
        self.guard = GuardMiddleware(self.app, path, say=lambda words: None, clock=lambda: 1.8e9)

    async def app(self, scope, receive, send) -> None:
        self.asked += 1
        n = len(json.loads((await receive())["body"])["instances"])
        body = json.dumps({"predictions": [1] * n}).encode()
        await send_answer(send, Answer(200, [(b"content-type", b"application/json")], body))

    def ask(self, client: str, records: int, model: str = "triage") -> int:
        async def once() -> int:
            transport = httpx.ASGITransport(self.guard)
            async with httpx.AsyncClient(transport=transport, base_url="http://guard") as asking:
                body, headers = {"instances": [[1.0]] * records}, {"authorization": client}
                return (await asking.post(f"/v1/models/{model}:predict", json=body, headers=headers)).status_code

        return asyncio.run(once())


@pytest.fixture
def budgeted(tmp_path):
    made = Budgeted(tmp_path / "guard.toml")
    yield made
    made.guard.store.close()


def last(guard) -> dict:
    return json.loads(guard.store.tail(1)[0].text)


def test_a_call_must_fit_into_every_budget_and_is_charged_to_all_or_none(budgeted):
    assert budgeted.ask("ward-3", 4, "diag") == 200
    assert budgeted.ask("ward-3", 1, "diag") == 429  # spent for this model, and not for others
    assert (last(budgeted.guard)["limit"], last(budgeted.guard)["whose"]) == ("lifetime", "model")
    assert budgeted.ask("ward-3", 4) == 200
    assert budgeted.ask("ward-3", 1) == 429  # spent of its own
    assert "whose" not in last(budgeted.guard)
    assert budgeted.ask("desk", 3) == 429  # 8 of the cohort's 10 are spent by the other
    assert last(budgeted.guard)["whose"] == "cohort"
    assert budgeted.ask("desk", 2, "diag") == 200  # nothing of the refused 3 was charged, here or there
    assert budgeted.ask("desk", 1) == 429
    assert budgeted.ask("lab", 3) == 200  # is in no cohort
    assert budgeted.ask("lab", 1) == 429
    assert budgeted.ask("lab", 5) == 413
    assert budgeted.asked == 4
    assert budgeted.guard.store.state("ward-3").total == 8
    assert budgeted.guard.store.verify()[1] == ""


def test_what_a_cohort_spent_stays_spent_after_a_restart(budgeted, tmp_path):
    assert budgeted.ask("ward-3", 8) == 200
    budgeted.guard.store.close()
    again = Budgeted(tmp_path / "guard.toml")
    assert again.ask("desk", 3) == 429
    assert again.ask("desk", 2) == 200
    again.guard.store.close()
