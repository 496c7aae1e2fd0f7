"""An answer piece by piece: server-sent events, read line by line, each written anew before it leaves.

Source: html.spec.whatwg.org, "Server-sent events", section 9.2.6; the pieces as OpenAI's and vLLM's servers send them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from safelight.guard.protocols.asking import TextQuestion, unlabelled
from safelight.guard.protocols.base import NotUnderstood, Written, dumps, loads
from safelight.guard.protocols.choices import about, choices, usage

EVENT_STREAM = {"content-type": "text/event-stream; charset=utf-8"}
LONGEST = 2**20
"""Bytes of one event, and characters of all the text of one answer."""
_END = re.compile(rb"\r\n|\n|\r")
DONE = b"data: [DONE]\n\n"
BROKEN = {"message": "The model's answer cannot be passed on.", "type": "server_error", "param": None, "code": 502}


class Events:
    """The data of each event in bytes that come in any parts."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._data: list[bytes] = []
        self._size = 0
        self._first = True

    def feed(self, part: bytes, last: bool = False) -> Iterator[bytes]:
        """Yield the data of the events that are whole now; b"" for a comment, which keeps a connection alive.

        Raises:
            NotUnderstood: a field that the guard does not know, or an event that is too long.
        """
        for line in self._lines(part, last):
            if self._first:
                line, self._first = line.removeprefix(b"\xef\xbb\xbf"), False
            if not line:
                yield from self._event()
                continue
            name, _, value = line.partition(b":")
            if name == b"data":
                self._data.append(value.removeprefix(b" "))
                self._size += len(line)
                if self._size > LONGEST:
                    raise NotUnderstood("an event of its stream is too long")
            elif not name:
                yield b""
            elif name not in (b"event", b"id", b"retry"):
                raise NotUnderstood("its stream has a field that no event has")
        if last:
            yield from self._event()

    def _event(self) -> Iterator[bytes]:
        data, self._data, self._size = self._data, [], 0
        if data:
            yield b"\n".join(data)

    def _lines(self, part: bytes, last: bool) -> list[bytes]:
        """Return the lines that are whole now; they end with \\n, \\r\\n or \\r."""
        if not last and not self._rest.endswith(b"\r") and _END.search(part) is None:
            self._rest += part
            lines: list[bytes] = []
        else:
            text = bytes(self._rest) + part
            half = text.endswith(b"\r") and not last  # it may be half of \r\n
            *lines, rest = _END.split(text[:-1] if half else text)
            if last and rest:
                lines, rest = [*lines, rest], b""
            self._rest = bytearray(rest + b"\r" if half else rest)
        if len(self._rest) > LONGEST:
            raise NotUnderstood("a line of its stream is too long")
        return lines


class TextStream:
    """The stream of a language model's answer.

    Args:
        question: that it answers.
        kind: "object" of each piece.
        inside: what a choice holds: "delta" of a chat, "text" of a completion.
    """

    def __init__(self, question: TextQuestion, kind: str, inside: str) -> None:
        self.done = False
        self._question, self._kind, self._inside = question, kind, inside
        self._events = Events()
        self._count = len(question.prompts) * question.each
        self._said: list[list[str]] = [[] for _ in range(self._count)]
        self._length = 0

    def feed(self, part: bytes, last: bool = False) -> Iterator[bytes]:
        for data in () if self.done else self._events.feed(part, last):
            if self.done:
                break
            if data.strip() == b"[DONE]":
                self.done = True
                yield DONE
            else:
                yield self._piece(data) if data else b":\n\n"

    def end(self) -> Iterator[bytes]:
        yield from self.feed(b"", last=True)
        if not self.done:
            raise NotUnderstood("its stream ended in the middle")

    def broken(self) -> bytes:
        return b"data: " + dumps({"error": BROKEN}) + b"\n\n"

    def written(self) -> Written:
        prompts = [prompt for prompt in self._question.prompts for _ in range(self._question.each)]
        texts = tuple(zip(prompts, ("".join(said) for said in self._said)))
        return Written(b"", EVENT_STREAM, unlabelled(self._count), texts)

    def _piece(self, data: bytes) -> bytes:
        content = loads(data)
        read = choices(content, self._count, self._inside)
        for choice, said in read:
            self._said[choice["index"]].append(said)
            self._length += len(said)
        if self._length > LONGEST:
            raise NotUnderstood("the text of its stream is too long")
        piece = about(content, self._kind) | {"choices": [choice for choice, _ in read]} | usage(content)
        return b"data: " + dumps(piece) + b"\n\n"
