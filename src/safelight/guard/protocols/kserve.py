"""KServe's first protocol: `POST /v1/models/NAME:predict` with instances, answered by predictions.

Source: kserve.github.io, "V1 Inference Protocol". It is TensorFlow Serving's row format.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from safelight.defences.outputs.base import OnOutputs
from safelight.guard.protocols.base import (
    JSON,
    SEGMENT,
    NotUnderstood,
    Question,
    Written,
    dumps,
    laid_out,
    loads,
    only,
)
from safelight.guard.protocols.mlflow import answer, is_json, rows

_PREDICT = re.compile(rf"/v1/models/({SEGMENT}):predict")
_DESCRIBED = re.compile(rf"/|/v1/models|/v1/models/{SEGMENT}")


class KServe:
    """KServe's first protocol. What explains a prediction tells more than the prediction, and is no question here."""

    def asked(self, path: str) -> str | None:
        found = _PREDICT.fullmatch(path)
        return found[1] if found else None

    def described(self, path: str) -> bool:
        return _DESCRIBED.fullmatch(path) is not None

    def question(self, body: bytes, headers: Mapping[str, str], names: Sequence[str]) -> Question:
        if not is_json(headers):
            raise NotUnderstood("it is no JSON")
        content = loads(body)
        only(content, ("instances",), "the question")
        x, fields = rows(content.get("instances"))
        first = content["instances"][0]
        return Question(len(x), x, dumps(content), JSON, names=fields, beside=lambda: laid_out(first))

    def answer(
        self, question: Question, body: bytes, headers: Mapping[str, str], defence: OnOutputs, names: Sequence[str]
    ) -> Written:
        return answer(question, body, headers, defence, names)
