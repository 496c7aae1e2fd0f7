"""Noise on answers: a record keeps its own, it costs what it says, and what would leave without it does not."""

import asyncio
import hashlib
import json
import math
from decimal import Decimal
from pathlib import Path

import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest
from scipy.stats import laplace as laplace_law
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from safelight.cli import main
from safelight.defences.outputs.noise import ScoreNoise
from safelight.defences.outputs.policy import OutputPolicy
from safelight.errors import InputError
from safelight.guard.jsonpath import rule_of
from safelight.guard.judge import Call, ClientState, Limit, Verdict, accounts_of, epsilons_of, judge
from safelight.guard.middleware import GuardMiddleware
from safelight.guard.noise import STEPS, Noisy, laplace, noisy
from safelight.guard.policy import Budget, Fail, GuardPolicy, Noise, Outputs, Protocol, Upstream, read_policy
from safelight.guard.protocols import SPEAKS
from safelight.guard.protocols.base import NotUnderstood, Question
from safelight.guard.protocols.rule import ByRule

SECRET = b"s" * 32
ROW = np.array([0.5, 0.3, 0.2])
TWENTY = Noise(20.0)
JSON = {"content-type": "application/json"}
HEAD = '[upstream]\nurl = "http://127.0.0.1:1"\nprotocol = "{}"\nmodel = "diag"\n'
WARDS = "".join(
    f'[[clients.key]]\nid = "{name}"\nsha256 = "{hashlib.sha256(name.encode()).hexdigest()}"\n'
    for name in ("ward", "lab")
)
NOISE = "[outputs.noise]\nepsilon = 20\n"


class Guarded:
    """A guard before an app whose three scores depend on the values `a` and `b` of a record alone."""

    def __init__(self, folder: Path, text: str, key: bytes = SECRET) -> None:
        folder.mkdir(exist_ok=True)
        self.policy, self.said, self.answer = folder / "guard.toml", [], None
        (folder / "guard.key").write_text(key.hex())
        (folder / "guard.key").chmod(0o600)
        self.policy.write_text(text)
        paths = ("/invocations", "/v2/models/diag/infer", "/v2/models/triage/infer")
        app = Starlette(routes=[Route(path, self.predict, methods=["POST"]) for path in paths])
        self.guard = GuardMiddleware(app, self.policy, say=self.said.append, clock=lambda: 1_800_000_000.0)

    async def predict(self, request) -> JSONResponse:
        asked = json.loads(await request.body())
        if self.answer is not None:
            return JSONResponse(self.answer)
        if "dataframe_split" in asked:
            split = asked["dataframe_split"]
            records = [dict(zip(split["columns"], row)) for row in split["data"]]
        elif "dataframe_records" in asked:
            records = asked["dataframe_records"]
        else:
            shape, data = asked["inputs"][0]["shape"], asked["inputs"][0]["data"]
            records = [{"a": a, "b": b} for a, b in np.reshape(data, shape)]
        said = scores(np.array([[record["a"], record["b"]] for record in records], float))
        if "inputs" in asked:
            tensor = {"name": "p", "shape": list(said.shape), "datatype": "FP64", "data": said.ravel().tolist()}
            return JSONResponse({"outputs": [tensor]})
        return JSONResponse({"predictions": said.tolist()})

    def ask(self, content, client="ward", path="/invocations") -> httpx.Response:
        async def once() -> httpx.Response:
            transport = httpx.ASGITransport(self.guard)
            async with httpx.AsyncClient(transport=transport, base_url="http://guard") as http:
                return await http.post(path, json=content, headers={"authorization": f"Bearer {client}"})

        return asyncio.run(once())

    def rows(self, records, **more) -> np.ndarray:
        return np.array(self.ask({"dataframe_records": records}, **more).json()["predictions"])

    def spent(self, client="ward") -> float:
        return self.guard.store.account(epsilons_of(client)).total / 1000


def scores(x: np.ndarray) -> np.ndarray:
    z = np.exp(np.stack([x[:, 0], x[:, 1], x[:, 0] * x[:, 1]], axis=1))
    return z / z.sum(axis=1, keepdims=True)


def records(count: int, seed: int = 0) -> list[dict[str, float]]:
    return [{"a": float(a), "b": float(b)} for a, b in np.random.default_rng(seed).uniform(-1, 1, (count, 2)).round(3)]


