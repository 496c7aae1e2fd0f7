"""Alertmanager: to its own api (version 2), or to a webhook in the JSON (version 4) that it sends to its receivers."""

from __future__ import annotations

import json
from typing import Any

from safelight.guard.alerts.message import Message, moment
from safelight.guard.alerts.post import post
from safelight.guard.alerts.settings import AlertRoute

NEVER = "0001-01-01T00:00:00Z"
"""How Go writes a time that is not known: an alert that is not over ends then."""
PATH = "/api/v2/alerts"


def webhook_v4(message: Message) -> dict[str, Any]:
    """Return the body of Alertmanager's webhooks, version 4, with one alert."""
    status = "resolved" if message.resolved else "firing"
    labels, annotations = dict(message.labels), dict(message.annotations)
    alert = {
        "status": status,
        "labels": labels,
        "annotations": annotations,
        "startsAt": moment(message.start),
        "endsAt": NEVER if message.end is None else moment(message.end),
        "generatorURL": "",
        "fingerprint": message.fingerprint,
    }
    return {
        "version": "4",
        "groupKey": f'{{}}:{{alertname="{labels["alertname"]}", fingerprint="{message.fingerprint}"}}',
        "truncatedAlerts": 0,
        "status": status,
        "receiver": "safelight",
        "groupLabels": {"alertname": labels["alertname"]},
        "commonLabels": labels,
        "commonAnnotations": annotations,
        "externalURL": "",
        "alerts": [alert],
    }


def api_v2(message: Message) -> list[dict[str, Any]]:
    """Return the body of POST /api/v2/alerts. An alert without an end is over when Alertmanager hears no more of it."""
    alert: dict[str, Any] = {"labels": dict(message.labels), "annotations": dict(message.annotations)}
    alert["startsAt"] = moment(message.start)
    if message.end is not None:
        alert["endsAt"] = moment(message.end)
    return [alert]


def to_receiver(route: AlertRoute, message: Message) -> None:
    """Post the JSON of version 4; raises Undelivered."""
    post(route.url or "", json.dumps(webhook_v4(message)).encode(), _headers(route))


def to_alertmanager(route: AlertRoute, message: Message) -> None:
    """Post to Alertmanager itself; raises Undelivered."""
    url = (route.url or "").rstrip("/")
    url = url if url.endswith(PATH) else url + PATH
    post(url, json.dumps(api_v2(message)).encode(), _headers(route))


def _headers(route: AlertRoute) -> dict[str, str]:
    return {"authorization": f"Bearer {route.secret('token_env')}"} if route.token_env else {}
