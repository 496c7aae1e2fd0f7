"""One POST of JSON. No redirect is followed and no proxy asked: an alert goes where guard.toml says, or nowhere."""

from __future__ import annotations

from collections.abc import Mapping

TIMEOUT = 5.0  # seconds


class Undelivered(Exception):
    """An alert did not arrive; says why."""


def post(url: str, body: bytes, headers: Mapping[str, str]) -> None:
    """Send JSON; the body of the answer is not read. Raises Undelivered for all but 2xx."""
    import httpx  # takes long to load, and most guards send no alert before they have run for long

    try:
        with httpx.Client(follow_redirects=False, trust_env=False, timeout=TIMEOUT) as client:
            told = {"content-type": "application/json", **headers}
            with client.stream("POST", url, content=body, headers=told) as answer:
                status = answer.status_code
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        raise Undelivered(f"{type(error).__name__}: {error}") from None
    if not 200 <= status < 300:
        raise Undelivered(f"its answer was {status}")
