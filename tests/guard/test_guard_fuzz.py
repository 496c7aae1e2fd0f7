"""Malformed requests over real sockets, in every protocol: no failure of ours, and no question passes unread.

Behind the guard stands an app that reads each request with a reader of its own, from the standard library. What that
reader does not understand, or counts otherwise than the guard charged, has passed unguarded.
"""

import asyncio
import hashlib
import json
import re
import socket
import threading
import time
from contextlib import contextmanager, suppress
from copy import deepcopy
from dataclasses import dataclass, field

import pytest
import uvicorn
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from safelight.guard.connection import Connection
from safelight.guard.exchange import Answer, send_answer
from safelight.guard.middleware import GuardMiddleware

WARD = f'[[clients.key]]\nid = "ward-3"\nsha256 = "{hashlib.sha256(b"pass-word").hexdigest()}"\n'
MOST = 4096  # bytes of a question here, so that oversized ones are not slow
RULE = '[upstream.jsonpath]\npath = "/score/{model}"\nrecords = "$.rows"\nanswers = "$.out"\nalso_asked = "$.id"\n'


class Odd(Exception):
    """What the reference reader does not understand."""


def strict(body: bytes) -> object:
    """JSON as the standard library reads it, in UTF-8 alone, without names that stand twice and without NaN."""

    def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        if len({name for name, _ in pairs}) != len(pairs):
            raise Odd("a name stands twice")
        return dict(pairs)

    def no_number(word: str) -> None:
        raise Odd(word)

    try:
        return json.loads(body.decode("utf-8"), object_pairs_hook=once, parse_constant=no_number)
    except (ValueError, RecursionError) as error:
        raise Odd(str(error)) from None


def need(condition: object, why: str = "") -> None:
    if not condition:
        raise Odd(why)


def held(content: object, known: tuple[str, ...]) -> dict:
    need(isinstance(content, dict) and set(content) <= set(known), "unknown fields")
    return content


def one_length(lists: list[object]) -> int:
    need(lists and all(isinstance(each, list) and each for each in lists) and len({len(each) for each in lists}) == 1)
    return len(lists[0])


def of_mlflow(body: bytes, headers: dict[str, str]) -> int:
    content = held(strict(body), ("inputs", "instances", "dataframe_split", "dataframe_records"))
    need(len(content) == 1)
    [(name, found)] = content.items()
    if name == "dataframe_split":
        return one_length([held(found, ("columns", "index", "data"))["data"]])
    return one_length(list(found.values())) if name == "inputs" and isinstance(found, dict) else one_length([found])


def of_kserve(body: bytes, headers: dict[str, str]) -> int:
    return one_length([held(strict(body), ("instances",)).get("instances")])


def flat(values: object) -> list[object]:
    return [leaf for each in values for leaf in flat(each)] if isinstance(values, list) else [values]


def of_oip(body: bytes, headers: dict[str, str]) -> int:
    length = headers.get("inference-header-content-length")
    head = body if length is None else body[: int(length)]
    rest = b"" if length is None else body[int(length) :]
    content = held(strict(head), ("id", "parameters", "inputs", "outputs"))
    counts, at = set(), 0
    for tensor in content["inputs"]:
        held(tensor, ("name", "shape", "datatype", "parameters", "data"))
        size = 1
        for side in tensor["shape"]:
            need(type(side) is int and side > 0)
            size *= side
        packed = tensor.get("parameters", {}).get("binary_data_size")
        if packed is None:
            need(len(flat(tensor["data"])) == size)
        else:
            need("data" not in tensor and tensor["datatype"] == "FP64" and packed == 8 * size)
            at += packed
        counts.add(tensor["shape"][0])
    need(at == len(rest) and len(counts) == 1)
    for output in content.get("outputs", []):
        need("classification" not in output.get("parameters", {}))
    return counts.pop()


def of_openai(body: bytes, headers: dict[str, str]) -> int:
    content = strict(body)
    need(isinstance(content, dict))
    forbidden = ("logprobs", "top_logprobs", "prompt_logprobs", "logit_bias", "n", "best_of", "echo", "seed")
    need(not set(forbidden) & set(content), "asks for more than text")
    if "messages" in content:
        need("prompt" not in content and isinstance(content["messages"], list) and content["messages"])
        need(all(isinstance(message, dict) and "role" in message for message in content["messages"]))
        return 1
    prompt = content.get("prompt")
    need(isinstance(prompt, str) or (isinstance(prompt, list) and prompt and all(isinstance(p, str) for p in prompt)))
    return 1 if isinstance(prompt, str) else len(prompt)


