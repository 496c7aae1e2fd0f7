"""Ways past the watch: huge numbers, slow answers over midnight, odd values, calls at once, a full disk."""

import asyncio
import hashlib

import httpx
import numpy as np
import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from safelight.guard.alarm import Alarm
from safelight.guard.calibrate import calibrate
from safelight.guard.middleware import GuardMiddleware
from safelight.guard.scale import Scale
from safelight.guard.seen import Seen
from safelight.guard.track import Track
from safelight.guard.watcher import Watcher

DAY = 86400.0


def person(rng):
    return [float(rng.integers(5)), str(rng.choice(["a", "b", "c"])), float(rng.normal()), float(rng.integers(40))]


def calls(clients):
    rng = np.random.default_rng(3)
    for number in range(clients):
        for row in range(16):
            x = np.array([person(rng)], dtype=object)
            yield Seen(f"c{number}", f"g{number // 20}", "m", 600.0 * row + number, x, rng.dirichlet([1.0, 1.0], 1))


@pytest.fixture(scope="module")
def tables():
    return calibrate(calls(200), 2.0, secret=b"s" * 32)


def asked(watcher, x, at, client="evil"):
    return watcher.see(Seen(client, "", "m", at, x, np.full((len(x), 2), 0.5)))


@pytest.mark.parametrize("value", [1e20, -1e30, 1e300, np.inf, -np.inf])
def test_a_number_beyond_single_precision_is_far_and_hides_nothing(tables, value):
    plain, blinded = Watcher(tables), Watcher(tables)
    first = [bool(asked(plain, np.array([[9.0, "z", 50.0, 50.0 + k]], dtype=object), 60.0 * k)) for k in range(48)]
    facts = tables["m"].reference.read(Seen("a", "", "m", 0.0, np.array([[value, "a", 0.0, 1.0]], object), np.zeros(1)))
    assert facts.numbers[0, 0] == 8.0
    assert np.isfinite(facts.numbers).all()
    assert np.isfinite(facts.z).all()
    asked(blinded, np.array([[value, "a", 0.0, 1.0]], dtype=object), 0.0)
    again = [bool(asked(blinded, np.array([[9.0, "z", 50.0, 50.0 + k]], dtype=object), 60.0 * k)) for k in range(48)]
    assert any(first)
    assert any(again)
    assert all(np.isfinite(list(blinded.risk("m", "evil").values())))


def test_a_reading_that_is_no_number_hides_no_other():
    scale = Scale(("a", "b", "over time"), np.zeros(3), np.ones(3), 0.5, 1.0, 10, 0.1)
    standard, evidence = scale.read(np.array([np.nan, 3.0]), 1.0)
    assert standard.tolist() == [0.0, 3.0, 3.5]
    assert evidence == 3.5


def test_what_is_missing_still_counts_as_usual(tables):
    known = tables["m"].reference
    missing, _ = known.numbers(np.array([[np.nan, "a", None, 1.0]], dtype=object))
    assert missing[0, 0] == pytest.approx(known.mean[0])
    assert missing[0, 2] == pytest.approx(known.mean[2])


@pytest.mark.parametrize("value", [[1, 2], {"x": 1}, True, 2**63, None, "word"])
def test_values_that_are_neither_words_nor_numbers_break_no_watch(tables, value):
    column = np.empty((2, 4), dtype=object)
    column[:] = [[1.0, "a", 0.5, 3.0]] * 2
    column[1, 2] = value
    watcher = Watcher(tables)
    for call in range(8):
        asked(watcher, column, 60.0 * call)
    assert watcher.risk("m", "evil")


def test_answers_that_come_late_do_not_turn_the_day_back(tables):
    known = tables["m"].reference
    track, rng = Track(known), np.random.default_rng(0)
    track.evidence = 8.0
    for at in (2 * DAY, 2 * DAY - 1, 2 * DAY + 1, 2 * DAY - 1, 2 * DAY + 2):
        track.new_day(at)
        x = np.array([person(rng)], dtype=object)
        list(track.take(known.read(Seen("a", "", "m", at, x, np.zeros(1))), known, ()))
    assert track.evidence == 8.0
    assert track.window.today == 5
    assert track.window.minute == pytest.approx(5, abs=0.2)
    track.new_day(3 * DAY)
    assert track.evidence == 4.0


HEAD = '[upstream]\nurl = "http://127.0.0.1:1"\nprotocol = "mlflow"\nmodel = "m"\n'
KEYS = "".join(
    f'[[clients.key]]\nid = "{name}"\nsha256 = "{hashlib.sha256(name.encode()).hexdigest()}"\n'
    for name in ("evil", "good")
)


class AtTheFifth:
    """Rings once, at the fifth call of one client."""

    calls = 0

    def see(self, seen):
        self.calls += seen.client == "evil"
        if self.calls != 5 or seen.client != "evil":
            return []
        return [Alarm("evil", "", seen.model, seen.at, "rate", 2.0, 1.0, 5)]


def answered(policy, *groups, **more):
    """Return the statuses of groups of questions; those of a group are asked at once, by (client, rows) each."""

    async def predict(request):
        n = len((await request.json())["inputs"])
        await asyncio.sleep(0.02)
        return JSONResponse({"predictions": [[0.5, 0.5]] * n})

    app, said = Starlette(routes=[Route("/invocations", predict, methods=["POST"])]), []
    guard = GuardMiddleware(app, policy, say=said.append, **more)

    async def all_of_them():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(guard), base_url="http://guard") as session:

            async def ask(key, n):
                headers, question = {"authorization": f"Bearer {key}"}, {"inputs": [[1.0, 2.0]] * n}
                return (await session.post("/invocations", json=question, headers=headers)).status_code

            return [await asyncio.gather(*(ask(*each) for each in group)) for group in groups]

    try:
        return asyncio.run(all_of_them()), said
    finally:
        guard.close()


@pytest.mark.parametrize("together", [1, 40])
def test_answers_on_their_way_do_not_leave_once_their_client_is_in_quarantine(tmp_path, together):
    policy = tmp_path / "guard.toml"
    policy.write_text(HEAD + KEYS)
    groups = [[("evil", 1)] * together] * (40 // together)
    found, _ = answered(policy, [("good", 1)], *groups, [("good", 1)], watcher=AtTheFifth())
    assert sum(group.count(200) for group in found[1:-1]) == 4
    assert (found[0], found[-1]) == ([200], [200])


def test_a_recording_that_cannot_be_written_holds_no_answer_back(tmp_path):
    (tmp_path / "traffic.npy").mkdir()
    policy = tmp_path / "guard.toml"
    policy.write_text(HEAD + KEYS + '[signals]\nrecord = "traffic.npy"\n')
    found, said = answered(policy, [("good", 300)], [("good", 1)])
    assert found == [[200], [200]]
    assert any("some calls were not recorded" in words for words in said)


def test_the_cohorts_that_an_identity_provider_makes_up_take_no_more_room(tables, monkeypatch):
    monkeypatch.setattr("safelight.guard.watcher.COHORTS", 3)
    watcher, x = Watcher(tables), np.array([[1.0, "a", 0.5, 3.0]], dtype=object)
    for cohort in ("a", "b", "c", "a", "d", "a", "e"):
        watcher.see(Seen("one", cohort, "m", 0.0, x, np.full((1, 2), 0.5)))
    assert [key[1] for key in watcher._cohorts] == ["d", "a", "e"]
