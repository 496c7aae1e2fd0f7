"""What an alarm leads to: a row in the log, then what the first playbook that fits says."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from safelight.errors import Changed, SafelightError, StoreFailed
from safelight.guard.alarm import Alarm
from safelight.guard.alerts.message import Message
from safelight.guard.alerts.sender import Sender
from safelight.guard.alerts.settings import AlertRoute
from safelight.guard.chain import Head, sealed
from safelight.guard.incidents import Incident, Incidents, Severity, concerns, joined
from safelight.guard.playbooks import Deed, Playbook, Playbooks, first, read_playbooks
from safelight.guard.policy import GuardPolicy
from safelight.guard.responses.approvals import Approval, Approvals, Word
from safelight.guard.responses.deeds import audit_due, back, begun, freeze, measure, measured, watched
from safelight.guard.responses.ladder import FOREVER, Case, Rung, case_of
from safelight.guard.responses.plan import Known, Plan, plan, targets
from safelight.guard.store import Store

TRIES = 8  # of a case that another process wrote meanwhile
DAY = 86400.0


def nobody(*heard: Any) -> None:
    """Hear, and do nothing."""


@dataclass
class Responder:
    """Take the steps that the playbooks have for an alarm.

    Attributes:
        policy: returns the policy in force.
        store: where steps, incidents and log are kept.
        say: takes words for the operator.
        clock: seconds since 1970.
        lost: told of each alert that did not arrive: kind of channel, message, why.
        alerts: sends them.
        playbooks: that follow their file.

    Raises:
        InputError: the file of playbooks cannot be used.
    """

    policy: Callable[[], GuardPolicy]
    store: Store
    say: Callable[[str], None]
    clock: Callable[[], float] = time.time
    lost: Callable[[str], None] = nobody
    alerts: Sender = field(init=False)
    playbooks: Playbooks = field(init=False)

    def __post_init__(self) -> None:
        self.alerts = Sender(self._routes, self._lost)
        self.playbooks = Playbooks(self.say)
        policy = self.policy()
        if policy.actions.playbooks:
            read_playbooks(policy.folder / policy.actions.playbooks)  # a guard does not start with a broken file

    def respond(self, alarm: Alarm) -> None:
        """Log an alarm and follow the first playbook that fits.

        Raises:
            StoreFailed: the log, a step or an incident could not be kept; what was done before stays.
        """
        head = self.store.note("alarm", alarm.at, **{key: value for key, value in asdict(alarm).items() if key != "at"})
        policy = self.policy()
        named = policy.actions.playbooks
        playbook = first(self.playbooks.now(policy.folder / named if named else None), alarm)
        if playbook is None:
            return
        subject = f"client {alarm.client}" if alarm.client else f"cohort {alarm.cohort}"
        if policy.actions.dry_run:
            self._would(self._plan(policy, playbook, alarm, self._case(policy, playbook, subject, alarm)[0]), alarm)
            return
        for _ in range(TRIES):
            case, version = self._case(policy, playbook, subject, alarm)
            todo = self._plan(policy, playbook, alarm, case)
            try:
                self.store.write(
                    "case", subject, todo.case.facts, version, what="case", at=alarm.at, playbook=playbook.name
                )
            except Changed:
                continue
            self._do(policy, playbook, alarm, head, todo, subject, version + 1)
            return
        self.say(f"an alarm of {subject} was logged and not followed: others changed its case all the time")

    def _case(self, policy: GuardPolicy, playbook: Playbook, subject: str, alarm: Alarm) -> tuple[Case, int]:
        document = self.store.read("case", subject)
        facts = document.facts if document else None
        return case_of(facts, playbook.name, alarm.at, 60 * policy.actions.forget), document.version if document else 0

    def _plan(self, policy: GuardPolicy, playbook: Playbook, alarm: Alarm, case: Case) -> Plan:
        now = self.clock()
        states = self.store.states(targets(alarm))
        active, hindered = self.store.census(now, now - DAY)
        return plan(playbook, alarm, policy.actions, Known(case, states, hindered, active, now))

    def _do(
        self, policy: GuardPolicy, playbook: Playbook, alarm: Alarm, head: Head, todo: Plan, subject: str, version: int
    ) -> None:
        """Steps come first, since an attack goes on meanwhile; then the incident, then the rest."""
        now, case = self.clock(), todo.case
        done: list[dict[str, Any]] = []
        for client, rung in todo.rungs.items():
            self.store.step(client, rung.step, rung.until, now, why=alarm.signal, playbook=playbook.name)
            done.append(measure(now, rung.step.name.lower(), client, rung.until))
        severity = next((action.severity for action in todo.deeds if action.what is Deed.INCIDENT), None)
        incident = None
        if severity is not None:
            incident = self._incident(playbook, alarm, head, case, severity, now)
            case = replace(case, incident=incident.name)
        if todo.waiting or todo.asked:
            case = self._ask(alarm, todo, case, now)
        for action in todo.deeds:
            try:
                if action.what is Deed.FREEZE:
                    kept = freeze(self.store, policy, targets(alarm), head, case.incident, now, alarm=asdict(alarm))
                    done.append(measure(now, f"evidence frozen: {kept}"))
                elif action.what is Deed.AUDIT:
                    audit_due(self.store, alarm, case, now)
                    done.append(measure(now, "audit due"))
                elif action.what is Deed.ROLLBACK:
                    args = (policy, alarm, incident.name if incident else "")
                    threading.Thread(target=self._roll_back, args=args, daemon=True).start()
            except StoreFailed:
                raise
            except SafelightError as error:  # one deed that cannot be done keeps no other from being done
                self.say(str(error))
                self.store.note("not done", now, deed=action.what.value, why=str(error), client=alarm.client)
        if incident is not None and done:
            incident = measured(self.store, incident.name, done, now, client=alarm.client)
        if case != todo.case:
            self._remember(subject, case, version, now)
        if any(action.what is Deed.ALERT for action in todo.deeds):
            self.alerts.send(message_of(self.store, alarm, incident, subject, severity, done, todo))

    def _roll_back(self, policy: GuardPolicy, alarm: Alarm, incident: str) -> None:
        """Roll back beside the answers: a registry may be far away, and the audits are long."""
        now = self.clock()
        try:
            try:
                said = back(policy, self.store, f"alarm of {alarm.signal}", now)
            except StoreFailed:
                raise
            except SafelightError as error:
                self.say(str(error))
                self.store.note("not done", now, deed="rollback", why=str(error), client=alarm.client)
                return
            if incident:
                measured(self.store, incident, [measure(now, said)], now, client=alarm.client)
        except StoreFailed as error:
            self.say(str(error))

    def _incident(
        self, playbook: Playbook, alarm: Alarm, head: Head, case: Case, severity: Severity, now: float
    ) -> Incident:
        """Join the open incident of the same client or cohort, or open one."""
        incidents, name = Incidents(self.store), case.incident
        if name and not incidents.get(name).open:
            name = ""
        if not name:
            mine = (each for each in incidents.all() if each.open and concerns(each, alarm))
            name = next((each.name for each in mine), "")
        if name:
            join = partial(joined, alarm=alarm, head=head, severity=severity)
            return incidents.change(name, join, what="incident joined", at=now, client=alarm.client)
        new = begun(alarm, playbook.name, severity, watched(self.store, alarm.client), now)
        return incidents.open(joined(new, alarm, head))

    def _ask(self, alarm: Alarm, todo: Plan, case: Case, now: float) -> Case:
        """Ask for what waits, once; a word that was said holds as long as the case is remembered."""
        approvals, asked = Approvals(self.store), dict(case.asked)
        active, _ = self.store.census(now, now - DAY)
        for name, clients in _grouped(todo.waiting).items():
            before = approvals.get(asked[name]) if name in asked else None
            if before is not None and before.word is Word.PENDING:
                approvals.widen(before.name, clients, now)
            elif before is None or before.word is Word.APPROVED:
                until = todo.waiting[clients[0]].until
                minutes = None if until == FOREVER else (until - now) / 60
                wanted = Approval("", name, clients, alarm.model, minutes, alarm.signal, todo.hit, active, now)
                asked[name] = approvals.ask(replace(wanted, incident=case.incident)).name
        if todo.asked and "rollback" not in asked:
            wanted = Approval("", "rollback", (), alarm.model, None, alarm.signal, active, active, now)
            asked["rollback"] = approvals.ask(replace(wanted, incident=case.incident)).name
        return replace(case, asked=asked)

    def _remember(self, subject: str, case: Case, version: int, now: float) -> None:
        """Keep the names that a case was given; another process's case goes before, and finds them itself."""
        try:
            self.store.write("case", subject, case.facts, version, what="case", at=now)
        except Changed:
            return

    def _would(self, todo: Plan, alarm: Alarm) -> None:
        now = self.clock()
        for client, rung in {**todo.rungs, **todo.waiting}.items():
            waits = client in todo.waiting
            self.store.note(
                "would", now, act=rung.step.name.lower(), client=client, until=round(rung.until, 3), approval=waits
            )
        for action in todo.deeds:
            self.store.note("would", now, act=action.what.name.lower(), client=alarm.client, cohort=alarm.cohort)
        if todo.asked:
            self.store.note("would", now, act="rollback", model=alarm.model, approval=True)

    def _routes(self) -> tuple[Sequence[AlertRoute], Path]:
        policy = self.policy()
        return policy.alerts, policy.folder

    def _lost(self, kind: str, message: Message, why: str) -> None:
        self.lost(kind)
        self.say(f"an alert was lost ({kind}): {why}")
        try:
            self.store.note("alert lost", self.clock(), channel=kind, incident=message.incident, why=why[:200])
        except StoreFailed as error:
            self.say(str(error))


