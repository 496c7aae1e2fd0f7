"""One question and one answer of ASGI, each held whole before it goes on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

from safelight.guard.challenge import HEADER
from safelight.guard.policy import GuardPolicy
from safelight.guard.problems import Problem
from safelight.guard.protocols.base import Written

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = Sequence[tuple[bytes, bytes]]

REASONS = ("error", "error_code", "message", "detail")
"""What model servers call the reason of a refusal."""
LONGEST = 500  # characters of it
LENGTHS = frozenset((b"content-length", b"transfer-encoding"))
ABOUT_BODY = LENGTHS | {b"content-type", b"content-encoding", b"content-md5", b"content-range", b"digest", b"etag",
                        b"inference-header-content-length"}  # fmt: skip
FORWARDED = {b"forwarded", b"x-real-ip", b"x-client-ip", b"x-cluster-client-ip", b"true-client-ip",
             b"cf-connecting-ip", b"x-original-url", b"x-rewrite-url", b"x-http-method-override", b"x-http-method",
             b"x-method-override", b"client-cert", b"client-cert-chain", b"ssl-client-cert"}  # fmt: skip
NEVER_IN = frozenset({b"accept-encoding", b"expect", HEADER} | FORWARDED)
"""What asks for a packed answer, and what a client could say of itself to a server that believes its proxy."""
FORWARDING = b"x-forwarded-"
"""So begins the rest of it."""


class ClientGone(Exception):
    """The client hung up before its question was whole."""


class TooLong(Exception):
    """A question or an answer has more bytes than it may."""


@dataclass(frozen=True)
class Answer:
    """What the app said."""

    status: int
    headers: Headers
    body: bytes


async def whole(receive: Receive, most: int) -> bytes:
    """Return the body of a request; raises ClientGone, or TooLong beyond `most` bytes."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > most:
            raise TooLong
        if not message.get("more_body"):
            return b"".join(parts)


async def answer_of(app: App, scope: Scope, body: bytes, most: int) -> Answer:
    """Ask an app and hold its answer back; raises what the app raises, and TooLong beyond `most` bytes."""
    started: list[Message] = []
    parts: list[bytes] = []
    waiting = [body]

    async def receive() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        await asyncio.Event().wait()  # the client stays; an app that is told otherwise stops in the middle
        raise AssertionError

    async def hold(message: Message) -> None:
        if message["type"] == "http.response.start":
            started.append(message)
        elif message["type"] == "http.response.body":
            parts.append(message.get("body", b""))
            if sum(map(len, parts)) > most:
                raise TooLong("its answer is too long")

    await app(scope, receive, hold)
    if not started:
        raise RuntimeError("it gave no answer")
    return Answer(started[0]["status"], list(started[0].get("headers", ())), b"".join(parts))


def inward(
    scope: Scope, policy: GuardPolicy, body: bytes | None = None, described: Mapping[str, str] | None = None
) -> Scope:
    """Return the scope for the app: without the guard's own keys, and with headers that fit the body that goes on.

    Names are compared as many servers read them, to which X_Real_IP is X-Real-IP.

    Args:
        scope: of the client's request.
        policy: names the header of the keys.
        body: that goes on, or None where the client's own is passed through.
        described: headers of a body that was written anew.
    """
    gone = NEVER_IN | ({policy.header.encode()} if policy.takes_keys else set())
    gone |= (LENGTHS if body is not None else set()) | (ABOUT_BODY if described is not None else set())
    headers = [
        (name, value)
        for name, value in scope["headers"]
        if (lower := name.lower().replace(b"_", b"-")) not in gone and not lower.startswith(FORWARDING)
    ]
    headers += [(name.encode(), value.encode()) for name, value in (described or {}).items()]
    if body is not None:
        headers.append((b"content-length", str(len(body)).encode()))
    return {**scope, "headers": [*headers, (b"accept-encoding", b"identity")]}


def path_of(scope: Scope) -> str:
    """Return the path below where the app is mounted; servers put the mount's own path before it, or not."""
    path, root = str(scope["path"]), scope.get("root_path", "")
    return path[len(root) :] if root and path.startswith(root + "/") else path


def single(headers: Headers) -> dict[str, str] | None:
    """Return the headers that say how to read a body, by name; None where one stands twice or the body is packed."""
    found: dict[str, str] = {}
    for name, value in headers:
        key = name.lower()
        if key in ABOUT_BODY:
            if key.decode() in found:
                return None
            found[key.decode()] = value.decode("latin-1")
    return None if found.get("content-encoding", "identity").lower() != "identity" else found


def written_anew(answer: Answer, written: Written) -> Answer:
    """Return an answer with what is left of its body, and the headers that describe it."""
    described = [(name.encode(), value.encode()) for name, value in written.headers.items()]
    kept = [(name, value) for name, value in answer.headers if name.lower() not in ABOUT_BODY]
    return Answer(200, [*kept, *described], written.body)


def reason_of(answer: Answer) -> Answer:
    """Return a server's refusal with the words of its reason alone; a stack trace beside them is the operator's."""
    try:
        content = json.loads(answer.body)
    except ValueError:
        content = None
    told = content if isinstance(content, dict) else {}
    kept = {name: told[name][:LONGEST] for name in REASONS if isinstance(told.get(name), str)}
    headers = [(name, value) for name, value in answer.headers if name.lower() not in ABOUT_BODY]
    body = json.dumps(kept or {"error": "The model server refuses this question."}).encode()
    return Answer(answer.status, [*headers, (b"content-type", b"application/json")], body)


async def refuse(send: Send, problem: Problem) -> None:
    """Send a refusal."""
    await send_answer(send, Answer(problem.status, problem.headers, problem.body))


async def send_answer(send: Send, answer: Answer) -> None:
    """Send an answer, with the length that it has."""
    headers = [(name, value) for name, value in answer.headers if name.lower() not in LENGTHS]
    headers.append((b"content-length", str(len(answer.body)).encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
