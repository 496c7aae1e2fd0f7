"""One question as it was read, and what it is judged by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from safelight.guard.exchange import Scope, path_of, single
from safelight.guard.identity.client import Client
from safelight.guard.policy import GuardPolicy
from safelight.guard.protocols.base import NotUnderstood, Question, Speaks
from safelight.guard.registry.following import VERSION
from safelight.guard.words import wordless


@dataclass(frozen=True)
class Asked:
    """One question, and what it is judged by.

    Attributes:
        policy: in force when it came.
        speaks: its protocol.
        client: who asks.
        model: that is asked.
        body: as it came.
        question: as it was read, or None where it was not understood.
        why: it was not understood.
        place: the path, the model and its version, between which no noise is shared; "" where there is none.
    """

    policy: GuardPolicy
    speaks: Speaks
    client: Client
    model: str
    body: bytes
    question: Question | None
    why: str = ""
    place: str = ""


def read(
    scope: Scope,
    policy: GuardPolicy,
    speaks: Speaks,
    client: Client,
    model: str,
    body: bytes,
    say: Callable[[str], None],
) -> Asked:
    """Read a question; `say` is told where a reader breaks, since one that breaks has not read it."""
    headers = single(scope["headers"])
    try:
        if headers is None or scope.get("query_string"):
            raise NotUnderstood("it has a query, a packed body, or two headers where one is read")
        question = speaks.question(body, headers, policy.outputs.names)
        if question.names and not policy.upstream.by_name:
            question = replace(question, names=())
    except NotUnderstood as why:
        return Asked(policy, speaks, client, model, body, None, str(why))
    except Exception as error:  # whatever a body makes of a reader, it goes no further
        say(f"a question broke its reader ({wordless(error)})")
        return Asked(policy, speaks, client, model, body, None, "its reader broke")
    model, place = question.model or model, ""
    if policy.outputs.noise is not None:
        version = scope[VERSION].id if VERSION in scope else ""
        place = repr((path_of(scope), model, version))
    return Asked(policy, speaks, client, model, body, question, place=place)
