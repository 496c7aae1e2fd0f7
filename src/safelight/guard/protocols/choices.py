"""What a language model answers: of each choice the text and why it ended, of the whole its name and token counts.

Log-probabilities, token numbers, fingerprints and whatever else a server adds are dropped. Counts of cached tokens are
among it: they tell whether somebody asked the same before.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from safelight.guard.protocols.asking import text, without_nulls
from safelight.guard.protocols.base import NotUnderstood
from safelight.guard.protocols.messages import call

COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens")
_REASON = re.compile(r"[a-z_]{1,40}")


def about(content: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """Return what an answer, or a piece of one, says of itself; `kind` is its "object"."""
    left: dict[str, Any] = {"object": kind}
    for name in ("id", "model"):
        value = content.get(name, "")
        if not text(value) or len(value) > 200:
            raise NotUnderstood(f"its {name} is no short text")
        left[name] = value
    created = content.get("created", 0)
    if type(created) not in (int, float):
        raise NotUnderstood("the time of its making is no number")
    left["created"] = int(created)
    return left


def usage(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return {"usage": token counts}, or {} where the answer has none."""
    found = content.get("usage")
    if found is None:
        return {}
    if not isinstance(found, dict) or any(type(found.get(name, 0)) is not int for name in COUNTS):
        raise NotUnderstood("its usage is no count of tokens")
    return {"usage": {name: found[name] for name in COUNTS if name in found}}


def choices(content: Mapping[str, Any], count: int, inside: str) -> list[tuple[dict[str, Any], str]]:
    """Return the choices of an answer, or of a piece of one, each with the text that it adds.

    Args:
        content: the answer.
        count: choices that were asked for.
        inside: "message" or "delta" of a chat, "text" of a completion.

    Raises:
        NotUnderstood: there are others than were asked for, or they hold no text.
    """
    found = content.get("choices")
    if not isinstance(found, list):
        raise NotUnderstood("it has no choices")
    read = [_choice(choice, inside) for choice in found]
    places = [choice["index"] for choice, _ in read]
    if len(set(places)) != len(places) or not set(places) <= set(range(count)):
        raise NotUnderstood(f"it has choices that are not among the {count} that were asked for")
    return read


def _choice(found: Any, inside: str) -> tuple[dict[str, Any], str]:
    if not isinstance(found, dict) or type(found.get("index")) is not int:
        raise NotUnderstood("a choice has no place")
    reason = found.get("finish_reason")
    if reason is not None and not (text(reason) and _REASON.fullmatch(reason)):
        raise NotUnderstood("a choice ended for an unknown reason")
    choice: dict[str, Any] = {"index": found["index"], "logprobs": None, "finish_reason": reason}
    if inside == "text":
        if not text(found.get("text")):
            raise NotUnderstood("a choice has no text")
        return choice | {"text": found["text"]}, found["text"]
    choice[inside], said = _said(found.get(inside), inside == "message")
    return choice, said


def _said(found: Any, whole: bool) -> tuple[dict[str, Any], str]:
    if not isinstance(found, dict):
        raise NotUnderstood("a choice has no message")
    left: dict[str, Any] = {"content": found.get("content")} if whole else {}
    said = ""
    for name, value in without_nulls(found).items():
        if name in ("role", "content", "refusal"):
            if not text(value) or (name == "role" and value != "assistant"):
                raise NotUnderstood("a choice holds something else than text of the model")
            left[name] = value
            said += value if name != "role" else ""
        elif name == "tool_calls" and value:
            if not isinstance(value, list):
                raise NotUnderstood("the tool calls of a choice are no list")
            calls = [call(one, whole) for one in value]
            left[name] = [one for one, _ in calls]
            said += "".join(words for _, words in calls)
    return left, said
