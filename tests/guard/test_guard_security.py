"""Attacks on the door itself, over real connections: `safelight guard run` before a server that counts what it gets."""

import ast
import hashlib
import importlib
import json
import pkgutil
import random
import re
import socket
import statistics
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

import safelight.guard
from safelight.guard.identity.door import Door
from safelight.guard.policy import Fail, read_policy

DIGEST = hashlib.sha256(b"pass-word").hexdigest()
WARD = f'[[clients.key]]\nid = "ward-3"\nsha256 = "{DIGEST}"\ncohort = "wards"\n'
AUTH = b"Authorization: Bearer pass-word\r\n"
GOOD = b'{"inputs": [[1.0]]}'
HIDDEN = b'{"inputs": [[666.0]]}'
LINE = b"POST /invocations HTTP/1.1\r\n"
REST = b"Host: guard\r\nConnection: close\r\nContent-Type: application/json\r\n"


@pytest.fixture(scope="module")
def door(tmp_path_factory, counted, guard_running, guard_upstream):
    policy = guard_upstream.format(counted.port, "mlflow") + WARD
    with guard_running(tmp_path_factory.mktemp("door"), policy) as guard:
        guard.usual = policy
        yield guard


@pytest.fixture
def before(counted, door):
    """How many requests the server has got so far."""
    door.change(door.usual)
    counted.reply = None
    yield len(counted.got)
    counted.reply = None


def post(body: bytes = GOOD, more: bytes = AUTH, line: bytes = LINE, rest: bytes = REST) -> bytes:
    return line + rest + more + b"Content-Length: %d\r\n\r\n" % len(body) + body


def status(answer: bytes) -> int:
    return int(answer[9:12] or 0) if answer.startswith(b"HTTP/1.1 ") else 0


def came(counted, before: int) -> list[tuple[str, str, bytes]]:
    return [(method, path, body) for method, path, _, body in counted.got[before:]]


PASSED = [("POST", "/invocations", b'{"inputs":[[1.0]]}')]


# Who asks ------------------------------------------------------------------------------------------------------------


def test_wrong_keys_get_nothing(door, counted, before):
    wrong = [
        b"", b"Authorization: Bearer pass-wore\r\n", b"Authorization: Bearer pass-wor\r\n",
        b"Authorization: Bearer pass-word\x00\r\n", b"Authorization: Bearer pass-word, Bearer pass-word\r\n",
        b"Authorization: Bearer Bearer pass-word\r\n", b"Authorization: Bearer PASS-WORD\r\n",
        b"Authorization: Bearer " + b"a" * 60000 + b"\r\n", b"Authorization: Bearer \xff\xfe\r\n",
        b"Authorization: Bearer " + DIGEST.encode() + b"\r\n", AUTH + AUTH, AUTH + b"AUTHORIZATION: x\r\n",
        b"Proxy-Authorization: Bearer pass-word\r\n", b"Cookie: authorization=pass-word\r\n",
        b"X-Authorization: Bearer pass-word\r\n", b"Authorization_: Bearer pass-word\r\n",
    ]  # fmt: skip
    assert {status(door.raw(post(more=each))) for each in wrong} <= {400, 401}
    assert came(counted, before) == []
    assert status(door.raw(post())) == 200
    assert came(counted, before) == PASSED


