"""Tokens of an identity provider: whose they are, where they are genuine, meant for here, and not over."""

from __future__ import annotations

import hashlib
import hmac
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safelight.errors import MissingExtra
from safelight.guard.identity.client import Client, is_name
from safelight.guard.identity.keyset import KeySet
from safelight.guard.identity.trust import FAMILIES, Jwt

try:
    import jwt
    from cryptography.exceptions import UnsupportedAlgorithm
    from jwt.exceptions import PyJWTError
except ImportError as missing:
    raise MissingExtra("PyJWT[crypto]" if missing.name == "jwt" else str(missing.name), "guard", "Tokens") from None

LONGEST = 16384  # bytes of a token
MOST_KNOWN = 4096  # tokens that are not checked again until they end, or a key changes


class Refused(Exception):
    """A token that is not taken."""


@dataclass
class Tokens:
    """Reads tokens by the policy's [clients.jwt].

    Attributes:
        settings: [clients.jwt].
        folder: where the file of keys is looked for.
        seal: key of the hashes of tokens that are good once.
        clock: seconds since 1970.
        say: takes words for the operator.
    """

    settings: Jwt
    folder: Path
    seal: bytes = field(repr=False)
    clock: Callable[[], float]
    say: Callable[[str], None]

    def __post_init__(self) -> None:
        self.keys = KeySet(self.settings, self.folder, self.say)
        self._made: dict[tuple[str, str], jwt.PyJWK] = {}
        self._known: dict[bytes, tuple[Client, float]] = {}  # sealed token -> client, when it ends
        self._rises = 0

    def client_of(self, token: bytes) -> Client | None:
        """Return whose token this is, or None where it is not taken, whatever the reason."""
        if len(token) > LONGEST:
            return None
        rises = self.keys.look()
        if rises != self._rises:
            self._made, self._known, self._rises = {}, {}, rises
        sealed = hmac.digest(self.seal, b"token" + token, "sha256")
        client, until = self._known.get(sealed, (None, 0.0))
        if client is not None and self.clock() < until:
            return client
        try:
            client, until = self._read(token.decode("ascii"))
        except (PyJWTError, Refused, ValueError, TypeError, UnsupportedAlgorithm):
            return None
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        self._known[sealed] = (client, until)
        return client

    def _read(self, token: str) -> tuple[Client, float]:
        """Return whose token this is, and when it ends."""
        head = jwt.get_unverified_header(token)  # says which key to try; nothing in it is believed
        key = self._key(head.get("kid", ""), head.get("alg"))
        claims = jwt.decode_complete(
            token,
            key,
            algorithms=list(self.settings.algorithms),
            audience=self.settings.audience,
            issuer=self.settings.issuer,
            # Times are compared below, by the clock of the guard.
            options={
                "require": ["exp", "iss", "aud"],
                "verify_exp": False,
                "verify_nbf": False,
                "verify_iat": False,
                "enforce_minimum_key_length": True,
            },
        )["payload"]
        until = self._end(claims)
        name, cohort = claims.get(self.settings.claim), claims.get(self.settings.cohort_claim or "", "")
        if not is_name(name) or not (cohort == "" or is_name(cohort)):
            raise Refused
        if not self.settings.once:
            return Client(f"jwt:{name}", cohort), until
        number = claims.get("jti")
        if not is_name(number):
            raise Refused
        sealed = hmac.digest(self.seal, b"jti" + f"{name}\0{number}".encode(), hashlib.sha256).hex()
        return Client(f"jwt:{name}", cohort, sealed, until), until

    def _key(self, name: Any, algorithm: Any) -> jwt.PyJWK:
        """Return the key that the token names, bound to an algorithm that the policy and the key allow."""
        if not isinstance(name, str) or algorithm not in self.settings.algorithms:
            raise Refused
        found = self.keys.key(name)
        if found is None or found.get("alg", algorithm) != algorithm or found["kty"] != FAMILIES[algorithm[:2]]:
            raise Refused
        made = self._made.get((name, algorithm))
        if made is None:
            made = self._made[name, algorithm] = jwt.PyJWK(dict(found), algorithm)
        return made

    def _end(self, claims: dict[str, Any]) -> float:
        """Return when a token ends, where it has begun and has not ended."""
        now, leeway = self.clock(), self.settings.leeway
        times = {name: claims[name] for name in ("exp", "nbf", "iat") if name in claims}
        for time in times.values():
            if isinstance(time, bool) or not isinstance(time, (int, float)) or not math.isfinite(time):
                raise Refused
        if not now < times["exp"] + leeway or any(times.get(name, 0) > now + leeway for name in ("nbf", "iat")):
            raise Refused
        return float(times["exp"]) + leeway
