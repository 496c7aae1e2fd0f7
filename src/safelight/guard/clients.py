"""Who asks: by the SHA-256 of the key in one header."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from safelight.guard.policy import GuardPolicy, Key

EVERYONE = Key("everyone")
"""All who ask, where the policy names no clients: made-up keys then buy no budget."""


def client_of(policy: GuardPolicy, headers: Sequence[tuple[bytes, bytes]]) -> Key | None:
    """Return the client of a request, or None: no key, two of them, or one that nobody has.

    Keys are compared by looking up their hashes, so that time tells nothing of a key.
    """
    if not policy.clients:
        return EVERYONE
    name = policy.header.encode()
    found = [value for key, value in headers if key.lower() == name]
    if len(found) != 1:
        return None
    scheme, _, key = found[0].strip().partition(b" ")
    bare = key.strip() if key and scheme.lower() == b"bearer" else found[0].strip()
    return policy.clients.get(hashlib.sha256(bare).hexdigest())
