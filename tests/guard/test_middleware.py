"""The guard around a real Starlette app that serves a real model: what passes, what is left, what is refused."""

import asyncio
import gzip
import hashlib
import json
from pathlib import Path
from types import SimpleNamespace

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from starlette.applications import Starlette
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Mount, Route

from safelight.guard.alarm import Alarm
from safelight.guard.exchange import Answer, send_answer
from safelight.guard.incidents import Incidents
from safelight.guard.middleware import GuardMiddleware
from safelight.guard.policy import Version

DIGITS = load_digits()
MODEL = LogisticRegression(C=1e-5, max_iter=500).fit(DIGITS.data, DIGITS.target)
DIGEST = hashlib.sha256(b"pass-word").hexdigest()
KEY = {"authorization": "Bearer pass-word"}
HEAD = '[upstream]\nurl = "http://127.0.0.1:1"\nprotocol = "mlflow"\nmodel = "digits"\n'
WARD = f'[[clients.key]]\nid = "ward-3"\nsha256 = "{DIGEST}"\ncohort = "wards"\n'
COARSE = "[outputs]\ntop_k = 2\ndecimals = 2\n"


class Served:
    """The app, and what came through to it."""

    def __init__(self) -> None:
        self.requests: list[tuple[dict, bytes]] = []
        self.reply: Response | None = None
        self.app = Starlette(
            routes=[
                Route("/invocations", self.predict, methods=["POST"]),
                Route("/ping", self.ping),
                Route("/admin", self.ping, methods=["GET", "POST"]),
            ]
        )

    async def predict(self, request) -> Response:
        body = await request.body()
        self.requests.append((dict(request.headers), body))
        if self.reply is not None:
            return self.reply
        x = np.array(json.loads(body)["inputs"])
        return JSONResponse({"predictions": MODEL.predict_proba(x).tolist()}, headers={"x-model": "3", "etag": "e"})

    async def ping(self, request) -> Response:
        self.requests.append((dict(request.headers), b""))
        return Response("pong")


class Guarded:
    """One guard around one app, asked through httpx."""

    def __init__(self, folder: Path, text: str, **options) -> None:
        self.policy = folder / "guard.toml"
        self.policy.write_text(text)
        self.served, self.said, self.now = Served(), [], 1_800_000_000.0
        options = {"clock": lambda: self.now, "say": self.said.append, **options}
        self.guard = GuardMiddleware(self.served.app, self.policy, **options)

    def ask(self, method="POST", path="/invocations", headers=KEY, app=None, **content) -> httpx.Response:
        async def once() -> httpx.Response:
            transport = httpx.ASGITransport(app or self.guard, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://guard") as client:
                return await client.request(method, path, headers=headers, **content)

        return asyncio.run(once())

    def predict(self, count=2, **more) -> httpx.Response:
        return self.ask(json={"inputs": DIGITS.data[:count].tolist()}, **more)


@pytest.fixture
def guarded(tmp_path):
    made = []

    def make(text: str = HEAD + WARD + COARSE, **options) -> Guarded:
        made.append(Guarded(tmp_path, text, **options))
        return made[-1]

    yield make
    for each in made:
        each.guard.store.close()


def refused(answer: httpx.Response, status: int) -> dict:
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert set(problem) == {"type", "title", "status", "detail"}
    words = " ".join(map(str, problem.values())).lower()
    for told in ("signal", "detector", "per_minute", "per_day", "lifetime", "attack", "budget", "ward-3"):
        assert told not in words
    return problem


# What passes ---------------------------------------------------------------------------------------------------------


def test_scores_come_back_hardened_and_all_else_as_it_was(guarded):
    guard = guarded()
    answer = guard.predict(5)
    inside = MODEL.predict_proba(DIGITS.data[:5])
    left = np.array(answer.json()["predictions"])
    kept = np.where(inside >= np.sort(inside)[:, [-2]], np.round(inside, 2), 0)
    assert (left == kept).all()
    assert (left.argmax(1) == inside.argmax(1)).all()
    assert answer.headers["x-model"] == "3"
    assert "etag" not in answer.headers
    headers, body = guard.served.requests[0]
    assert json.loads(body) == {"inputs": DIGITS.data[:5].tolist()}
    assert "authorization" not in headers  # the guard's keys stay here
    assert headers["accept-encoding"] == "identity"
    assert guard.guard.store.state("ward-3").total == 5


def test_without_clients_the_server_still_gets_its_own_key_and_everybody_is_one(guarded):
    guard = guarded(HEAD + "[budget]\nlifetime = 3")
    assert guard.predict(2).status_code == 200
    assert guard.served.requests[0][0]["authorization"] == "Bearer pass-word"
    refused(guard.predict(2, headers={"authorization": "made up"}), 429)


def test_health_passes_without_a_key_and_nothing_else_does(guarded):
    guard = guarded()
    assert guard.ask("GET", "/ping", headers={}).text == "pong"
    others = ["/admin", "/invocations/", "/Invocations", "/invocations%20", "/invocations;x", "/ping/../invocations/x"]
    for method, path in [("GET", "/admin"), ("PUT", "/invocations"), ("GET", "/invocations"), ("PATCH", "/invocations"),
                         ("DELETE", "/ping"), *(("POST", other) for other in others)]:  # fmt: skip
        refused(guard.ask(method, path), 404)
    assert len(guard.served.requests) == 1


def test_it_guards_an_app_that_is_mounted_below_another(guarded):
    guard = guarded()
    whole = Starlette(routes=[Mount("/model", app=guard.guard)])
    assert guard.ask("GET", "/model/ping", app=whole).text == "pong"
    assert guard.ask(path="/model/invocations", app=whole, json={"inputs": DIGITS.data[:1].tolist()}).status_code == 200
    refused(guard.ask("GET", "/model/admin", app=whole), 404)


# Who asks ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer wrong"},
        {"authorization": "Bearer"},
        {"authorization": ""},
        {"authorization": f"Bearer {DIGEST}"},
        {"authorization": "Basic pass-word"},
        {"x-api-key": "pass-word", "x-forwarded-for": "127.0.0.1"},
        [("authorization", "Bearer pass-word"), ("authorization", "Bearer pass-word")],
        [("authorization", "Bearer wrong"), ("authorization", "Bearer pass-word")],
    ],
)
def test_wrong_missing_and_double_keys_are_refused(guarded, headers):
    guard = guarded()
    answer = guard.predict(headers=headers)
    refused(answer, 401)
    assert answer.headers["www-authenticate"] == "Bearer"
    assert guard.served.requests == []


