"""The guard as ASGI middleware: around a model server of one's own, or around the proxy to another one."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from safelight.errors import StoreFailed
from safelight.guard import problems
from safelight.guard.alarm import Alarm
from safelight.guard.chain import sealed
from safelight.guard.clients import client_of
from safelight.guard.exchange import (
    ABOUT_BODY,
    Answer,
    App,
    ClientGone,
    Receive,
    Scope,
    Send,
    TooLong,
    answer_of,
    inward,
    path_of,
    refuse,
    send_answer,
    single,
    whole,
)
from safelight.guard.judge import Call, Decision, Step, Verdict
from safelight.guard.policy import Fail, GuardPolicy, Key, Outputs
from safelight.guard.problems import Problem
from safelight.guard.protocols import SPEAKS
from safelight.guard.protocols.base import NotUnderstood, Question, Speaks, Written
from safelight.guard.respond import Responder
from safelight.guard.seen import Seen
from safelight.guard.store import Store
from safelight.guard.watch import WatchedPolicy

MOST = 64 * 2**20
MEANWHILE = {Fail.CLOSED: "refused", Fail.OPEN: "let through uncounted", Fail.LABEL_ONLY: "answered with labels alone"}


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
    """

    policy: GuardPolicy
    speaks: Speaks
    client: Key
    model: str
    body: bytes
    question: Question | None
    why: str = ""


class Watches(Protocol):
    """What looks at sequences of calls: `safelight.guard.watcher.Watcher`."""

    def see(self, seen: Seen) -> Sequence[Alarm]:
        """Take in one answered call and return what rings."""
        ...


