"""What the guard believes beside its own keys: an identity provider, certificates, one terminator of TLS."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from safelight.errors import InputError, did_you_mean
from safelight.guard.identity.client import is_name
from safelight.guard.tables import table

FAMILIES = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""All of public keys: with "none" nothing is signed, and with HS256 a public key would be the secret."""
HEADERS = ("client-cert", "x-forwarded-client-cert")


@dataclass(frozen=True)
class Jwt:
    """[clients.jwt]: tokens of an identity provider (RFC 7519, read as RFC 8725 asks). `exp` must be among the claims.

    Attributes:
        issuer: the `iss` that a token must have.
        audience: that must be among its `aud`.
        jwks: its public keys (RFC 7517): a file, from the folder of guard.toml, or an https address.
        algorithms: that may sign.
        claim: that names the client.
        cohort_claim: that names its cohort; a client whose token lacks it has none.
        leeway: seconds that clocks may differ (in [0, 300]).
        refresh: seconds between two looks at an address (>= 10).
        once: whether a token, known by its `jti`, is good for one question alone.
        ca: file of certificates that vouch for the address; those of the system when left out.
    """

    issuer: str
    audience: str
    jwks: str
    algorithms: tuple[str, ...] = ("RS256", "ES256")
    claim: str = "sub"
    cohort_claim: str | None = None
    leeway: float = 30.0
    refresh: float = 300.0
    once: bool = False
    ca: str | None = None

    def __post_init__(self) -> None:
        for name in self.algorithms:
            if name not in ALGORITHMS:
                raise InputError(
                    f"[clients.jwt] algorithms has {name!r}; it may list {', '.join(ALGORITHMS)}, which all sign with "
                    "public keys."
                )
        if not (self.issuer and self.audience and self.claim and self.algorithms):
            raise InputError("[clients.jwt] has an empty issuer, audience, claim or list of algorithms; name it.")
        if "://" in self.jwks:
            parts = urlsplit(self.jwks)
            here = parts.hostname in ("127.0.0.1", "::1", "localhost")
            safe = parts.scheme == "https" or (parts.scheme == "http" and here)
            if not (parts.hostname and safe) or parts.username:
                raise InputError(
                    f"[clients.jwt] jwks is {self.jwks!r}; it must be a file, or an https address without a password."
                )


@dataclass(frozen=True)
class Certificate:
    """[[clients.certificate]]: one client that shows a certificate. Either `sha256` or `name` says which.

    Attributes:
        id: name of the client in the log.
        sha256: of the certificate (DER), 64 hexadecimal digits.
        name: a DNS name, address of mail or URI among its alternative names; or its common name, where it has none.
        cohort: name of the group of clients that it belongs to.
    """

    id: str
    sha256: str | None = None
    name: str | None = None
    cohort: str = ""

    def __post_init__(self) -> None:
        if (self.sha256 is None) == (self.name is None):
            raise InputError(f"The client {self.id!r} needs either sha256 or name, and has both or none.")
        if self.sha256 is not None and not re.fullmatch(r"[0-9a-fA-F]{64}", self.sha256):
            raise InputError(f"The client {self.id!r} has a sha256 that is not 64 hexadecimal digits; hash it again.")


@dataclass(frozen=True)
class Terminator:
    """[clients.terminator]: who ends TLS before the guard, checks certificates, and says in a header which it saw.

    Attributes:
        peers: its addresses or networks, `from` in the file. Who else sends the header is refused.
        header: "client-cert" (RFC 9440) or "x-forwarded-client-cert" (Envoy).
    """

    peers: tuple[str, ...]
    header: str = "client-cert"

    def __post_init__(self) -> None:
        if not self.peers:
            raise InputError('[clients.terminator] from is empty; name an address, as in from = ["10.0.0.5"].')
        for peer in self.peers:
            try:
                ipaddress.ip_network(peer)
            except ValueError:
                raise InputError(
                    f"[clients.terminator] from has {peer!r}; it must be an address or a network, such as 10.0.0.5."
                ) from None
        if self.header not in HEADERS:
            raise InputError(f"[clients.terminator] header is {self.header!r}; use one of {', '.join(HEADERS)}.")

    def is_peer(self, address: str) -> bool:
        """Whether this address is one of the terminator's."""
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(found in ipaddress.ip_network(peer) for peer in self.peers)


@dataclass(frozen=True)
class Trust:
    """What is believed beside keys.

    Attributes:
        jwt: of whom tokens are taken.
        certificates: that are clients.
        terminator: whose word about certificates counts; None where the guard itself ends TLS.
    """

    jwt: Jwt | None = None
    certificates: tuple[Certificate, ...] = ()
    terminator: Terminator | None = None

    def __bool__(self) -> bool:
        return self.jwt is not None or bool(self.certificates)


PARTS = ("jwt", "certificate", "terminator")


def trust_of(content: Mapping[str, Any], where: str, taken: set[str]) -> Trust:
    """Read the tables of [clients] beside its keys.

    Args:
        content: of [clients].
        where: begins the sentence of an error.
        taken: ids of clients that have keys.

    Raises:
        InputError: something is unknown, missing or not what it should be.
    """
    jwt = table(f"{where}[clients.jwt]", Jwt, content["jwt"]) if "jwt" in content else None
    entries = content.get("certificate", [])
    if not isinstance(entries, list):
        raise InputError(f"{where}certificate is no list; write [[clients.certificate]] before each client.")
    certificates = tuple(table("[[clients.certificate]]", Certificate, entry) for entry in entries)
    shown: set[str] = set()
    for each in certificates:
        if not is_name(each.id) or each.id.startswith("jwt:") or each.id in taken:
            raise InputError(f"Two clients are named {each.id!r}, or it is no name; give each an id of its own.")
        what = (each.sha256 or "").lower() or str(each.name)
        if what in shown:
            raise InputError(f"Two clients show the certificate {what!r}; name one of them.")
        taken.add(each.id)
        shown.add(what)
    terminator = None
    if "terminator" in content:
        found = content["terminator"]
        if not isinstance(found, dict) or set(found) - {"from", "header"} or "from" not in found:
            wrong = next(iter(set(found) - {"from", "header"}), "") if isinstance(found, dict) else ""
            raise InputError(
                f"{where}[clients.terminator] needs from and may have header.{did_you_mean(wrong, ('from', 'header'))}"
            )
        renamed = {"peers" if key == "from" else key: value for key, value in found.items()}
        terminator = table(f"{where}[clients.terminator]", Terminator, renamed)
        if not certificates:
            raise InputError(f"{where}[clients.terminator] is of no use without a [[clients.certificate]]; add one.")
    return Trust(jwt, certificates, terminator)
