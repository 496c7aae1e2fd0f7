"""Certificates of clients: shown to the guard itself over TLS, or told of by the one terminator that is believed."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from urllib.parse import unquote_to_bytes

from safelight.errors import MissingExtra
from safelight.guard.identity.client import Client
from safelight.guard.identity.trust import Certificate, Terminator, Trust

try:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding
except ImportError:
    raise MissingExtra("cryptography", "guard", "Certificates of clients") from None

LONGEST = 65536  # bytes of a header about a certificate
_BASE64 = re.compile(rb":([A-Za-z0-9+/]+={0,2}):")


class Malformed(Exception):
    """What should be a certificate is none."""


def owner(trust: Trust, der: bytes) -> Client | None:
    """Return whose certificate this is, or None. That it is genuine was seen by who ended TLS."""
    digest = hashlib.sha256(der).hexdigest()
    try:
        names = names_of(der)
    except Malformed:
        return None
    found = [each for each in trust.certificates if _fits(each, digest, names)]
    return Client(found[0].id, found[0].cohort) if len(found) == 1 else None


def _fits(certificate: Certificate, digest: str, names: frozenset[str]) -> bool:
    if certificate.sha256 is not None:
        return certificate.sha256.lower() == digest
    return certificate.name in names


def names_of(der: bytes) -> frozenset[str]:
    """Return the DNS names, addresses of mail and URIs of a certificate, or its common name where it has none.

    Raises:
        Malformed: it is no certificate, or has two common names.
    """
    try:
        certificate = x509.load_der_x509_certificate(der)
        try:
            held = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            kinds = (x509.DNSName, x509.RFC822Name, x509.UniformResourceIdentifier)
            names = [str(name) for kind in kinds for name in held.get_values_for_type(kind)]
        except x509.ExtensionNotFound:
            names = []
        common = [str(each.value) for each in certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)]
    except (ValueError, TypeError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        raise Malformed from None
    if not names and len(common) > 1:
        raise Malformed
    return frozenset(names or common)


def told_by(terminator: Terminator, header: bytes, value: bytes) -> bytes | None:
    """Return the certificate (DER) in a header of the terminator, or None where it is none, or another header."""
    try:
        return told(terminator.header, value) if header == terminator.header.encode() else None
    except Malformed:
        return None


def told(header: str, value: bytes) -> bytes:
    """Return the certificate (DER) that a terminator's header tells of.

    Raises:
        Malformed: it tells of none, or of several.
    """
    if len(value) > LONGEST:
        raise Malformed
    if header == "client-cert":  # a byte sequence of structured fields, RFC 9440 section 2.2
        found = _BASE64.fullmatch(value.strip())
        if found is None:
            raise Malformed
        try:
            return base64.b64decode(found[1], validate=True)
        except binascii.Error:
            raise Malformed from None
    fields = _fields(value.decode("latin-1"))
    if "cert" not in fields:
        raise Malformed  # a hash alone names no person that can be shown
    try:
        pem = unquote_to_bytes(fields["cert"])
        der = x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)
    except ValueError:
        raise Malformed from None
    if "hash" in fields and fields["hash"].lower() != hashlib.sha256(der).hexdigest():
        raise Malformed
    return der


def _fields(text: str) -> Mapping[str, str]:
    """Return the fields of the one element of an x-forwarded-client-cert header; values may stand in quotes."""
    fields: dict[str, str] = {}
    at = 0
    while at < len(text):
        name, equals, _ = text[at:].partition("=")
        at += len(name) + 1
        key = name.strip().lower()
        if not equals or not key.isalpha() or (key in fields and key in ("cert", "hash")):
            raise Malformed
        value = []
        if text[at : at + 1] == '"':
            at += 1
            while at < len(text) and text[at] != '"':
                at += text[at] == "\\"
                value.append(text[at : at + 1])
                at += 1
            at += 1
        else:
            while at < len(text) and text[at] not in ';,"':
                value.append(text[at])
                at += 1
        if at > len(text) or (at < len(text) and text[at] != ";"):
            raise Malformed  # a comma begins another proxy's element
        fields[key] = "".join(value)
        at += 1
    return fields