class GuardMiddleware:
    """Let questions through to an app as the policy says, and harden its answers.

    It is plain ASGI, for Starlette, FastAPI, MLflow's scoring app, or any other. Health and metadata are read by all.
    What is no question of the protocol is refused, unless the policy fails open.

    Args:
        app: that answers.
        policy: guard.toml, which is read again when it changes; or a policy that stays.
        most: bytes that a question or an answer may have.
        clock: seconds since 1970.
        say: takes words for the operator; they go to stderr when left out.
        watcher: looks at sequences of calls; made from [signals] of the policy when left out.

    Raises:
        InputError: the policy or its database cannot be used.
    """

    def __init__(
        self,
        app: App,
        policy: Path | str | GuardPolicy,
        *,
        most: int = MOST,
        clock: Callable[[], float] = time.time,
        say: Callable[[str], None] | None = None,
        watcher: Watches | None = None,
    ) -> None:
        self.app, self.most, self.clock = app, most, clock
        self._say = say or (lambda words: print(f"safelight guard: {words}", file=sys.stderr))
        if isinstance(policy, GuardPolicy):
            self._now: Callable[[], GuardPolicy] = lambda: policy
        else:
            self._now = WatchedPolicy(Path(policy), self._changed).now
        self.store = Store.open(self._now().database)
        self.responder = Responder(self._now, self.store, self._say)
        self.watcher = watcher

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        policy = self._now()
        opened = policy.fail is Fail.OPEN
        client = client_of(policy, scope["headers"])
        if scope["type"] != "http":
            if opened and client is not None:
                await self.app(scope, receive, send)
            elif scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            return
        speaks, path = SPEAKS[policy.upstream.protocol], path_of(scope)
        model = speaks.asked(path) if scope["method"] == "POST" else None
        if model is None:
            looks = scope["method"] in ("GET", "HEAD") and speaks.described(path)
            if looks or (opened and client is not None):
                await self.app(inward(scope, policy), receive, send)
            else:
                await refuse(send, problems.NOWHERE)
        elif client is None:
            await refuse(send, problems.WHO)
        else:
            try:
                body = await whole(receive, self.most)
            except ClientGone:
                return
            except TooLong:
                await refuse(send, problems.TOO_LONG)
                return
            asked = _read(scope, policy, speaks, client, (model or policy.upstream.model or "")[:200], body)
            said = await self._answer(scope, asked)
            await (refuse(send, said) if isinstance(said, Problem) else send_answer(send, said))

    async def _answer(self, scope: Scope, asked: Asked) -> Answer | Problem:
        """Judge a question, ask the app, and return what is left of its answer. What is spent stays spent."""
        policy, question, outputs = asked.policy, asked.question, asked.policy.outputs
        hashed = sealed(self.store.key, asked.body)
        records = question.records if question is not None else 1
        call = Call(asked.client.id, asked.client.cohort, asked.model, self.clock(), records, hashed)
        try:
            decision = self.store.decide(policy, call, asked.why)
        except StoreFailed as error:
            self._say(f"{error} Calls are {MEANWHILE[policy.fail]} meanwhile.")
            if policy.fail is Fail.CLOSED:
                return problems.CLOSED
            decision = Decision(Verdict.ALLOWED)
            outputs = replace(outputs, label_only=outputs.label_only or policy.fail is Fail.LABEL_ONLY)
        refusal = problems.problem_of(decision)
        if refusal is None and question is None and policy.fail is not Fail.OPEN:
            refusal = problems.UNREADABLE
        if refusal is not None:
            return refusal
        if decision.step >= Step.COARSEN:
            outputs = policy.actions.coarser(outputs)
        if decision.step >= Step.SLOW:
            await asyncio.sleep(policy.actions.delay)
        if question is not None:
            onward = inward(scope, policy, question.body, question.headers), question.body
        else:
            onward = inward(scope, policy, asked.body), asked.body
        try:
            answer = await answer_of(self.app, *onward, self.most)
        except Exception as error:  # whatever an app raises: the client gets one sentence, the operator the rest
            self._say(f"the model server failed ({type(error).__name__}: {error})")
            return problems.GONE
        left = self._left(asked, outputs, answer)
        if isinstance(left, Problem):
            self._note("answer held back", asked, answer.status)
            return left
        if isinstance(left, Written):
            if self._rings(asked, call, left):
                return problems.QUARANTINED
            return _sent(answer, left)
        return left

    def _rings(self, asked: Asked, call: Call, answer: Written) -> bool:
        """Show an answer to the watch before it leaves; return whether it must not leave."""
        if self.watcher is None or asked.question is None:
            return False
        seen = Seen(call.client, call.cohort, call.model, call.at, asked.question.x, answer.raw)
        alarms = self.watcher.see(seen)
        try:
            for alarm in alarms:
                self.responder.respond(alarm)
            return bool(alarms) and self.store.state(call.client).stands(call.at) >= Step.QUARANTINE
        except StoreFailed as error:
            self._say(str(error))
            return asked.policy.fail is Fail.CLOSED

    def _left(self, asked: Asked, outputs: Outputs, answer: Answer) -> Answer | Written | Problem:
        """Return what is left of an answer. A server's refusal passes; of its own failure nothing does."""
        if 400 <= answer.status < 500:
            return answer
        if answer.status != 200:
            return problems.GONE if answer.status in (502, 503, 504) else problems.UNANSWERABLE
        try:
            headers = single(answer.headers)
            if asked.question is None or headers is None:
                raise NotUnderstood("its question was not understood, or it has two headers where one is read")
            return asked.speaks.answer(asked.question, answer.body, headers, outputs.defence, outputs.names)
        except NotUnderstood as why:
            self._say(f"an answer was not understood: {why}")
            return answer if asked.policy.fail is Fail.OPEN else problems.UNANSWERABLE

    def _note(self, what: str, asked: Asked, status: int) -> None:
        try:
            self.store.note(what, self.clock(), client=asked.client.id, model=asked.model, status=status)
        except StoreFailed as error:
            self._say(str(error))

    def _changed(self, words: str) -> None:
        self._say(words)
        try:
            self.store.note("policy", self.clock(), words=words)
        except StoreFailed as error:
            self._say(str(error))


def _sent(answer: Answer, written: Written) -> Answer:
    """Return an answer with what is left of its body, and the headers that describe it."""
    described = [(name.encode(), value.encode()) for name, value in written.headers.items()]
    kept = [(name, value) for name, value in answer.headers if name.lower() not in ABOUT_BODY]
    return Answer(200, [*kept, *described], written.body)


def _read(scope: Scope, policy: GuardPolicy, speaks: Speaks, client: Key, model: str, body: bytes) -> Asked:
    headers = single(scope["headers"])
    try:
        if headers is None or scope.get("query_string"):
            raise NotUnderstood("it has a query, a packed body, or two headers where one is read")
        question = speaks.question(body, headers, policy.outputs.names)
    except NotUnderstood as why:
        return Asked(policy, speaks, client, model, body, None, str(why))
    return Asked(policy, speaks, client, model, body, question)
