"""The public keys of an identity provider (RFC 7517), from a file or an address, looked at again in the background."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import orjson

from safelight.errors import InputError
from safelight.guard.identity.trust import FAMILIES, Jwt
from safelight.guard.settling import stamp_of

MOST_BYTES = 2**20
MOST_KEYS = 100
TIMEOUT = 5.0  # seconds, for one look at an address
COOL = 10.0  # seconds between two looks that tokens with unknown keys ask for
STALE = 86400.0  # seconds after which keys that could not be looked at again are given up

Keys = Mapping[str, Mapping[str, Any]]


def keys_in(content: bytes) -> dict[str, dict[str, Any]]:
    """Return the public signing keys in a JWK set by their `kid`; one without is found under "".

    Raises:
        ValueError: it is no JWK set, it is too large, or two keys have one `kid`.
    """
    if len(content) > MOST_BYTES:
        raise ValueError(f"it has more than {MOST_BYTES} bytes")
    found = orjson.loads(content)
    entries = found.get("keys") if isinstance(found, dict) else None
    if not isinstance(entries, list) or len(entries) > MOST_KEYS:
        raise ValueError(f"it is no set of at most {MOST_KEYS} keys")
    keys: dict[str, dict[str, Any]] = {}
    for entry in entries:
        if not isinstance(entry, dict) or entry.get("kty") not in FAMILIES.values() or entry.get("use", "sig") != "sig":
            continue  # shared secrets, and keys for something else
        name = entry.get("kid", "")
        if not isinstance(name, str) or name in keys:
            raise ValueError("two of its keys have one name, or a name is no text")
        keys[name] = entry
    return keys


@dataclass
class KeySet:
    """The keys as they stand now. No question ever waits for them.

    Attributes:
        settings: [clients.jwt].
        folder: where a file's path starts.
        say: takes words for the operator.
        rises: how often they changed; what was derived from them is then old.
    """

    settings: Jwt
    folder: Path
    say: Callable[[str], None]
    rises: int = 0
    _keys: Keys = field(default_factory=dict, repr=False)
    _stamp: object = ()  # of the file; None where there is none
    _wanted: threading.Event = field(default_factory=threading.Event, repr=False)
    _first: threading.Event = field(default_factory=threading.Event, repr=False)
    _closed: bool = False

    def __post_init__(self) -> None:
        """Start to look; raises InputError where the file of certificates cannot be used."""
        self._remote = "://" in self.settings.jwks
        if not self._remote:
            self._read()
            return
        ca = self.settings.ca
        try:
            self._context = ssl.create_default_context(cafile=None if ca is None else str(self.folder / ca))
        except (OSError, ssl.SSLError) as error:
            raise InputError(f"[clients.jwt] ca is {ca!r}, which cannot be used ({error}); name a PEM file.") from None
        threading.Thread(target=self._follow, daemon=True, name="keys of the identity provider").start()

    def wait(self, seconds: float = TIMEOUT) -> None:
        """Wait for the first look at an address; for the start of a server, never for a question."""
        if self._remote:
            self._first.wait(seconds)

    def look(self) -> int:
        """Read a file that changed, and return `rises`."""
        if not self._remote:
            self._read()
        return self.rises

    def key(self, name: str) -> Mapping[str, Any] | None:
        """Return the key of this name, or None; an unknown one has the address looked at again, soon."""
        if self._remote and name not in self._keys:
            self._wanted.set()
        return self._keys.get(name)

    def close(self) -> None:
        """Look no more."""
        self._closed = True
        self._wanted.set()

    def _take(self, keys: Keys) -> None:
        if keys != self._keys:
            self._keys, self.rises = keys, self.rises + 1

    def _read(self) -> None:
        path = self.folder / self.settings.jwks
        stamp = stamp_of(path)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._take(keys_in(path.read_bytes()))
        except (OSError, ValueError) as error:
            self.say(f"{path} holds no keys that can be used ({error}); no token is taken until it does")
            self._take({})

    def _follow(self) -> None:
        fresh = time.monotonic()
        while not self._closed:
            self._wanted.clear()
            try:
                self._take(keys_in(self._fetched()))
                fresh = time.monotonic()
            except (httpx.HTTPError, ValueError) as error:
                self.say(f"the keys of the identity provider cannot be read ({type(error).__name__}: {error!r})")
                if time.monotonic() - fresh > STALE:
                    self._take({})
            self._first.set()
            time.sleep(min(COOL, self.settings.refresh))
            self._wanted.wait(max(0.0, self.settings.refresh - COOL))

    def _fetched(self) -> bytes:
        """Return what stands at the address. Redirects are not followed, proxies not asked."""
        parts, size = [], 0
        with (
            httpx.Client(verify=self._context, timeout=TIMEOUT, follow_redirects=False, trust_env=False) as client,
            client.stream("GET", self.settings.jwks) as answer,
        ):
            if answer.status_code != 200:
                raise ValueError(f"status {answer.status_code}")
            for part in answer.iter_bytes():
                size += len(part)
                if size > MOST_BYTES:
                    raise ValueError(f"it has more than {MOST_BYTES} bytes")
                parts.append(part)
        return b"".join(parts)
