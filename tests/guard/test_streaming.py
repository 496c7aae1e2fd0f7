"""A language model that streams, behind the guard as its own process would run it: real sockets, a real small model."""

from __future__ import annotations

import asyncio
import json
import math
import os
import subprocess
import threading
import time
from collections import Counter, defaultdict
from contextlib import contextmanager
from pathlib import Path
from pydoc_data.topics import topics

import httpx
import numpy as np
import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from safelight.guard.exchange import TooLong
from safelight.guard.middleware import GuardMiddleware
from safelight.guard.policy import Outputs
from safelight.guard.protocols.base import NotUnderstood
from safelight.guard.protocols.events import DONE
from safelight.guard.protocols.openai import Chat
from safelight.guard.proxy import Upstream
from safelight.guard.streaming import ASKED, relayed

ORDER = 5
POLICY = '[upstream]\nurl = "{url}"\nprotocol = "openai"\n[outputs]\nembeddings = true\ndecimals = 2\nallow = ["n"]\n'
USER = [{"role": "user", "content": "The import statement"}]
HERE = Path(__file__).parent
PYTHON = Path(os.environ.get("SERVERS_PYTHON", HERE.parents[1] / ".venv-servers/bin/python"))


class Characters:
    """A model of characters: what follows the last five, as often as in the text that it learnt."""

    def __init__(self, text: str) -> None:
        self.after: dict[str, Counter[str]] = defaultdict(Counter)
        for at in range(len(text) - ORDER):
            self.after[text[at : at + ORDER]][text[at + ORDER]] += 1

    def draw(self, prompt: str, count: int, seed: int):
        """Yield (character, log of its probability)."""
        rng, text = np.random.default_rng(seed), prompt
        for _ in range(count):
            found = self.after.get(text[-ORDER:]) or self.after["self."]
            names, counts = zip(*found.items())
            place = rng.choice(len(names), p=np.array(counts) / sum(counts))
            yield names[place], math.log(counts[place] / sum(counts))
            text += names[place]

    def embedding(self, text: str) -> list[float]:
        counts = np.zeros(64)
        for at in range(len(text) - 2):
            counts[sum(ord(sign) * 31**place for place, sign in enumerate(text[at : at + 3])) % 64] += 1
        return (counts / max(1.0, np.linalg.norm(counts))).tolist()


class Served:
    """A server that tells more than it is asked: logprobs in each piece, and counts of cached tokens."""

    def __init__(self) -> None:
        self.model = Characters("\n".join(topics.values()))
        self.asked: list[dict] = []
        self.made, self.go_on = 0, threading.Event()
        self.app = Starlette(
            routes=[
                Route("/v1/chat/completions", self.chat, methods=["POST"]),
                Route("/v1/completions", self.chat, methods=["POST"]),
                Route("/v1/embeddings", self.embed, methods=["POST"]),
                Route("/v1/models", lambda request: JSONResponse({"object": "list", "data": [{"id": "characters"}]})),
            ]
        )

    async def chat(self, request) -> Response:
        asked = await request.json()
        self.asked.append(asked)
        what, prompt = asked["model"], asked.get("prompt") or asked["messages"][-1]["content"]
        if what == "missing":
            return JSONResponse({"error": {"message": "no such model"}}, status_code=404)
        if what == "failing":
            return JSONResponse({"error": {"message": "row 0.61"}}, status_code=500)
        drawn = [list(self.model.draw(prompt, asked.get("max_tokens", 40), seed)) for seed in range(asked.get("n", 1))]
        if asked.get("stream") and what != "whole":
            return StreamingResponse(self.pieces(what, drawn, asked), media_type="text/event-stream")
        text = ["".join(sign for sign, _ in signs) for signs in drawn]
        logprobs = [{"token_logprobs": [value for _, value in signs]} for signs in drawn]
        inside = [{"message": {"role": "assistant", "content": said}} if "messages" in asked else {"text": said}
                  for said in text]  # fmt: skip
        choices = [{"index": at, "finish_reason": "length", "logprobs": logprobs[at], **inside[at]}
                   for at in range(len(text))]  # fmt: skip
        return JSONResponse({"id": "1", "created": 1, "model": what, "object": "x", "choices": choices,
                             "prompt_logprobs": [-0.5], "usage": self.usage()})  # fmt: skip

    @staticmethod
    def usage() -> dict:
        return {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7, "prompt_tokens_details": {"cached": 2}}

    async def pieces(self, what, drawn, asked):
        for at in range(len(drawn[0]) if what != "endless" else 10**9):
            for index, signs in enumerate(drawn):
                sign, value = signs[at % len(signs)]
                inside = {"delta": {"content": sign}} if "messages" in asked else {"text": sign}
                choice = {"index": index, "logprobs": {"content": [{"logprob": value}]}, **inside}
                piece = {"id": "i" * 200, "created": 1, "model": what, "object": "x", "choices": [choice]}
                self.made += 1
                yield f"data: {json.dumps(piece)}\n\n"
            await asyncio.sleep(0)
            if what == "waiting" and at == 0:
                await asyncio.to_thread(self.go_on.wait, 30)
            if what == "breaking" and at == 3:
                yield 'data: {"error": {"message": "CUDA: tensor([0.61])"}}\n\n'
            if what == "ending" and at == 3:
                return
            if what == "raising" and at == 3:
                raise OSError("the disk is full")
        if asked.get("stream_options"):
            yield f"data: {json.dumps({'choices': [], 'usage': self.usage()})}\n\n"
        yield "data: [DONE]\n\n"

    async def embed(self, request) -> Response:
        asked = await request.json()
        self.asked.append(asked)
        data = [{"object": "embedding", "index": at, "embedding": self.model.embedding(text)}
                for at, text in enumerate(asked["input"])]  # fmt: skip
        return JSONResponse({"object": "list", "data": data, "model": "characters", "usage": self.usage()})