def of_rule(body: bytes, headers: dict[str, str]) -> int:
    return one_length([held(strict(body), ("rows", "id")).get("rows")])


def said_by_openai(body: bytes, n: int) -> dict:
    content = json.loads(body)
    chat = "messages" in content
    said = {"message": {"role": "assistant", "content": "a"}} if chat else {"text": "a"}
    choices = [{"index": place, "finish_reason": "stop", **said} for place in range(n)]
    kind = "chat.completion" if chat else "text_completion"
    return {"id": "1", "object": kind, "created": 1, "model": "m", "choices": choices}


@dataclass(frozen=True)
class Spoken:
    """One protocol.

    Attributes:
        name: in guard.toml.
        paths: that may be asked, as a pattern.
        start: paths, one a question in turn.
        questions: good ones, and some that ask for too much.
        count: the reference reader.
        answer: of n records.
        more: of [upstream].
    """

    name: str
    paths: str
    start: tuple[str, ...]
    questions: tuple[object, ...]
    count: object
    answer: object
    more: str = ""


TENSOR = {"name": "x", "shape": [2, 2], "datatype": "FP64", "data": [1.0, 2.0, 3.0, 4.0]}
BINARY = {"name": "x", "shape": [2, 1], "datatype": "FP64", "parameters": {"binary_data_size": 16}}
ROWS = [[1.0, 2.0], [3.0, 4.0]]
TABLE = [{"age": 3, "town": "Oslo"}, {"age": 4, "town": None}]
SPOKEN = (
    Spoken(
        "mlflow", "/invocations", ("/invocations",),
        ({"inputs": ROWS}, {"inputs": {"a": [1, 2], "b": ["x", "y"]}}, {"instances": ROWS},
         {"dataframe_records": TABLE}, {"dataframe_split": {"columns": ["a", "b"], "index": [0, 1], "data": ROWS}}),
        of_mlflow, lambda body, n: {"predictions": [[0.9, 0.1]] * n},
    ),
    Spoken(
        "kserve-v1", "/v1/models/[^/]+:predict", ("/v1/models/diag:predict",),
        ({"instances": ROWS}, {"instances": TABLE}),
        of_kserve, lambda body, n: {"predictions": [[0.9, 0.1]] * n},
    ),
    Spoken(
        "oip", "/v2/models/[^/]+(/versions/[^/]+)?/infer",
        ("/v2/models/diag/infer", "/v2/models/diag/versions/1/infer"),
        ({"inputs": [TENSOR]}, {"id": "a", "inputs": [{**TENSOR, "data": ROWS}], "outputs": [{"name": "p"}]},
         {"inputs": [BINARY]}),
        of_oip,
        lambda body, n: {"outputs": [{"name": "p", "shape": [n, 2], "datatype": "FP64", "data": [0.9, 0.1] * n}]},
    ),
    Spoken(
        "openai", "/v1/(chat/completions|completions)",
        ("/v1/chat/completions", "/v1/completions", "/v1/completions", "/v1/embeddings"),
        ({"model": "m", "messages": [{"role": "user", "content": "hi"}], "temperature": 0.5, "logprobs": True},
         {"model": "m", "prompt": ["a", "b"], "max_tokens": 5, "echo": False}, {"model": "m", "prompt": "a", "n": 2},
         {"model": "m", "input": "a"}),
        of_openai, said_by_openai,
    ),
    Spoken(
        "jsonpath", "/score/[^/]+", ("/score/diag",), ({"rows": ROWS}, {"rows": TABLE, "id": "a"}), of_rule,
        lambda body, n: {"out": [[0.9, 0.1]] * n}, RULE,
    ),
)  # fmt: skip