def test_what_a_client_says_of_itself_does_not_go_on(guarded):
    guard = guarded()
    spoof = {**KEY, "x-forwarded-for": "10.0.0.1", "forwarded": "for=10.0.0.1", "x-real-ip": "10.0.0.1"}
    assert guard.predict(headers=spoof).status_code == 200
    assert not {"x-forwarded-for", "forwarded", "x-real-ip"} & set(guard.served.requests[0][0])


# How much ------------------------------------------------------------------------------------------------------------


def test_rate_and_budget_end_in_429_with_a_wait_that_is_enough(guarded):
    guard = guarded(HEAD + WARD + "[budget]\nper_minute = 10\nper_day = 14\n")
    assert guard.predict(10).status_code == 200
    answer = guard.predict(3)
    refused(answer, 429)
    assert answer.headers["retry-after"] == "18"
    guard.now += 18
    assert guard.predict(3).status_code == 200
    answer = guard.predict(2)
    refused(answer, 429)
    assert int(answer.headers["retry-after"]) == 86400 - guard.now % 86400
    refused(guard.predict(11), 413)
    assert len(guard.served.requests) == 2


def test_quarantine_is_403_and_release_ends_it(guarded):
    guard = guarded()
    guard.guard.store.quarantine("ward-3", guard.now + 60, guard.now)
    answer = guard.predict()
    refused(answer, 403)
    assert "retry-after" not in answer.headers
    guard.guard.store.quarantine("ward-3", guard.now, guard.now)
    assert guard.predict().status_code == 200


def test_an_alarm_names_the_version_that_was_asked(guarded):
    class Rings:
        def see(self, seen):
            return [Alarm(seen.client, seen.cohort, seen.model, seen.at, "class-ascent", 9.0, 3.0, 8)]

    guard = guarded(watcher=Rings())
    version = Version("2", "http://127.0.0.1:1")
    guard.guard.following = SimpleNamespace(now=lambda: version)
    refused(guard.predict(), 403)
    rows = [json.loads(row.text) for row in guard.guard.store.tail(50)]
    assert [row["version"] for row in rows if row["what"] == "alarm"] == ["2"]
    assert Incidents(guard.guard.store).get("I0001").versions == ("2",)


