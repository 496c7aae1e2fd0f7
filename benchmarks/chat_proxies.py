"""A chat server that echoes, asked directly, through the guard and through LiteLLM's proxy: what each adds.

Each is one process with one worker before the same server. Both proxies check a key and log nothing that is not on by
default: LiteLLM has no database, no callbacks, and the settings that its documentation advises for production
(set_verbose off, LITELLM_LOG=ERROR, LITELLM_MODE=PRODUCTION); the guard keeps its budgets and its log. LiteLLM's prices
of models come from its own package, so that nothing is asked of the network. Answers come at once, or as a stream of 20
pieces. Asked in turn, at half the rate that LiteLLM's proxy held before, and without a pause, which gives the rate at
which each breaks.

Run: python benchmarks/chat_proxies.py [ROUNDS], after `make .venv-litellm/ready`.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from asking import by_the_clock, in_turn, lines, posted, without_pause
from guard_setups import Server, free_ports, until_it_listens
from quiet import Machine, taken
from rounds import Rounds, middle, shown

ENVIRONMENT = Path(__file__).resolve().parent.parent / ".venv-litellm"
ROUNDS, IN_TURN, SECONDS, PAUSELESS, PIECES = 6, 60, 2.0, 1.5, 20
ALONE, GUARD, LITELLM = "chat server alone", "guard as proxy", "LiteLLM's proxy"
KEY = "sk-9Hq2vLx7Tn4Wb8Kd3Rf6Zc1Ym5Pj0Gs"
"""LiteLLM does not start with a key that is easily guessed."""
SENTENCE = "Say again what I say. "
CHAT = {"model": "echo", "messages": [{"role": "user", "content": SENTENCE * PIECES}], "max_tokens": 100}
POLICY = f"""
[upstream]
url = "http://127.0.0.1:{{port}}"
protocol = "openai"
[[clients.key]]
id = "bench"
sha256 = "{hashlib.sha256(KEY.encode()).hexdigest()}"
[budget]
per_minute = 1000000
per_day = 1000000000
"""
CONFIG = f"""
model_list:
  - model_name: echo
    litellm_params:
      model: openai/echo
      api_base: http://127.0.0.1:{{port}}/v1
      api_key: none
general_settings:
  master_key: {KEY}
litellm_settings:
  set_verbose: false
  callbacks: []
  telemetry: false
  num_retries: 0
  request_timeout: 600
