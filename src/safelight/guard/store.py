"""Budgets, steps, documents and the log, wherever a policy keeps them."""

from __future__ import annotations

from safelight.errors import InputError
from safelight.guard.chain import secret, secret_of
from safelight.guard.policy import GuardPolicy
from safelight.guard.stores.base import Document, Store

__all__ = ["Document", "Store", "key_of", "open_store"]


def open_store(policy: GuardPolicy, make: bool = True) -> Store:
    """Open what [store] of a policy names.

    Args:
        policy: in force.
        make: whether an SQLite file that is not there is made.

    Raises:
        InputError: it cannot be opened, its key cannot be used or is not the one that the log was written with.
        MissingExtra: it is PostgreSQL, and the extra `replicas` is not installed.
    """
    key = secret_of(policy.store.key_env) if policy.store.key_env else None
    if not policy.store.shared:
        if not make and not policy.database.is_file():
            raise InputError(f"There is no database {policy.database}; start `safelight guard run` once.")
        opened: Store = Store.open(policy.database, key)
        return opened
    if key is None:
        key = key_of(policy)
    if policy.store.redis is None:
        from safelight.guard.stores.postgres import PostgresStore

        return PostgresStore.open(policy.store.url, key)
    from safelight.guard.stores.shared import SharedStore

    return SharedStore.open(policy.store.url, key, policy.store.redis)


def key_of(policy: GuardPolicy) -> bytes:
    """Return the key of the log and of the hashes in it (32 bytes); its file is made where there is none.

    Raises:
        InputError: it cannot be made, read or used.
    """
    return secret_of(policy.store.key_env) if policy.store.key_env else secret(policy.database.with_suffix(".key"))