@pytest.fixture
def guarded(tmp_path):
    made = []

    def make(text: str = HEAD.format("mlflow") + WARDS + NOISE, folder: str = "one", key: bytes = SECRET) -> Guarded:
        made.append(Guarded(tmp_path / folder, text, key))
        return made[-1]

    yield make
    for each in made:
        each.guard.close()


# A record keeps its noise --------------------------------------------------------------------------------------------


def test_a_record_gets_one_answer_in_every_batch_order_format_and_guard(guarded):
    guard, asked = guarded(), records(40)
    whole = guard.rows(asked)
    assert np.abs(whole - scores(np.array([[each["a"], each["b"]] for each in asked]))).mean() > 0.01
    np.testing.assert_allclose(whole.sum(axis=1), 1)
    assert np.array_equal(guard.rows(asked[::-1]), whole[::-1])
    assert np.array_equal(np.concatenate([guard.rows([one]) for one in asked]), whole)
    turned = [{"b": one["b"], "a": one["a"]} for one in asked]
    assert np.array_equal(guard.rows(turned, client="lab"), whole)
    split = {"columns": ["b", "a"], "data": [[one["b"], one["a"]] for one in asked]}
    assert np.array_equal(np.array(guard.ask({"dataframe_split": split}).json()["predictions"]), whole)
    guard.guard.close()
    assert np.array_equal(guarded().rows(asked), whole)  # the same file after a restart
    assert np.array_equal(guarded(folder="two").rows(asked), whole)  # another guard with the key
    assert not np.array_equal(guarded(folder="three", key=b"o" * 32).rows(asked), whole)


def test_averaging_repeats_gains_nothing_and_near_copies_are_paid_for(guarded):
    guard, one = guarded(HEAD.format("mlflow") + WARDS + NOISE.replace("20", "8")), {"a": 0.3, "b": -0.2}
    truth = scores(np.array([[0.3, -0.2]]))[0]
    first = guard.rows([one])[0]
    repeats = np.concatenate([guard.rows([one] * 50), *(guard.rows([one]) for _ in range(5))])
    assert np.array_equal(repeats, np.tile(first, (55, 1)))
    near = guard.rows([{"a": 0.3 + 1e-9 * step, "b": -0.2} for step in range(2000)]).mean(axis=0)
    assert np.abs(near - truth).sum() < np.abs(first - truth).sum() / 2  # what noise does not give
    assert guard.spent() == 8 * (1 + 50 + 5 + 2000)


def test_numbers_are_one_however_they_are_written_and_what_else_is_asked_makes_another_record():
    defence = Noisy(Noise(1.0), OutputPolicy(), SECRET)
    mlflow = SPEAKS[Protocol.MLFLOW]

    def key(content) -> int:
        return int(defence.keys(mlflow.question(json.dumps(content).encode(), JSON, ()))[0])

    written = [{"a": value, "b": "x"} for value in (1, 1.0, True)]
    assert len({key({"dataframe_records": [row]}) for row in written}) == 1
    assert key({"dataframe_records": [{"a": 0.0}]}) == key({"dataframe_records": [{"a": -0.0}]})
    others = [
        {"dataframe_records": [{"a": 1, "b": 2}]},
        {"dataframe_records": [{"a": 2, "b": 1}]},
        {"dataframe_records": [{"a": 1, "c": 2}]},
        {"dataframe_records": [{"a": 1}]},
        {"dataframe_records": [{"b": 1}]},
        {"inputs": [[1, 2]]},
        {"instances": [[1, 2]]},
        {"inputs": [[[1], [2]]]},
        {"inputs": [[16777216.0]]},
        {"inputs": [[16777217.0]]},  # the same in single precision
    ]
    assert len({key(each) for each in others}) == len(others)


