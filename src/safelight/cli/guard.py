"""Stand before a served model: let questions through as a policy says, and keep a log that shows every change."""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from safelight.errors import InputError

if TYPE_CHECKING:
    from safelight.guard.store import Store

POLICY = Path("guard.toml")
guard = App(name="guard", help=__doc__)


@guard.command
def run(*, policy: Path = POLICY, upstream: str | None = None, host: str = "127.0.0.1", port: int = 8080) -> int:
    """Serve a guarded door to a running model server, until Ctrl-C.

    Args:
        policy: guard.toml; it is read again when it changes.
        upstream: address of the model server, instead of the policy's.
        host: address to listen at; this machine alone when left out.
        port: to listen at.
    """
    from safelight.guard.policy import read_policy
    from safelight.guard.proxy import guarded, serve

    rules = read_policy(policy)
    app = guarded(policy, upstream)
    app.store.note("start", time.time())
    who = f"{len(rules.clients)} clients" if rules.clients else "everyone as one client: [clients] names none"
    print(f"safelight guard: http://{host}:{port} before {upstream or rules.upstream.url} "
          f"({rules.upstream.protocol.value}), {who}; fails {rules.fail.value}", file=sys.stderr)  # fmt: skip
    if rules.signals is not None:
        print("safelight guard: [signals] is read, but this version watches no signals.", file=sys.stderr)
    try:
        serve(app, host, port)
    except KeyboardInterrupt:  # asked to stop, and stopped: every call is in the log already
        pass
    finally:
        app.store.close()
    return 0


@guard.command
def clients(*, policy: Path = POLICY) -> int:
    """List the clients that asked: records today and in all, and who is in quarantine.

    Args:
        policy: guard.toml.
    """
    now, store = time.time(), _store(policy)
    print(f"{'client':<24}{'today':>12}{'in all':>12}  quarantine")
    for name, state in store.clients().items():
        today = state.today if state.day == int(now // 86400) else 0
        left = f"{state.until - now:.0f} s" if state.until > now else ""
        print(f"{name:<24}{today:>12}{state.total:>12}  {left}".rstrip())
    return 0


@guard.command
def quarantine(client: str, *, minutes: float = 60.0, policy: Path = POLICY) -> int:
    """Let nothing of a client through for a time; a running guard obeys at once.

    Args:
        client: its id.
        minutes: how long.
        policy: guard.toml.
    """
    if not 0 < minutes < 1e7:
        raise InputError(f"--minutes is {minutes}; give a number above 0, such as 60.")
    now, store = time.time(), _store(policy)
    _known(client, store, policy)
    store.quarantine(client, now + 60 * minutes, now)
    print(f"{client} is in quarantine for {minutes:g} minutes.")
    return 0


@guard.command
def release(client: str, *, policy: Path = POLICY) -> int:
    """End the quarantine of a client.

    Args:
        client: its id.
        policy: guard.toml.
    """
    now, store = time.time(), _store(policy)
    _known(client, store, policy)
    store.quarantine(client, now, now)
    print(f"{client} may ask again.")
    return 0


@guard.command
def verify(*, policy: Path = POLICY, noted: Annotated[str | None, Parameter(allow_leading_hyphen=False)] = None) -> int:
    """Check that the log was not changed. Exit codes: 0 whole, 1 changed, 2 bad input.

    The last line printed is the head of the log: its rows, and the digest of the last one. Note it elsewhere: only
    against a noted head does it show that rows at the end were cut off.

    Args:
        policy: guard.toml.
        noted: an earlier head, such as 1042:9f86d0...
    """
    from safelight.guard.chain import Head

    head = None
    if noted is not None:
        parts = re.fullmatch(r"(\d{1,15}):([0-9a-fA-F]{64})", noted)
        if not parts:
            raise InputError(f"--noted is {noted!r}; give rows:digest as an earlier verify printed it.")
        head = Head(int(parts[1]), parts[2])
    end, trouble = _store(policy).verify(head)
    print(f"The log is {'not whole: ' + trouble if trouble else 'whole'}.")
    print(f"{end.rows}:{end.digest}")
    return 1 if trouble else 0


def _store(policy: Path) -> Store:
    from safelight.guard.policy import read_policy
    from safelight.guard.store import Store

    path = read_policy(policy).database
    if not path.is_file():
        raise InputError(f"There is no database {path}; start `safelight guard run` once.")
    return Store.open(path)


def _known(client: str, store: Store, policy: Path) -> None:
    from safelight.errors import did_you_mean
    from safelight.guard.policy import read_policy

    known = {key.id for key in read_policy(policy).clients.values()} | set(store.clients())
    if client not in known:
        raise InputError(f"There is no client {client!r}.{did_you_mean(client, known)}")
