"""A challenge for a machine: proof of work, bound to the client, to ten minutes, and to the very question.

A client that is challenged finds its question refused with a challenge. It sends the same question again with the
header `safelight-proof: CHALLENGE.NONCE`, where the SHA-256 of that value followed by the SHA-256 of the body begins
with as many zero bits as were asked for. So every question costs work, more for more records, and a program that nobody
looks after stops at the first refusal. It is a price and no wall: graphics cards do it thousands of times faster.

Nothing is kept. A proof serves one question of one client until the challenge ends; sent twice, it buys the same answer
twice, and both are charged to the budget.
"""

from __future__ import annotations

import hashlib
import hmac
from itertools import count

HEADER = b"safelight-proof"
LASTS = 600  # seconds
LONGEST = 200  # bytes of a header that are looked at


def challenge(key: bytes, client: str, at: float, lasts: int = LASTS) -> str:
    """Return a challenge for a client: when it ends, and a keyed hash of that and of the client.

    Args:
        key: of the store.
        client: its id.
        at: now, in seconds since 1970.
        lasts: seconds.
    """
    ends = int(at) + lasts
    return f"{ends}.{_mac(key, client, ends)}"


def needed(bits: int, records: int) -> int:
    """Return the zero bits that a question needs: `bits` a record, so log2 of the records more, rounded up."""
    return bits + max(0, records - 1).bit_length()


def solve(given: str, body: bytes, bits: int) -> str:
    """Find the value of the header for a body, as a client does; about 2**bits hashes."""
    hashed = hashlib.sha256(body).digest()
    return next(f"{given}.{nonce}" for nonce in count() if zeros(_work(f"{given}.{nonce}".encode(), hashed)) >= bits)


def proves(key: bytes, client: str, at: float, body: bytes, header: bytes, bits: int) -> bool:
    """Say whether a header proves the work for this question of this client.

    Args:
        key: of the store.
        client: its id.
        at: now.
        body: of the question, as it came.
        header: as it came.
        bits: that are needed.
    """
    ends, _, rest = header.partition(b".")
    mac, _, nonce = rest.partition(b".")
    if len(header) > LONGEST or not _digits(ends) or not _digits(nonce) or len(ends) > 15:
        return False
    if not hmac.compare_digest(_mac(key, client, int(ends)).encode(), mac) or not at < int(ends):
        return False
    return zeros(_work(header, hashlib.sha256(body).digest())) >= bits


def zeros(digest: bytes) -> int:
    """Return the zero bits that a digest begins with."""
    return len(digest) * 8 - int.from_bytes(digest, "big").bit_length()


def _work(header: bytes, hashed: bytes) -> bytes:
    return hashlib.sha256(header + hashed).digest()


def _mac(key: bytes, client: str, ends: int) -> str:
    return hmac.digest(key, f"challenge {ends} {client}".encode(), "sha256").hex()[:32]


def _digits(text: bytes) -> bool:
    return text.isdigit()
