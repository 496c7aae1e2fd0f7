"""A chat server that echoes, and before it, each in a process of its own: the guard, and LiteLLM's proxy."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ALONE, GUARD, LITELLM = "chat server alone", "guard as proxy", "LiteLLM's proxy"
KEY = "sk-9Hq2vLx7Tn4Wb8Kd3Rf6Zc1Ym5Pj0Gs"
"""LiteLLM does not start with a key that is easily guessed."""
QUESTION = json.dumps(
    {"model": "echo", "messages": [{"role": "user", "content": "Say again what I say. " * 20}], "max_tokens": 100}
).encode()
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
  telemetry: false
  num_retries: 0
"""


def echo() -> Any:
    """A bare ASGI chat server."""
    import orjson

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body, more = b"", scope["method"] == "POST"
        while more:
            message = await receive()
            body, more = body + message["body"], message.get("more_body", False)
        said = orjson.loads(body)["messages"][-1]["content"] if body else ""
        choice = {"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        answer = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "echo", "choices": [choice]}
        content = orjson.dumps(answer | {"usage": usage})
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    return app


@contextmanager
def running(folder: Path, environment: Path) -> Iterator[dict[str, int]]:
    """Start all three; give their ports.

    Args:
        folder: for their files.
        environment: virtual environment with litellm[proxy].
    """
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
    ports = dict(zip((ALONE, GUARD, LITELLM), (each.getsockname()[1] for each in sockets), strict=True))
    for each in sockets:
        each.close()
    policy, config = folder / "guard.toml", folder / "litellm.yaml"
    policy.write_text(POLICY.format(port=ports[ALONE]))
    config.write_text(CONFIG.format(port=ports[ALONE]))
    plain = {**os.environ, "OMP_NUM_THREADS": "1"}
    offline = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR", "NO_PROXY": "*"}
    own = [sys.executable, __file__]
    litellm = [str(environment / "bin" / "python"), str(environment / "bin" / "litellm"), "--config", str(config)]
    litellm += ["--host", "127.0.0.1", "--port", str(ports[LITELLM]), "--num_workers", "1", "--telemetry", "False"]
    with (folder / "litellm.log").open("wb") as log:
        processes = [
            subprocess.Popen([*own, ALONE, str(ports[ALONE])], env=plain),
            subprocess.Popen([*own, GUARD, str(ports[GUARD]), str(policy)], env=plain),
            subprocess.Popen(litellm, env=plain | offline, stdout=log, stderr=log, cwd=folder),
        ]
    try:
        for port, process in zip(ports.values(), processes, strict=True):
            _until_it_listens(port, process, folder / "litellm.log")
        yield ports
    finally:
        for process in processes:
            process.send_signal(signal.SIGKILL)
            process.wait()


def _until_it_listens(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(1200):
        if process.poll() is not None:
            break
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit(f"A server does not listen at {port}; the log of LiteLLM ends: {log.read_text()[-800:]}")


def main(setup: str, port: int, *policy: str) -> None:
    import uvicorn

    from safelight.guard.proxy import guarded

    app = echo() if setup == ALONE else guarded(Path(policy[0]))
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error", access_log=False)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])
