"""How often the same model and data were audited before: a small file in the user's state folder."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path


def history_file() -> Path:
    """Return the file: $XDG_STATE_HOME/safelight/audits.jsonl, by default under ~/.local/state."""
    root = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(root) / "safelight" / "audits.jsonl"


def audited_before(hashes: Mapping[str, str]) -> int:
    """Return how many finished audits of this model and data are on record."""
    try:
        lines = history_file().read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    return sum(json.loads(line).get("key") == _key(hashes) for line in lines if line.strip())


def remember(hashes: Mapping[str, str]) -> None:
    """Add one finished audit; a state folder that cannot be written to is no reason to fail."""
    path = history_file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps({"key": _key(hashes), "at": int(time.time())}) + "\n")
    except OSError:
        return


def _key(hashes: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(dict(sorted(hashes.items()))).encode()).hexdigest()