class Watch:
    """Keeps what it is shown."""

    def __init__(self) -> None:
        self.seen: list = []

    def see(self, seen) -> tuple:
        self.seen.append(seen)
        return ()


class Guarded:
    def __init__(self, url: str, served: Served, guard: GuardMiddleware, watch: Watch, said: list) -> None:
        self.url, self.served, self.guard, self.watch, self.said = url, served, guard, watch, said

    def ask(self, path="/v1/chat/completions", **content) -> httpx.Response:
        return httpx.post(self.url + path, json={"model": "characters", "messages": USER, **content}, timeout=30)

    @contextmanager
    def stream(self, model="characters", **content):
        asked = {"model": model, "messages": USER, "stream": True, **content}
        with httpx.stream("POST", self.url + "/v1/chat/completions", json=asked, timeout=30) as answer:
            yield answer


@pytest.fixture(scope="module", params=["proxy", "middleware"])
def guarded(request, tmp_path_factory, serving):
    folder, served, watch, said = tmp_path_factory.mktemp("guard"), Served(), Watch(), []
    policy = folder / "guard.toml"
    with serving(served.app) as url:
        policy.write_text(POLICY.format(url=url))
        app = Upstream(url) if request.param == "proxy" else served.app
        guard = GuardMiddleware(app, policy, say=said.append, watcher=watch)
        with serving(guard) as outside:
            yield Guarded(outside, served, guard, watch, said)
        guard.store.close()


@pytest.fixture(autouse=True)
def fresh(request):
    if "guarded" not in request.fixturenames:
        return
    guarded = request.getfixturevalue("guarded")
    guarded.served.made = 0
    guarded.served.go_on.clear()
    guarded.served.asked.clear()
    guarded.watch.seen.clear()
    guarded.said.clear()


def events(body: str) -> list:
    return [event.removeprefix("data: ") for event in body.strip().split("\n\n")]


def waited(true, seconds=10.0) -> bool:
    until = time.monotonic() + seconds
    while not true() and time.monotonic() < until:
        time.sleep(0.01)
    return bool(true())


def test_an_answer_at_once_keeps_its_text_and_no_probabilities(guarded):
    answer = guarded.ask(logprobs=True, top_logprobs=5, n=2)
    assert answer.status_code == 200
    assert len(answer.headers.get_list("date")) == 1
    assert set(guarded.served.asked[0]) == {"model", "messages", "n"}
    choices = answer.json()["choices"]
    model = guarded.served.model
    for seed, choice in enumerate(choices):
        assert choice["message"]["content"] == "".join(sign for sign, _ in model.draw(USER[0]["content"], 40, seed))
    assert "logprob" not in answer.text.replace('"logprobs":null', "")
    assert "cached" not in answer.text
    assert [text[0] for text in guarded.watch.seen[0].texts] == [USER[0]["content"]] * 2
    assert guarded.watch.seen[0].model == "characters"


