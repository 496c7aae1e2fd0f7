"""A connection to one run of a Redis server, and what it is asked."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from safelight.errors import MissingExtra
from safelight.guard.stores.postgres import Database
from safelight.guard.stores.script import GRANT, JUDGE, STEP

try:
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry
except ImportError:
    raise MissingExtra("redis", "replicas", "A guard that shares its budgets through Redis") from None

__all__ = ["Line", "dial", "hang_up", "push_steps", "redis"]


@dataclass(frozen=True)
class Line:
    """A connection to one run of a Redis server, and the scripts that it was given.

    Attributes:
        wire: that is never connected anew by itself, since the server behind it could be another run.
        space: begins all keys of this run of this server.
        judge: handle of the script.
        grant: handle of the script.
        step: handle of the script.
    """

    wire: Any
    space: str
    judge: bytes
    grant: bytes
    step: bytes

    def client(self, client: str) -> str:
        """Return the key of a client."""
        return f"{self.space}:c:{client}"

    def ask(self, *words: Any) -> Any:
        """Return the answer to a command; raises redis.RedisError."""
        self.wire.send_command(*words)
        return self.wire.read_response()


def dial(url: str, space: str) -> Line:
    """Connect to Redis and hand it the scripts; raises redis.RedisError or OSError.

    Args:
        url: redis://HOST:PORT/NUMBER, rediss:// or unix://.
        space: that all keys of a database begin with.
    """
    pool = redis.ConnectionPool.from_url(
        url, socket_timeout=1.0, socket_connect_timeout=1.0, retry=Retry(NoBackoff(), 0)
    )
    wire: Any = pool.make_connection()
    wire.connect()
    try:
        wire.send_command("INFO", "server")
        server = wire.read_response()
        found = server if isinstance(server, bytes) else str(server).encode()
        run = next(line[7:].decode() for line in found.splitlines() if line.startswith(b"run_id:"))
        handles = []
        for script in (JUDGE, GRANT, STEP):
            wire.send_command("SCRIPT LOAD", script)
            handles.append(wire.read_response())
    except BaseException:
        wire.disconnect()
        raise
    return Line(wire, f"{space}:{run}", *handles)


def push_steps(
    line: Line, database: Database, after: int, client: str | None = None, standing: float | None = None
) -> int:
    """Bring steps that are younger than a change to Redis, and return the youngest change.

    Args:
        line: to Redis.
        database: that keeps them.
        after: number of the change.
        client: whose, or None for all.
        standing: a time that they must end after, or None for all.
    """
    about = "" if client is None else "AND client = %(client)s"
    about += "" if standing is None else " AND until > %(standing)s"
    query = f"""SELECT client, step, until, seen, changed FROM safelight_clients
        WHERE changed > %(after)s AND changed > 0 {about} ORDER BY changed"""
    for name, step, until, seen, changed in database.execute(
        query, {"after": after, "client": client, "standing": standing}
    ).fetchall():
        line.ask("EVALSHA", line.step, 1, line.client(name), changed, step, repr(until), repr(seen))
        after = changed
    return after


def hang_up(line: Line) -> None:
    """End a line; raises nothing."""
    with suppress(redis.RedisError, OSError):
        line.wire.disconnect()