def test_two_records_that_a_server_tells_apart_share_no_noise():
    """Whoever gets one noise for two records has the exact difference of their scores."""
    defence = Noisy(Noise(1.0), OutputPolicy(), SECRET)
    mlflow, oip = SPEAKS[Protocol.MLFLOW], SPEAKS[Protocol.OIP]

    def keys(content, speaks=mlflow) -> list[int]:
        return defence.keys(speaks.question(json.dumps(content).encode(), JSON, ())).tolist()

    def split(data, columns=None, **more):
        return {"dataframe_split": {"data": data, **({} if columns is None else {"columns": columns}), **more}}

    pairs = [
        (split([[1, 2]], ["a", "1"]), split([[1, 2]], ["a", 1])),  # to pandas, 1 is not "1"
        (split([[1], [2]], ["a"], index=[0, 1]), split([[1], [2]], ["a"], index=[1, 0])),
        (split([[[1, 2], 3, [4, 5]]]), split([[[1, 2], [3, 4], 5]])),
        ({"inputs": {"a": [1], "b": [2]}}, {"inputs": [{"a": 1, "b": 2}]}),
        ({"inputs": ["abcd"]}, {"inputs": [float(np.frombuffer(b"['abcd']", float)[0])]}),
    ]
    for one, other in pairs:
        assert not set(keys(one)) & set(keys(other))
    rule = ByRule(rule_of("", {"path": "/ask", "records": "$.of.*", "answers": "$.said"}))
    assert not set(keys({"of": {"a": 1, "b": 2}}, rule)) & set(keys({"of": {"b": 1, "a": 2}}, rule))
    assert keys({"of": [3, 4]}, rule) == [*keys({"of": [3]}, rule), *keys({"of": [4]}, rule)]
    assert keys(split([[1], [2]], ["a"], index=[0, 1])) == keys(split([[1], [2]], ["a"]))
    whole, alone = ({"dataframe_records": [{"a": 1, "b": b} for b in values]} for values in ((2, "x"), (2,)))
    assert keys(whole)[0] == keys(alone)[0]  # words elsewhere in the batch change nothing

    def tensor(name, *data):
        return {"name": name, "shape": [1, len(data)], "datatype": "FP32", "data": data}

    for content, speaks in (
        ({"inputs": {"a": [[1, 2]], "a[0]": [9]}}, mlflow),
        (split([[1, [9, 2]]], ["a[0]", "a"]), mlflow),
        ({"inputs": [tensor("a", 1, 2), tensor("a[0]", 9)]}, oip),
    ):
        with pytest.raises(NotUnderstood, match="two of its values have one name"):
            keys(content, speaks)
    with pytest.raises(NotUnderstood, match="the columns of dataframe_split are no list"):
        keys(split([[1, 2]], {"a": 0, "b": 0}))


def test_paths_versions_models_and_settings_share_no_noise():
    x = np.zeros((1, 2))
    plain = Question(1, x, b"", {})

    def answer(outputs: Outputs, place: str) -> tuple[float, ...]:
        defence = noisy(outputs, SECRET, place)
        return tuple(defence.harden(ROW[None], defence.keys(plain))[0])

    base = Outputs(noise=Noise(20.0))
    others = [
        Outputs(noise=Noise(21.0)),
        Outputs(noise=Noise(20.0, series="b")),
        Outputs(noise=Noise(20.0, None, 0, 1)),
    ]
    answers = {answer(base, "a"), answer(base, "b"), *(answer(each, "a") for each in others)}
    assert len(answers) == 5
    assert answer(Outputs(noise=Noise(20.0, epsilon_lifetime=100.0)), "a") == answer(base, "a")
    coarse = noisy(Outputs(top_k=1, decimals=1, noise=Noise(20.0)), SECRET, "a")
    fine = np.array(answer(base, "a"))
    left = coarse.harden(ROW[None], coarse.keys(plain))[0]
    assert np.array_equal(left, np.round(np.where(fine == fine.max(), fine, 0), 1))  # coarser answers add nothing


# What it is ----------------------------------------------------------------------------------------------------------


def literal(noise: Noise, secret: bytes, key: np.uint64, row: list[float]) -> list[float]:
    """One row, number by number."""
    grid = 2 / noise.epsilon / STEPS
    digest = hashlib.shake_256(secret + len(row).to_bytes(8, "big") + int(key).to_bytes(8, "little")).digest(
        8 * len(row)
    )
    steps = []
    for place, score in enumerate(row):
        word = int.from_bytes(digest[8 * place : 8 * place + 8], "little")
        size = -math.log(((word >> 1) + 0.5) / 2**63) * STEPS
        steps.append(max(0, math.floor(score / sum(row) / grid) + math.floor(size if word & 1 else -size)))
    return [step / sum(steps) if sum(steps) else 1 / len(row) for step in steps]


