"""An answer that comes piece by piece: each piece is read and written anew before it leaves, and nothing is kept of it.

The app's own `send` waits until the client has taken a piece, so that a slow client slows the app and fills no memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from safelight.guard.exchange import ABOUT_BODY, Answer, App, Message, Receive, Scope, Send, TooLong, single
from safelight.guard.protocols.base import NotUnderstood, Stream

GRACE = 10.0
"""Seconds that an app has after the last piece of its answer."""
ASKED = "safelight.streams"
"""Key of a scope: the answer may come piece by piece, for as long as pieces come."""


@dataclass
class _Relay:
    """What the app says, on its way.

    Attributes:
        stream: that reads the pieces.
        send: to the client.
        most: bytes of an answer that is no stream.
        over: set when no more of the app is wanted.
        start: the app's first message.
        body: of an answer that is no stream.
        begun: whether anything has left.
        last: the final piece, which waits.
        why: the answer cannot be read.
        shown: whether the watch has been shown it.
    """

    stream: Stream
    send: Send
    most: int
    over: asyncio.Event = field(default_factory=asyncio.Event)
    start: Message | None = None
    body: bytearray = field(default_factory=bytearray)
    begun: bool = False
    last: bytes = b""
    why: BaseException | None = None
    shown: bool = False

    async def take(self, message: Message) -> None:
        """Stand where the app's `send` is."""
        if message["type"] == "http.response.start" and self.start is None:
            self.start = message
        elif message["type"] == "http.response.body" and self.start is not None and not self.stream.done:
            part, more = bytes(message.get("body", b"")), bool(message.get("more_body"))
            left: list[bytes] = []
            try:
                if self.streams:
                    left.extend(self.stream.feed(part))  # what came before a break stays in the list
                    left.extend(() if more else self.stream.end())
                else:
                    self.body += part
                    if len(self.body) > self.most:
                        raise TooLong("its answer is too long")
            except (NotUnderstood, TooLong) as why:
                self.why = why
            if self.stream.done:
                self.last = left.pop()
            if left:
                await self.give(b"".join(left))
                await asyncio.sleep(0)  # an app that never waits would hide that the client hung up
            if self.stream.done or self.why is not None:
                self.over.set()
        if self.why is not None:
            await asyncio.Event().wait()  # the app is about to be cancelled

    @property
    def streams(self) -> bool:
        """Whether the app answers with events, and well."""
        if self.start is None or self.start["status"] != 200:
            return False
        headers = single(self.start.get("headers", ()))
        return (headers or {}).get("content-type", "").partition(";")[0].strip().lower() == "text/event-stream"

    async def give(self, left: bytes, more: bool = True) -> None:
        if not self.begun:
            self.begun = True
            kept = [pair for pair in (self.start or {}).get("headers", ()) if pair[0].lower() not in ABOUT_BODY]
            headers = [
                *kept,
                *((name.encode(), value.encode()) for name, value in self.stream.written().headers.items()),
            ]
            await self.send({"type": "http.response.start", "status": 200, "headers": headers})
        await self.send({"type": "http.response.body", "body": left, "more_body": more})


async def relayed(
    app: App,
    asked: tuple[Scope, bytes],
    ends: tuple[Receive, Send],
    stream: Stream,
    most: int,
    seen: Callable[[Stream], bool],
) -> Answer | str:
    """Ask an app and pass its pieces on as they come.

    Args:
        app: that answers.
        asked: scope and body for it.
        ends: `receive` and `send` of the client, whose question was read already.
        stream: reads the pieces.
        most: bytes of an answer that is no stream.
        seen: is shown what was answered, once: before the last piece leaves, or when the answer breaks off or the
            client hangs up; says whether the last piece must not leave.

    Returns:
        The answer where it is no stream, and nothing of it has left; else why the stream broke off, or "" where it is
        whole.

    Raises:
        NotUnderstood: nothing has left, since the first piece cannot be read. So does whatever the app raises.
    """
    receive, send = ends
    relay = _Relay(stream, send, most)
    waiting = [asked[1]]

    async def ask() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        await asyncio.Event().wait()  # the client stays; when it goes, the app is cancelled
        raise AssertionError

    async def answering() -> None:
        await app({**asked[0], ASKED: True}, ask, relay.take)

    tasks: list[asyncio.Task[object]] = [
        asyncio.create_task(each) for each in (answering(), _gone(receive), relay.over.wait())
    ]
    work, gone, over = tasks
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if gone.done() and not over.done() and not work.done():
            return "the client hung up"
        if work.done() and not work.cancelled() and relay.why is None:
            relay.why = work.exception()
        if not relay.begun and (relay.why is not None or not relay.streams):
            if relay.why is not None:
                raise relay.why
            if relay.start is None:
                raise RuntimeError("it gave no answer")
            return Answer(relay.start["status"], list(relay.start.get("headers", ())), bytes(relay.body))
        if not stream.done or relay.why is not None:
            await relay.give(stream.broken(), more=False)
            return str(relay.why or "it ended in the middle")
        relay.shown = True
        rings = seen(stream)
        await relay.give(stream.broken() if rings else relay.last, more=False)
        await asyncio.wait([work], timeout=GRACE)  # an app may have something to do after its answer
        return "an alarm rang" if rings else ""
    finally:
        if relay.begun and not relay.shown:
            seen(stream)  # what left before it broke off, or before the client hung up, was answered all the same
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