"""
OFFLINE = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_LOG": "ERROR",
    "LITELLM_MODE": "PRODUCTION",
    "NO_PROXY": "*",
}


def echo() -> Any:
    """A bare ASGI chat server."""
    import orjson

    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}

    def piece(delta: dict[str, str], reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        facts = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "echo"}
        return b"data: " + orjson.dumps(facts | {"choices": [choice]}) + b"\n\n"

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body, more = b"", scope["method"] == "POST"
        while more:
            message = await receive()
            body, more = body + message["body"], message.get("more_body", False)
        asked = orjson.loads(body) if body else {"messages": [{"content": ""}]}
        said = asked["messages"][-1]["content"]
        if asked.get("stream"):
            headers = [(b"content-type", b"text/event-stream")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            step = -(-len(said) // PIECES)
            for start in range(0, len(said), step):
                part = piece({"role": "assistant", "content": said[start : start + step]})
                await send({"type": "http.response.body", "body": part, "more_body": True})
                await asyncio.sleep(0)  # as a model that says one piece after the other
            await send({"type": "http.response.body", "body": piece({}, "stop") + b"data: [DONE]\n\n"})
            return
        choice = {"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
        answer = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "echo", "choices": [choice]}
        content = orjson.dumps(answer | {"usage": usage})
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    return app


@contextmanager
def running(folder: Path) -> Iterator[dict[str, Server]]:
    """Start all three, their files in a folder."""
    command = ENVIRONMENT / "bin" / "litellm"
    if not command.exists():
        raise SystemExit(f"{command} is not there; run `make .venv-litellm/ready` first.")
    ports = dict(zip((ALONE, GUARD, LITELLM), free_ports(3), strict=True))
    policy, config, log = folder / "chats.toml", folder / "litellm.yaml", folder / "litellm.log"
    policy.write_text(POLICY.format(port=ports[ALONE]))
    config.write_text(CONFIG.format(port=ports[ALONE]))
    plain, own = {**os.environ, "OMP_NUM_THREADS": "1"}, [sys.executable, __file__, "serve"]
    litellm = [str(ENVIRONMENT / "bin" / "python"), str(command), "--config", str(config), "--host", "127.0.0.1"]
    litellm += ["--port", str(ports[LITELLM]), "--num_workers", "1", "--telemetry", "False"]
    with log.open("wb") as writes:
        processes = [
            subprocess.Popen([*own, ALONE, str(ports[ALONE])], env=plain),
            subprocess.Popen([*own, GUARD, str(ports[GUARD]), str(policy)], env=plain),
            subprocess.Popen(litellm, env=plain | OFFLINE, stdout=writes, stderr=writes, cwd=folder),
        ]
    try:
        yield {
            setup: until_it_listens(port, process, f"The log of LiteLLM ends: {log.read_text()[-800:]}")
            for (setup, port), process in zip(ports.items(), processes, strict=True)
        }
    finally:
        for process in processes:
            process.send_signal(signal.SIGKILL)
            process.wait()


def echoes(port: int, chat: bytes) -> None:
    """Raise SystemExit unless an answer holds all that was said."""
    with lines(port, 1) as (line,):
        line.send(chat)
        while not line.answered():
            pass
        if line.got.count(SENTENCE.strip().encode()) != PIECES:
            raise SystemExit(f"An answer is not whole: {line.got[-300:]!r}")


def compare(folder: Path, rounds: int, goal: float) -> None:
    """Ask all three, and print what the proxies add.

    Args:
        folder: for their files.
        rounds: in each of which all are asked in every way.
        goal: how many times less the guard is to add.
    """
    found, rng, own = Rounds(ALONE), np.random.default_rng(0), {}
    chats = {
        words: itertools.repeat(posted("/v1/chat/completions", KEY, json.dumps(CHAT | more).encode()))
        for words, more in (("at once", {}), ("stream", {"stream": True}))
    }
    with running(folder) as up:
        rates = {}
        for words, chat in chats.items():
            for server in up.values():
                echoes(server.port, next(chat))
                in_turn(server.port, chat, 100)
            rates[words] = max(1, int(without_pause(up[LITELLM].port, chat, PAUSELESS).rate / 2))
        machine = Machine([os.getpid(), *(server.process for server in up.values())])
        for _ in range(rounds):
            with machine.round():
                for words, chat in chats.items():
                    rate = rates[words]
                    for setup in rng.permutation(list(up)).tolist():
                        server = up[setup]
                        before = taken(server.process)
                        found.add(f"{words}, in turn", setup, in_turn(server.port, chat, IN_TURN))
                        found.add(f"{words}, {rate}/s", setup, by_the_clock(server.port, chat, rate, SECONDS))
                        most = without_pause(server.port, chat, PAUSELESS)
                        found.add(f"{words}, no pause", setup, most)
                        count = IN_TURN + 30 + int(rate * SECONDS) + len(most.took)
                        own.setdefault((words, setup), []).append(1000 * (taken(server.process) - before) / count)
    (version,) = ENVIRONMENT.glob("lib/python*/site-packages/litellm-[0-9]*.dist-info")
    print(f"Chats, {version.stem}: milliseconds to the end of an answer, {rounds} rounds: median [95 %].")
    found.table(list(up), 20)
    print(machine.verdict())
    for words in chats:
        for setup in up:
            print(f"{words}: {setup} breaks at {shown(found.rates(f'{words}, no pause', setup), 0)} a second; its "
                  f"process takes {shown(own[words, setup])} CPU ms a chat.")  # fmt: skip
        for how in (f"{words}, in turn", f"{words}, {rates[words]}/s"):
            times = found.times(how, LITELLM, GUARD, 0)
            print(f"{how}: LiteLLM's proxy adds {shown(times, 1)} x what the guard adds (p50), "
                  f"{shown(found.times(how, LITELLM, GUARD, 1), 1)} x (p99); goal, {goal:g} x: "
                  f"{'met' if middle(times)[0] >= goal else 'missed'}.")  # fmt: skip


def serve(setup: str, port: int, *policy: str) -> None:
    """Serve in this process."""
    import uvicorn

    from safelight.guard.proxy import guarded

    app = echo() if setup == ALONE else guarded(Path(policy[0]))
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error", access_log=False)


if __name__ == "__main__":
    if len(sys.argv) > 2:
        serve(sys.argv[2], int(sys.argv[3]), *sys.argv[4:])
    else:
        with tempfile.TemporaryDirectory() as place:
            compare(Path(place), int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS, 10.0)