def test_a_stream_comes_piece_by_piece_without_probabilities(guarded):
    """The server waits after its first piece until the client has it: what is held back whole would never come."""
    before = guarded.guard.store.state("everyone").total
    with guarded.stream("waiting", stream_options={"include_usage": True}) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert len(answer.headers.get_list("date")) == 1
        parts = answer.iter_text()
        body = next(parts)
        assert "content" in body
        assert guarded.served.made == 1
        guarded.served.go_on.set()
        body += "".join(parts)
    found = events(body)
    assert found[-1] == "[DONE]"
    assert json.loads(found[-2])["usage"] == {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    said = "".join(json.loads(event)["choices"][0]["delta"]["content"] for event in found[:-2])
    assert said == "".join(sign for sign, _ in guarded.served.model.draw(USER[0]["content"], 40, 0))
    assert "logprob" not in body.replace('"logprobs":null', "")
    assert guarded.watch.seen[0].texts == ((USER[0]["content"], said),)
    assert guarded.guard.store.state("everyone").total == before + 1
    assert not guarded.said


@pytest.mark.parametrize("model", ["breaking", "ending", "raising"])
def test_a_stream_that_breaks_ends_with_an_error_and_is_watched(guarded, model):
    with guarded.stream(model) as answer:
        body = answer.read().decode()
    found = events(body)
    assert len(found) == 5
    assert json.loads(found[-1]) == {"error": {"message": "The model's answer cannot be passed on.",
                                               "type": "server_error", "param": None, "code": 502}}  # fmt: skip
    assert "0.61" not in body
    assert "[DONE]" not in body
    assert waited(lambda: guarded.said)
    assert "a stream broke off" in guarded.said[0]
    [seen] = guarded.watch.seen
    assert len(seen.texts[0][1]) == 4


def stands_still(served: Served) -> bool:
    """Wait until the model makes nothing for half a second; False where it goes on for ten."""
    made, since, until = -1, time.monotonic(), time.monotonic() + 10
    while time.monotonic() < until:
        if served.made != made:
            made, since = served.made, time.monotonic()
        elif time.monotonic() - since > 0.5:
            return True
        time.sleep(0.02)
    return False


def test_a_client_that_hangs_up_stops_the_model_and_is_watched_all_the_same(guarded):
    with guarded.stream("endless") as answer:
        next(answer.iter_text())
    assert waited(lambda: guarded.said)
    assert guarded.said == ["a stream broke off: the client hung up"]
    assert stands_still(guarded.served)
    [seen] = guarded.watch.seen
    assert 1 <= len(seen.texts[0][1]) <= guarded.served.made


def test_a_client_that_does_not_read_stops_the_model_from_going_on(guarded):
    """Nothing piles up: what the sockets hold is all that is made."""
    with guarded.stream("endless") as answer:
        parts = answer.iter_raw()  # held, since httpx hangs up when it is dropped
        next(parts)
        assert stands_still(guarded.served)
        assert guarded.served.made > 100
        assert not guarded.said
    assert waited(lambda: guarded.said)
    assert stands_still(guarded.served)


def test_what_is_no_stream_is_read_as_always(guarded):
    with guarded.stream("whole") as answer:
        answer.read()
    assert answer.json()["choices"][0]["logprobs"] is None
    for model, status in (("missing", 404), ("failing", 502)):
        with guarded.stream(model) as answer:
            assert answer.status_code == status
            assert "0.61" not in answer.read().decode()


def test_completions_and_embeddings(guarded):
    prompts = ["The import", "A class"]
    answer = guarded.ask("/v1/completions", prompt=prompts[0], messages=None, max_tokens=5)
    assert len(answer.json()["choices"][0]["text"]) == 5
    answer = guarded.ask("/v1/embeddings", input=prompts, messages=None)
    rows = [entry["embedding"] for entry in answer.json()["data"]]
    assert rows == [np.round(guarded.served.model.embedding(text), 2).tolist() for text in prompts]
    assert guarded.watch.seen[-1].texts == (("The import", ""), ("A class", ""))
    assert httpx.get(guarded.url + "/v1/models").json()["data"] == [{"id": "characters"}]
    assert httpx.get(guarded.url + "/metrics").status_code == 404
    assert guarded.ask(guided_choice=["a", "b"]).status_code == 400


SCRIPT = """
import json, sys
import openai

client = openai.OpenAI(base_url=sys.argv[1] + "/v1", api_key="none", max_retries=0)
ask = dict(model="characters", messages=[{"role": "user", "content": "The import statement"}], max_tokens=20)
whole = client.chat.completions.create(**ask, n=2, logprobs=True)
pieces = list(client.chat.completions.create(**ask, stream=True, stream_options={"include_usage": True}))
said = {
    "whole": [choice.message.content for choice in whole.choices],
    "logprobs": [choice.logprobs for choice in whole.choices],
    "pieces": "".join(piece.choices[0].delta.content for piece in pieces if piece.choices),
    "usage": pieces[-1].usage.total_tokens,
    "text": client.completions.create(model="characters", prompt="A class", max_tokens=7).choices[0].text,
    "embedding": client.embeddings.create(model="characters", input=["The import"]).data[0].embedding,
    "models": [model.id for model in client.models.list()],
}
broken = []
try:
    for piece in client.chat.completions.create(**{**ask, "model": "breaking"}, stream=True):
        broken.append(piece.choices[0].delta.content)
except openai.APIError as error:
    said["broken"] = [len(broken), str(error)]
try:
    client.chat.completions.create(**ask, logit_bias={"5": 100})
except openai.BadRequestError as error:
    said["refused"] = error.status_code
print(json.dumps(said))
"""


@pytest.mark.servers
def test_openais_own_client_reads_all_of_it(guarded):
    has = subprocess.run([PYTHON, "-c", "import openai"], capture_output=True, check=False)
    if has.returncode:
        pytest.skip(f"{PYTHON} has no openai; `make servers` installs it")
    ran = subprocess.run([PYTHON, "-c", SCRIPT, guarded.url], capture_output=True, text=True, check=False, timeout=60)
    assert ran.returncode == 0, ran.stderr
    said, model = json.loads(ran.stdout), guarded.served.model
    text = ["".join(sign for sign, _ in model.draw(USER[0]["content"], 20, seed)) for seed in range(2)]
    assert said["whole"] == text
    assert said["pieces"] == text[0]
    assert said["logprobs"] == [None, None]
    assert said["usage"] == 7
    assert len(said["text"]) == 7
    assert said["embedding"] == pytest.approx(np.round(model.embedding("The import"), 2), abs=1e-6)
    assert said["models"] == ["characters"]
    assert said["broken"] == [4, "The model's answer cannot be passed on."]
    assert said["refused"] == 400


# Without sockets -----------------------------------------------------------------------------------------------------

EVENTS = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]}
PIECE = b'data: {"choices": [{"index": 0, "delta": {"content": "a"}}]}\n\n'