def test_a_token_that_was_seen_on_the_way_is_good_for_nothing_more(tmp_path, counted, guard_running, guard_upstream):
    key = ec.generate_private_key(ec.SECP256R1())
    shown = jwt.get_algorithm_by_name("ES256").to_jwk(key.public_key(), as_dict=True)
    (tmp_path / "keys.json").write_text(json.dumps({"keys": [shown]}))
    table = '[clients.jwt]\nissuer = "i"\naudience = "a"\njwks = "keys.json"\nleeway = 0\n'
    policy = guard_upstream.format(counted.port, "mlflow") + table

    def bearer(number: str, seconds: float = 60) -> bytes:
        claims = {"iss": "i", "aud": "a", "sub": "alice", "jti": number, "exp": time.time() + seconds}
        return b"Authorization: Bearer " + jwt.encode(claims, key, algorithm="ES256").encode() + b"\r\n"

    seen = bearer("n-1")
    with guard_running(tmp_path, policy + "once = true\n") as guard:
        assert status(guard.raw(post(more=seen))) == 200
        assert status(guard.raw(post(more=seen))) == 401
        assert status(guard.raw(post(more=bearer("n-2")))) == 200
        answers = []
        both = [threading.Thread(target=lambda: answers.append(status(guard.raw(post(more=raced))))) for _ in range(8)]
        raced = bearer("n-3")
        for each in both:
            each.start()
        for each in both:
            each.join()
        assert sorted(answers) == [200] + [401] * 7
    with guard_running(tmp_path, policy + "once = true\n") as guard:
        assert status(guard.raw(post(more=seen))) == 401  # and not by a guard that was started again
        guard.change(policy)
        short = bearer("n-4", 1.5)
        assert status(guard.raw(post(more=short))) == 200
        assert status(guard.raw(post(more=short))) == 200  # what is not good once alone ends with its exp
        time.sleep(1.6)
        assert status(guard.raw(post(more=short))) == 401


SPOOFS = {
    "X-Forwarded-For": "127.0.0.1", "X-Forwarded-Host": "evil", "X-Forwarded-Proto": "https", "X-Forwarded-Port": "1",
    "X-Forwarded-Server": "evil", "X-Forwarded-Prefix": "/admin", "X-Forwarded-User": "ward-3", "Forwarded": "for=x",
    "X-Real-IP": "10.0.0.1", "X-Client-IP": "10.0.0.1", "True-Client-IP": "10.0.0.1", "X-Original-URL": "/admin",
    "X-Rewrite-URL": "/admin", "X-HTTP-Method-Override": "DELETE", "X-Method-Override": "DELETE",
    "X_Forwarded_For": "127.0.0.1", "X_Real_IP": "10.0.0.1", "Content_Length": "3", "Transfer_Encoding": "chunked",
}  # fmt: skip


def test_what_a_client_says_of_itself_changes_nothing_and_goes_no_further(door, counted, before):
    door.change(door.usual + "[budget]\nlifetime = 1000\nper_minute = 2\n")
    more = AUTH + b"".join(f"{name}: {value}\r\n".encode() for name, value in SPOOFS.items())
    assert status(door.raw(post(more=more))) == 200
    headers = {name.lower(): value for name, value in counted.got[-1][2]}
    assert not {name.lower() for name in SPOOFS} & set(headers)
    assert headers["host"] == f"127.0.0.1:{counted.port}"
    answers = [
        status(door.raw(post(more=AUTH + b"X-Forwarded-For: 10.0.0.%d\r\nX-Real-IP: 10.0.0.%d\r\n" % (n, n))))
        for n in range(6)
    ]
    assert answers.count(200) <= 2  # another address is no other client
    assert set(answers) == {200, 429}
    for header in (b"Client-Cert: :AAAA:\r\n", b"X-Forwarded-Client-Cert: Hash=00\r\n"):
        assert status(door.raw(post(more=AUTH + header))) == 401


# One request or two --------------------------------------------------------------------------------------------------

CHUNKED = b"%x\r\n%b\r\n0\r\n\r\n" % (len(GOOD), GOOD)
SECOND = LINE + b"Host: guard\r\nContent-Length: %d\r\n\r\n" % len(HIDDEN) + HIDDEN  # has no key
KEYED = LINE + REST + AUTH
KEPT = KEYED.replace(b"Connection: close\r\n", b"")
LENGTH = b"Content-Length: %d\r\n" % len(GOOD)
PIECES = b"Transfer-Encoding: chunked\r\n"

