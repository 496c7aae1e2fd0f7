"""[[alerts]]: where alerts go, read strictly."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import Enum
from typing import Any
from urllib.parse import urlsplit

from safelight.errors import InputError, did_you_mean
from safelight.settings import filled


class Channel(Enum):
    """How an alert leaves."""

    ALERTMANAGER = "alertmanager"
    RECEIVER = "receiver"
    WEBHOOK = "webhook"
    MAIL = "mail"
    FILE = "file"


NEEDS: Mapping[Channel, tuple[str, ...]] = {
    Channel.ALERTMANAGER: ("url",),
    Channel.RECEIVER: ("url",),
    Channel.WEBHOOK: ("url", "secret_env"),
    Channel.MAIL: ("host", "sender", "to"),
    Channel.FILE: ("path",),
}
MAY: Mapping[Channel, tuple[str, ...]] = {
    Channel.ALERTMANAGER: ("token_env",),
    Channel.RECEIVER: ("token_env",),
    Channel.WEBHOOK: (),
    Channel.MAIL: ("port", "starttls", "user", "password_env"),
    Channel.FILE: (),
}


@dataclass(frozen=True)
class AlertRoute:
    """[[alerts]]: one place that alerts go to. Secrets stand in the environment, never in the file.

    Attributes:
        kind: "alertmanager" (posts to Alertmanager's own api), "receiver" (the JSON that Alertmanager sends to its
            webhooks, version 4), "webhook" (signed JSON of our own), "mail" or "file".
        clients: whether it names clients; without, it names the incident alone.
        url: http(s) address, posted to as it is; of Alertmanager the address of the server, without a path of its own.
        token_env: environment variable with a bearer token.
        secret_env: environment variable with the key that signs a webhook.
        host: of the mail server.
        port: of the mail server (>= 1).
        starttls: whether mail is encrypted on its way to the server.
        user: at the mail server.
        password_env: environment variable with the password there.
        sender: address that mail comes from.
        to: addresses that mail goes to.
        path: file that gets one line of JSON an alert, from the folder of guard.toml.
    """

    kind: Channel
    clients: bool = False
    url: str | None = None
    token_env: str | None = None
    secret_env: str | None = None
    host: str | None = None
    port: int = 25
    starttls: bool = True
    user: str | None = None
    password_env: str | None = None
    sender: str | None = None
    to: tuple[str, ...] = ()
    path: str | None = None

    def secret(self, name: str) -> str:
        """Return the value of an environment variable that a field names; raises InputError where it is empty."""
        variable = getattr(self, name)
        value = os.environ.get(variable or "", "").strip()
        if not value:
            raise InputError(f"The environment variable {variable} of an alert ({self.kind.value}) is empty; set it.")
        return value


def read_alerts(entries: Any, where: str) -> tuple[AlertRoute, ...]:
    """Read the tables [[alerts]].

    Raises:
        InputError: a key is unknown, missing, or for another kind; an address or a secret cannot be used.
    """
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise InputError(f"{where}, alerts is {entries!r}; write [[alerts]] before each.")
    return tuple(_route(entry, f"{where}, alert {number}") for number, entry in enumerate(entries, start=1))


def _route(entry: Mapping[str, Any], where: str) -> AlertRoute:
    if "kind" not in entry:
        raise InputError(f"{where} needs the key 'kind'; use one of {', '.join(kind.value for kind in Channel)}.")
    known = [item.name for item in fields(AlertRoute)]
    for key in entry:
        if key not in known:
            raise InputError(f"{where} has an unknown key {key!r}.{did_you_mean(key, known)}")
    route: AlertRoute = filled(where, AlertRoute, entry)
    allowed = ("kind", "clients", *NEEDS[route.kind], *MAY[route.kind])
    for key in entry:
        if key not in allowed:
            raise InputError(f"{where}: {route.kind.value} has no {key!r}; it has {', '.join(allowed[1:])}.")
    for key in NEEDS[route.kind]:
        if not getattr(route, key):
            raise InputError(f"{where}: {route.kind.value} needs {key!r}.")
    if (route.user is None) != (route.password_env is None):
        raise InputError(f"{where}: user and password_env go together; write both or none.")
    if route.url is not None and not _usable(route.url):
        raise InputError(f"{where}: url is {route.url!r}; write http(s)://host/path, with no password in it.")
    for name in ("token_env", "secret_env", "password_env"):
        if getattr(route, name) is not None:
            route.secret(name)
    return route


def _usable(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0 and "@" not in url
    except ValueError:
        return False