@dataclass
class Behind:
    """The app behind the guard, and what it makes of what it gets."""

    spoken: Spoken
    counted: int = 0
    asked: int = 0
    wrong: list[str] = field(default_factory=list)

    async def __call__(self, scope, receive, send) -> None:
        body = (await receive())["body"] if scope["method"] == "POST" else b""
        self.asked += 1
        names = [name for name, _ in scope["headers"]]
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        n = 0
        try:
            if scope["method"] in ("GET", "HEAD"):
                need(not re.fullmatch(self.spoken.paths, scope["path"]), "a question by GET")
            else:
                need(scope["method"] == "POST" and re.fullmatch(self.spoken.paths, scope["path"]), "another path")
                need(not scope["query_string"] and "authorization" not in headers, "a query or a key")
                need(len({*names}) == len(names) or names.count(b"content-length") == 1, "two lengths")
                need(int(headers["content-length"]) == len(body) and "transfer-encoding" not in headers, "its length")
                n = self.spoken.count(body, headers)
        except (Odd, ValueError, KeyError, TypeError, AttributeError, IndexError) as why:
            self.wrong.append(f"{scope['method']} {scope['path']!r} {body[:200]!r}: {type(why).__name__} {why}")
        self.counted += n
        said = self.spoken.answer(body, n) if n else {}
        await send_answer(send, Answer(200, [(b"content-type", b"application/json")], json.dumps(said).encode()))


@dataclass
class Fuzzed:
    """One guard under fire."""

    spoken: Spoken
    behind: Behind
    guard: GuardMiddleware
    port: int
    server: uvicorn.Server
    said: list[str]

    def send(self, request: bytes, cuts: list[int]) -> bytes:
        """Send a request in pieces; return all that comes back, also after saying that there is no more."""
        places = sorted({min(cut, len(request)) for cut in cuts})
        answer = []
        with socket.create_connection(("127.0.0.1", self.port), timeout=0.05) as line:
            with suppress(OSError):
                for start, end in zip([0, *places], [*places, len(request)]):
                    line.sendall(request[start:end])
            for _ in range(2):
                with suppress(OSError):
                    while part := line.recv(65536):
                        answer.append(part)
                    break
                with suppress(OSError):
                    line.shutdown(socket.SHUT_WR)
                line.settimeout(5)
        return b"".join(answer)

    def check(self, request: bytes, cuts: list[int]) -> str:
        """Fire once; return the first status, "" where nothing came back."""
        before, spent = self.behind.counted, self.guard.store.state("ward-3").total
        answer = self.send(request, cuts)
        for _ in range(200):  # what is asked is asked although the client has hung up
            if not self.busy():
                break
            time.sleep(0.005)
        assert not re.search(rb"(^|\r\n\r\n.*?)HTTP/1\.1 5\d\d", answer), (request, answer)
        assert not self.behind.wrong, (request, self.behind.wrong)
        assert not any("broke its reader" in words for words in self.said), (request, self.said)
        self.said.clear()
        charged = self.guard.store.state("ward-3").total - spent
        assert charged >= self.behind.counted - before, (request, charged)
        return answer[9:12].decode("latin-1")

    def busy(self) -> bool:
        return bool(self.server.server_state.tasks)


@contextmanager
def under_fire(spoken: Spoken, folder):
    """Serve a guard and the app behind it in a thread, on a real socket."""
    policy = folder / "guard.toml"
    policy.write_text(f'[upstream]\nurl = "http://127.0.0.1:1"\nprotocol = "{spoken.name}"\n{spoken.more}{WARD}')
    behind = Behind(spoken)
    said: list[str] = []
    guard = GuardMiddleware(behind, policy, most=MOST, say=said.append)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = uvicorn.Config(
        guard, "127.0.0.1", port, log_level="critical", access_log=False, ws="none", http=Connection, lifespan="off"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()), daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    fuzzed = Fuzzed(spoken, behind, guard, port, server, said)
    try:
        yield fuzzed
    finally:
        server.should_exit = True
        thread.join(timeout=10)
        guard.store.close()


# What is fired -------------------------------------------------------------------------------------------------------

leaves = st.sampled_from(
    [None, True, 0, -1, 1, 2, 1.5, 1e308, -0.0, 2**63, 10**30, "", "a", "NaN", "é\u202e", "\x00", [], {}, [[]], [None],
     [[1.0], [2.0, 3.0]], {"a": [1]}, [{"a": 1}, {"b": 1}], "a" * 300, [0] * 50]
)  # fmt: skip
names = st.sampled_from(
    ["inputs", "instances", "params", "parameters", "outputs", "shape", "datatype", "data", "binary_data_size", "name",
     "classification", "n", "logprobs", "top_logprobs", "logit_bias", "echo", "best_of", "stream", "messages", "prompt",
     "role", "content", "rows", "id", "index", "columns", "signature_name", "", "a", "seed", "input", "\ud800"[:0]]
)  # fmt: skip


