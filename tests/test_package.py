"""The public door: a dozen names, imported only when they are used."""

import subprocess
import sys

import pytest

import safelight


def test_every_public_name_is_there():
    for name in safelight.__all__:
        assert getattr(safelight, name) is not None
    assert set(safelight.__all__) <= set(dir(safelight))
    with pytest.raises(AttributeError, match="has no attribute 'audti'"):
        safelight.audti  # noqa: B018


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_importing_safelight_and_asking_for_help_loads_nothing_heavy():
    heavy = (
        "[name for name in ('torch', 'numpy', 'pandas', 'sklearn', 'matplotlib', 'onnxruntime') if name in sys.modules]"
    )
    assert run(f"import sys, safelight; print({heavy})").strip() == "[]"
    assert run(f"import sys; from safelight.cli import main; main(['--help']); print({heavy})").strip().endswith("[]")