def relay(*parts, start=EVENTS, rings=False, most=1000, then=None):
    """Pass these parts on; returns what `relayed` says, what left, and what the watch was shown."""
    speaks = Chat(Outputs())
    question = speaks.question(json.dumps({"messages": USER, "stream": True}).encode(), {}, ())
    sent, shown = [], []

    async def app(scope, receive, send):
        assert scope[ASKED]
        assert (await receive())["body"] == question.body
        if start is not None:
            await send(dict(start))
        for part in parts:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        if then is not None:
            raise then
        await send({"type": "http.response.body", "body": b""})

    async def receive():
        await asyncio.Event().wait()

    async def send(message):
        sent.append(message)

    def seen(stream) -> bool:
        shown.append("".join(said for _, said in stream.written().texts))
        return rings

    said = asyncio.run(relayed(app, ({}, question.body), (receive, send), speaks.stream(question), most, seen))
    return said, b"".join(message.get("body", b"") for message in sent), shown


def test_the_watch_sees_an_answer_before_its_last_piece():
    said, body, shown = relay(PIECE, PIECE, DONE)
    assert (said, shown) == ("", ["aa"])
    assert body.endswith(DONE)
    said, body, shown = relay(PIECE, PIECE, DONE, rings=True)
    assert (said, shown) == ("an alarm rang", ["aa"])
    assert DONE not in body
    assert body.endswith(b'"code":502}}\n\n')


def test_what_left_before_a_break_is_shown_once():
    for parts, then in (((PIECE, b"data: {\n\n", PIECE), None), ((PIECE,), None), ((PIECE,), OSError("gone"))):
        said, body, shown = relay(*parts, then=then)
        assert said
        assert shown == ["a"]
        assert body.count(b'"content":"a"') == 1
        assert body.endswith(b'"code":502}}\n\n')


def test_where_nothing_has_left_the_client_gets_a_plain_refusal():
    with pytest.raises(NotUnderstood, match="no JSON"):
        relay(b"data: {\n\n", PIECE)
    with pytest.raises(NotUnderstood, match="ended in the middle"):
        relay()
    with pytest.raises(OSError, match="gone"):
        relay(then=OSError("gone"))
    with pytest.raises(RuntimeError, match="gave no answer"):
        relay(start=None)
    plain = {**EVENTS, "headers": [(b"content-type", b"application/json")]}
    assert relay(b"{}", start=plain)[0].body == b"{}"
    with pytest.raises(TooLong):
        relay(b"x" * 1001, start=plain)
    packed = {**EVENTS, "headers": [*EVENTS["headers"], (b"content-encoding", b"gzip")]}
    assert relay(PIECE, start=packed)[0].body == PIECE  # held whole, and refused by who asked