def test_a_changed_policy_holds_at_once_and_a_broken_one_does_not(guarded, rewrite):
    guard = guarded()
    rewrite(guard.policy, HEAD + WARD + "[outputs]\nlabel_only = true\n")
    assert set(np.array(guard.predict().json()["predictions"]).reshape(-1)) == {0.0, 1.0}
    rewrite(guard.policy, HEAD + WARD + "[outputs]\nlabel_only = false\ntopk = 3\n")
    assert set(np.array(guard.predict().json()["predictions"]).reshape(-1)) == {0.0, 1.0}
    assert "was read again" in guard.said[0]
    assert "the old policy stays in force" in guard.said[1]
    assert guard.guard.store.verify() == (guard.guard.store.verify()[0], "")
    assert guard.guard.store.verify()[0].rows == 4  # two policies, two calls


# What is not understood ----------------------------------------------------------------------------------------------

ODD = [
    {"content": b"not json", "headers": KEY},
    {"content": b"a,b\n1,2\n", "headers": {**KEY, "content-type": "text/csv"}},
    {"content": gzip.compress(b'{"inputs": [[1]]}'), "headers": {**KEY, "content-encoding": "gzip"}},
    {"json": {"inputs": [[1]], "params": {"a": 1}}, "headers": KEY},
    {"json": {"inputs": [[1]]}, "path": "/invocations?logits=1", "headers": KEY},
    {
        "json": {"inputs": [[1]]},
        "headers": [*KEY.items(), ("content-type", "application/json"), ("content-type", "text/csv")],
    },
]


@pytest.mark.parametrize("content", ODD)
@pytest.mark.parametrize("mode", ["closed", "label-only"])
def test_a_question_that_is_not_understood_is_refused_and_costs_one_record(guarded, content, mode):
    guard = guarded(HEAD + WARD + f"[fail]\nmode = '{mode}'\n[budget]\nlifetime = 1\n")
    refused(guard.ask(**content), 400)
    assert guard.served.requests == []
    refused(guard.ask(**content), 429)


def test_it_passes_as_it_is_where_the_policy_fails_open(guarded):
    guard = guarded(HEAD + WARD + "[fail]\nmode = 'open'\n")
    guard.served.reply = Response("pdf")
    answer = guard.ask(content=b"a,b\n1,2\n", headers={**KEY, "content-type": "text/csv"})
    assert answer.text == "pdf"
    assert guard.served.requests[0][0]["content-type"] == "text/csv"
    assert guard.served.requests[0][1] == b"a,b\n1,2\n"
    assert guard.ask("POST", "/admin").text == "pong"
    refused(guard.ask("POST", "/admin", headers={}), 404)


@pytest.mark.parametrize(
    "reply",
    [
        JSONResponse({"predictions": [[0.1, 2.3], [0.4, 0.2]]}),
        JSONResponse({"predictions": [[0.9, 0.1]]}),
        JSONResponse({"scores": [[0.9, 0.1]] * 2}),
        Response("text"),
        Response(gzip.compress(b'{"predictions": [1, 2]}'), headers={"content-encoding": "gzip"}),
        Response("", status_code=204),
        RedirectResponse("/elsewhere"),
        Response("Traceback: row = 63.0", status_code=500),
        StreamingResponse(iter([b'{"predictions": ', b"[0.5]}"])),
    ],
)
def test_an_answer_that_is_not_understood_never_leaves(guarded, reply):
    guard = guarded()
    guard.served.reply = reply
    refused(guard.predict(), 502)


def test_the_reason_of_a_servers_refusal_passes_and_streamed_answers_are_read_whole(guarded):
    guard = guarded()
    trace = {"error": "no column a", "stack_trace": "/srv/model.py, line 3", "detail": [{"input": 1}]}
    guard.served.reply = JSONResponse(trace, status_code=400)
    assert guard.predict().json() == {"error": "no column a"}
    guard.served.reply = Response("Traceback: /srv/model.py", status_code=422)
    answer = guard.predict()
    assert (answer.status_code, answer.json()) == (422, {"error": "The model server refuses this question."})
    guard.served.reply = StreamingResponse(iter([b'{"predictions": [1,', b" 2]}"]), media_type="application/json")
    assert guard.predict().json() == {"predictions": [1, 2]}


