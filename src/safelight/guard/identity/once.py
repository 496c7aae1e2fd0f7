"""A token that is good once: the store remembers it until it ends, for all guards that share the store."""

from __future__ import annotations

from safelight.errors import Changed
from safelight.guard.identity.client import Client
from safelight.guard.store import Store

KIND = "tokens"  # one document a client: the keyed hashes of its tokens, and when each ends
TRIES = 20


def is_first_use(store: Store, client: Client, at: float) -> bool:
    """Whether a client's token was not used before; it is used now. A client without such a token always passes.

    A token counts as used by the first question with it, also one that is then refused. Raises StoreFailed.
    """
    if not client.token:
        return True
    for _ in range(TRIES):
        found = store.read(KIND, client.id)
        used = {token: until for token, until in (found.facts if found else {}).items() if until > at}
        if client.token in used:
            return False
        used[client.token] = client.until
        try:
            store.write(KIND, client.id, used, found.version if found else 0, what="token", at=at, client=client.id)
        except Changed:
            continue  # another process took one meanwhile: look again
        return True
    return False