SHAPES = {
    "CL.TE": KEPT + b"Content-Length: %d\r\n" % (5 + len(SECOND)) + PIECES + b"\r\n0\r\n\r\n" + SECOND,
    "TE.CL": KEPT + PIECES + b"Content-Length: 4\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(SECOND), SECOND),
    "TE.TE": KEPT + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n" + LENGTH + b"\r\n" + GOOD + SECOND,
    "two lengths": KEPT + LENGTH + b"Content-Length: %d\r\n\r\n" % (len(GOOD) + len(SECOND)) + GOOD + SECOND,
    "the same length twice": KEYED + LENGTH + LENGTH + b"\r\n" + GOOD,
    "lengths in a list": KEYED + b"Content-Length: %d, %d\r\n\r\n" % (len(GOOD), len(GOOD)) + GOOD,
    "length with a sign": KEYED + b"Content-Length: +%d\r\n\r\n" % len(GOOD) + GOOD,
    "length in sixteens": KEYED + b"Content-Length: 0x13\r\n\r\n" + GOOD,
    "length with a line": KEYED + b"Content-Length: 1_9\r\n\r\n" + GOOD,
    "length below nought": KEYED + b"Content-Length: -1\r\n\r\n" + GOOD,
    "length without end": KEYED + b"Content-Length: " + b"9" * 40 + b"\r\n\r\n" + GOOD,
    "folded": KEYED + b"X-Fold: a\r\n Content-Length: 0\r\n" + LENGTH + b"\r\n" + GOOD,
    "folded encoding": KEPT + b"Transfer-Encoding:\r\n chunked\r\n" + LENGTH + b"\r\n" + GOOD + SECOND,
    "space before the colon": KEPT + b"Transfer-Encoding : chunked\r\n" + LENGTH + b"\r\n" + GOOD + SECOND,
    "tab before chunked": KEYED + b"Transfer-Encoding:\tchunked\r\n\r\n" + CHUNKED,
    "chunked twice": KEPT + b"Transfer-Encoding: chunked, chunked\r\n\r\n" + CHUNKED + SECOND,
    "chunked, then as it is": KEPT + b"Transfer-Encoding: chunked, identity\r\n\r\n" + CHUNKED + SECOND,
    "packed, then chunked": KEPT + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + CHUNKED + SECOND,
    "an encoding that is none": KEPT + b"Transfer-Encoding: xchunked\r\n\r\n" + SECOND,
    "chunk extensions": KEYED + PIECES + b"\r\n%x;a=b;c=\"d\"\r\n%b\r\n0;z\r\n\r\n" % (len(GOOD), GOOD),
    "a chunk extension with a line feed": KEPT + b"Transfer-Encoding: chunked\r\n\r\n2;\nxx\r\n0\r\n\r\n" + SECOND,
    "a chunk without a size": KEPT + b"Transfer-Encoding: chunked\r\n\r\n\r\n" + GOOD + b"\r\n0\r\n\r\n" + SECOND,
    "a chunk below nought": KEPT + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n" + SECOND,
    "a chunk without end": KEPT + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 17 + b"\r\n" + SECOND,
    "a chunk that is too short": KEPT + b"Transfer-Encoding: chunked\r\n\r\n1\r\n" + GOOD + b"\r\n0\r\n\r\n" + SECOND,
    "trailers": KEYED + PIECES + b"\r\n" + CHUNKED[:-2] + b"Content-Type: text/csv\r\nX-A: b\r\n\r\n",
    "a key in the trailers": LINE + REST + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKED[:-2] + AUTH + b"\r\n",
    "bare line feeds": KEPT.replace(b"\r\n", b"\n") + LENGTH.replace(b"\r\n", b"\n") + b"\n" + GOOD + SECOND,
    "a bare carriage return": KEPT + b"X: a\rContent-Length: 0\r\n" + LENGTH + b"\r\n" + GOOD + SECOND,
    "a nought byte": KEPT + b"X: a\x00b\r\n" + LENGTH + b"\r\n" + GOOD + SECOND,
    "a header without a colon": KEPT + b"Xa\r\n" + LENGTH + b"\r\n" + GOOD + SECOND,
    "a header without a name": KEPT + b": a\r\n" + LENGTH + b"\r\n" + GOOD + SECOND,
    "HTTP/1.0 in pieces": KEPT.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKED + SECOND,
    "HTTP/0.9": b"POST /invocations\r\n" + SECOND,
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SECOND,
    "an upgrade": KEPT + b"Connection: upgrade\r\nUpgrade: h2c\r\n" + LENGTH + b"\r\n" + GOOD + SECOND,
    "one after the other": KEPT + LENGTH + b"\r\n" + GOOD + SECOND,
    "absolute form": KEYED.replace(b"/invocations", b"http://guard/invocations") + LENGTH + b"\r\n" + GOOD,
    "two hosts": KEYED + b"Host: other\r\n" + LENGTH + b"\r\n" + GOOD,
    "expects": KEYED + b"Expect: 100-continue\r\n" + LENGTH + b"\r\n" + GOOD,
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_no_second_request_rides_in_on_the_first(door, counted, before, shape):
    """Whatever it is read as: the server gets the one question that a key stood before, written anew, or nothing."""
    answer = door.raw(SHAPES[shape], 0.4)
    assert came(counted, before) in ([], PASSED), shape
    assert not re.search(rb"HTTP/1.1 5\d\d", answer)
    if came(counted, before):
        names = [name.lower() for name, _ in counted.got[before][2]]
        assert "transfer-encoding" not in names
        assert names.count("content-length") == names.count("host") == 1
        assert dict(counted.got[before][2])["content-type"] == "application/json"
    assert b"666" not in b"".join(body for _, _, body in came(counted, before))


def test_heads_and_what_follows_a_body_end(door, counted, before):
    """Nobody fills the memory with a head that goes on and on, or with what comes behind a body in pieces."""
    endless = [
        LINE + b"X: " + b"a" * 400_000,
        LINE + b"X: a\r\n" * 60_000,
        b"POST /" + b"a" * 400_000,
        KEYED + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKED[:-2] + b"X: " + b"a" * 800_000,
        KEYED + b"Transfer-Encoding: chunked\r\n\r\n" + b"1;" + b"a" * 800_000,
    ]
    for each in endless:
        answer = b""
        with socket.create_connection(("127.0.0.1", door.port), timeout=5) as line:
            hung_up = False
            try:
                for at in range(0, len(each), 50_000):
                    line.sendall(each[at : at + 50_000])
                    time.sleep(0.005)
                while part := line.recv(65536):
                    answer += part
                hung_up = True
            except ConnectionError:
                hung_up = True
        assert hung_up
        assert status(answer) in (0, 400)
    assert came(counted, before) == []
    assert status(door.raw(post(b'{"inputs": [[%s1.0]]}' % (b" " * 400_000)))) == 200  # a long body is none of these
    pieces = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (b" " * 4096,) * 100 + (GOOD,))
    assert status(door.raw(KEYED + b"Transfer-Encoding: chunked\r\n\r\n" + pieces + b"0\r\n\r\n")) == 200


