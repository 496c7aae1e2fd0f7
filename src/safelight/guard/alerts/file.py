"""A file that gets one line of JSON an alert."""

from __future__ import annotations

import json
import os
from pathlib import Path

from safelight.guard.alerts.message import Message
from safelight.guard.alerts.post import Undelivered
from safelight.guard.alerts.settings import AlertRoute


def to_file(route: AlertRoute, message: Message, folder: Path) -> None:
    """Append one line, whole, readable by its owner alone where it is new; raises Undelivered."""
    line = json.dumps(message.facts).encode() + b"\n"
    try:
        handle = os.open(folder / (route.path or ""), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(handle, line)
        finally:
            os.close(handle)
    except OSError as error:
        raise Undelivered(str(error.strerror)) from None