@st.composite
def changed(draw, content):
    """A good question with one to three things in it replaced, added, taken away or written twice."""
    content = json.loads(json.dumps(content))
    for _ in range(draw(st.integers(0, 3))):
        here, path = content, []
        while isinstance(here, (dict, list)) and here and (not path or draw(st.booleans())):
            place = draw(st.sampled_from(sorted(here, key=str) if isinstance(here, dict) else range(len(here))))
            path.append((here, place))
            here = here[place]
        if not path:
            break
        parent, place = path[-1]
        how = draw(st.sampled_from(["replace", "add", "remove", "double"]))
        if how == "replace":
            parent[place] = deepcopy(draw(leaves))
        elif how == "add" and isinstance(parent, dict):
            parent[draw(names)] = deepcopy(draw(leaves))
        elif how == "remove":
            del parent[place]
        elif isinstance(parent, list):
            parent.insert(0, parent[place])
    return content


@st.composite
def bodies(draw, spoken, number):
    """(bytes, bytes of JSON before tensors or None)."""
    text = json.dumps(draw(changed(spoken.questions[number])), ensure_ascii=draw(st.booleans())).encode(
        "utf-8", "surrogatepass"
    )
    hows = ["whole"] * 8 + ["twice", "cut", "flip", "junk", "long", "tail", "deep", "mark"]
    how = draw(st.sampled_from(hows))
    if how == "twice" and text.startswith(b"{") and len(text) > 2:
        text = b"{" + text[1:-1] + b"," + text[1:]
    elif how == "cut":
        text = text[: draw(st.integers(0, len(text)))]
    elif how == "flip" and text:
        at = draw(st.integers(0, len(text) - 1))
        text = text[:at] + bytes([draw(st.integers(0, 255))]) + text[at + 1 :]
    elif how == "junk":
        text = draw(st.binary(max_size=60))
    elif how == "long":
        text += b" " * draw(st.integers(MOST - 300, MOST + 300))
    elif how == "tail":
        text += draw(st.sampled_from([b"{}", b"\x00", b"]", b"//", b"\n", text]))
    elif how == "deep":
        depth = draw(st.integers(1, 1500))
        text = b'{"inputs": ' + b"[" * depth + b"1" + b"]" * draw(st.sampled_from([depth, depth - 1])) + b"}"
    elif how == "mark":
        text = draw(st.sampled_from([b"\xef\xbb\xbf" + text, text.decode("utf-8", "replace").encode("utf-16")]))
    length = None
    if spoken.name == "oip" and draw(st.booleans()):
        length = len(text)
        text += b"\x00" * draw(st.sampled_from([16, 16, 16, 0, 8, 17]))
    return text, length


