"""The guard as ASGI middleware: around a model server of one's own, or around the proxy to another one."""

from __future__ import annotations

import asyncio
import math
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from safelight.errors import StoreFailed
from safelight.guard import problems
from safelight.guard.asked import Asked, read
from safelight.guard.chain import sealed
from safelight.guard.challenge import HEADER, challenge, needed, proves
from safelight.guard.exchange import (
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
    reason_of,
    refuse,
    send_answer,
    single,
    whole,
    written_anew,
)
from safelight.guard.identity.door import Door
from safelight.guard.identity.once import is_first_use
from safelight.guard.judge import Call, Decision, Step, Verdict
from safelight.guard.metrics import Metrics
from safelight.guard.noise import noisy
from safelight.guard.policy import Fail, GuardPolicy, Outputs
from safelight.guard.problems import Problem
from safelight.guard.protocols import readers
from safelight.guard.protocols.base import NotUnderstood, Stream, Streams, Written
from safelight.guard.registry.following import VERSION, Following
from safelight.guard.respond import Responder
from safelight.guard.responses.plan import targets
from safelight.guard.seen import Seen
from safelight.guard.sight import Sight, Watches
from safelight.guard.store import open_store
from safelight.guard.streaming import relayed
from safelight.guard.watch import WatchedPolicy
from safelight.guard.words import one_line, wordless

