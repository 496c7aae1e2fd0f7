"""[upstream]: the model server, and the versions of a model."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from urllib.parse import urlsplit

from safelight.errors import InputError
from safelight.guard.jsonpath import JsonRule

EMBEDDED, MLFLOW = "embedded", "mlflow:"


class Protocol(Enum):
    """What the model server speaks."""

    OIP = "oip"
    KSERVE = "kserve-v1"
    MLFLOW = "mlflow"
    OPENAI = "openai"
    JSONPATH = "jsonpath"


@dataclass(frozen=True)
class Version:
    """[[upstream.version]]: one version of the model, and where it is served.

    Attributes:
        id: that aliases point at; with MLflow's registry its version number.
        url: http(s) address of the server that serves it.
        audit: report.json of its audit, from the folder of guard.toml.
    """

    id: str
    url: str
    audit: str | None = None


@dataclass(frozen=True)
class Upstream:
    """[upstream]: the model server.

    Attributes:
        url: http(s) address that the protocol's own paths are joined to.
        protocol: "oip", "kserve-v1", "mlflow", "openai" or "jsonpath".
        model: name for the log where the path holds none (mlflow, jsonpath); of openai the only one that may be asked.
        jsonpath: [upstream.jsonpath], the rule of that protocol.
        registry: that keeps the alias in `model`: "embedded", or "mlflow:" and the address of an MLflow server.
        by_name: whether the server reads columns that have names by them; else the place of a value is its meaning.
        version: [[upstream.version]], oldest first; `model` is then NAME@ALIAS and says which of them is asked.
    """

    url: str
    protocol: Protocol
    model: str | None = None
    jsonpath: JsonRule | None = None
    registry: str = EMBEDDED
    by_name: bool = True
    version: tuple[Version, ...] = ()

    def __post_init__(self) -> None:
        if (self.protocol is Protocol.JSONPATH) != (self.jsonpath is not None):
            raise InputError('The table [upstream.jsonpath] and protocol = "jsonpath" go together; write both or none.')


def check_address(url: str, where: str) -> None:
    """Raise InputError where `url` is no plain http(s) address; `where` begins the sentence."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
    if not usable:
        raise InputError(f"{where} is {url!r}; write http://host:port.")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise InputError(f"{where} holds a password, a query or a fragment; write http://host:port and a path only.")