@pytest.mark.parametrize("epsilon", [0.5, 40.0, 10_000.0])
def test_it_is_what_a_literal_version_says(epsilon):
    rng, noise = np.random.default_rng(3), Noise(epsilon)
    rows, keys = rng.dirichlet(np.ones(4), 200), rng.integers(0, 2**63, 200).astype(np.uint64)
    expected = [literal(noise, SECRET, key, row.tolist()) for key, row in zip(keys, rows)]
    np.testing.assert_allclose(Noisy(noise, OutputPolicy(), SECRET).harden(rows, keys), expected, rtol=1e-9, atol=1e-12)
    assert Noisy(noise, OutputPolicy(), SECRET).harden(np.empty((0, 3)), keys[:0]).shape == (0, 3)


def test_words_become_laplace_noise_and_each_step_has_its_share_of_them():
    words = np.random.default_rng(5).integers(0, 2**64, 20_000, dtype=np.uint64)
    assert kstest(laplace(words) / STEPS, laplace_law.cdf).pvalue > 0.01
    for step in (1, STEPS, 5 * STEPS, 20 * STEPS):  # where a step ends, by exact arithmetic
        end = int((Decimal(-step) / STEPS).exp() * 2**63)
        beside = end // 10**12 + 1
        for sign in (1, 0):
            words = np.array([2 * (end + side) + sign for side in (-beside, beside)], dtype=np.uint64)
            assert laplace(words).tolist() == ([step, step - 1] if sign else [-step - 1, -step])
    ends = laplace(np.array([0, 1, 2**64 - 2, 2**64 - 1], dtype=np.uint64)) / STEPS
    assert np.isfinite(ends).all()
    assert -45 < ends[0] < -44 < 44 < ends[1] < 45


@pytest.mark.parametrize("label_only", [False, True])
def test_two_opposite_models_are_told_apart_no_better_than_promised(label_only):
    """The best test between two opposite answers is right in e^epsilon / (1 + e^epsilon) of the tries at most."""
    defence, tries = Noisy(Noise(1.0), OutputPolicy(label_only=label_only), SECRET), 20_000
    keys = np.arange(tries, dtype=np.uint64)
    answers = [defence.harden(np.tile(row, (tries, 1)), keys + np.uint64(tries * place))
               for place, row in enumerate(np.eye(2))]  # fmt: skip
    ahead = [np.sign(each[:, 0] - each[:, 1]).mean() for each in answers]  # a tie is half right
    right = 0.5 + (ahead[0] - ahead[1]) / 4
    assert 0.6 < right <= math.e / (1 + math.e) + 0.01


def test_a_label_is_the_largest_noisy_score_and_no_other():
    rows, keys = np.tile(ROW, (500, 1)), np.arange(500, dtype=np.uint64)
    label, full = (
        Noisy(Noise(8.0), OutputPolicy(label_only=only), SECRET).harden(rows, keys) for only in (True, False)
    )
    assert 0.5 < label[:, 0].mean() < 0.9
    clear = np.sort(full, axis=1)[:, -1] > np.sort(full, axis=1)[:, -2]
    assert clear.mean() > 0.95
    assert np.array_equal(label[clear].argmax(axis=1), full[clear].argmax(axis=1))


# What leaves ---------------------------------------------------------------------------------------------------------


def answered(content, noise=TWENTY, protocol=Protocol.MLFLOW, names=(), count=2, **outputs):
    question = Question(count, np.arange(2.0 * count).reshape(count, 2), b"", {})
    defence = noisy(Outputs(noise=noise, **outputs), SECRET, "")
    return json.loads(SPEAKS[protocol].answer(question, json.dumps(content).encode(), JSON, defence, names).body)


def test_labels_beside_scores_stay_inside_and_labels_alone_are_not_understood():
    table = {"yes": [0.9, 0.2], "no": [0.1, 0.8], "label": ["yes", "no"], "class": [1, 0]}
    left = answered({"predictions": table})["predictions"]
    assert left.keys() == {"yes", "no"}
    rows = answered({"predictions": [dict(zip(table, row)) for row in zip(*table.values())]})["predictions"]
    assert rows == [{"yes": yes, "no": no} for yes, no in zip(left["yes"], left["no"])]
    tensors = [
        {"name": "label", "shape": [2], "datatype": "INT64", "data": [1, 0]},
        {"name": "p", "shape": [2, 2], "datatype": "FP32", "data": [0.1, 0.9, 0.8, 0.2]},
    ]
    found = answered({"outputs": tensors}, protocol=Protocol.OIP)["outputs"]
    assert [each["name"] for each in found] == ["p"]
    for alone in ([1, 0], ["yes", "no"], [1.0, 0.0], {"label": [1, 0]}):
        with pytest.raises(NotUnderstood, match="labels alone, which noise cannot disturb"):
            answered({"predictions": alone})
    with pytest.raises(NotUnderstood, match="labels alone where noise"):
        answered({"outputs": tensors[:1]}, protocol=Protocol.OIP)


