"""The messages and tools of a chat: text alone is read; pictures, sound and files are not understood."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from safelight.guard.protocols.asking import flag, text, without_nulls
from safelight.guard.protocols.base import NotUnderstood, dumps, only

ROLES = ("system", "developer", "user", "assistant", "tool")
CHAT = ("messages", "tools", "tool_choice", "parallel_tool_calls", "response_format", "reasoning_effort")
"""Fields that a chat has beside those of every text."""
_NAME = re.compile(r"[\w.-]{1,128}")
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh")


def chat(content: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """Return the fields CHAT of a question, written anew, and all the text in them.

    A schema of tools or answers goes on whole: it is a text that the model reads. It can force a choice between two
    answers, which tells about as much as a bias of one token.

    Raises:
        NotUnderstood: a message or a tool has another shape.
    """
    messages = content.get("messages")
    if not isinstance(messages, list) or not messages:
        raise NotUnderstood("it has no messages")
    read = [_message(message) for message in messages]
    fields: dict[str, Any] = {"messages": [message for message, _ in read]}
    said = [words for _, words in read]
    if "tools" in content:
        fields["tools"] = [_tool(tool) for tool in _list(content["tools"], "tools")]
        said.append(dumps(fields["tools"]).decode())
    if "tool_choice" in content:
        fields["tool_choice"] = _choice(content["tool_choice"])
    if "parallel_tool_calls" in content:
        fields["parallel_tool_calls"] = _must(content["parallel_tool_calls"], flag(content["parallel_tool_calls"]))
    if "reasoning_effort" in content:
        fields["reasoning_effort"] = _must(content["reasoning_effort"], content["reasoning_effort"] in EFFORTS)
    if "response_format" in content:
        fields["response_format"] = _format(content["response_format"])
        said.append(dumps(fields["response_format"]).decode())
    return fields, "\n".join(said)


def call(found: Any, whole: bool) -> tuple[dict[str, Any], str]:
    """Return one call of a tool, written anew, and its arguments; in a stream (not `whole`) it may come in parts."""
    found = _object(found, "a tool call")
    function = _object(found.get("function", {}), "a tool call")
    left: dict[str, Any] = {}
    for name in ("id", "type"):
        if name in found:
            left[name] = _must(found[name], text(found[name]) and len(found[name]) <= 200)
    left["function"] = {name: _must(function[name], text(function[name])) for name in ("name", "arguments")
                        if name in function}  # fmt: skip
    if whole and ({*left} != {"id", "type", "function"} or len(left["function"]) != 2):
        raise NotUnderstood("a tool call has another shape")
    if left.get("type", "function") != "function":
        raise NotUnderstood("a tool call is of another type")
    if not whole:
        left["index"] = _must(found.get("index"), type(found.get("index")) is int)
    return left, "".join(left["function"].values())


def _message(found: Any) -> tuple[dict[str, Any], str]:
    found = _object(found, "a message")
    only(found, ("role", "content", "name", "refusal", "tool_calls", "tool_call_id"), "a message")
    if found.get("role") not in ROLES:
        raise NotUnderstood("a message has another role")
    message: dict[str, Any] = {"role": found["role"]}
    said = []
    content = found.get("content")
    if isinstance(content, list):
        message["content"] = [{"type": "text", "text": _part(part)} for part in content]
        said += [part["text"] for part in message["content"]]
    elif content is not None:
        message["content"] = _must(content, text(content))
        said.append(content)
    for name in ("name", "refusal", "tool_call_id"):
        if name in found:
            message[name] = _must(found[name], text(found[name]))
            said.append(found[name])
    if "tool_calls" in found:
        calls = [call(one, whole=True) for one in _list(found["tool_calls"], "tool_calls")]
        message["tool_calls"] = [one for one, _ in calls]
        said += [words for _, words in calls]
    if len(message) == 1:
        raise NotUnderstood("a message is empty")
    return message, "\n".join(said)


def _part(found: Any) -> str:
    if not isinstance(found, dict) or found.keys() != {"type", "text"} or found["type"] != "text":
        raise NotUnderstood("a message holds something else than text")
    return str(_must(found["text"], text(found["text"])))


def _tool(found: Any) -> dict[str, Any]:
    found = _object(found, "a tool")
    only(found, ("type", "function"), "a tool")
    _must(found.get("type"), found.get("type") == "function")
    return {"type": "function", "function": _schema(found.get("function"), "parameters")}


def _schema(found: Any, inside: str) -> dict[str, Any]:
    found = _object(found, "a schema")
    only(found, ("name", "description", "strict", inside), "a schema")
    name = found.get("name")
    _must(name, text(name) and _NAME.fullmatch(name) is not None)
    _must(found, text(found.get("description", "")) and flag(found.get("strict", False)))
    _must(found, isinstance(found.get(inside, {}), dict))
    return found


def _choice(found: Any) -> Any:
    if isinstance(found, str):
        return _must(found, found in ("none", "auto", "required"))
    found = _object(found, "tool_choice")
    only(found, ("type", "function"), "tool_choice")
    function = _object(found.get("function"), "tool_choice")
    only(function, ("name",), "tool_choice")
    return _must(found, found.get("type") == "function" and text(function.get("name")))


def _format(found: Any) -> dict[str, Any]:
    found = _object(found, "response_format")
    only(found, ("type", "json_schema"), "response_format")
    if found.get("type") == "json_schema":
        return {"type": "json_schema", "json_schema": _schema(found.get("json_schema"), "schema")}
    return _must(found, found.get("type") in ("text", "json_object") and len(found) == 1)


def _object(found: Any, what: str) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise NotUnderstood(f"{what} is no object")
    return without_nulls(found)


def _list(found: Any, what: str) -> list[Any]:
    if not isinstance(found, list) or not found:
        raise NotUnderstood(f"{what} is no list, or an empty one")
    return found


def _must(value: Any, fits: bool) -> Any:
    if not fits:
        raise NotUnderstood("a message, a tool or a choice of one is not what it should be")
    return value
