"""MLflow's model registry, by its REST API: the alias is MLflow's own, history and log are the guard's.

MLflow has no compare-and-set. Two commands of the guard on one store still cannot both move an alias: each writes the
alias's document first, and of two one fails. Against a move made in MLflow itself the alias is read just before and
just after; what happens between these two looks is seen by the second, and said, but not undone.

Source: mlflow.org/docs, "REST API", registered-models/alias.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

import httpx

from safelight.errors import Changed, InputError, StoreFailed
from safelight.guard.registry.embedded import KIND
from safelight.guard.registry.pointing import Move, Pointed, kept
from safelight.guard.store import Store

PREFIX = "mlflow:"
PATH = "/api/2.0/mlflow/registered-models/alias"
PATIENCE = 3.0  # seconds


@dataclass(frozen=True)
class MlflowRegistry:
    """Aliases of models in MLflow; versions are MLflow's numbers.

    The variables MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, are sent where set.

    Attributes:
        url: of the tracking server.
        store: of the guard, for history and log.
    """

    url: str
    store: Store
    _client: httpx.Client = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Make the connection."""
        token, user = os.environ.get("MLFLOW_TRACKING_TOKEN"), os.environ.get("MLFLOW_TRACKING_USERNAME")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        auth = (user, os.environ.get("MLFLOW_TRACKING_PASSWORD", "")) if user and not token else None
        client = httpx.Client(
            base_url=self.url.rstrip("/"), headers=headers, auth=auth, timeout=PATIENCE, trust_env=False
        )
        object.__setattr__(self, "_client", client)

    def look(self, name: str) -> str:
        model, _, alias = name.rpartition("@")
        answer = self._asked("GET", params={"name": model, "alias": alias})
        if answer.status_code in (400, 404):
            if _reason(answer).startswith("Registered model alias"):
                return ""
            raise InputError(f"MLflow at {self.url} cannot tell where {name} points: {_reason(answer)}.")
        try:
            return str(self._facts(answer)["model_version"]["version"])
        except (KeyError, TypeError):
            raise StoreFailed(
                f"What answers at {self.url} is no MLflow that names a version; correct registry."
            ) from None

    def read(self, name: str) -> Pointed:
        document = self.store.read(KIND, name)
        moves = tuple(map(Move.of, document.facts["moves"])) if document else ()
        return Pointed(self.look(name), document.version if document else 0, moves)

    def move(self, name: str, move: Move, found: Pointed) -> None:
        model, _, alias = name.rpartition("@")
        self._still(name, found.version, "just before")
        # The log knows of the move before MLflow does: a command that is killed here leaves no move that nobody asked.
        self.store.write(
            KIND, name, kept(found, move), found.stamp, what=move.what, at=move.at, registry=self.url, **move.facts
        )
        answer = self._asked("POST", json={"name": model, "alias": alias, "version": move.to})
        if answer.status_code in (400, 404):
            raise InputError(f"MLflow at {self.url} cannot point {name} at version {move.to!r}: {_reason(answer)}.")
        self._facts(answer)
        self._still(name, move.to, "just after")

    def _still(self, name: str, version: str, when: str) -> None:
        there = self.look(name)
        if there != version:
            raise Changed(
                f"{name} was moved in MLflow {when} (it points at {there or 'nothing'}, not at "
                f"{version or 'nothing'}); look again."
            )

    def _asked(self, method: str, **content: Any) -> httpx.Response:
        try:
            return self._client.request(method, PATH, **content)
        except httpx.HTTPError as error:
            raise StoreFailed(
                f"MLflow at {self.url} does not answer ({type(error).__name__}); start it, or correct registry."
            ) from None

    def _facts(self, answer: httpx.Response) -> dict[str, Any]:
        if answer.status_code != 200:
            raise StoreFailed(f"MLflow at {self.url} answers with status {answer.status_code}; look at its log.")
        return _said(answer)


def _said(answer: httpx.Response) -> dict[str, Any]:
    try:
        found = answer.json()
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {}


def _reason(answer: httpx.Response) -> str:
    return str(_said(answer).get("message", f"status {answer.status_code}")).rstrip(".")[:200]
