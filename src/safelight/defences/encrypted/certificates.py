"""Certificates for parties that talk over TLS, made for one computation and thrown away with it."""

from __future__ import annotations

import datetime
from pathlib import Path

from safelight.errors import MissingExtra

try:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
    from cryptography.x509.oid import NameOID
except ImportError:
    raise MissingExtra("cryptography", "encrypted", "Talk between parties over TLS") from None

HOURS = 24
"""How long a certificate holds; computations are shorter."""


def write_certificates(folder: Path, parties: int) -> None:
    """Write `party_0.key`, `party_0.crt`, ... and the authority `mpyc_ca.crt`, whose own key is not kept.

    Keys are readable by the owner alone. The authority is made anew, so a party of another computation is refused.
    """
    authority = generate_private_key(SECP256R1())
    name = _name("Safelight parties")
    _write(folder / "mpyc_ca.crt", _signed(name, name, authority, authority, True).public_bytes(Encoding.PEM))
    for party in range(parties):
        key = generate_private_key(SECP256R1())
        signed = _signed(_name(f"MPyC party {party}"), name, key, authority, False)
        _write(folder / f"party_{party}.crt", signed.public_bytes(Encoding.PEM))
        secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        _write(folder / f"party_{party}.key", secret)


def _name(word: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, word)])


def _signed(
    name: x509.Name, by: x509.Name, key: EllipticCurvePrivateKey, authority: EllipticCurvePrivateKey, signs: bool
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    word = str(name.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)
    usage = x509.KeyUsage(not signs, False, False, False, False, signs, signs, False, False)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(by)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=HOURS))
        .add_extension(x509.BasicConstraints(signs, 0 if signs else None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()), critical=False)
    )
    if not signs:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(word)]), critical=False)
    return builder.sign(authority, SHA256())


def _write(path: Path, content: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content)
