"""One party of a three-party inference: a program of its own, which holds its own secret and nothing of the others'.

It is run by `three_parties.py`, reads messages on its standard input and answers on its standard output: eight bytes of
length, then an npz file. Party 0 asks and gets the answers, party 1 has the weights, party 2 helps. It imports nothing
of Safelight, so that a party can be looked at by itself.
"""

from __future__ import annotations

import io
import json
import os
import sys
from functools import partial
from typing import Any, BinaryIO

import numpy as np

ASKS, OWNS = 0, 1


def read(stream: BinaryIO) -> dict[str, Any] | None:
    """Return the next message, or None where the other side is gone."""
    head = stream.read(8)
    if len(head) < 8:
        return None
    with np.load(io.BytesIO(stream.read(int.from_bytes(head, "little"))), allow_pickle=False) as file:
        return dict(file)


def write(stream: BinaryIO, **arrays: Any) -> None:
    """Send one message."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    content = buffer.getvalue()
    stream.write(len(content).to_bytes(8, "little") + content)
    stream.flush()


def forward(mpc: Any, x: Any, layers: list[dict[str, Any]], secrets: list[tuple[Any, Any]]) -> Any:
    """Return shares of the answers to shares of rows (n, inputs)."""
    for layer, secret in zip(layers, secrets, strict=True):
        if layer["kind"] == "dense":
            x = x @ secret[0].T + secret[1]
        elif layer["kind"] == "convolution":
            places = np.array(layer["places"])
            zeros = type(x)(np.zeros((x.shape[0], 1)), integral=False)
            met = mpc.np_concatenate((x, zeros), axis=1)[:, places.ravel()].reshape(-1, places.shape[1])
            found = (met @ secret[0].T + secret[1]).reshape(x.shape[0], len(places), -1)
            x = mpc.np_transpose(found, (0, 2, 1)).reshape(x.shape[0], -1)
        elif layer["kind"] == "relu":
            x = (x >= 0) * x
        else:
            x = x * x
    return x


async def serve(mpc: Any) -> None:
    """Share the weights once, then answer batch after batch until the standard input closes."""
    commands, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no message
    opening = read(commands)
    if opening is None:
        return
    plan = json.loads(str(opening["plan"]))
    number = mpc.SecFxp(plan["bits"], plan["fraction"])

    def shared(values: Any, shape: list[int], sender: int) -> Any:
        own = values if mpc.pid == sender else np.zeros(shape)
        # Who sees whole numbers by accident would take another way through the protocol than the others.
        return mpc.input(number.array(np.asarray(own, dtype=float), integral=False), senders=sender)

    # Nobody but this machine can knock; MPyC would listen at every address.
    mpc._loop.create_server = partial(mpc._loop.create_server, host="127.0.0.1")
    await mpc.start()
    secrets = [
        tuple(shared(opening.get(f"{name}{i}"), layer[name], OWNS) for name in ("weights", "offsets") if name in layer)
        for i, layer in enumerate(plan["layers"])
    ]
    write(answers, ready=np.array(1))
    while (message := read(commands)) is not None:
        x = shared(message.get("x"), message["shape"].tolist(), ASKS)
        told = await mpc.output(forward(mpc, x, plan["layers"], secrets), receivers=[ASKS])
        write(answers, **({"answer": np.asarray(told, dtype=float)} if mpc.pid == ASKS else {}))
    await mpc.shutdown()


if __name__ == "__main__":
    from mpyc.runtime import mpc as runtime  # it reads the command line as it is imported

    runtime.run(serve(runtime))
