"""Who asks: exactly one proof of a known client, a key, a token or a certificate; anything else is nobody."""

from __future__ import annotations

import hashlib
import hmac
import ssl
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from safelight.errors import InputError
from safelight.guard.identity.client import EVERYONE, Client
from safelight.guard.identity.trust import HEADERS, Jwt
from safelight.guard.policy import GuardPolicy

if TYPE_CHECKING:
    from safelight.guard.identity.tokens import Tokens

CERTIFICATE_HEADERS = frozenset(name.encode() for name in HEADERS)


@dataclass
class Door:
    """Finds the client of a request.

    Keys are looked up by a hash that is keyed with the guard's own secret: who asks can neither compute nor choose it,
    so how long a look takes tells nothing of any key.

    Attributes:
        secret: of the guard.
        clock: seconds since 1970.
        say: takes words for the operator.
    """

    secret: bytes = field(repr=False)
    clock: Callable[[], float]
    say: Callable[[str], None]
    _policy: GuardPolicy | None = field(default=None, repr=False)
    _ring: Mapping[bytes, Client] = field(default_factory=dict, repr=False)
    _tokens: Tokens | None = field(default=None, repr=False)

    def take(self, policy: GuardPolicy) -> None:
        """Go by this policy from now on; raises MissingExtra or InputError where it cannot be gone by."""
        ring = {self._sealed(bytes.fromhex(one)): Client(key.id, key.cohort) for one, key in policy.clients.items()}
        jwt, tokens = policy.trust.jwt, self._tokens
        if jwt != (tokens and tokens.settings):
            tokens = None if jwt is None else self._reader(policy, jwt)
            if self._tokens is not None:
                self._tokens.keys.close()
        if policy.trust.certificates:
            import safelight.guard.identity.certificates  # noqa: F401 - says now what is not installed
        self._policy, self._ring, self._tokens = policy, ring, tokens

    def wait(self) -> None:
        """Wait a few seconds for the keys of an identity provider, when a server starts."""
        if self._tokens is not None:
            self._tokens.keys.wait()

    def client_of(self, policy: GuardPolicy, scope: MutableMapping[str, Any]) -> Client | None:
        """Return the client of a request, or None: no proof, two of them, or one that proves nothing."""
        if policy is not self._policy:
            try:
                self.take(policy)
            except InputError as error:
                self.say(f"nobody is let in: {error}")
                self._policy, self._ring, self._tokens = policy, {}, None
        if not policy.names_clients:
            return EVERYONE
        name, proofs, told = policy.header.encode(), [], []
        for key, value in scope["headers"]:
            lower = key.lower()
            if lower == name and policy.takes_keys:
                proofs.append(value)
            elif lower in CERTIFICATE_HEADERS:
                told.append((lower, value))
        shown = self._shown(policy, scope, told)
        if shown is None or len(proofs) + len(shown) != 1:
            return None
        if shown:
            from safelight.guard.identity.certificates import owner

            return owner(policy.trust, shown[0])
        return self._keyed(proofs[0])

    def close(self) -> None:
        """Look at no address any more."""
        if self._tokens is not None:
            self._tokens.keys.close()

    def _keyed(self, value: bytes) -> Client | None:
        whole = value.strip()
        scheme, _, rest = whole.partition(b" ")
        bare = rest.strip() if rest and scheme.lower() == b"bearer" else whole
        client = self._ring.get(self._sealed(hashlib.sha256(bare).digest()))
        if client is None and self._tokens is not None:
            client = self._tokens.client_of(bare)
        return client

    def _shown(
        self, policy: GuardPolicy, scope: MutableMapping[str, Any], told: list[tuple[bytes, bytes]]
    ) -> list[bytes] | None:
        """Return the certificates (DER) that were shown; None where somebody tells of one who is not believed."""
        if not policy.trust.certificates:
            return None if told else []
        terminator = policy.trust.terminator
        if terminator is None:
            return None if told else _over_tls(scope)
        if not told:
            return []
        from safelight.guard.identity.certificates import told_by

        peer = scope.get("client")
        if not peer or not terminator.is_peer(str(peer[0])) or len(told) != 1:
            return None
        der = told_by(terminator, *told[0])
        return None if der is None else [der]

    def _sealed(self, digest: bytes) -> bytes:
        return hmac.digest(self.secret, b"key" + digest, hashlib.sha256)

    def _reader(self, policy: GuardPolicy, settings: Jwt) -> Tokens:
        from safelight.guard.identity.tokens import Tokens

        return Tokens(settings, policy.folder, self.secret, self.clock, self.say)


def _over_tls(scope: MutableMapping[str, Any]) -> list[bytes]:
    """Return the certificate (DER) that was shown over TLS and found good, by the TLS extension of ASGI (0.2)."""
    tls = (scope.get("extensions") or {}).get("tls") or {}
    chain = list(tls.get("client_cert_chain") or ())
    if not chain or tls.get("client_cert_error") is not None:
        return []
    return [ssl.PEM_cert_to_DER_cert(chain[0])]
