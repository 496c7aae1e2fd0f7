"""The Open Inference Protocol, version 2: JSON, flat or nested, and tensors as bytes behind it.

Source: github.com/kserve/open-inference-protocol, specification/protocol/inference_rest.md; the bytes as in Triton's
extension_binary_data.md.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from numpy import ndarray as Array

from safelight.defences.outputs.base import OnOutputs
from safelight.guard.columns import named
from safelight.guard.protocols.answers import Reading, array, hardened
from safelight.guard.protocols.base import (
    JSON,
    SEGMENT,
    NotUnderstood,
    Question,
    Written,
    dumps,
    loads,
    once_each,
    only,
    table,
)
from safelight.guard.protocols.tensors import DATATYPES, packed, unpacked

LENGTH = "inference-header-content-length"
_INFER = re.compile(rf"/v2/models/({SEGMENT})(?:/versions/{SEGMENT})?/infer")
_DESCRIBED = re.compile(rf"/v2|/v2/health/(live|ready)|/v2/models/{SEGMENT}(/versions/{SEGMENT})?(/ready)?")
ABOUT_ALL = ("content_type", "binary_data_output", "priority", "timeout")
ABOUT_INPUT = ("content_type", "binary_data_size")
ABOUT_OUTPUT = ("content_type", "binary_data")  # "classification" turns scores into words


class Oip:
    """The Open Inference Protocol."""

    def asked(self, path: str) -> str | None:
        found = _INFER.fullmatch(path)
        return found[1] if found else None

    def described(self, path: str) -> bool:
        return _DESCRIBED.fullmatch(path) is not None

    def question(self, body: bytes, headers: Mapping[str, str], names: Sequence[str]) -> Question:
        content, rest = parted(body, headers)
        only(content, ("id", "parameters", "inputs", "outputs"), "the question")
        parameters(content, ABOUT_ALL, "the question")
        tensors = _tensors(content, "inputs", ABOUT_INPUT, rest)
        if not tensors or len({len(values) for _, values, _ in tensors}) != 1:
            raise NotUnderstood("its inputs are about different numbers of records, or there are none")
        asked = content.get("outputs", [])
        if not isinstance(asked, list):
            raise NotUnderstood("its outputs are no list")
        for output in asked:
            if not isinstance(output, dict) or not isinstance(output.get("name"), str):
                raise NotUnderstood("it asks for an output without a name")
            only(output, ("name", "parameters"), "an output")
            parameters(output, ABOUT_OUTPUT, "an output")
            if names and output["name"] not in names:
                raise NotUnderstood(f"it asks for the output {output['name'][:40]!r}, which may not leave")
        x = table([values for _, values, _ in tensors])
        fields = once_each(named([entry["name"] for entry, _, _ in tensors], [values for _, values, _ in tensors]))
        body, described = _joined(content, b"".join(raw for _, _, raw in tensors))
        return Question(len(x), x, body, described, names=fields, beside=lambda: _beside(content))

    def answer(
        self, question: Question, body: bytes, headers: Mapping[str, str], defence: OnOutputs, names: Sequence[str]
    ) -> Written:
        content, rest = parted(body, headers)
        outputs, raws, reading = [], [], Reading(question, defence, names)
        for output, values, raw in _tensors(content, "outputs", None, rest):
            if names and output["name"] not in names:
                continue
            left = hardened(values, reading)
            if left is None:
                continue
            if left.dtype.kind == "f" and not output["datatype"].startswith("FP"):
                raise NotUnderstood("its whole numbers cannot hold noise")
            entry = {"name": output["name"], "shape": list(left.shape), "datatype": output["datatype"]}
            kept: dict[str, Any] = {}
            kind = (output.get("parameters") or {}).get("content_type")
            if isinstance(kind, str):
                kept["content_type"] = kind
            if raw:
                raws.append(packed(left, output["datatype"]))
                kept["binary_data_size"] = len(raws[-1])
            else:
                entry["data"] = left.reshape(-1).tolist()
            outputs.append(entry | ({"parameters": kept} if kept else {}))
        if not outputs:
            raise NotUnderstood("it holds none of the outputs that may leave, or labels alone where noise is wanted")
        about = {name: content[name] for name in ("model_name", "model_version", "id") if _is_text(content.get(name))}
        return Written(*_joined(about | {"outputs": outputs}, b"".join(raws)), reading.raw)


def parted(body: bytes, headers: Mapping[str, str]) -> tuple[dict[str, Any], bytes]:
    """Return the JSON of a message, and the bytes behind it."""
    length = headers.get(LENGTH)
    if length is None:
        return loads(body), b""
    if not re.fullmatch(r"\d{1,12}", length) or int(length) > len(body):
        raise NotUnderstood("the length of its JSON is no length")
    return loads(body[: int(length)]), body[int(length) :]


def parameters(content: Mapping[str, Any], known: Sequence[str], where: str) -> Mapping[str, Any]:
    """Return the parameters of a part; others than `known` could change what is answered, and are not understood."""
    found = content.get("parameters", {})
    if not isinstance(found, dict):
        raise NotUnderstood(f"the parameters of {where} are no object")
    only(found, known, f"the parameters of {where}")
    return found


def _beside(content: Mapping[str, Any]) -> Any:
    """Return what of a question may change its answers, beside the values: types, shapes, what is asked for."""
    kinds = [
        (each["name"], each["datatype"], each["shape"][1:], (each.get("parameters") or {}).get("content_type"))
        for each in content["inputs"]
    ]
    kind = (content.get("parameters") or {}).get("content_type")
    return sorted(kinds, key=repr), kind, sorted(output["name"] for output in content.get("outputs", ()))


def _joined(content: dict[str, Any], rest: bytes) -> tuple[bytes, Mapping[str, str]]:
    head = dumps(content)
    if not rest:
        return head, JSON
    return head + rest, {"content-type": "application/octet-stream", LENGTH: str(len(head))}


def _tensors(
    content: Mapping[str, Any], part: str, known: Sequence[str] | None, rest: bytes
) -> list[tuple[dict[str, Any], Array, bytes]]:
    """Return (entry, values in their shape, their bytes or b"") of each tensor of a message."""
    entries, found, at = content.get(part), [], 0
    if not isinstance(entries, list):
        raise NotUnderstood(f"it has no list of {part}")
    seen = set()
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str) or entry["name"] in seen:
            raise NotUnderstood(f"one of its {part} has no name of its own")
        seen.add(entry["name"])
        only(entry, ("name", "shape", "datatype", "parameters", "data"), "a tensor")
        about = entry.get("parameters") or {}
        if known is not None:
            about = parameters(entry, known, "a tensor")
        shape, datatype = entry.get("shape"), entry.get("datatype")
        whole = isinstance(shape, list) and all(type(size) is int and size > 0 for size in shape)
        if not shape or not whole or not isinstance(datatype, str) or datatype not in DATATYPES:
            raise NotUnderstood("a tensor has no shape or no datatype that the guard knows")
        size = about.get("binary_data_size") if isinstance(about, dict) else None
        if size is None:
            values, raw = array(entry.get("data")), b""
            if values.dtype.kind not in DATATYPES[datatype]:
                raise NotUnderstood(f"the data of a tensor of {datatype} are something else")
        else:
            if type(size) is not int or not 0 < size <= len(rest) - at or "data" in entry:
                raise NotUnderstood("the bytes of a tensor are not where they should be")
            raw = rest[at : at + size]
            values = unpacked(raw, datatype)
            at += size
        if values.size != math.prod(shape):
            raise NotUnderstood("the data of a tensor do not fill its shape")
        found.append((entry, values.reshape(shape), raw))
    if at != len(rest):
        raise NotUnderstood(f"{len(rest) - at} bytes belong to no tensor")
    return found


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= 200
