"""What a question to a language model may hold beside its text: known fields of known types, and no others.

Sources: platform.openai.com/docs/api-reference; docs.vllm.ai, "OpenAI-Compatible Server". Why the strict defaults: with
logit_bias and the one likeliest token, or with top_logprobs, a client reads out a model's last layer (Carlini et al.
2024, arXiv:2403.06634, sections 4 and 5); logprobs of a prompt tell whether it was trained on; n and best_of draw many
texts for one question; a seed makes two answers comparable.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from safelight.guard.policy import Extras, Outputs
from safelight.guard.protocols.base import NotUnderstood, Question, only

MOST = 128
"""Texts that one prompt may be answered with."""
TELLS_MORE = (
    "logprobs",
    "top_logprobs",
    "prompt_logprobs",
    "return_token_ids",
    "return_tokens_as_token_ids",
    "seed",
)
"""The text is the same kind of text without them, so that they can be taken out."""
UNHEARD = ("user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key")
"""They do not change an answer, and do not go on; a cache key would let a client time who asked the same before."""
_MODEL = re.compile(r"[\w.:/@+-]{1,200}")


@dataclass(frozen=True)
class TextQuestion(Question):
    """A question to a language model.

    Attributes:
        prompts: text of each prompt, or of each input of an embedding.
        each: choices that each prompt is answered with (>= 1).
        packed: whether embeddings are asked for as bytes in base64.
    """

    prompts: tuple[str, ...] = ()
    each: int = 1
    packed: bool = False


@dataclass(frozen=True)
class Settings:
    """How a text is asked for.

    Attributes:
        fields: that go on.
        each: choices a prompt.
        drawn: texts that the model makes a prompt (>= each).
        streams: whether they come piece by piece.
    """

    fields: dict[str, Any]
    each: int = 1
    drawn: int = 1
    streams: bool = False


def number(value: Any) -> bool:
    return type(value) in (int, float)


def whole(value: Any) -> bool:
    return type(value) is int and abs(value) < 2**53


def flag(value: Any) -> bool:
    return type(value) is bool


def text(value: Any) -> bool:
    return isinstance(value, str)


def texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


SAMPLING: Mapping[str, Callable[[Any], bool]] = {
    "temperature": number,
    "top_p": number,
    "top_k": whole,
    "min_p": number,
    "presence_penalty": number,
    "frequency_penalty": number,
    "repetition_penalty": number,
    "max_tokens": whole,
    "max_completion_tokens": whole,
    "stop": lambda value: text(value) or texts(value),
}


def without_nulls(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return an object without its nulls, which stand for what was left out."""
    return {name: value for name, value in content.items() if value is not None}


def model_of(content: Mapping[str, Any], served: str) -> str:
    """Return the name of the model that is asked, for budgets and the watch.

    Args:
        content: the question.
        served: name, or NAME@ALIAS, of the one model that may be asked; "" for any. Some servers answer to every name,
            so that a client could choose by which name it is counted.

    Raises:
        NotUnderstood: it is no name, or another model's.
    """
    model = content.get("model", "")
    if not isinstance(model, str) or (model and not _MODEL.fullmatch(model)):
        raise NotUnderstood("its model has no name")
    if served and model not in ("", served, served.partition("@")[0]):
        raise NotUnderstood("it asks another model than the one that is served")
    return served or model


def nothing(rows: int) -> np.ndarray:
    """Return (rows, 0) float64: a text has no values."""
    return np.empty((rows, 0))


def unlabelled(rows: int) -> np.ndarray:
    """Return (rows,) of NaN: a text is no score and no label."""
    return np.full(rows, np.nan)


def settings(content: Mapping[str, Any], outputs: Outputs, own: Collection[str]) -> Settings:
    """Read all fields of a question but its `own` ones.

    Args:
        content: the question, without nulls.
        outputs: says what may be asked for, and whether the rest is taken out or refused.
        own: names of fields that hold the texts; they are read elsewhere.

    Raises:
        NotUnderstood: it has a field that is not known, not of its type, or not allowed.
    """
    changes = {"n": 1, "best_of": 1, "echo": False, "logit_bias": {}}
    known = (*own, "model", "stream", "stream_options", *SAMPLING, *TELLS_MORE, *UNHEARD, *changes)
    only(content, known, "the question")
    fields: dict[str, Any] = {}
    for name, fits in SAMPLING.items():
        if name in content:
            if not fits(content[name]):
                raise NotUnderstood(f"{name} is not what it should be")
            fields[name] = content[name]
    for name in TELLS_MORE:
        if name == "seed" and name in outputs.allow and whole(content.get(name)):
            fields[name] = content[name]
        elif outputs.extras is Extras.REFUSE and content.get(name, False) is not False:
            raise NotUnderstood(f"it asks for {name}, which is not allowed")
    for name, neutral in changes.items():
        value = content.get(name, neutral)
        if type(value) is not type(neutral):
            raise NotUnderstood(f"{name} is not what it should be")
        if value == neutral:
            continue
        if name not in outputs.allow:
            raise NotUnderstood(f"it asks for {name}, which is not allowed")
        fields[name] = value
    if not all(map(number, content.get("logit_bias", {}).values())):
        raise NotUnderstood("logit_bias is not what it should be")
    each = content.get("n", 1)
    drawn = max(each, content.get("best_of", 1))
    if not 1 <= each <= MOST or not drawn <= MOST:
        raise NotUnderstood(f"it asks for {drawn} texts a prompt; they must be 1 to {MOST}")
    return Settings(fields | _streaming(content), each, drawn, content.get("stream", False))


def _streaming(content: Mapping[str, Any]) -> dict[str, Any]:
    streams, options = content.get("stream", False), content.get("stream_options", {})
    if not flag(streams) or not isinstance(options, dict) or not all(map(flag, options.values())):
        raise NotUnderstood("stream is not what it should be")
    only(options, ("include_usage", "include_obfuscation"), "stream_options")
    if not streams:
        return {}
    usage = {"stream_options": {"include_usage": True}} if options.get("include_usage") else {}
    return {"stream": True} | usage
