"""What model servers speak: the records in a question, and the scores in an answer."""

from __future__ import annotations

from safelight.guard.policy import Protocol
from safelight.guard.protocols.base import Speaks
from safelight.guard.protocols.kserve import KServe
from safelight.guard.protocols.mlflow import Mlflow
from safelight.guard.protocols.oip import Oip

SPEAKS: dict[Protocol, Speaks] = {Protocol.OIP: Oip(), Protocol.KSERVE: KServe(), Protocol.MLFLOW: Mlflow()}
"""One reader a protocol of guard.toml."""
