"""Served models as targets: real servers that speak the Open Inference Protocol or MLflow's /invocations."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import httpx
import numpy as np
import pandas as pd
from numpy import ndarray as Array

from safelight.errors import InputError, did_you_mean
from safelight.targets.base import Images, Table, Target
from safelight.targets.foreign import ForeignModel, Meaning, Output
from safelight.targets.mlflow import Mlflow
from safelight.targets.oip import Oip
from safelight.targets.wire import Wire, address, authorisation, is_this_machine
from safelight.threat import Access

PROTOCOLS = ("oip", "mlflow")


class Speaks(Protocol):
    """A protocol: how a question about records is written, and how its answer is read."""

    @property
    def url(self) -> httpx.URL: ...

    def body(self, x: Any) -> dict[str, Any]: ...

    def read(self, answer: Any) -> Mapping[str, Any]: ...


@dataclass
class HttpModel(ForeignModel):
    """A model behind a server. It answers what its owner says that it answers, and shows no more.

    Attributes:
        speaks: the protocol.
        wire: the connection.
        batch: the most records in one question.
        inexact: whether rows of scores need not sum to 1.
    """

    speaks: Speaks
    wire: Wire
    batch: int
    inexact: bool = False

    def ask(self, x: Any) -> Array:
        """Send records x in batches.

        Raises:
            InputError: the server refuses the records.
            BadAnswer: it answers with something else than it should.
            TargetFailed: it stopped answering.
        """
        parts = []
        for start in range(0, len(x), self.batch):
            stop = start + self.batch
            rows = x.iloc[start:stop] if isinstance(x, pd.DataFrame) else x[start:stop]
            answer = self.wire.post(self.speaks.url, self.speaks.body(rows), len(rows))
            parts.append(self.meaning.translate(self.meaning.choose(self.speaks.read(answer)), len(rows)))
        if parts:
            return np.concatenate(parts)
        return np.empty((0, len(self.classes)) if self.access > Access.LABEL else (0,))


def from_http(
    url: str,
    protocol: str = "oip",
    *,
    classes: Sequence[str],
    inputs: Images | Table,
    auth_env: str | None = None,
    rate: float | None = None,
    timeout: float = 30.0,
    batch: int = 64,
    input_name: str | None = None,
    output_name: str | None = None,
    input_shape: tuple[int, ...] | None = None,
    output: str = "probabilities",
    inexact: bool = False,
    retries: int = 5,
    allowed: bool = False,
    name: str | None = None,
    transport: httpx.BaseTransport | None = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Target:
    """Wrap a served model.

    Args:
        url: `http://host:port/v2/models/NAME` for oip, `http://host:port` for mlflow; /infer or
            /invocations may follow.
        protocol: "oip" or "mlflow".
        classes: names of the classes, in the order of the model's columns; () for regression.
        inputs: what one record looks like. A table goes with one input a column (oip) or as a table (mlflow).
        auth_env: the environment variable that holds the token; sent as `Authorization: Bearer ...`, or as it is when
            it names another scheme (`Basic ...`).
        rate: the most records a second, or None for no limit; one question holds no more than that.
        timeout: seconds that connecting, or a pause in the answer, may take.
        batch: the most records in one question.
        input_name: the input tensor; a table then goes as one tensor of all its columns. Left out, an oip server is
            asked for the names, types and shapes of its inputs.
        output_name: the output to read, e.g. "predict_proba" for MLServer's scikit-learn models.
        input_shape: of one image as the server takes it, e.g. (784,), where it does not say so itself.
        output: "probabilities", "logits" (softmax gives the scores) or "labels".
        inexact: the server cuts or rounds its scores, so that rows need not sum to 1.
        retries: how often a question is sent again when the server is busy (429, 502, 503, 504; Retry-After is kept) or
            cannot be reached, with waits of 0.5, 1, 2, ... up to 30 seconds.
        allowed: the owner's word that an address which is not this machine may be tested.
        name: for the report; host and path when left out.
        transport: replaces the network, as in httpx.
        clock: seconds that only grow; paces the questions.
        sleep: waits that many seconds.

    Raises:
        NotAllowed: another machine without `allowed`; nothing was sent.
        InputError: a setting cannot be used, or the model wants other inputs.
        TargetFailed: the server could not be asked for its metadata.
    """
    where = address(url, allowed)
    if protocol not in PROTOCOLS:
        raise InputError(
            f"protocol is {protocol!r}; use one of {', '.join(PROTOCOLS)}.{did_you_mean(protocol, PROTOCOLS)}"
        )
    for setting, value, least in (("timeout", timeout, 0), ("rate", 1 if rate is None else rate, 0)):
        if not value > least:
            raise InputError(f"{setting} is {value}; use a number above {least}.")
    for setting, value, least in (("batch", batch, 1), ("retries", retries, 0)):
        if value < least:
            raise InputError(f"{setting} is {value}; use a whole number of at least {least}.")
    if isinstance(classes, str):
        raise InputError(f"classes is the text {classes!r}; give a list of names.")
    meaning = Meaning(tuple(map(str, classes)), Output.named(output), output_name)
    headers, secret = authorisation(auth_env)
    client = httpx.Client(
        headers=headers,
        timeout=timeout,
        transport=transport,
        # A proxy from the environment would carry questions, and the token, for this machine to another one.
        trust_env=not is_this_machine(where.host),
    )
    wire = Wire(client, retries, rate, clock, sleep, secret)
    speaks: Oip | Mlflow
    if protocol == "oip":
        speaks = Oip.meet(where, inputs, wire.get, input_name, output_name, input_shape)
        batch = min(batch, speaks.most or batch)
    else:
        speaks = Mlflow.meet(where, inputs, input_name, output_name, input_shape)
    if rate is not None:
        batch = max(1, min(batch, int(rate)))
    title = name or f"{where.netloc.decode()}{where.path.rstrip('/')}"
    return Target(
        title, HttpModel(inputs, meaning, speaks, wire, batch, inexact), f"served by {protocol}, gives {meaning.output}"
    )