# Where to ------------------------------------------------------------------------------------------------------------

PATHS = [
    b"/invocations/", b"//invocations", b"/./invocations", b"/x/../invocations", b"/ping/..%2finvocations",
    b"/%2e%2e/invocations", b"/ping/%2e%2e/invocations", b"/invocations;x=1", b"/invocations%3bx", b"/INVOCATIONS",
    b"/invocations%00", b"/invocations%20", b"/invocations.", b"/invocations%2f", b"/invocations%5c", b"\\invocations",
    b"/invocations/..", b"/%252e%252e/invocations", b"/invocations%23", b"/invocations%3f", b"/invocations?x=1",
    b"/ping/../admin", b"/ping;/../admin", b"/ping%2f..%2fadmin", b"/admin",
    b"/%C0%AE%C0%AE/invocations", b"/invocations\xe2\x80\x8b", b"/\xef\xbc\x8finvocations", b"/ping/admin", b"*",
    b"http://guard//invocations", b"/invocations%0d%0aX:%20y", b"@evil/invocations", b"/ping%00/admin", b"",
]  # fmt: skip


def test_no_other_spelling_of_a_path_gets_further(door, counted, before):
    for path in PATHS:
        for method in (b"POST", b"GET", b"PUT", b"OPTIONS", b"CONNECT"):
            answer = door.raw(post(line=b"%b %b HTTP/1.1\r\n" % (method, path)))
            assert status(answer) in (400, 404, 405), (method, path, answer[:80])
    assert came(counted, before) == []
    for same in (b"/%69nvocations", b"/invocations?", b"/invocations#x"):
        assert status(door.raw(post(line=b"POST %b HTTP/1.1\r\n" % same))) == 200
    assert came(counted, before) == PASSED * 3  # the path too is written anew


