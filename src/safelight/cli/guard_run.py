"""Serve a guarded door to a running model server."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from safelight.cli.guard import POLICY
from safelight.errors import InputError

if TYPE_CHECKING:
    from safelight.guard.middleware import GuardMiddleware
    from safelight.guard.policy import GuardPolicy


def run(
    *,
    policy: Path = POLICY,
    upstream: str | None = None,
    host: str = "127.0.0.1",
    port: int = 8080,
    cert: Path | None = None,
    key: Path | None = None,
    client_ca: Path | None = None,
) -> int:
    """Serve a guarded door to a running model server, until Ctrl-C.

    Args:
        policy: the guard's settings; read again when they change.
        upstream: address of the model server, such as http://127.0.0.1:5000; `url` in [upstream] when left out.
        host: address to listen at; the default is reached from this machine alone.
        port: number of the port to listen at.
        cert: PEM file with the certificate that this door shows; without it the door speaks plain HTTP.
        key: PEM file with the private key of --cert, where that is not in the same file.
        client_ca: PEM file of the authority whose certificates clients may show; needs --cert.
    """
    from safelight.guard.policy import read_policy
    from safelight.guard.proxy import Tls, guarded, serve

    rules = read_policy(policy)
    tls = None
    if cert is not None:
        alone = bool(rules.trust.certificates) and not rules.clients and rules.trust.jwt is None
        tls = Tls(cert, key, client_ca, always=alone)
    elif key is not None or client_ca is not None:
        raise InputError("--key and --client-ca need --cert, the certificate of the server; give all of them.")
    if rules.trust.certificates and rules.trust.terminator is None and client_ca is None:
        raise InputError("[[clients.certificate]] needs --client-ca here, or a [clients.terminator] in the policy.")
    app = guarded(policy, upstream)
    app.store.note("start", time.time())
    signer = None
    if rules.checkpoints is not None:
        from safelight.guard.checkpoints import signer_of

        signer = signer_of(rules, app.store, say)
    end_metrics = app.measure()
    app.door.wait()
    scheme = "http" if tls is None else "https"
    for words in begins(rules, app, f"{scheme}://{host}:{port}", upstream):
        say(words)
    if signer is not None:
        signer.start()
    try:
        serve(app, host, port, tls)
    except KeyboardInterrupt:  # asked to stop, and stopped: every call is in the log already
        pass
    finally:
        if signer is not None:
            signer.stop()
        end_metrics()
        app.close()
    return 0


def begins(rules: GuardPolicy, app: GuardMiddleware, here: str, upstream: str | None) -> Iterator[str]:
    """Yield what the operator should know at the start."""
    from safelight.guard.words import counted

    named = len(rules.clients) + len(rules.trust.certificates)
    who = counted(named, "client")
    if not rules.names_clients:
        who = "everyone as one client: [clients] names none"
    if rules.trust.jwt is not None:
        who += f", and who has a token of {rules.trust.jwt.issuer}"
    serves = f"{rules.upstream.model}, now version {app.following.now().id}" if app.following else ""
    before = upstream or serves or rules.upstream.url
    yield f"{here} before {before} ({rules.upstream.protocol.value}), {who}; fails {rules.fail.value}"
    yield from app.sight.told()


def say(words: str) -> None:
    """Tell the operator."""
    print(f"safelight guard: {words}", file=sys.stderr)
