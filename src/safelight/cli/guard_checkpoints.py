"""Commands of `safelight guard` about signed checkpoints of the log."""

from __future__ import annotations

from pathlib import Path

from safelight.cli.guard import POLICY, opened


def checkpoint_key(file: Path, /) -> int:
    """Make a key that signs checkpoints of the log; the public key, which checks them, is printed.

    Args:
        file: to write the signing key to, readable by its owner alone; it must not be there yet.
    """
    from safelight.guard.checkpoints import make_key

    print(make_key(file))
    return 0


def checkpoint(*, policy: Path = POLICY, key: Path | None = None) -> int:
    """Sign the end of the log now, once it was found whole. Exit codes: 0 signed, 1 the log was changed, 2 bad input.

    Run now and then where the signing key is, on a machine that is not the guard's, it needs no key there.

    Args:
        policy: the guard's settings; [checkpoints] says where checkpoints go.
        key: file of the signing key; `key` in [checkpoints] when left out.
    """
    from dataclasses import replace

    from safelight.errors import InputError
    from safelight.guard.checkpoints import Signer
    from safelight.guard.policy import read_policy

    rules = read_policy(policy)
    if rules.checkpoints is None:
        raise InputError(f"{policy} has no table [checkpoints]; it says where checkpoints go.")
    settings = rules.checkpoints if key is None else replace(rules.checkpoints, key=str(key.absolute()))
    store, said = opened(policy), list[str]()
    signer = Signer(store, settings, rules.folder, said.append)
    try:
        head, trouble = store.verify()
        if trouble:
            print(f"Not signed: the log is not whole: {trouble}.")
            return 1
        done = signer.sign(always=True)
        signer.send()
    finally:
        store.close()
    if said:
        raise InputError(f"{said[0]}; make room there, or name another place in [checkpoints].")
    print(f"Signed: {done.rows}:{done.digest}" if done else f"Another guard signed meanwhile, after row {head.rows}.")
    return 0
