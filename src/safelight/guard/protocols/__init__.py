"""What model servers speak: the records in a question, and the scores in an answer."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from safelight.guard.policy import GuardPolicy, Outputs, Protocol, Upstream
from safelight.guard.protocols.base import Speaks
from safelight.guard.protocols.kserve import KServe
from safelight.guard.protocols.mlflow import Mlflow
from safelight.guard.protocols.oip import Oip
from safelight.guard.protocols.openai import Chat, Completions, Embeddings
from safelight.guard.protocols.rule import ByRule

SPEAKS: dict[Protocol, Speaks] = {Protocol.OIP: Oip(), Protocol.KSERVE: KServe(), Protocol.MLFLOW: Mlflow()}
"""One reader for each protocol that reads all servers alike."""


def readers(policy: GuardPolicy) -> Sequence[Speaks]:
    """Return what reads the questions of a policy: the first whose `asked` knows a path reads it."""
    return _readers(policy.upstream, policy.outputs)


@lru_cache(maxsize=64)
def _readers(upstream: Upstream, outputs: Outputs) -> Sequence[Speaks]:
    if upstream.protocol is Protocol.OPENAI:
        served = upstream.model or ""
        return Chat(outputs, served), Completions(outputs, served), Embeddings(outputs, served)
    if upstream.jsonpath is not None:
        return (ByRule(upstream.jsonpath),)
    return (SPEAKS[upstream.protocol],)
