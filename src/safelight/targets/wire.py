"""Ask a server with patience: one pool of connections, a pace, time limits, and tries again when it is busy.

The authorisation header stays in here: it is in no message, and redirects, which could carry it elsewhere, are refused.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from typing import Any

import httpx

from safelight.errors import BadAnswer, InputError, NotAllowed, SafelightError, TargetFailed

BUSY = (429, 502, 503, 504)  # the server, or the gateway before it, asks to come back later
FIRST_WAIT, LONGEST_WAIT, PATIENCE = 0.5, 30.0, 120.0  # seconds


@dataclass
class Wire:
    """One server, asked in turn.

    Attributes:
        client: the pool of connections, with its time limit and its headers.
        retries: how often a question is sent again after the first time (>= 0).
        rate: the most records a second, or None for no limit.
        clock: seconds that only grow.
        sleep: waits that many seconds.
        secret: what no message may hold.
        answered: records answered so far.
    """

    client: httpx.Client
    retries: int = 5
    rate: float | None = None
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    secret: str = field(default="", repr=False)
    answered: int = 0
    _free_at: float = field(default=float("-inf"), repr=False)

    def get(self, url: httpx.URL) -> Any:
        """Return the JSON behind `url`; raises like `post`."""
        return self._ask("GET", url, None, 0)

    def post(self, url: httpx.URL, body: Any, records: int) -> Any:
        """Send `records` records and return the answer's JSON.

        Raises:
            InputError: the server refuses the question.
            BadAnswer: the answer is no JSON.
            TargetFailed: the server is gone, failed, or stayed busy.
        """
        answer = self._ask("POST", url, json.dumps(body, default=str).encode(), records)
        self.answered += records
        return answer

    def _ask(self, method: str, url: httpx.URL, content: bytes | None, records: int) -> Any:
        headers = {"Content-Type": "application/json"} if content is not None else {}
        for attempt in range(self.retries + 1):
            self._keep_pace(records)
            wait = min(FIRST_WAIT * 2**attempt, LONGEST_WAIT)
            try:
                response = self.client.request(method, url, content=content, headers=headers)
            except httpx.DecodingError:
                raise BadAnswer(f"{shown(url)} answered with bytes that cannot be unpacked.") from None
            except httpx.TransportError as error:
                trouble = f"{type(error).__name__} ({self._quote(str(error)) or 'no reason given'})"
            else:
                if response.status_code not in BUSY:
                    return self._read(response, url)
                trouble = f"status {response.status_code}"
                asked = _retry_after(response)
                if asked is not None and asked > PATIENCE:
                    raise self._failed(url, f"{trouble}, come back in {asked:.0f} seconds")
                wait = wait if asked is None else asked
            if attempt < self.retries:
                self.sleep(wait)
        raise self._failed(url, f"{trouble}, tried {self.retries + 1} times")

    def _keep_pace(self, records: int) -> None:
        if self.rate is None or not records:
            return
        early = self._free_at - self.clock()
        if early > 0:
            self.sleep(early)
        self._free_at = max(self._free_at, self.clock()) + records / self.rate

    def _read(self, response: httpx.Response, url: httpx.URL) -> Any:
        status = response.status_code
        if status >= 300:
            raise self._refused(response, url)
        try:
            return response.json()
        except ValueError:
            raise BadAnswer(
                f"{shown(url)} answered with something that is not JSON ({self._quote(response.text)}); "
                "check the address and the protocol."
            ) from None

    def _refused(self, response: httpx.Response, url: httpx.URL) -> SafelightError:
        status, words = response.status_code, self._quote(_message(response))
        if status < 400:
            return InputError(f"{shown(url)} sends on to another address (status {status}); give that address.")
        if status >= 500:
            return self._failed(url, f"status {status}, {words}")
        if status in (401, 403):
            if self.answered:
                return self._failed(url, f"status {status}, {words}")
            return InputError(
                f"{shown(url)} refused the question with status {status} ({words}); put the token into an environment "
                "variable and name it with auth_env."
            )
        return InputError(
            f"{shown(url)} refused the question with status {status} ({words}); check the address, the inputs and "
            "their names."
        )

    def _failed(self, url: httpx.URL, trouble: str) -> TargetFailed:
        return TargetFailed(f"{shown(url)} stopped answering after {self.answered} records: {trouble}.")

    def _quote(self, text: str) -> str:
        """Return at most 200 characters that are safe to print and do not hold the token."""
        text = text.replace(self.secret, "***") if self.secret else text
        return "".join(letter if letter.isprintable() else " " for letter in " ".join(text.split()))[:200]


def address(url: str, allowed: bool) -> httpx.URL:
    """Check where a server stands.

    Raises:
        InputError: it is no http(s) address, or holds a password.
        NotAllowed: it is not this machine, and nobody said that it may be tested.
    """
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise InputError(f"The address of the target cannot be read ({error}); write http://host:port/path.") from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise InputError(f"{shown(parsed)} is no address of a server; write http://host:port/path.")
    if parsed.userinfo:
        raise InputError(
            f"The address {shown(parsed)} holds a user name or password, which reports would show; put "
            "'Basic ...' into an environment variable and name it with auth_env."
        )
    if not allowed and not is_this_machine(parsed.host):
        raise NotAllowed(
            f"{parsed.host} is not this machine; if it is yours to test, say so with --i-may-test-this "
            "(allowed=True in Python)."
        )
    return parsed


def is_this_machine(host: str) -> bool:
    """Whether `host` is a loopback address; names other than localhost are not looked up, and count as elsewhere."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def authorisation(variable: str | None) -> tuple[dict[str, str], str]:
    """Return (headers, secret) from an environment variable: `Bearer` is added unless it names another scheme.

    Raises:
        InputError: the variable is empty, or cannot be sent as a header.
    """
    if variable is None:
        return {}, ""
    value = os.environ.get(variable, "").strip()
    if not value:
        raise InputError(f"The environment variable {variable}, named by auth_env, is empty; put the token into it.")
    if not (value.isascii() and value.isprintable()):
        raise InputError(f"The environment variable {variable} holds characters that no header can carry.")
    scheme, _, secret = value.rpartition(" ")
    return {"Authorization": f"{scheme or 'Bearer'} {secret}"}, secret


def shown(url: httpx.URL) -> str:
    """Return an address without password, query and fragment, which may hold secrets."""
    return str(url.copy_with(username=None, password=None, query=None, fragment=None))


def _message(response: httpx.Response) -> str:
    try:
        body = response.json()
    except ValueError:
        return response.text
    words = [body[key] for key in ("error", "message", "detail") if isinstance(body, dict) and body.get(key)]
    return words[0] if words and isinstance(words[0], str) else response.text


def _retry_after(response: httpx.Response) -> float | None:
    """Return the seconds that the server asks for; a date is counted from the server's own clock."""
    wanted = response.headers.get("Retry-After", "")
    try:
        return max(0.0, float(wanted))
    except ValueError:
        pass
    try:
        now = parsedate_to_datetime(response.headers.get("Date", ""))
        return max(0.0, (parsedate_to_datetime(wanted) - now).total_seconds())
    except (TypeError, ValueError):
        return None