def test_names_of_models_are_one_part_of_a_path(tmp_path, counted, guard_running, guard_upstream):
    tensor = b'{"inputs":[{"name":"x","shape":[1,1],"datatype":"FP64","data":[1.0]}]}'
    policy = guard_upstream.format(counted.port, "oip") + WARD
    counted.reply = (200, {"content-type": "application/json"}, b"{}")
    with guard_running(tmp_path, policy) as guard:
        before = len(counted.got)
        assert status(guard.raw(post(tensor, line=b"POST /v2/models/diag/infer HTTP/1.1\r\n"))) == 502
        assert came(counted, before) == [("POST", "/v2/models/diag/infer", tensor)]
        before = len(counted.got)
        for name in (b"..", b"%2e%2e", b"a%2f..%2fb", b"a/../b", b"a%00", b"a%0d%0aX", b"a;b", b"a%3fb", b"a%23",
                     b"a\\b",
                     b"", b".", b"a%5cb", b"a%20b", b"../repository/models/diag", b"a%253fb", b"a:b"):  # fmt: skip
            for end in (b"/infer", b"/versions/1/infer", b"/versions/../infer", b"/versions/%2e%2e/infer", b"/load"):
                if name == b"a:b":
                    continue
                line = b"POST /v2/models/%b%b HTTP/1.1\r\n" % (name, end)
                assert status(guard.raw(post(tensor, line=line), 5)) in (400, 404), line
        for path in (b"/v2/repository/index", b"/v2/repository/models/diag/unload", b"/v2/models/diag/infer/",
                     b"/V2/models/diag/infer", b"/v2/models/diag/infer_stream"):  # fmt: skip
            assert status(guard.raw(post(tensor, line=b"POST %b HTTP/1.1\r\n" % path))) == 404
        assert came(counted, before) == []
    counted.reply = None


def test_routes_fail_as_they_say_and_no_trick_moves_a_path_between_them(tmp_path, counted, door, before):
    odd = b'{"inputs": [[1.0]], "params": {"a": 1}}'
    routes = '[fail]\nmode = "closed"\n[[route]]\npath = "/open/*"\nfail = "open"\n'
    door.change(door.usual + routes)
    assert status(door.raw(post(odd))) == 400
    assert came(counted, before) == []
    counted.reply = (200, {}, b"as it was")
    assert door.raw(post(odd, line=b"POST /open/model HTTP/1.1\r\n")).endswith(b"as it was")
    before = len(counted.got)
    for path in (b"/open/../invocations", b"/open/%2e%2e/invocations", b"/open//x", b"/open/.",
                 b"/open/;/../invocations", b"/open%2f..%2finvocations", b"/open/x%5c..%5cy", b"/open", b"/OPEN/x",
                 b"/open/%252e%252e/x"):  # fmt: skip
        assert status(door.raw(post(odd, line=b"POST %b HTTP/1.1\r\n" % path))) == 404, path
    assert status(door.raw(post(odd, more=b"", line=b"POST /open/model HTTP/1.1\r\n"))) == 404  # without a key
    assert came(counted, before) == []
    counted.reply = None
    hard = '[outputs]\ndecimals = 2\n[[route]]\npath = "/invocations"\n[route.outputs]\nlabel_only = true\n'
    door.change(door.usual + hard)
    assert door.raw(post()).endswith(b'{"predictions":[[1.0,0.0]]}')
    door.change(door.usual + hard.replace("/invocations", "/other/*"))
    assert door.raw(post()).endswith(b'{"predictions":[[0.91,0.09]]}')