def test_predictions_need_a_range_and_stay_in_it():
    with pytest.raises(NotUnderstood, match="noise needs its range: low and high"):
        answered({"predictions": [3.5, 4.0]})
    wide = Noise(10.0, low=0.0, high=5.0)
    found = np.array([answered({"predictions": [3.5, 9.0]}, wide)["predictions"]] * 2)
    assert np.array_equal(found[0], found[1])
    assert found[0] != pytest.approx([3.5, 5.0])
    assert 0 <= found.min() <= found.max() <= 5
    whole = answered({"predictions": [3, 4]}, wide)["predictions"]  # whole numbers of a regressor are predictions, too
    assert whole != [3, 4]
    assert answered({"predictions": [3.0, 4.0]}, wide)["predictions"] == whole
    keys, many = np.arange(20_000, dtype=np.uint64), np.full(20_000, 2.0)
    spread = Noisy(Noise(20.0, low=-50.0, high=50.0), OutputPolicy(), SECRET).answers(many, keys) - 2.0
    assert kstest(spread, laplace_law(scale=100 / 20).cdf).pvalue > 0.01
    with pytest.raises(NotUnderstood, match="which no label stands for"):
        answered({"predictions": [3.5, 4.0]}, wide, label_only=True)
    integers = {"outputs": [{"name": "y", "shape": [2], "datatype": "INT64", "data": [1, 2]}]}
    with pytest.raises(NotUnderstood, match="whole numbers cannot hold noise"):
        answered(integers, wide, Protocol.OIP)


def test_one_output_gets_noise_since_one_is_paid_for():
    two = [
        {"name": name, "shape": [2, 2], "datatype": "FP64", "data": [0.1, 0.9, 0.8, 0.2]}
        for name in ("first", "second")
    ]
    with pytest.raises(NotUnderstood, match="two outputs that need noise; let names in"):
        answered({"outputs": two}, protocol=Protocol.OIP)
    found = answered({"outputs": two}, protocol=Protocol.OIP, names=("second",))["outputs"]
    assert [each["name"] for each in found] == ["second"]


# What it costs -------------------------------------------------------------------------------------------------------


