"""How a server is asked when things go wrong: a loopback server that follows a script, over real sockets."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest

from safelight.errors import BadAnswer, BudgetSpent, InputError, NotAllowed, TargetFailed
from safelight.targets.base import Images, Table, Target
from safelight.targets.http import from_http
from safelight.targets.wire import is_this_machine
from safelight.threat import Access, ThreatModel

TABLE = Table(("a", "b"))
FRAME = pd.DataFrame({"a": np.arange(100.0), "b": 0.5})
SCORES = ThreatModel(Access.SCORES)


@dataclass
class Script:
    """What a server does next: (status, headers, body) in turn, then honest MLflow answers for ever."""

    steps: list[tuple[int, dict[str, str], str | bytes]] = field(default_factory=list)
    asked: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    pause: float = 0.0
    url: str = ""


@pytest.fixture
def server() -> Iterator[Script]:
    script = Script()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            time.sleep(script.pause)
            question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            script.asked.append(question)
            script.headers.append(dict(self.headers))
            rows = question["dataframe_split"]["data"]
            honest = json.dumps({"predictions": [[0.25 + row[0] / 200, 0.75 - row[0] / 200] for row in rows]})
            status, headers, body = script.steps.pop(0) if script.steps else (200, {}, honest)
            data = body if isinstance(body, bytes) else body.encode()
            self.send_response_only(status)
            for name, value in {"Content-Length": str(len(data)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        http.daemon_threads = True
        script.url = f"http://127.0.0.1:{http.server_address[1]}"
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield script
        http.shutdown()
        thread.join()


class Clock:
    """Time that only passes in sleep."""

    def __init__(self) -> None:
        self.now, self.slept = 0.0, []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def target_at(url: str, clock: Clock | None = None, **settings: Any) -> Target:
    clock = clock or Clock()
    given = {"classes": ("no", "yes"), "inputs": TABLE, "clock": clock, "sleep": clock.sleep}
    return from_http(url, "mlflow", **{**given, **settings})


def test_busy_answers_are_asked_again_after_the_wait_that_the_server_wants(server: Script) -> None:
    server.steps += [(429, {"Retry-After": "2"}, ""), (503, {}, "starting"), (504, {"Retry-After": "soon"}, "")]
    clock = Clock()
    scores = target_at(server.url, clock).view(SCORES).scores(FRAME.head(10))
    assert clock.slept == [2.0, 1.0, 2.0]  # asked for, second back-off, third back-off
    assert np.allclose(scores[:, 0], 0.25 + np.arange(10) / 200)
    assert len(server.asked) == 4


def test_a_date_to_come_back_is_counted_from_the_servers_own_clock(server: Script) -> None:
    dates = {"Date": "Fri, 02 Jan 2026 10:00:00 GMT", "Retry-After": "Fri, 02 Jan 2026 10:00:07 GMT"}
    server.steps.append((503, dates, ""))
    clock = Clock()
    target_at(server.url, clock).model.scores(FRAME)
    assert clock.slept == [7.0]


def test_a_server_that_wants_an_hour_is_left_at_once(server: Script) -> None:
    server.steps.append((429, {"Retry-After": "3600"}, ""))
    clock = Clock()
    with pytest.raises(TargetFailed, match="after 0 records: status 429, come back in 3600 seconds"):
        target_at(server.url, clock).model.scores(FRAME)
    assert clock.slept == []


def test_a_server_that_stays_busy_fails_with_what_was_answered(server: Script) -> None:
    target = target_at(server.url, retries=2)
    target.model.scores(FRAME.head(5))
    server.steps += [(503, {}, "")] * 3
    with pytest.raises(TargetFailed, match=r"/invocations stopped .* after 5 records: status 503, tried 3 times"):
        target.model.scores(FRAME)


def test_nobody_at_the_address_fails_after_patient_tries() -> None:
    clock = Clock()
    with pytest.raises(TargetFailed, match=r"127.0.0.1:9/invocations stopped answering after 0 records: ConnectError"):
        target_at("http://127.0.0.1:9", clock).model.scores(FRAME)
    assert clock.slept == [0.5, 1.0, 2.0, 4.0, 8.0]


def test_a_silent_server_fails_in_time(server: Script) -> None:
    server.pause = 0.4
    with pytest.raises(TargetFailed, match="ReadTimeout"):
        target_at(server.url, timeout=0.1, retries=0).model.scores(FRAME)


def test_a_server_error_is_not_asked_again(server: Script) -> None:
    server.steps.append((500, {}, "x" * 999))
    with pytest.raises(TargetFailed, match=r"status 500, x{200}\.$"):
        target_at(server.url).model.scores(FRAME)
    assert len(server.asked) == 1


def test_a_refused_token_never_shows(
    server: Script, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("MODEL_TOKEN", "s3cr3t-t0ken")
    server.steps.append((401, {}, json.dumps({"message": "unknown token s3cr3t-t0ken"})))
    target = target_at(server.url, auth_env="MODEL_TOKEN")
    with pytest.raises(InputError, match=r"status 401 \(unknown token \*\*\*\); put the token .* auth_env") as error:
        target.model.scores(FRAME)
    assert server.headers[0]["Authorization"] == "Bearer s3cr3t-t0ken"
    assert "s3cr3t" not in f"{error.value} {target!r} {caplog.text}"


def test_a_token_with_a_scheme_is_sent_as_it_is(server: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_TOKEN", "Basic dTpw\n")
    target_at(server.url, auth_env="MODEL_TOKEN").model.scores(FRAME)
    assert server.headers[0]["Authorization"] == "Basic dTpw"


@pytest.mark.parametrize(("value", "words"), [("", "is empty; put the token"), ("a\x00b", "no header can carry")])
def test_a_token_that_cannot_be_sent_is_refused(monkeypatch: pytest.MonkeyPatch, value: str, words: str) -> None:
    monkeypatch.setattr("os.environ", {"MODEL_TOKEN": value})
    with pytest.raises(InputError, match=f"environment variable MODEL_TOKEN.*{words}"):
        target_at("http://127.0.0.1:9", auth_env="MODEL_TOKEN")


def test_a_token_that_expires_in_the_middle_leaves_an_incomplete_audit(server: Script) -> None:
    target = target_at(server.url, batch=10)
    target.model.scores(FRAME.head(30))
    server.steps.append((403, {}, "expired"))
    with pytest.raises(TargetFailed, match="after 30 records: status 403, expired"):
        target.model.scores(FRAME)


def test_a_refusal_quotes_200_printable_characters(server: Script) -> None:
    server.steps.append((422, {}, "\x1b[31mbad\ninput " + "y" * 500))
    with pytest.raises(InputError, match=r"status 422 \( \[31mbad input y{185}\); check the address"):
        target_at(server.url).model.scores(FRAME)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("<html>hello</html>", "not JSON (<html>hello</html>)"),
        ('{"outputs": []}', "holds no predictions"),
        ('{"predictions": 3}', "are no list but '3'"),
        ('{"predictions": [[0.5, 0.5]]}', "answered 3 records with numbers of shape (1, 2)"),
        ('{"predictions": [[0.5, 0.5], [1.0], [0.5, 0.5]]}', "rows of unequal length"),
        ('{"predictions": ["yes", "no", "no"]}', "labels of shape (3,), not with probabilities of shape (3, 2)"),
        ('{"predictions": [["a", "b"], ["a", "b"], ["a", "b"]]}', "begins with 'a'"),
        ('{"predictions": [{"a": 1.0, "b": 0.0}, {}, {}]}', "the class 'a', but the target is said to have no, yes"),
    ],
)
def test_an_answer_of_another_kind_is_a_bad_answer(server: Script, body: str, words: str) -> None:
    server.steps.append((200, {}, body))
    with pytest.raises(BadAnswer) as error:
        target_at(server.url).model.scores(FRAME.head(3))
    assert words in str(error.value)


def test_bytes_that_cannot_be_unpacked_are_a_bad_answer(server: Script) -> None:
    server.steps.append((200, {"Content-Encoding": "gzip"}, b"no gzip"))
    with pytest.raises(BadAnswer, match="cannot be unpacked"):
        target_at(server.url).model.scores(FRAME)


@pytest.mark.parametrize("hole", ["NaN", "null", "Infinity"])
def test_nan_stops_at_the_door(server: Script, hole: str) -> None:
    server.steps.append((200, {}, f'{{"predictions": [[0.5, 0.5], [{hole}, 0.5]]}}'))
    with pytest.raises(BadAnswer, match="scores hold NaN or infinity for 1 of 2 records"):
        target_at(server.url).view(SCORES).scores(FRAME.head(2))


def test_scores_that_do_not_sum_to_one_stop_at_the_door(server: Script) -> None:
    server.steps.append((200, {}, '{"predictions": [[2.5, -0.5], [0.5, 0.5]]}'))
    with pytest.raises(BadAnswer, match=r'a row sums to 2 .*set output = "logits"'):
        target_at(server.url).view(SCORES).scores(FRAME.head(2))


def test_a_redirect_is_not_followed(server: Script) -> None:
    server.steps.append((307, {"Location": "http://127.0.0.1:9/elsewhere"}, ""))
    with pytest.raises(InputError, match=r"sends on to another address \(status 307\)"):
        target_at(server.url).model.scores(FRAME)


def test_the_pace_is_kept_and_no_question_holds_more_than_a_second_allows(server: Script) -> None:
    clock = Clock()
    target_at(server.url, clock, rate=8).model.scores(FRAME)
    sizes = [len(question["dataframe_split"]["data"]) for question in server.asked]
    assert sizes == [8] * 12 + [4]
    assert clock.slept == [1.0] * 12


def test_a_pace_below_one_record_a_second(server: Script) -> None:
    clock = Clock()
    target_at(server.url, clock, rate=0.25).model.scores(FRAME.head(3))
    assert clock.slept == [4.0, 4.0]
    assert len(server.asked) == 3


def test_a_spent_budget_sends_nothing(server: Script) -> None:
    view = target_at(server.url).view(ThreatModel(Access.SCORES, queries=70))
    view.scores(FRAME.head(64))
    with pytest.raises(BudgetSpent):
        view.scores(FRAME.head(7))
    assert len(server.asked) == 1


def test_a_table_travels_with_its_column_names_values_and_holes(server: Script) -> None:
    frame = pd.DataFrame({"city": ["Oslo", None], "n": [1, 2], "a": [0.1, float("nan")], "left out": [1, 2]})
    server.steps.append((200, {}, '{"predictions": [0.5, 0.25]}'))
    scores = target_at(server.url, inputs=Table(("n", "city", "a"))).model.scores(frame)
    sent = {"columns": ["n", "city", "a"], "data": [[1, "Oslo", 0.1], [2, None, None]]}
    assert server.asked == [{"dataframe_split": sent}]
    assert scores.tolist() == [[0.5, 0.5], [0.75, 0.25]]  # one column is the probability of the second class


def test_a_proxy_from_the_environment_does_not_get_questions_for_this_machine(
    server: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert len(target_at(server.url, retries=0).model.scores(FRAME)) == 100


def test_another_machine_is_not_asked_without_the_owners_word() -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, json={"predictions": [[0.5, 0.5]] * 100})

    for protocol in ("oip", "mlflow"):
        with pytest.raises(NotAllowed, match=r"models.example.com is not this machine.*--i-may-test-this"):
            from_http(
                "https://models.example.com/v2/models/m",
                protocol,
                classes=("no", "yes"),
                inputs=TABLE,
                transport=httpx.MockTransport(answer),
            )
    assert asked == []
    allowed = target_at("https://models.example.com", allowed=True, batch=100, transport=httpx.MockTransport(answer))
    assert allowed.model.scores(FRAME).tolist() == [[0.5, 0.5]] * 100


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("127.0.0.1", True),
        ("127.8.9.10", True),
        ("::1", True),
        ("LOCALHOST", True),
        ("0.0.0.0", False),
        ("10.0.0.1", False),
        ("2130706433", False),
        ("localhost.example.com", False),
        ("127.0.0.1.example.com", False),
    ],
)
def test_what_counts_as_this_machine(host: str, here: bool) -> None:
    assert is_this_machine(host) is here


def test_an_address_never_shows_its_secrets(server: Script) -> None:
    with pytest.raises(InputError, match="holds a user name or password") as error:
        target_at(server.url.replace("//", "//ann:hunter2@"))
    assert "hunter2" not in str(error.value)
    target = target_at(server.url + "/invocations?key=hunter2")
    server.steps.append((400, {}, "no"))
    with pytest.raises(InputError) as error:
        target.model.scores(FRAME)
    assert "hunter2" not in f"{error.value} {target.name}"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"rate": 0}, "rate is 0; use a number above 0"),
        ({"timeout": -1.0}, "timeout is -1.0"),
        ({"batch": 0}, "batch is 0; use a whole number of at least 1"),
        ({"retries": -1}, "retries is -1"),
        ({"classes": "yes"}, "classes is the text 'yes'"),
        ({"output": "logit"}, "output is 'logit'.* Did you mean 'logits'?"),
        (
            {"inputs": Images((1, 2, 2)), "input_shape": (5,)},
            r"of shape \(5\), but the images have .*\(1, 2, 2\)",
        ),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        target_at("http://127.0.0.1:9", **settings)


def test_addresses_and_protocols_that_cannot_be() -> None:
    for url in ("ftp://127.0.0.1/x", "127.0.0.1:80", "http://", "http://[::1"):
        with pytest.raises(InputError, match=r"http://host:port/path"):
            target_at(url)
    with pytest.raises(InputError, match=r"protocol is 'mlflo'; use one of oip, mlflow. Did you mean 'mlflow'\?"):
        from_http("http://127.0.0.1:9", "mlflo", classes=(), inputs=TABLE)
    with pytest.raises(InputError, match="names no model of the Open Inference Protocol; write"):
        from_http("http://127.0.0.1:9/m", "oip", classes=(), inputs=TABLE)
