"""An attacker's hands: one key at one door, asked over HTTP. Waits move the drill's clock, and nobody sleeps."""

from __future__ import annotations

import json
import ssl
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import httpx
from numpy import ndarray as Array

from safelight.drill.clock import Clock
from safelight.errors import BadAnswer, InputError, TargetFailed
from safelight.guard.challenge import HEADER, solve
from safelight.targets.base import Model, Target

TRIES = 3  # after as many waits that freed nothing, waiting helps no more
CHALLENGED, LATER, SHUT = 401, 429, (401, 403, 429)


class Refused(TargetFailed):
    """The door lets this key ask no more, however long it waits."""


class Patient(httpx.BaseTransport):
    """HTTP with a key. It does the work that it is asked for, and comes back later when told to, as long as that helps.

    Args:
        clock: moved instead of sleeping.
        header, key: sent with every question; None for no key.
        days: days of the clock after which the client gives up.
        pace: seconds between two questions.
    """

    def __init__(self, clock: Clock, header: str, key: str | None, days: float, pace: float) -> None:
        self.clock, self.header, self.key, self.days, self.pace = clock, header, key, days, pace
        self.last = 0
        self._http = httpx.HTTPTransport(verify=_certificates())

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if self.key is not None:
            request.headers[self.header] = f"Bearer {self.key}"
        for _ in range(TRIES):
            self.clock.wait(self.pace)
            response = self._http.handle_request(request)
            self.last = response.status_code
            if self.last == CHALLENGED and (proof := _proof(response, request)):
                request.headers[HEADER.decode()] = proof
                continue
            wait = response.headers.get("retry-after", "")
            if self.last != LATER or not wait.isdigit() or self.clock.days + float(wait) / 86400 > self.days:
                break
            response.read()
            self.clock.wait(float(wait))
        return response

    def close(self) -> None:
        self._http.close()


@cache
def _certificates() -> ssl.SSLContext:
    """Return what https is checked by, made once: it takes longer than many questions."""
    return httpx.create_ssl_context()


def _proof(response: httpx.Response, request: httpx.Request) -> str:
    """Return the work that a refusal asks for, or "" where it asks for none."""
    try:
        asked = json.loads(response.read())
        return solve(str(asked["challenge"]), request.content, int(asked["bits"]))
    except (KeyError, TypeError, ValueError):
        return ""


@dataclass
class Hand:
    """One key.

    Attributes:
        model: how it asks, over HTTP.
        line: the connection behind it.
        clock: of the drill.
        answered: records that were answered.
        refused: records of the question that was refused for good, 0 before there is one.
        shut: whether the door lets it ask no more.
    """

    model: Model
    line: Patient
    clock: Clock
    answered: int = 0
    refused: int = 0
    shut: bool = False

    def ask(self, x: Any) -> Array:
        """Ask one question and return its answer: scores (n, classes), or labels or predictions (n,).

        Raises:
            Refused: the door is shut for this key.
            TargetFailed, InputError: the server failed, or cannot be asked this.
        """
        try:
            answer: Array = self.model.ask(x)  # type: ignore[attr-defined]
        except (TargetFailed, InputError, BadAnswer) as trouble:
            if self.line.last in SHUT:
                self.shut, self.refused = True, len(x)
                raise Refused(str(trouble)) from None
            raise
        self.answered, self.shut = self.answered + len(x), False
        return answer


@dataclass(frozen=True)
class Opens:
    """Makes hands at one door.

    Attributes:
        url: of the model, as `Target.from_http` takes it.
        like: the model behind the door, whose classes and inputs the attacker knows.
        options: more for `Target.from_http`, such as the protocol.
        header: of the keys.
        keys: of the clients that the attacker may be, or () where the door asks for none.
        clock: of the drill.
        days: after which a client gives up.
        pace: seconds between two questions of a client.
    """

    url: str
    like: Model
    options: dict[str, Any]
    header: str
    keys: tuple[str, ...]
    clock: Clock
    days: float = 365.0
    pace: float = 0.05
    made: list[Hand] = field(default_factory=list)

    def hand(self, number: int = 0) -> Hand:
        """Open a connection with the key of this number; where there are no keys, without one.

        Raises:
            InputError: there are fewer keys.
        """
        if self.keys and number >= len(self.keys):
            raise InputError(f"There are {len(self.keys)} keys at this door and the attacker wants {number + 1}.")
        key = self.keys[number] if self.keys else None
        line = Patient(self.clock, self.header, key, self.days, self.pace)
        target = Target.from_http(
            self.url, classes=self.like.classes, inputs=self.like.inputs, batch=1_000_000, inexact=True, retries=0,
            transport=line, sleep=self.clock.wait, **self.options,
        )  # fmt: skip
        hand = Hand(target.model, line, self.clock)
        self.made.append(hand)
        return hand

    @property
    def answered(self) -> int:
        """Records that were answered, of all hands."""
        return sum(hand.answered for hand in self.made)

    @property
    def last(self) -> int:
        """Records that were answered, and those of the question that was refused for good."""
        return self.answered + max((hand.refused for hand in self.made), default=0)

    def close(self) -> None:
        """Close all connections."""
        for hand in self.made:
            hand.line.close()
