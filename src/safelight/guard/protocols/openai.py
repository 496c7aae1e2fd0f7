"""What OpenAI's API asks a language model, as vLLM, TGI and others serve it too: chat, completions, embeddings.

Source: platform.openai.com/docs/api-reference.
"""

from __future__ import annotations

import base64
import binascii
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy import ndarray as Array

from safelight.defences.outputs.base import OnOutputs
from safelight.guard.policy import Outputs
from safelight.guard.protocols import choices
from safelight.guard.protocols.asking import (
    TextQuestion,
    model_of,
    nothing,
    settings,
    text,
    unlabelled,
    whole,
    without_nulls,
)
from safelight.guard.protocols.base import JSON, SEGMENT, NotUnderstood, Question, Written, dumps, loads, only
from safelight.guard.protocols.events import TextStream
from safelight.guard.protocols.messages import CHAT, chat
from safelight.guard.protocols.mlflow import is_json
from safelight.threat import Access

_DESCRIBED = re.compile(rf"/health|/ping|/v1/models(?:/{SEGMENT})?")
MOST_TOKENS = 2**31


@dataclass(frozen=True)
class Texts(ABC):
    """What chats and completions have in common.

    Attributes:
        outputs: what may be asked for.
        served: the one model that may be asked, or "" for any.
    """

    outputs: Outputs
    served: str = ""

    path: ClassVar[str]
    kind: ClassVar[str]
    piece: ClassVar[str]
    inside: ClassVar[tuple[str, str]]  # in a whole answer, in a piece

    def asked(self, path: str) -> str | None:
        return "" if path == self.path else None

    def described(self, path: str) -> bool:
        return _DESCRIBED.fullmatch(path) is not None

    def question(self, body: bytes, headers: Mapping[str, str], names: Sequence[str]) -> Question:
        if not is_json(headers):
            raise NotUnderstood("it is no JSON")
        content = without_nulls(loads(body))
        model = model_of(content, self.served)
        own, prompts = self._own(content)
        how = settings(content, self.outputs, self._names)
        fields = {name: content[name] for name in ("model",) if name in content} | own | how.fields
        return TextQuestion(
            records=len(prompts) * how.drawn,
            x=nothing(len(prompts) * how.each),
            body=dumps(fields),
            headers=JSON,
            model=model,
            streams=how.streams,
            prompts=prompts,
            each=how.each,
        )

    def answer(
        self, question: Question, body: bytes, headers: Mapping[str, str], defence: OnOutputs, names: Sequence[str]
    ) -> Written:
        if not isinstance(question, TextQuestion) or not is_json(headers):
            raise NotUnderstood("it is no JSON")
        content, count = loads(body), len(question.prompts) * question.each
        read = sorted(choices.choices(content, count, self.inside[0]), key=lambda each: each[0]["index"])
        if len(read) != count:
            raise NotUnderstood(f"it has {len(read)} choices, and {count} were asked for")
        left = choices.about(content, self.kind) | {"choices": [choice for choice, _ in read]}
        texts = tuple((question.prompts[place // question.each], said) for place, (_, said) in enumerate(read))
        return Written(dumps(left | choices.usage(content)), JSON, unlabelled(count), texts)

    def stream(self, question: Question) -> TextStream:
        if not isinstance(question, TextQuestion):
            raise NotUnderstood("it is no question to a language model")
        return TextStream(question, self.piece, self.inside[1])

    _names: ClassVar[tuple[str, ...]]

    @abstractmethod
    def _own(self, content: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
        """Return the fields that are a question's own, and its prompts; raises NotUnderstood."""


class Chat(Texts):
    """POST /v1/chat/completions."""

    path = "/v1/chat/completions"
    kind = "chat.completion"
    piece = "chat.completion.chunk"
    inside = ("message", "delta")
    _names = CHAT

    def _own(self, content: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
        fields, said = chat(content)
        return fields, (said,)


class Completions(Texts):
    """POST /v1/completions."""

    path = "/v1/completions"
    kind = piece = "text_completion"
    inside = ("text", "text")
    _names = ("prompt", "suffix")

    def _own(self, content: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
        prompt, suffix = content.get("prompt"), content.get("suffix", "")
        prompts = inputs(prompt, "tokens" in self.outputs.allow)
        if not text(suffix):
            raise NotUnderstood("its suffix is no text")
        fields = {"prompt": prompt} | ({"suffix": suffix} if suffix else {})
        return fields, tuple(f"{prompt}\n{suffix}" if suffix else prompt for prompt in prompts)


@dataclass(frozen=True)
class Embeddings:
    """POST /v1/embeddings. Texts can be rebuilt from embeddings (Morris et al. 2023, arXiv:2310.06816).

    Attributes:
        outputs: whether any may leave.
        served: the one model that may be asked, or "" for any.
    """

    outputs: Outputs
    served: str = ""

    def asked(self, path: str) -> str | None:
        return "" if path == "/v1/embeddings" else None

    def described(self, path: str) -> bool:
        return _DESCRIBED.fullmatch(path) is not None

    def question(self, body: bytes, headers: Mapping[str, str], names: Sequence[str]) -> Question:
        if not self.outputs.embeddings:
            raise NotUnderstood("it asks for embeddings, which may not leave")
        if not is_json(headers):
            raise NotUnderstood("it is no JSON")
        content = without_nulls(loads(body))
        only(content, ("model", "input", "encoding_format", "dimensions", "user"), "the question")
        texts = inputs(content.get("input"), "tokens" in self.outputs.allow)
        packed, size = content.get("encoding_format", "float"), content.get("dimensions", 1)
        if packed not in ("float", "base64") or not whole(size) or size < 1:
            raise NotUnderstood("encoding_format or dimensions is not what it should be")
        model = model_of(content, self.served)
        fields: dict[str, Any] = {name: content[name] for name in ("model", "input", "dimensions") if name in content}
        fields["encoding_format"] = "float"
        rows = nothing(len(texts))
        return TextQuestion(
            len(texts), rows, dumps(fields), JSON, model=model, prompts=texts, packed=packed == "base64"
        )

    def answer(
        self, question: Question, body: bytes, headers: Mapping[str, str], defence: OnOutputs, names: Sequence[str]
    ) -> Written:
        if not isinstance(question, TextQuestion) or not is_json(headers):
            raise NotUnderstood("it is no JSON")
        if defence.access < Access.SCORES:
            raise NotUnderstood("it is an embedding, which no label stands for")
        content = loads(body)
        values = _embeddings(content.get("data"), len(question.prompts))
        key = np.repeat(np.zeros(len(values), dtype=np.uint64), values.shape[1])
        left = defence.answers(values.reshape(-1), key).reshape(values.shape)
        data = [
            {"object": "embedding", "index": place, "embedding": _packed(row) if question.packed else row.tolist()}
            for place, row in enumerate(left)
        ]
        about = {"object": "list", "data": data, "model": choices.about(content, "list")["model"]}
        texts = tuple((prompt, "") for prompt in question.prompts)
        return Written(dumps(about | choices.usage(content)), JSON, unlabelled(len(texts)), texts)


def inputs(found: Any, tokens: bool) -> tuple[str, ...]:
    """Return the text of each prompt: of a text, a list of texts, or, where `tokens` may be, of numbers of tokens."""
    if text(found):
        return (found,)
    if isinstance(found, list) and found:
        if all(map(text, found)):
            return tuple(found)
        lists = [found] if all(map(whole, found)) else found
        if tokens and all(isinstance(each, list) and each and all(map(_is_token, each)) for each in lists):
            return tuple(" ".join(map(str, each)) for each in lists)
    raise NotUnderstood("its prompt is neither a text nor a list of texts")


def _is_token(value: Any) -> bool:
    return type(value) is int and 0 <= value < MOST_TOKENS


def _embeddings(data: Any, count: int) -> Array:
    """Return the embeddings (count, values) of an answer."""
    if not isinstance(data, list) or len(data) != count or not all(isinstance(entry, dict) for entry in data):
        raise NotUnderstood(f"it does not hold {count} embeddings, as were asked for")
    rows = {entry.get("index"): _row(entry.get("embedding")) for entry in data if whole(entry.get("index"))}
    if rows.keys() != set(range(count)) or len({len(row) for row in rows.values()}) != 1:
        raise NotUnderstood("its embeddings have no places, or different lengths")
    values = np.stack([rows[place] for place in range(count)])
    if not values.size or not np.isfinite(values).all():
        raise NotUnderstood("its embeddings are no finite numbers")
    return values


def _row(found: Any) -> Array:
    if text(found):
        try:
            return np.frombuffer(base64.b64decode(found, validate=True), dtype="<f4").astype(np.float64)
        except (binascii.Error, ValueError):
            raise NotUnderstood("an embedding is no list of numbers") from None
    if not isinstance(found, list) or not all(type(value) in (int, float) for value in found):
        raise NotUnderstood("an embedding is no list of numbers")
    return np.array(found, dtype=np.float64)


def _packed(row: Array) -> str:
    return base64.b64encode(row.astype("<f4").tobytes()).decode()
