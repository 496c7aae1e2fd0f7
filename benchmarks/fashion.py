"""Fashion-MNIST (Xiao et al. 2017) as the Debian package dataset-fashion-mnist installs it."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np

from safelight.data.records import Records
from safelight.errors import InputError

FOLDER = Path("/usr/share/datasets/fashion-mnist")


def fashion_mnist(part: str) -> Records:
    """Return images (n, 1, 28, 28) in [0, 1] and labels of `part`, "train" (60,000) or "t10k" (10,000)."""
    if not FOLDER.is_dir():
        raise InputError(f"{FOLDER} is not there; install the Debian package dataset-fashion-mnist.")
    # IDX: a header of 16 bytes before the pixels, of 8 before the labels.
    pixels = gzip.decompress((FOLDER / f"{part}-images-idx3-ubyte.gz").read_bytes())[16:]
    labels = gzip.decompress((FOLDER / f"{part}-labels-idx1-ubyte.gz").read_bytes())[8:]
    images = np.frombuffer(pixels, np.uint8).reshape(-1, 1, 28, 28).astype(np.float32) / 255
    return Records.of(images, np.frombuffer(labels, np.uint8).astype(np.int64))
