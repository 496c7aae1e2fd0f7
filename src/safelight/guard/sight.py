"""All that looks at answered calls, as the policy in force has it: the watch, the recording, drift."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from safelight.errors import Changed, InputError, StoreFailed
from safelight.guard.alarm import Alarm
from safelight.guard.announce import told
from safelight.guard.canaries import read_canaries
from safelight.guard.drift.due import drifted
from safelight.guard.drift.reference import DriftReference
from safelight.guard.drift.watching import Drift
from safelight.guard.judge import Step
from safelight.guard.policy import GuardPolicy
from safelight.guard.recording import Recorder
from safelight.guard.seen import Seen
from safelight.guard.store import Store
from safelight.guard.watcher import Watcher

RISK = "risk"
"""Kind of the documents that the dashboard reads: what each signal said of a client, and how the largest went."""
EVERY = 60.0  # seconds between two of them of one client
WORTH = 0.5  # share of the threshold from which on one is written
POINTS = 60


class Watches(Protocol):
    """What looks at sequences of calls: `safelight.guard.watcher.Watcher`."""

    def see(self, seen: Seen) -> Sequence[Alarm]:
        """Take in one answered call and return what rings."""
        ...


@dataclass
class Sight:
    """Looks at answered calls, and follows the policy.

    Attributes:
        policy: returns the policy in force.
        store: where evidence, risks and drift are kept.
        say: takes words for the operator.
        watcher: that was given from outside; the policy's own is made where it is None.
    """

    policy: Callable[[], GuardPolicy]
    store: Store
    say: Callable[[str], None]
    watcher: Watches | None = None
    _recorder: Recorder | None = field(default=None, init=False, repr=False)
    _drift: Drift | None = field(default=None, init=False, repr=False)
    _made_of: GuardPolicy | None = field(default=None, init=False, repr=False)
    _written: dict[str, float] = field(default_factory=dict, init=False, repr=False)
    _released: dict[str, float] = field(default_factory=dict, init=False, repr=False)
    _told: set[str] = field(default_factory=set, init=False, repr=False)

    def __post_init__(self) -> None:
        """Read what the policy names; raises InputError where it cannot be used."""
        self._given = self.watcher is not None

        def failed(error: InputError) -> None:
            raise error

        self._follow(self.policy(), failed)

    @property
    def watches(self) -> bool:
        """Whether sequences of calls are watched."""
        return self.watcher is not None

    def told(self) -> Iterator[str]:
        """Yield what the operator should know of what watches and what is recorded."""
        calibrations = self.watcher.calibrations if isinstance(self.watcher, Watcher) else {}
        yield from told(self._made_of or self.policy(), calibrations, self.watches)

    def look(self) -> None:
        """See whether the policy changed, and follow it; what watches by then is said."""
        policy, before = self.policy(), self._made_of
        if policy is before:
            return
        failed: list[InputError] = []
        self._follow(policy, failed.append)
        for error in failed:
            self._keeps_the_old(error)
        if not failed and (before is None or before.signals != policy.signals):
            for words in self.told():
                self.say(words)

    def see(self, seen: Seen, version: str = "") -> Sequence[Alarm]:
        """Take in one answered call, and return what rings."""
        self.look()
        if self._recorder is not None:
            self._recorded(lambda recorder: recorder.keep(seen))
        if self._drift is not None:
            found = self._drift.see(seen)
            if found is not None:
                self.say(f"drift: {found.why}")
                self._tried(lambda: drifted(self.store, found, version))
        if self.watcher is None:
            return ()
        if seen.names and isinstance(self.watcher, Watcher) and not self.watcher.knows_columns(seen.model):
            self._tell_of_columns(seen.model)
        oldest = self.watcher.oldest(seen.client) if isinstance(self.watcher, Watcher) else seen.at
        alarms = self.watcher.see(seen)
        forgiven = bool(alarms) and self._forgiven(seen.client, oldest)
        if isinstance(self.watcher, Watcher):
            alarms = [left for alarm in alarms if (left := self._left(self.watcher, alarm, seen.client, forgiven))]
        if not forgiven:
            self._note(seen, rings=bool(alarms))
        return alarms

    def close(self) -> None:
        """Write what waits to be recorded."""
        self._recorded(Recorder.flush)

    def _recorded(self, write: Callable[[Recorder], None]) -> None:
        """Record; a disk that is full makes a gap in the recording, and neither blinds the watch nor ends anything."""
        try:
            if self._recorder is not None:
                write(self._recorder)
        except InputError as error:
            self.say(f"some calls were not recorded: {error}")

    def _follow(self, policy: GuardPolicy, failed: Callable[[InputError], None]) -> None:
        """Take up what is new in a policy; each part that cannot be used is told to `failed` and stays as it was."""
        before, self._made_of = self._made_of, policy
        for changed, take_up in (
            (before is None or before.signals != policy.signals, self._take_signals),
            (before is None or before.drift != policy.drift, self._take_drift),
        ):
            try:
                if changed:
                    take_up(policy)
            except InputError as error:
                failed(error)

    def _keeps_the_old(self, error: InputError) -> None:
        self.say(f"what looked at calls before looks on: {error}")

    def _take_signals(self, policy: GuardPolicy) -> None:
        signals = policy.signals
        if not self._given:
            self.watcher = None if signals is None or signals.reference is None else self._watch(policy)
        self.close()
        record = signals.record if signals is not None else None
        self._recorder = None if record is None else Recorder(policy.folder / record)

    def _take_drift(self, policy: GuardPolicy) -> None:
        place, known = policy.drift.reference, max(1, len(policy.clients))
        reference = None if place is None else DriftReference.load(policy.folder / place)
        self._drift = None if reference is None else Drift(reference, policy.drift, known)

    def _watch(self, policy: GuardPolicy) -> Watcher:
        assert policy.signals is not None
        assert policy.signals.reference is not None
        watcher = Watcher.of(policy.folder / policy.signals.reference, self.store)
        if policy.signals.canaries is not None:
            watcher.guard_secrets(read_canaries(policy.folder / policy.signals.canaries, self.store.key))
        return watcher

    def _tell_of_columns(self, model: str) -> None:
        """Say once that a calibration without names cannot tell an order of columns from another."""
        if model not in self._told:
            self._told.add(model)
            self.say(
                f"the calibration of the model {model!r} holds no names of columns, and calls name theirs: who changes "
                "their order is seen late; calibrate on a new recording, or with --columns."
            )

    def _left(self, watcher: Watcher, alarm: Alarm, client: str, forgiven: bool) -> Alarm | None:
        """Return what is left of an alarm once what released clients did before is forgotten.

        Args:
            watcher: that rang.
            alarm: of the client that asked, or of its cohort.
            client: that asked.
            forgiven: whether what it did was forgotten just now.
        """
        if alarm.client:
            return None if forgiven and alarm.client == client else alarm
        gone = {client} if forgiven else set[str]()
        members = watcher.members(alarm.model, alarm.cohort)
        gone |= {member for member, oldest in members.items() if self._forgiven(member, oldest)}
        if not gone:
            return alarm
        suspects = tuple(suspect for suspect in alarm.suspects if suspect not in gone)
        return replace(alarm, suspects=suspects) if watcher.still_rings(alarm.model, alarm.cohort) else None

    def _forgiven(self, client: str, oldest: float) -> bool:
        """Whether an operator released a client since it last rang: what it did before that is forgotten.

        A quarantine that ends by itself forgives nothing, and neither does a release what was done after it.
        """
        if not isinstance(self.watcher, Watcher):
            return False
        state = self.store.state(client)
        released = state.until if state.step is Step.NONE else 0.0
        if released <= self._released.get(client, 0.0) or oldest >= released:
            return False
        self._released[client] = released
        self.watcher.forgive(client, released)
        return True

    def _note(self, seen: Seen, rings: bool) -> None:
        """Write what the dashboard shows of a client, once it is worth a look."""
        lately = seen.at - self._written.get(seen.client, 0.0) < EVERY
        if not isinstance(self.watcher, Watcher) or (lately and not rings):
            return
        risk = self.watcher.risk(seen.model, seen.client)
        largest = max(risk.values(), default=0.0)
        if largest < WORTH:
            return
        self._written[seen.client] = seen.at

        def write() -> None:
            held = self.store.read(RISK, seen.client)
            history = [*(held.facts["history"] if held else ()), [round(seen.at, 1), round(largest, 3)]][-POINTS:]
            signals = {name: round(value, 3) for name, value in risk.items()}
            facts = {"signals": signals, "threshold": 1.0, "history": history}
            version = held.version if held else 0
            self.store.write(RISK, seen.client, facts, version, what="risk", at=seen.at, client=seen.client)

        self._tried(write)

    def _tried(self, write: Callable[[], object]) -> None:
        try:
            write()
        except Changed:  # another guard was faster
            pass
        except StoreFailed as error:
            self.say(str(error))


def files(policy: GuardPolicy) -> tuple[Path, ...]:
    """Return the files that a policy has calls looked at with."""
    signals = policy.signals
    names = (signals and signals.reference, signals and signals.canaries, policy.drift.reference)
    return tuple(policy.folder / name for name in names if name)