def message_of(
    store: Store,
    alarm: Alarm,
    incident: Incident | None,
    subject: str,
    severity: Severity | None,
    done: Sequence[Mapping[str, Any]],
    todo: Plan,
) -> Message:
    """Return the alert of an alarm."""
    said = sorted({str(each["what"]) for each in done})
    said += [f"waits for approval: {name}" for name in sorted(_grouped(todo.waiting))]
    said += ["waits for approval: rollback"] if todo.asked else []
    return Message(
        key=sealed(store.key, (incident.name if incident else subject).encode()).hex(),
        resolved=False,
        start=incident.opened if incident else alarm.at,
        end=None,
        signal=alarm.signal,
        severity=(incident.severity if incident else severity or Severity.MEDIUM).value,
        model=alarm.model,
        scope="client" if alarm.client else "cohort",
        guard=sealed(store.key, b"guard").hex()[:8],
        incident=incident.name if incident else "",
        client=alarm.client,
        cohort=alarm.cohort,
        done=tuple(said),
    )


def resolved(store: Store, incident: Incident, now: float) -> Message:
    """Return the message that an incident is over, with the labels that its alerts had."""
    return replace(announced(store, incident), resolved=True, end=now, done=("closed by a person",))


def announced(store: Store, incident: Incident) -> Message:
    """Return the message that there is an incident."""
    return Message(
        key=sealed(store.key, incident.name.encode()).hex(),
        resolved=False,
        start=incident.opened,
        end=None,
        signal=max(incident.signals, key=lambda name: incident.signals[name], default="a person's suspicion"),
        severity=incident.severity.value,
        model=incident.models[0] if incident.models else "",
        scope="client" if incident.client else "clients" if incident.clients else "cohort",
        guard=sealed(store.key, b"guard").hex()[:8],
        incident=incident.name,
        client=", ".join(incident.named),
        cohort=incident.cohort,
        done=tuple(str(each["what"]) for each in incident.measures),
    )


def _grouped(waiting: Mapping[str, Rung]) -> dict[str, tuple[str, ...]]:
    names: dict[str, list[str]] = {}
    for client, rung in waiting.items():
        names.setdefault(rung.step.name.lower(), []).append(client)
    return {name: tuple(clients) for name, clients in names.items()}
