"""Read what `flower.py` wrote down in a Flower app, as rounds that an audit looks at."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
from numpy import ndarray as Array

from safelight.defences.federated.seen import Round, Sends, agree, model_hash
from safelight.errors import InputError


def rounds_from_flower(folder: Path | str) -> tuple[Round, ...]:
    """Return the rounds in the order of their numbers; an update is what a client sent less what came to it.

    The arrays are taken one after another in the order that the app sends them; for a torch `state_dict` without
    buffers this is the order of the module's parameters, as `TorchLearner` has it.

    Raises:
        InputError: the folder holds no such files, or a damaged one; a client sent other shapes than came to it; the
            server gave two clients of a round different models.
    """
    files = sorted(Path(folder).glob("round-*-client-*.npz"))
    if not files:
        raise InputError(
            f"{folder} holds no round-*-client-*.npz; put capture({str(folder)!r}) first among the app's mods."
        )
    found: dict[int, list[tuple[int, Array, Array]]] = {}
    for path in files:
        number, client, came, sent = _read(path)
        found.setdefault(number, []).append((client, came, sent))
    rounds = []
    for _, clients in sorted(found.items()):
        clients.sort(key=lambda each: each[0])
        agree([model_hash(came) for _, came, _ in clients])
        updates = np.stack([sent - came for _, came, sent in clients])
        names = tuple(client for client, _, _ in clients)
        rounds.append(Round(clients[0][1], updates, names, (1,) * len(names), Sends.WEIGHTS))
    return tuple(rounds)


def _read(path: Path) -> tuple[int, int, Array, Array]:
    try:
        with np.load(path, allow_pickle=False) as file:
            content = dict(file)
        number, client = int(content["round"]), int(content["client"])
        came, sent = (
            [content[f"{name}_{i}"] for i in range(sum(key.startswith(f"{name}_") for key in content))]
            for name in ("came", "sent")
        )
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} cannot be read ({error}); capture the rounds again.") from error
    shapes = [[each.shape for each in arrays] for arrays in (came, sent)]
    if shapes[0] != shapes[1] or not came:
        raise InputError(
            f"Client {client} got arrays of shapes {shapes[0]} in round {number} and sent {shapes[1]}; an update is "
            "the difference of the two, so capture a mod list that leaves the arrays' shapes as they are."
        )
    flat = (np.concatenate([each.ravel() for each in arrays]).astype(float) for arrays in (came, sent))
    return (number, client, *flat)  # type: ignore[return-value]
