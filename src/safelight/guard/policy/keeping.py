"""[store], [checkpoints] and [metrics]: where facts are kept and shown."""

from __future__ import annotations

from dataclasses import dataclass

from safelight.errors import InputError
from safelight.guard.policy.upstream import check_address


@dataclass(frozen=True)
class Storing:
    """[store]: where budgets and the log are kept.

    Attributes:
        url: sqlite:///FILE, from the folder of guard.toml, or sqlite:////WHOLE/PATH; or postgresql://USER@HOST/DATABASE,
            for guards on several machines.
        redis: redis://HOST:PORT/NUMBER, beside PostgreSQL: calls are then judged there, and PostgreSQL is asked for
            budget in batches.
        key_env: environment variable that holds the key of the log, 64 hexadecimal digits; the file beside the SQLite
            file, or guard.key in the folder of guard.toml, when left out.
    """

    url: str = "sqlite:///guard.db"
    redis: str | None = None
    key_env: str | None = None

    @property
    def shared(self) -> bool:
        """Whether guards on several machines may share it."""
        return self.url.startswith(("postgresql://", "postgres://"))


@dataclass(frozen=True)
class Checkpoints:
    """[checkpoints]: how often the end of the log is signed, and where to.

    Attributes:
        to: file that lines are added to, an http(s) address that they are posted to, or "-" for standard output.
        key: file of the Ed25519 key that signs, as `safelight guard checkpoint-key` makes it; when left out the guard
            signs nothing by itself, and `safelight guard checkpoint --key` does, where the key is.
        rows: of the log, after which the next one is due (>= 1).
        seconds: after which the next one is due, where there are new rows (> 0).
    """

    to: str
    key: str | None = None
    rows: int = 1000
    seconds: float = 60.0

    def __post_init__(self) -> None:
        if self.rows < 1 or not self.seconds > 0:
            raise InputError(
                f"rows is {self.rows} and seconds is {self.seconds:g}; they must be at least 1, and above 0."
            )
        if self.to.startswith(("http://", "https://")):
            check_address(self.to, "[checkpoints] to")


@dataclass(frozen=True)
class Measuring:
    """[metrics]: where OpenMetrics are read, at /metrics. The clients' own port never serves them.

    Attributes:
        port: of a listener of its own; none when left out.
        host: that it listens at; this machine alone when left out.
    """

    port: int | None = None
    host: str = "127.0.0.1"

    def __post_init__(self) -> None:
        if self.port is not None and not 0 <= self.port <= 65535:
            raise InputError(f"port is {self.port}; it must be from 0 to 65535.")