def test_a_route_is_the_longest_that_fits(tmp_path, guard_upstream):
    path = tmp_path / "guard.toml"
    path.write_text(
        guard_upstream.format(1, "oip") + "[outputs]\ndecimals = 2\n"
        "[[route]]\npath = '/v2/*'\nfail = 'label-only'\n[[route]]\npath = '/v2/models/a/*'\nfail = 'open'\n"
        "[[route]]\npath = '/v2/models/a/infer'\n[route.outputs]\ntop_k = 1\n"
    )
    policy = read_policy(path)
    paths = ("/v2/models/b/infer", "/v2/models/a/ready", "/v2/models/a/infer", "/x")
    assert [policy.at(each).fail for each in paths] == [Fail.LABEL_ONLY, Fail.OPEN, Fail.CLOSED, Fail.CLOSED]
    assert policy.at("/v2/models/a/infer").outputs.top_k == 1
    assert policy.at("/v2/models/a/infer").outputs.decimals == 2
    assert policy.at("/v2/models/a/../b").fail is Fail.CLOSED


class Elsewhere:
    """A server that nobody should ask."""

    def __init__(self) -> None:
        self.asked = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked += 1
                self.send_response(200)
                self.end_headers()

            do_POST = do_GET

            def log_message(self, *words: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.place = f"127.0.0.1:{self.server.server_address[1]}".encode()
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()


@pytest.mark.parametrize("mode", ["closed", "open"])
def test_nothing_makes_the_guard_ask_another_server(door, counted, before, mode):
    other = Elsewhere()
    door.change(door.usual + f'[fail]\nmode = "{mode}"\n')
    try:
        for code in (301, 302, 303, 307, 308):
            counted.reply = (code, {"location": f"http://{other.place.decode()}/invocations"}, b"")
            answer = door.raw(post())
            assert status(answer) == (502 if mode == "closed" else code) or code != 200
        counted.reply = None
        for path in (b"http://%b/invocations", b"http://%b@guard/invocations", b"http://guard@%b/invocations",
                     b"//%b/invocations", b"/%b/invocations", b"@%b/invocations", b"%b/invocations", b":@%b/x",
                     b".%b/x",
                     b"/http://%b/invocations", b"/\\%b/invocations", b"/%%2f%b/invocations", b"?@%b/x"):  # fmt: skip
            for method in (b"POST", b"GET", b"CONNECT", b"OPTIONS"):
                line = b"%b %b HTTP/1.1\r\n" % (method, path % other.place)
                rest = REST.replace(b"Host: guard", b"Host: " + other.place)
                door.raw(post(line=line, rest=rest, more=AUTH + b"X-Forwarded-Host: %b\r\n" % other.place))
        assert status(door.raw(post(line=b"OPTIONS * HTTP/1.1\r\n"))) in (400, 404)
        assert other.asked == 0
        for _, _, headers, _ in counted.got[before:]:
            assert dict(headers)["Host"] == f"127.0.0.1:{counted.port}"
    finally:
        other.server.shutdown()
        other.server.server_close()


# What is said and kept -----------------------------------------------------------------------------------------------


def test_nobody_writes_lines_of_their_own_into_the_log_or_to_the_operator(door, counted, before):
    odd = b'{"inputs": [[1.0]], "\\u001b[2J\\nsafelight guard: all is well": 1}'
    assert status(door.raw(post(odd))) == 400
    assert status(door.raw(post(b"\x1b[2J\nsafelight guard: all is well"))) == 400
    counted.reply = (200, {"content-type": "text/\x1b[2J"}, b'{"predictions": ["\\u001b[2J\\nx"], "a": "\\n"}')
    door.raw(post())
    counted.reply = (
        200,
        {"content-type": "application/json", "x-a": "b"},
        b'{"predictions": [["\\u001b[2J\\n", 1.5]]}',
    )
    door.raw(post())
    said = door.said()
    assert "\x1b" not in said
    assert all(line.startswith(("safelight guard: ", "WARNING:")) for line in said.splitlines() if line.strip())
    assert "\nsafelight guard: all is well" not in said
    from safelight.guard.store import Store

    store = Store.open(door.folder / "guard.db")
    head, trouble = store.verify()
    rows = store.tail(20)
    store.close()
    assert trouble == ""
    assert head.rows > 4
    for row in rows:
        assert "\n" not in row.text
        assert "\x1b" not in row.text
        assert DIGEST not in row.text
        assert "pass-word" not in row.text


# How long it takes ---------------------------------------------------------------------------------------------------


def test_how_long_a_wrong_key_takes_tells_nothing_of_the_right_one(tmp_path, guard_upstream):
    """What is compared is a hash that is keyed with the guard's secret. So a key that is nearly right takes as long."""
    path = tmp_path / "guard.toml"
    path.write_text(guard_upstream.format(1, "mlflow") + WARD)
    policy = read_policy(path)
    door = Door(b"s" * 32, time.time, print)
    near, far = b"pass-worc", b"qzgh0*mru"
    took: dict[bytes, list[float]] = {near: [], far: []}
    order = random.Random(0)
    for _ in range(4000):
        key = order.choice([near, far])
        scope = {"headers": [(b"authorization", key)]}
        started = time.perf_counter_ns()
        assert door.client_of(policy, scope) is None
        took[key].append(time.perf_counter_ns() - started)
    one, other = (statistics.median(times) for times in took.values())
    assert abs(one - other) < 0.15 * one
    sealed = {door._sealed(hashlib.sha256(key).digest()) for key in (b"pass-word", near)}
    assert len({each[:4] for each in sealed}) == 2  # nearness is gone before anything is compared


WAYS = ("fullmatch", "match", "search")


def patterns() -> dict[str, tuple[re.Pattern, tuple[str, ...]]]:
    """Every regular expression in the source of the guard, and the ways in which it is, or may be, asked."""
    found: dict[str, tuple[re.Pattern, tuple[str, ...]]] = {}
    for module in pkgutil.walk_packages(safelight.guard.__path__, "safelight.guard."):
        source = importlib.util.find_spec(module.name).origin
        for node in ast.walk(ast.parse(Path(source).read_text())):
            called = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args
            if not called or not isinstance(node.func.value, ast.Name) or node.func.value.id != "re":
                continue
            if node.func.attr in ("compile", "search", "match", "fullmatch", "sub", "split", "findall", "finditer"):
                names = vars(importlib.import_module(module.name))
                names = {**names, "rule": SimpleNamespace(path="/score/{model}/now")}  # as guard.toml may give it
                text = eval(compile(ast.Expression(node.args[0]), source, "eval"), names)
                ways = (node.func.attr,) if node.func.attr in WAYS else WAYS
                found[f"{module.name}:{node.lineno}"] = re.compile(text), ways
    return found


def test_no_rule_can_be_kept_busy():
    """Each regular expression takes time in proportion to what it reads, whatever that is."""
    found = patterns()
    assert len(found) >= 10
    seeds = ["a", "0", "/", " ", "-", ".", "a/", "a.", "0,", "=", ":", "aA0", "/v2/models/a", "é", "\n", "a-", "(", "["]
    for where, (pattern, ways) in found.items():
        literal = "".join(re.findall(r"[a-z/]+", str(pattern.pattern)))[:20]
        for seed in [*seeds, literal or "a"]:
            for hostile in (seed * (40_000 // len(seed)) + "\x00", literal + seed * (40_000 // len(seed)) + "!"):
                text = hostile.encode("utf-8") if isinstance(pattern.pattern, bytes) else hostile
                for way in ways:
                    started = time.process_time()
                    getattr(pattern, way)(text)
                    assert time.process_time() - started < 0.5, (where, pattern.pattern, seed)
