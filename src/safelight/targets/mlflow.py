"""MLflow's scoring server: `POST /invocations`, also spoken by Databricks, SageMaker and Azure endpoints.

Source: mlflow.org/docs, "Deploy MLflow Model as a Local Inference Server".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np
import pandas as pd

from safelight.errors import BadAnswer
from safelight.targets.base import Images, Table
from safelight.targets.layout import arrange


@dataclass(frozen=True)
class Mlflow:
    """How to speak with one scoring server.

    Attributes:
        url: where questions go, ends in /invocations.
        inputs: what records look like.
        input: name of the input tensor of images, or None where the model has only one.
        output: the column to read from a table of predictions, or None for all.
        shape: of one image as the model takes it, where it is not (channels, height, width).
    """

    url: httpx.URL
    inputs: Images | Table
    input: str | None = None
    output: str | None = None
    shape: tuple[int, ...] | None = None

    @classmethod
    def meet(
        cls,
        url: httpx.URL,
        inputs: Images | Table,
        input_name: str | None,
        output: str | None,
        shape: tuple[int, ...] | None,
    ) -> Mlflow:
        """Find where the server takes questions; raises InputError when images cannot have that shape."""
        path = url.path.rstrip("/")
        if isinstance(inputs, Images):
            arrange(np.zeros((1, *inputs.shape), dtype=np.float32), shape)
        whole = path if path.endswith("/invocations") else path + "/invocations"
        return cls(url.copy_with(path=whole), inputs, input_name, output, shape)

    def body(self, x: Any) -> dict[str, Any]:
        """Return the question about records x: a table with its column names, or images as nested lists."""
        if isinstance(self.inputs, Images):
            images = arrange(np.asarray(x, dtype=np.float32), self.shape).tolist()
            return {"inputs": images if self.input is None else {self.input: images}}
        frame = x[list(self.inputs.columns)]
        columns = [[None if pd.isna(value) else value for value in frame[column].tolist()] for column in frame]
        rows = [list(row) for row in zip(*columns, strict=True)]
        return {"dataframe_split": {"columns": [str(column) for column in frame.columns], "data": rows}}

    def read(self, answer: Any) -> dict[str, Any]:
        """Return the predictions, by name where the server names them.

        Raises:
            BadAnswer: there are none.
        """
        if not isinstance(answer, Mapping) or "predictions" not in answer:
            raise BadAnswer(
                f"The answer of {self.url.host} holds no predictions ({str(answer)[:100]!r}); "
                "check the address and the protocol."
            )
        predictions = answer["predictions"]
        if isinstance(predictions, Mapping):
            return {str(name): values for name, values in predictions.items()}
        if not isinstance(predictions, list):
            raise BadAnswer(f"The predictions of {self.url.host} are no list but {str(predictions)[:100]!r}.")
        if predictions and all(isinstance(row, Mapping) for row in predictions):
            columns = {str(name): [row.get(name) for row in predictions] for name in predictions[0]}
            if self.output is not None or len(columns) == 1:
                return columns
        return {"predictions": predictions}
