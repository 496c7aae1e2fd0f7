"""A small model server: any target behind the Open Inference Protocol, version 2, as JSON.

It is meant for one machine: to stand a model before the guard, or to try an audit through HTTP. It has no keys and no
limits; see `safelight guard` for those.

Source: github.com/kserve/open-inference-protocol, specification/protocol/inference_rest.md.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd
from numpy import ndarray as Array

from safelight.errors import InputError, MissingExtra, TargetFailed
from safelight.guard.exchange import Answer, App, ClientGone, Receive, Scope, Send, TooLong, send_answer, whole
from safelight.targets.base import Images, Model, Table
from safelight.threat import Access

try:
    import orjson
    import uvicorn
except ImportError as missing:
    raise MissingExtra(str(missing.name), "guard", "Serving a model") from None

MOST = 64 * 2**20
JSON = [(b"content-type", b"application/json")]


class ModelServer:
    """An ASGI app that answers for one model. What it shows is what the model's access says: scores, or labels alone.

    Args:
        model: that answers.
        like: a table with the model's columns, whose types say what each one holds; for table models only.
        name: of the model, in the address.

    Raises:
        InputError: a table model without `like`.
    """

    def __init__(self, model: Model, like: pd.DataFrame | None = None, name: str = "model") -> None:
        if isinstance(model.inputs, Table) and like is None:
            raise InputError("A table model is served with a table that shows what its columns hold; give like.")
        self.model, self.name = model, name
        self._like = None if like is None else like.iloc[:0]

    @property
    def path(self) -> str:
        """Where the model is, below the server's address."""
        return f"/v2/models/{quote(self.name)}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await live(receive, send)
        elif scope["type"] == "http":
            try:
                body = await whole(receive, MOST)
            except ClientGone:
                return
            except TooLong:
                body = b"too long"
            status, content = self._said(scope["method"], scope["path"], body)
            await send_answer(send, Answer(status, JSON, orjson.dumps(content)))

    def _said(self, method: str, path: str, body: bytes) -> tuple[int, dict[str, Any]]:
        place = f"/v2/models/{self.name}"
        if method == "POST" and path == f"{place}/infer":
            try:
                return 200, self._inferred(orjson.loads(body))
            except (KeyError, TypeError, ValueError, IndexError) as trouble:
                return 400, {"error": f"The question cannot be read ({type(trouble).__name__})."}
        if method == "GET" and path == place:
            return 200, self.metadata
        if method == "GET" and path in ("/v2/health/live", "/v2/health/ready", f"{place}/ready"):
            return 200, {"live": True, "ready": True, "name": self.name}
        return 404, {"error": "Nothing is served at this address and method."}

    @property
    def metadata(self) -> dict[str, Any]:
        """The model's inputs and outputs, as the protocol describes them."""
        inputs = self.model.inputs
        if isinstance(inputs, Images):
            tensors = [{"name": "input", "datatype": "FP32", "shape": [-1, *inputs.shape]}]
        else:
            assert self._like is not None
            tensors = [
                {"name": str(column), "datatype": _datatype(self._like[column]), "shape": [-1, 1]}
                for column in inputs.columns
            ]
        datatype, shape = ("FP64", [-1, len(self.model.classes)]) if self._shows_scores else ("INT64", [-1])
        if not self.model.classes:
            datatype, shape = "FP64", [-1]
        outputs = [{"name": "answer", "datatype": datatype, "shape": shape}]
        return {"name": self.name, "platform": "safelight", "inputs": tensors, "outputs": outputs}

    @property
    def _shows_scores(self) -> bool:
        return bool(self.model.classes) and self.model.access >= Access.SCORES

    def _inferred(self, question: dict[str, Any]) -> dict[str, Any]:
        tensors = {tensor["name"]: np.asarray(tensor["data"]).reshape(tensor["shape"]) for tensor in question["inputs"]}
        x = self._records(tensors)
        answer = np.asarray(self.model.scores(x) if self._shows_scores else self.model.labels(x))
        datatype = "INT64" if answer.dtype.kind in "iu" else "FP64"
        output = {"name": "answer", "datatype": datatype, "shape": list(answer.shape), "data": answer.ravel().tolist()}
        return {"model_name": self.name, "outputs": [output]}

    def _records(self, tensors: dict[str, Array]) -> Any:
        inputs = self.model.inputs
        if isinstance(inputs, Images):
            return np.asarray(tensors["input"], np.float32).reshape(-1, *inputs.shape)
        assert self._like is not None
        return pd.DataFrame(
            {column: _typed(tensors[str(column)].ravel(), self._like[column]) for column in inputs.columns}
        )


def _datatype(column: pd.Series) -> str:
    if pd.api.types.is_bool_dtype(column):
        return "BOOL"
    return "FP64" if pd.api.types.is_numeric_dtype(column) else "BYTES"


def _typed(values: Array, like: pd.Series) -> Any:
    """Return values as the column holds them; where that would change one, as they came."""
    if not pd.api.types.is_numeric_dtype(like):
        return values.astype(object)
    cast = values.astype(like.dtype)
    return cast if np.array_equal(cast.astype(float), values.astype(float)) else values


async def live(receive: Receive, send: Send) -> None:
    """Answer the messages of ASGI's lifespan."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


@contextmanager
def serving(app: App, host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """Serve an ASGI app from a thread of this process; yields its address, and stops in the end.

    Args:
        app: to serve.
        host: address to listen at; this machine alone when left out.
        port: to listen at; a free one for 0.

    Raises:
        InputError: the port is taken or no port.
        TargetFailed: the app does not start.
    """
    config = uvicorn.Config(
        app,
        host,
        port,
        log_level="critical",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="none",
        timeout_keep_alive=600,  # an attack may think for long between two questions
    )
    try:
        listening = config.bind_socket()
    except SystemExit:
        raise InputError(f"Nothing can listen at {host}, port {port}; name a free one.") from None
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        while not server.started:
            if not thread.is_alive():
                raise TargetFailed(f"The server at {host} did not start; ask the app directly to see why.")
            time.sleep(0.005)
        yield f"http://{host}:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