def test_the_account_is_what_opendp_adds_up_and_the_list_shows_it(guarded, capsys):
    pytest.importorskip("opendp")
    guard = guarded()
    for count in (1, 7, 2):
        guard.rows(records(count))
    guard.rows(records(3), client="lab")
    guard.ask({"nonsense": 1})  # not understood: nothing left
    assert guard.spent() == pytest.approx(ScoreNoise(scale=2 / 20).spent(10)) == 200
    assert guard.spent("lab") == 60
    assert guard.guard.store.verify()[1] == ""
    assert main(["guard", "clients", "--policy", str(guard.policy)]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split()[:5] == ["client", "today", "in", "all", "epsilon"]
    assert {line.split()[0]: line.split()[3] for line in lines} == {"ward": "200", "lab": "60"}


def test_who_spent_its_epsilon_is_refused_as_who_spent_its_lifetime(guarded):
    text = HEAD.format("mlflow") + WARDS + NOISE + "epsilon_lifetime = 100.5\n"
    guard = guarded(text)
    assert guard.ask({"dataframe_records": records(6)}).status_code == 413
    assert guard.ask({"dataframe_records": records(4)}).status_code == 200
    late = guard.ask({"dataframe_records": records(2)})
    assert (late.status_code, late.headers["retry-after"]) == (429, "86400")
    assert "epsilon" not in late.text
    assert guard.spent() == 80
    assert guard.ask({"dataframe_records": records(1)}).status_code == 200
    assert guard.ask({"dataframe_records": records(1)}).status_code == 429  # a repeat shows nothing new, and is counted
    assert guard.ask({"dataframe_records": records(5)}, client="lab").status_code == 200
    rows = [json.loads(row.text) for row in guard.guard.store.tail(10, "ward")]
    assert {(row["limit"], row["whose"]) for row in rows if row["verdict"] != "allowed"} == {("lifetime", "noise")}
    guard.guard.close()
    again = guarded(text)
    assert again.ask({"dataframe_records": records(1)}).status_code == 429
    assert again.guard.store.verify()[1] == ""


def test_a_new_epsilon_goes_on_from_what_was_spent(guarded, rewrite):
    guard = guarded()
    before = guard.rows(records(3))
    rewrite(guard.policy, HEAD.format("mlflow") + WARDS + "[outputs.noise]\nepsilon = 0.5\nepsilon_lifetime = 61\n")
    assert not np.array_equal(guard.rows(records(2)), before[:2])
    assert guard.spent() == 3 * 20 + 2 * 0.5
    assert guard.ask({"dataframe_records": records(1)}).status_code == 429
    rewrite(guard.policy, HEAD.format("mlflow") + WARDS + "[outputs.noise]\nepsilon = -1\n")
    assert guard.ask({"dataframe_records": records(1)}).status_code == 429  # the old policy stays in force
    assert "epsilon is -1.0; it must be in [0.001, 1000000]" in guard.said[-1]
    rewrite(guard.policy, HEAD.format("mlflow") + WARDS)
    left = guard.rows([{"a": 0.3, "b": -0.2}])
    np.testing.assert_allclose(left, scores(np.array([[0.3, -0.2]])))
    assert guard.spent() == 61


def test_a_route_has_noise_of_its_own_or_none(guarded, rewrite):
    text = HEAD.format("oip") + WARDS + "[outputs.noise]\nepsilon = 20\nseries = 's'\n"
    text += '[[route]]\npath = "/v2/models/triage/*"\n[route.outputs.noise]\nepsilon = 5\n'
    guard = guarded(text)
    policy = read_policy(guard.policy)
    assert policy.at("/v2/models/triage/infer").outputs.noise == Noise(5.0, series="s")
    assert policy.at("/v2/models/diag/infer").outputs.noise == Noise(20.0, series="s")
    question = {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP64", "data": [0.3, -0.2]}]}

    def ask(model: str) -> list[float]:
        return guard.ask(question, path=f"/v2/models/{model}/infer").json()["outputs"][0]["data"]

    assert ask("triage") == ask("triage") != ask("diag")
    assert guard.spent() == 5 + 5 + 20
    rewrite(guard.policy, text.replace("[route.outputs.noise]\nepsilon = 5", "[route.outputs]\nnoise = false"))
    assert ask("triage") == pytest.approx(scores(np.array([[0.3, -0.2]]))[0])
    assert guard.spent() == 30


@given(
    st.lists(st.tuples(st.integers(1, 12), st.sampled_from([0, 300, 2500])), min_size=1, max_size=40),
    st.integers(2500, 60_000),
)
@settings(max_examples=100, deadline=None)
def test_an_account_is_a_plain_sum_that_never_passes_its_limit(calls, limit):
    outputs = Outputs(noise=Noise(2.5, epsilon_lifetime=limit / 1000))
    policy = GuardPolicy(Upstream("http://127.0.0.1:1", Protocol.OIP), outputs=outputs, budget=Budget(lifetime=200))
    state, spent, answered = ClientState(), 0, 0
    for count, each in calls:
        call = Call("ward", "", "diag", 1e9, count, b"", noise=each)
        assert list(accounts_of(policy, call)) == ([epsilons_of("ward")] if each else [])
        decision, after = judge(policy, state, call)
        fits = spent + count * each <= limit if each else True
        assert (decision.verdict is Verdict.ALLOWED) == (fits and answered + count <= 200)
        if decision.verdict is Verdict.ALLOWED:
            spent, answered = spent + count * each, answered + count
            state = ClientState(after.arrival, after.day, after.today, after.total, seen=after.seen,
                                others={**state.others, **after.others})  # fmt: skip
        else:
            assert decision.limit is Limit.LIFETIME
        kept = state.others.get(epsilons_of("ward"))
        assert (0 if kept is None else kept.total) == spent


# What is refused -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "trouble"),
    [
        ("[outputs.noise]\n", r"\[outputs\] noise needs the key 'epsilon'"),
        ("[outputs]\nnoise = 3\n", r"\[outputs\] noise is 3; write a table"),
        ("[outputs]\nnoise = true\n", r"\[outputs\] noise is True; write a table"),
        ("[outputs.noise]\nepsilon = 0\n", r"epsilon is 0.0; it must be in \[0.001, 1000000\]"),
        ("[outputs.noise]\nepsilon = inf\n", "epsilon is inf; it must be a finite number"),
        ("[outputs.noise]\nepsilon = 'much'\n", "epsilon is 'much'; it must be float"),
        ("[outputs.noise]\nepsilno = 1\n", "has no setting 'epsilno'.*Did you mean 'epsilon'"),
        ("[outputs.noise]\nepsilon = 2\nepsilon_lifetime = 1\n", "epsilon_lifetime is 1 and epsilon is 2; with less"),
        ("[outputs.noise]\nepsilon = 2\nepsilon_lifetime = 0\n", "epsilon_lifetime is 0.0; it must be above 0"),
        ("[outputs.noise]\nepsilon = 2\nlow = 1\n", "has one of low and high; give both"),
        ("[outputs.noise]\nepsilon = 2\nlow = 1\nhigh = 1\n", "low is 1 and high is 1; low must be below high"),
        (NOISE + "[fail]\nmode = 'open'\n", 'has noise, and mode = "open" lets answers leave without it'),
        (NOISE + "[[route]]\npath = '/a'\nfail = 'open'\n", 'has noise, and mode = "open" lets answers leave without'),
        ("[[route]]\npath = '/a'\n[route.outputs.noise]\nepsilon = 0\n", r"\[\[route\]\] outputs noise, epsilon is 0"),
    ],
)
def test_what_is_wrong_with_the_noise_is_said_in_one_sentence(tmp_path, text, trouble):
    (tmp_path / "guard.toml").write_text(HEAD.format("mlflow") + text)
    with pytest.raises(InputError, match=trouble):
        read_policy(tmp_path / "guard.toml")


def test_texts_and_labels_by_a_rule_cannot_have_noise(tmp_path):
    path = tmp_path / "guard.toml"
    path.write_text(HEAD.format("openai") + NOISE)
    with pytest.raises(InputError, match="has noise, and texts and embeddings have no bound that it needs"):
        read_policy(path)
    rule = "[upstream.jsonpath]\npath = '/p'\nrecords = '$.x'\nanswers = '$.y'\n"
    path.write_text(HEAD.format("jsonpath") + rule + "labels = '$.z'\n" + NOISE)
    with pytest.raises(InputError, match=r"labels of \[upstream.jsonpath\] would leave without"):
        read_policy(path)
    path.write_text(HEAD.format("jsonpath") + rule + NOISE)
    assert read_policy(path).outputs.noise == Noise(20.0)
    path.write_text(
        HEAD.format("mlflow") + NOISE + "[[route]]\npath = '/a'\nfail = 'open'\noutputs = {noise = false}\n"
    )
    assert read_policy(path).at("/a").fail is Fail.OPEN


def test_a_rule_that_finds_labels_is_not_answered_and_what_else_was_asked_changes_the_noise(tmp_path):
    from safelight.guard.protocols import readers

    text = HEAD.format("jsonpath") + (
        "[upstream.jsonpath]\npath = '/p'\nrecords = '$.x'\nanswers = ['$.y', '$.z']\nalso_asked = '$.how'\n"
    )
    (tmp_path / "guard.toml").write_text(text + NOISE)
    policy = read_policy(tmp_path / "guard.toml")
    (speaks,) = readers(policy)
    questions = [speaks.question(json.dumps({"x": [[1, 2]], "how": how}).encode(), JSON, ()) for how in (1, 2, 1)]
    defence = noisy(policy.outputs, SECRET, "")
    keys = [int(defence.keys(question)[0]) for question in questions]
    assert keys[0] == keys[2] != keys[1]
    said = json.loads(speaks.answer(questions[0], b'{"y": [[0.4, 0.6]]}', JSON, defence, ()).body)
    assert said["y"][0] != [0.4, 0.6]
    with pytest.raises(NotUnderstood, match="labels, which would leave without noise"):
        speaks.answer(questions[0], b'{"y": [[0.4, 0.6]], "z": ["no"]}', JSON, defence, ())