def test_sizes_end(guarded):
    guard = guarded(most=2000)
    refused(guard.predict(20), 413)
    guard.served.reply = Response("x" * 3000)
    refused(guard.ask(json={"inputs": [[1.0]]}), 502)


def test_an_app_that_breaks_is_one_sentence_for_the_client(guarded):
    guard = guarded()
    guard.guard.app = None
    answer = guard.predict()
    refused(answer, 502)
    assert answer.headers["retry-after"] == "5"
    assert "the model server failed (TypeError" in guard.said[-1]
    assert guard.guard.store.state("ward-3").total == 2  # what is spent stays spent


@pytest.mark.parametrize(("mode", "status"), [("closed", 503), ("open", 200), ("label-only", 200)])
def test_a_store_that_breaks_ends_as_the_policy_says_and_mends_itself(guarded, mode, status):
    guard = guarded(HEAD + WARD + COARSE + f"[fail]\nmode = '{mode}'\n[budget]\nlifetime = 4\n")
    assert guard.predict().status_code == 200
    path = guard.guard.store.path
    guard.guard.store.close()
    kept = path.read_bytes()
    path.write_bytes(b"broken" * 9999)
    answer = guard.predict()
    assert answer.status_code == status
    assert "cannot be read or written" in guard.said[0]
    if status == 503:
        refused(answer, 503)
    else:
        values = set(np.array(answer.json()["predictions"]).reshape(-1))
        assert (values == {0.0, 1.0}) is (mode == "label-only")
    path.write_bytes(kept)
    assert guard.predict().status_code == 200
    refused(guard.predict(), 429)


def test_sockets_are_closed(guarded):
    guard, sent = guarded(), []

    async def send(message):
        sent.append(message)

    asyncio.run(guard.guard({"type": "websocket", "path": "/invocations", "headers": []}, None, send))
    assert sent == [{"type": "websocket.close", "code": 1008}]


words = st.binary(max_size=20) | st.sampled_from(
    [b"Bearer pass-word", b"Bearer wrong", b"application/json", b"text/csv", b"gzip", b"identity", b"3", b"-1", b"\xff"]
)
names = st.sampled_from(
    [
        b"authorization",
        b"Authorization",
        b"content-type",
        b"content-length",
        b"content-encoding",
        b"x-forwarded-for",
        b"inference-header-content-length",
        b"transfer-encoding",
        b"x",
    ]
)
paths = st.sampled_from(["/invocations", "/invocations/", "//invocations", "/ping", "/admin", "", "/../invocations"])
contents = st.binary(max_size=40) | st.sampled_from(
    [b'{"inputs": [[1.0]]}', b'{"inputs": [[1.0]], "inputs": []}', b'{"instances": [null]}', b'{"inputs": {"a": [1]}}']
)


@given(
    st.sampled_from(["POST", "GET", "PUT", "HEAD", "BREW"]),
    paths | st.text(max_size=12),
    st.lists(st.tuples(names, words), max_size=5),
    st.lists(contents, min_size=1, max_size=3),
    st.sampled_from([b"", b"x=1"]),
)
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_request_breaks_the_guard_or_passes_it_unread(tmp_path, method, path, headers, parts, query):
    """Whatever is sent: no failure of the guard's own, and the app is asked by a known client or for its health."""
    policy = tmp_path / "guard.toml"
    policy.write_text(HEAD + WARD)
    asked, sent = [], []

    async def app(scope, receive, send):
        asked.append(scope)
        await send_answer(send, Answer(200, [(b"content-type", b"application/json")], b'{"predictions": [1]}'))

    chunks = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    chunks[-1]["more_body"] = False

    async def receive():
        return chunks.pop(0)

    async def send(message):
        sent.append(message)

    guard = GuardMiddleware(app, policy, say=lambda said: None)
    scope = {"type": "http", "method": method, "path": path, "headers": headers, "query_string": query}
    asyncio.run(guard(scope, receive, send))
    guard.store.close()
    status = sent[0]["status"]
    assert status in (200, 400, 401, 404, 413, 502)
    keys = [value.strip() for name, value in headers if name.lower() == b"authorization"]
    if asked and path != "/ping":
        assert (method, path, query) == ("POST", "/invocations", b"")
        assert keys in ([b"Bearer pass-word"], [b"pass-word"])
    assert (status in (200, 502)) == bool(asked)
    if status == 502:  # the app's one answer to a question about two records, or more
        assert guard.store.verify()[1] == ""