def framed(draw, body: bytes, calm: bool) -> tuple[list[bytes], bytes]:
    """Return headers that frame a body, rightly where all is calm, and what is sent of it."""
    wrong = [] if calm else ["short", "late", "both", "none", "double", "odd"]
    how = draw(st.sampled_from(["length", "length", "pieces", *wrong]))
    if how in ("pieces", "both"):
        pieces, at = [], 0
        while at < len(body):
            size = draw(st.integers(1, max(1, len(body))))
            tail = draw(st.sampled_from([b"", b"", b";a=b", b";" + b"x" * 30]))
            pieces.append(b"%x%b\r\n%b\r\n" % (len(body[at : at + size]), tail, body[at : at + size]))
            at += size
        ends = [b"0\r\n\r\n", b"0\r\nX-A: b\r\n\r\n", b"0\r\nAuthorization: Bearer pass-word\r\n\r\n"]
        end = draw(st.sampled_from(ends if calm else [*ends, b"", b"0\r\n", b"-1\r\n\r\n"]))
        headers = [b"Transfer-Encoding: chunked"] + ([b"Content-Length: 3"] if how == "both" else [])
        return headers, b"".join(pieces) + end
    length = {"short": len(body) // 2, "late": len(body) + 9}.get(how, len(body))
    headers = [b"Content-Length: %d" % length]
    if how == "none":
        headers = []
    elif how == "double":
        headers.append(b"Content-Length: %d" % draw(st.sampled_from([len(body), 0, 5])))
    elif how == "odd":
        odd = [b"Content-Length: +5", b"Content-Length: 5, 5", b"Content-Length : 5", b"Content-Length: 0x5"]
        headers = [draw(st.sampled_from([*odd, b"Transfer-Encoding: x", b"Content-Length:"]))]
    return headers, body


words = st.sampled_from(
    [b"application/json", b"text/csv", b"application/json; charset=utf-16", b"gzip", b"identity", b"chunked", b"3",
     b"-1",
     b"99999999999999999999", b"Bearer wrong", b"Bearer pass-word", b"\xff", b"", b"a" * 9000, b"a\tb"]
) | st.binary(max_size=12)  # fmt: skip
fields = st.sampled_from(
    [b"Content-Type", b"Content-Encoding", b"Inference-Header-Content-Length", b"Authorization", b"Transfer-Encoding",
     b"X-Forwarded-For", b"Client-Cert", b"X-HTTP-Method-Override", b"Expect", b"Connection", b"Upgrade", b"Host",
     b"TE",
     b"Content-Range", b"Digest", b"Cookie", b"X", b"", b"\x00", b"X Y", b"Trailer"]
)  # fmt: skip


@st.composite
def requests(draw, spoken):
    """One request, as bytes, and where it is cut into pieces of TCP."""
    calm = draw(st.integers(0, 9)) < 6
    number = draw(st.integers(0, len(spoken.questions) - 1))
    body, length = draw(bodies(spoken, number))
    path = spoken.start[number % len(spoken.start)] if calm else draw(st.sampled_from(spoken.start))
    method, version, end, more = b"POST", b"HTTP/1.1", b"\r\n", []
    headers = [
        b"Host: guard",
        b"Connection: close",
        b"Authorization: Bearer pass-word",
        b"Content-Type: application/json",
    ]
    if length is not None:
        off = 0 if calm else draw(st.sampled_from([0, 1, -1, 10**6]))
        headers.append(b"Inference-Header-Content-Length: %d" % (length + off))
    frame, sent = framed(draw, body, calm)
    headers += frame
    if not calm:
        path += draw(st.sampled_from(["", "", "?x=1", "//", "/..", "%2e", " ", "\x00", "?"]))
        method = draw(st.sampled_from([b"POST", b"POST", b"GET", b"PUT", b"HEAD", b"post", b"BREW", b"OPTIONS", b""]))
        version = draw(st.sampled_from([version, version, b"HTTP/1.0", b"HTTP/2.0", b"HTTP/1.9", b"", b"HTTP/1.1 "]))
        end = draw(st.sampled_from([end, end, end, b"\n", b"\r"]))
        del headers[draw(st.integers(0, len(headers) - 1))]
        for _ in range(draw(st.integers(0, 2))):
            headers.insert(draw(st.integers(0, len(headers))), draw(fields) + b": " + draw(words))
        more = [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02"]
    head = b" ".join([method, path.encode("latin-1"), version]) + end + end.join(headers) + end + end
    request = head + sent
    tail = draw(st.sampled_from([b"", b"", request, *more]))
    return request + tail, draw(st.lists(st.integers(0, len(request)), max_size=3))


def fire(fuzzed: Fuzzed, examples: int, counts: dict[str, int], number: int = 0) -> None:
    """Fire so many requests; raises AssertionError with the smallest that breaks a rule."""

    @seed(number)
    @given(requests(fuzzed.spoken))
    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    def each(request) -> None:
        status = fuzzed.check(*request)
        counts[status] = counts.get(status, 0) + 1

    each()


@pytest.mark.parametrize("spoken", SPOKEN, ids=lambda each: each.name)
def test_whatever_is_sent_nothing_fails_and_nothing_passes_unread(tmp_path, spoken):
    counts: dict[str, int] = {}
    with under_fire(spoken, tmp_path) as fuzzed:
        fire(fuzzed, 150, counts)
        assert counts.get("200", 0) > 10  # the fire does not only hit the wall
        assert set(counts) - {"200"}
        assert fuzzed.behind.asked > 10
        assert fuzzed.guard.store.verify()[1] == ""
