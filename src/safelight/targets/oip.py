"""The Open Inference Protocol, version 2, as JSON over HTTP: MLServer, Triton, OpenVINO, KServe, Seldon.

Source: github.com/kserve/open-inference-protocol, specification/protocol/inference_rest.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np
from numpy import ndarray as Array

from safelight.errors import BadAnswer, InputError
from safelight.targets.base import Images, Table
from safelight.targets.layout import Dims, Slot, check_slots, lay_out

DATATYPES: dict[str, Any] = {
    "BOOL": np.bool_,
    **{f"{sign}INT{bits}": np.dtype(f"{sign.lower()}int{bits}").type for sign in ("", "U") for bits in (8, 16, 32, 64)},
    **{f"FP{bits}": np.dtype(f"float{bits}").type for bits in (16, 32, 64)},
    "BYTES": object,
}
NAMES = {np.dtype(dtype): name for name, dtype in DATATYPES.items()}


@dataclass(frozen=True)
class Oip:
    """How to speak with one model.

    Attributes:
        url: where questions go, ends in /infer.
        inputs: what records look like.
        slots: the model's inputs.
        output: the output to ask for, or None for all that the server gives.
        most: records that fit into one question, or None for any number.
    """

    url: httpx.URL
    inputs: Images | Table
    slots: tuple[Slot, ...]
    output: str | None = None
    most: int | None = None

    @classmethod
    def meet(
        cls,
        url: httpx.URL,
        inputs: Images | Table,
        get: Callable[[httpx.URL], Any],
        input_name: str | None,
        output: str | None,
        shape: tuple[int, ...] | None,
    ) -> Oip:
        """Learn how the model wants to be asked: from its metadata, unless the input is named.

        Args:
            url: .../v2/models/NAME, with or without /versions/N and /infer.
            inputs: what records look like.
            get: fetches JSON.
            input_name: the one input tensor to fill.
            output: the output to ask for.
            shape: of one record in that tensor, where it is not the images' own and not in the metadata.

        Raises:
            InputError: the address names no model, or the records do not fit.
        """
        path = url.path.rstrip("/").removesuffix("/infer")
        if "/v2/models/" not in path:
            raise InputError(
                f"The address path {url.path!r} names no model of the Open Inference Protocol; write "
                "http://host:port/v2/models/NAME."
            )
        model = url.copy_with(path=path)
        slots: list[Slot] = []
        most = None
        if input_name is None:
            described = get(model)
            entries = described.get("inputs") if isinstance(described, dict) else None
            slots = [_slot(entry) for entry in entries or ()]
            sizes = {entry["shape"][0] for entry in entries or () if entry.get("shape")}
            most = min((size for size in sizes if isinstance(size, int) and size > 0), default=None)
        if not slots:
            named = input_name or ("input" if isinstance(inputs, Images) else None)
            slots = [Slot(named, None, shape)] if named else [Slot(column) for column in inputs.columns]  # type: ignore[union-attr]
        elif shape is not None:
            slots = [Slot(slots[0].name, slots[0].dtype, shape)]
        check_slots(slots, inputs)
        return cls(url.copy_with(path=path + "/infer"), inputs, tuple(slots), output, most)

    def body(self, x: Any) -> dict[str, Any]:
        """Return the question about records x: tensors in row-major order, flattened."""
        tensors = lay_out(x, self.inputs, self.slots)
        body: dict[str, Any] = {"inputs": [_tensor(name, values) for name, values in tensors.items()]}
        if isinstance(self.inputs, Table) and len(tensors) > 1:
            body["parameters"] = {"content_type": "pd"}  # MLServer joins the columns to a table only when told so
        if self.output is not None:
            body["outputs"] = [{"name": self.output}]
        return body

    def read(self, answer: Any) -> dict[str, Array]:
        """Return the outputs of an answer, by name.

        Raises:
            BadAnswer: it holds no outputs, or their data do not fill their shapes.
        """
        try:
            outputs = {}
            for output in answer["outputs"]:
                dtype = DATATYPES.get(output["datatype"], np.float64)
                data = np.asarray(output["data"], dtype=object)
                lost = any(value is None for value in data.reshape(-1))
                values = data.astype(float if lost else dtype)  # NaN is no JSON: some servers send null in its place
                outputs[str(output["name"])] = values.reshape(output["shape"])
        except (KeyError, TypeError, ValueError):
            raise BadAnswer(
                f"The answer of {self.url.host} is not one of the Open Inference Protocol ({str(answer)[:100]!r}); "
                "check the address and the protocol."
            ) from None
        if not outputs:
            raise BadAnswer(f"The answer of {self.url.host} holds no outputs; set output_name to the one to ask for.")
        return outputs


def _slot(entry: Any) -> Slot:
    dims: Dims = tuple(None if size < 0 else size for size in entry.get("shape", [])[1:])
    known = bool(entry.get("shape"))
    return Slot(str(entry["name"]), DATATYPES.get(entry.get("datatype")), dims if known else None)


def _tensor(name: str, values: Array) -> dict[str, Any]:
    tensor: dict[str, Any] = {"name": name, "shape": list(values.shape), "datatype": NAMES[values.dtype]}
    if values.dtype == object:
        tensor["parameters"] = {"content_type": "str"}
    return tensor | {"data": values.reshape(-1).tolist()}
