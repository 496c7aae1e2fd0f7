"""The operator's page of a guard."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from safelight.errors import InputError

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def ui(
    *, policy: Path = Path("guard.toml"), host: str = "127.0.0.1", port: int = 8090, token_env: str | None = None
) -> int:
    """Serve the dashboard, until Ctrl-C: clients, incidents, models, drift, the log.

    It prints the address to open, with a token that is new each time.

    Args:
        policy: settings of a guard that has started once.
        host: address to listen at; any other than this machine's needs --token-env.
        port: number of the port to listen at.
        token_env: environment variable that holds the token, 16 characters or more; a new one is drawn when left out.
    """
    from safelight.cli.guard import opened
    from safelight.guard.proxy import serve
    from safelight.web.app import Desk
    from safelight.web.pages import app
    from safelight.web.security import door

    token = None
    if token_env is not None:
        token = os.environ.get(token_env, "").strip()
        if len(token) < 16:
            raise InputError(
                f"The environment variable {token_env} holds {len(token)} characters; put a token of 16 or more there."
            )
    elif host not in LOOPBACK:
        raise InputError(
            f"--host is {host}, which others can reach; name a token with --token-env, and put TLS before it."
        )
    lock = door(host, port, token)
    desk = Desk(opened(policy), policy, lock)
    shown = f"http://{host}:{port}/" + ("" if token_env else f"enter?token={lock.token}")
    print(f"safelight guard: the dashboard is at {shown}", file=sys.stderr)
    try:
        serve(app(desk), host, port)
    except KeyboardInterrupt:
        pass
    finally:
        desk.store.close()
    return 0
