"""Write down what each client of a Flower app sends, to audit it elsewhere. It imports neither Flower nor Safelight.

In the app, with this file on its path (it needs numpy alone), first among the mods, so that it sees what leaves a
client:

    app = ClientApp(mods=[capture("captured")])

In Safelight's own environment `rounds_from_flower("captured")` of `flower_rounds.py` reads the files.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np


def capture(folder: str | Path) -> Callable[[Any, Any, Callable[[Any, Any], Any]], Any]:
    """Return a mod that writes one npz file a round and client: the arrays that came and those that were sent back.

    Tried with Flower 1.41 and its message API (`flwr.clientapp.ClientApp`). Messages other than of training, and
    answers that are errors, pass unseen. Nothing is changed.

    Args:
        folder: made where it is missing; on a machine that all simulated clients share.
    """

    def mod(message: Any, context: Any, call_next: Callable[[Any, Any], Any]) -> Any:
        came = _arrays(message)
        answer = call_next(message, context)
        if message.metadata.message_type.split(".")[0] != "train" or answer.has_error():
            return answer
        number = next((values["server-round"] for values in message.content.config_records.values()
                       if "server-round" in values), 0)  # fmt: skip
        client = int(context.node_config.get("partition-id", context.node_id))
        path = Path(folder)
        path.mkdir(parents=True, exist_ok=True)
        content = {f"came_{i}": each for i, each in enumerate(came)}
        content |= {f"sent_{i}": each for i, each in enumerate(_arrays(answer))}
        np.savez(path / f"round-{int(number):05}-client-{client}.npz", round=int(number), client=client, **content)  # type: ignore[arg-type]
        return answer

    return mod


def _arrays(message: Any) -> list[np.ndarray]:
    return [each for record in message.content.array_records.values() for each in record.to_numpy_ndarrays()]