MOST = 64 * 2**20
LOOK = 0.4
"""Seconds between looks at the file of the policy while nobody asks."""
PIECE = 64
"""Records that the watch looks at in one go."""
BECAME = {
    400: "not understood",
    401: "challenged",
    403: "quarantined",
    413: "too large",
    429: "later",
    502: "no answer",
    503: "not kept",
}
"""Status of a refusal -> what became of the call, in the metrics."""
MEANWHILE = {Fail.CLOSED: "refused", Fail.OPEN: "let through uncounted", Fail.LABEL_ONLY: "answered with labels alone"}


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
        told = say or (lambda words: print(f"safelight guard: {words}", file=sys.stderr))
        self._say: Callable[[str], None] = lambda words: told(one_line(words))
        if isinstance(policy, GuardPolicy):
            self._now: Callable[[], GuardPolicy] = lambda: policy
        else:
            self._now = WatchedPolicy(Path(policy), self._changed).now
        self.store = open_store(self._now())
        self.door = Door(self.store.key, clock, self._say)
        self.door.take(self._now())
        self.metrics = Metrics()
        self.metrics.watch(self.store, clock)
        self.responder = Responder(self._now, self.store, self._say, clock, self.metrics.lost)
        self.sight = Sight(self._now, self.store, self._say, watcher)
        self.following: Following | None = None
        self._rang: dict[str, float] = {}  # client -> when an alarm last pointed at it

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            looking = asyncio.create_task(self._look())
            try:
                await self.app(scope, receive, send)
            finally:
                looking.cancel()
            return
        policy = self._now()
        client = self.door.client_of(policy, scope)
        policy = policy.at(path_of(scope))
        opened = policy.fail is Fail.OPEN
        if scope["type"] != "http":
            if opened and client is not None:
                await self.app(scope, receive, send)
            elif scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            return
        if self.following is not None:  # chosen once: the version in the log is the one that is asked
            scope = {**scope, VERSION: self.following.now()}
        all_speak, path = readers(policy), path_of(scope)
        speaks = next((each for each in all_speak if each.asked(path) is not None), all_speak[0])
        model = speaks.asked(path) if scope["method"] == "POST" else None
        if model is None:
            looks = scope["method"] in ("GET", "HEAD") and speaks.described(path)
            if looks or (opened and client is not None):
                await self.app(inward(scope, policy), receive, send)
            else:
                await refuse(send, problems.NOWHERE)
        elif client is None:
            self.metrics.call("", "", "unknown client", 0.0)
            await refuse(send, problems.WHO)
        else:
            try:
                body = await whole(receive, self.most)
            except ClientGone:
                return
            except TooLong:
                await refuse(send, problems.TOO_LONG)
                return
            name = (model or policy.upstream.model or "")[:200]
            asked = read(scope, policy, speaks, client, name, body, self._say)
            start = time.perf_counter()
            said = await self._answer(scope, asked, (receive, send))
            version = scope[VERSION].id if VERSION in scope else ""
            self.metrics.call(asked.model, version, _became(said), time.perf_counter() - start)
            if said is not None:
                await (refuse(send, said) if isinstance(said, Problem) else send_answer(send, said))

    async def _look(self) -> None:
        """See whether the policy changed while nobody asks, until the server ends."""
        while True:
            await asyncio.sleep(LOOK)
            try:
                self.sight.look()
            except Exception as error:  # the next call meets it, too, and is answered as the policy says
                self._say(f"the policy was not followed ({wordless(error)})")
                return

    def close(self) -> None:
        """End what runs beside the calls, and close the database."""
        self.sight.close()
        self.responder.alerts.close()
        self.door.close()
        self.store.close()

    def follow(self) -> Following:
        """Follow the alias of the policy from now on; see `safelight.guard.registry.following`."""
        self.following = Following(self._now, self.store, self._say, self.clock)
        return self.following

    def measure(self) -> Callable[[], None]:
        """Serve OpenMetrics where [metrics] of the policy says, and return what ends it; raises InputError."""
        place = self._now().metrics
        return (lambda: None) if place.port is None else self.metrics.serve(place.host, place.port)

    async def _answer(self, scope: Scope, asked: Asked, ends: tuple[Receive, Send]) -> Answer | Problem | None:
        """Judge a question, ask the app, and return what is left of its answer; None where that has left in pieces.

        What is spent stays spent.
        """
        policy, question, outputs = asked.policy, asked.question, asked.policy.outputs
        call, bits = self._call(scope, asked)
        start = time.perf_counter()
        try:
            if not is_first_use(self.store, asked.client, call.at):
                return problems.WHO
            decision = self.store.decide(policy, call, asked.why)
            self.metrics.judged(time.perf_counter() - start, decision.left)
        except StoreFailed as error:
            self._say(f"{error} Calls are {MEANWHILE[policy.fail]} meanwhile.")
            self.metrics.unlogged()
            if policy.fail is Fail.CLOSED:
                return problems.CLOSED
            decision = Decision(Verdict.ALLOWED)
            outputs = replace(outputs, label_only=outputs.label_only or policy.fail is Fail.LABEL_ONLY)
        refusal = problems.problem_of(decision)
        if decision.verdict is Verdict.CHALLENGED:
            refusal = problems.challenged(challenge(self.store.key, call.client, call.at), bits)
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
            if question is not None and question.streams and isinstance(asked.speaks, Streams):
                piecewise = await self._relay(asked, call, onward, ends, asked.speaks.stream(question))
                if piecewise is None:
                    return None
                answer = piecewise
            else:
                answer = await answer_of(self.app, *onward, self.most)
        except NotUnderstood as why:
            self._say(f"an answer was not understood: {why}")
            self._note("answer held back", asked, 200)
            return problems.UNANSWERABLE
        except Exception as error:  # whatever an app raises: the client gets one sentence, the operator the rest
            self._say(f"the model server failed ({type(error).__name__}: {error})")
            return problems.GONE
        left = self._left(asked, outputs, answer)
        if isinstance(left, Problem):
            self._note("answer held back", asked, answer.status)
            return left
        if isinstance(left, Written):
            return await self._watched(asked, call, left) or written_anew(answer, left)
        return left

    def _call(self, scope: Scope, asked: Asked) -> tuple[Call, int]:
        """Return a question as it is judged, and the bits of work that a challenge asks for."""
        policy, client, noise = asked.policy, asked.client, asked.policy.outputs.noise
        hashed, version = sealed(self.store.key, asked.body), scope[VERSION].id if VERSION in scope else ""
        records = asked.question.records if asked.question is not None else 1
        each = noise.each if noise is not None and asked.question is not None else 0
        now, bits = self.clock(), needed(policy.actions.bits, records)
        proof = [value for key, value in scope["headers"] if key == HEADER]
        proven = bool(proof) and proves(self.store.key, client.id, now, asked.body, proof[0], bits)
        return Call(client.id, client.cohort, asked.model, now, records, hashed, version, proven, each), bits

    async def _relay(
        self, asked: Asked, call: Call, onward: tuple[Scope, bytes], ends: tuple[Receive, Send], stream: Stream
    ) -> Answer | None:
        """Pass an answer on piece by piece; return it where it does not come so."""

        def seen(answered: Stream) -> bool:
            return self._rings(asked, call, answered.written()) is not None

        answer = await relayed(self.app, onward, ends, stream, self.most, seen)
        if isinstance(answer, Answer):
            return answer
        if answer:
            self._say(f"a stream broke off: {answer}")
            self._note("stream broken off", asked, 200)
        return None

    async def _watched(self, asked: Asked, call: Call, answer: Written) -> Problem | None:
        """Show an answer to the watch, a big one in pieces: others are not kept waiting for all of it."""
        for start in range(0, asked.question.records if asked.question is not None else 0, PIECE):
            rung = self._rings(asked, call, answer, slice(start, start + PIECE))
            if rung is not None:
                return rung
            if len(answer.raw) > start + PIECE:
                await asyncio.sleep(0)
        return None

    def _rings(self, asked: Asked, call: Call, answer: Written, rows: slice = slice(None)) -> Problem | None:
        """Show rows of an answer to the watch before it leaves; return what leaves instead, or None."""
        if asked.question is None:
            return None
        x, raw, texts = asked.question.x[rows], answer.raw[rows], answer.texts[rows]
        seen = Seen(call.client, call.cohort, call.model, call.at, x, raw, texts, asked.question.names)
        try:
            alarms = self.sight.see(seen, call.version)
            for alarm in alarms:
                self.metrics.alarm(alarm)
                self.responder.respond(replace(alarm, version=call.version))
                self._rang.update(dict.fromkeys(targets(alarm), self.clock()))
            late = call.at <= self._rang.get(call.client, -math.inf)  # was on its way then, and leaves no sooner
            held = (bool(alarms) or late) and self.store.state(call.client).stands(call.at) >= Step.QUARANTINE
            return problems.QUARANTINED if held else None
        except Exception as error:  # a watch that breaks has seen nothing: the policy says what becomes of the answer
            self._say(f"the watch failed ({wordless(error)})")
            return problems.CLOSED if asked.policy.fail is Fail.CLOSED else None

    def _left(self, asked: Asked, outputs: Outputs, answer: Answer) -> Answer | Written | Problem:
        """Return what is left of an answer: of a refusal of the server the reason, of its own failure nothing."""
        if 400 <= answer.status < 500:
            return reason_of(answer)
        if answer.status != 200:
            return problems.GONE if answer.status in (502, 503, 504) else problems.UNANSWERABLE
        try:
            headers = single(answer.headers)
            if asked.question is None or headers is None:
                raise NotUnderstood("its question was not understood, or it has two headers where one is read")
            defence = noisy(outputs, self.store.key, asked.place)
            return asked.speaks.answer(asked.question, answer.body, headers, defence, outputs.names)
        except Exception as why:  # a reader that breaks has not read it
            odd = str(why) if isinstance(why, NotUnderstood) else f"it broke its reader ({wordless(why)})"
            self._say(f"an answer was not understood: {odd}")
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


def _became(said: Answer | Problem | None) -> str:
    """Return what became of a call, for the metrics."""
    if isinstance(said, Problem):
        return BECAME.get(said.status, "refused")
    return "allowed" if said is None or said.status < 400 else "refused by the server"
