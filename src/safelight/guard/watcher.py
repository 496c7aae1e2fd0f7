"""The watch: each answered call is laid beside the last ones of its client and of its cohort, and may ring."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from pathlib import Path

import numpy as np

from safelight.errors import Changed, StoreFailed
from safelight.guard.alarm import Alarm
from safelight.guard.calibration import Calibration, load
from safelight.guard.canaries import Canaries
from safelight.guard.reference import Reference
from safelight.guard.ringing import Sort, alarm_of, ring, suspected
from safelight.guard.scale import Scale
from safelight.guard.seen import Seen
from safelight.guard.signals.canary_hits import CanaryHits, with_canaries
from safelight.guard.store import Store
from safelight.guard.track import COHORT_STEP, Track, signals_of
from safelight.guard.window import SIZE, Facts

COHORTS = 2000
"""Cohorts whose windows are held: an identity provider may name many."""
SAVED = 600.0
"""Seconds between two writings of one client's evidence."""
KIND = "watch"
OBJECTS = 2048
"""Bytes of a client beside those of its arrays and texts."""
SPARED = 64
"""Clients that asked longest ago, of which the least suspicious loses its window."""
REMEMBERED = 4
"""Clients without windows that are remembered, as a multiple of those with."""


@dataclass(frozen=True, slots=True)
class Past:
    """What is left of a client whose window was dropped, so that it is not forgotten.

    Attributes:
        evidence: that had added up.
        seen, today: records ever, and on its last day.
        at: seconds since 1970 of its last call.
    """

    evidence: float
    seen: int
    today: int
    at: float


@dataclass
class _Model:
    reference: Reference
    clients: Sort
    cohorts: Sort | None


@dataclass
class Watcher:
    """Watches sequences of calls. It holds sketches in memory, never records, and keeps evidence in the store.

    Attributes:
        calibrations: of each model, by name; calls for other models are not watched.
        store: where evidence outlives a restart; None keeps it in memory alone.
        most: clients whose windows are held; of the others only `Past` is kept.
        most_bytes: that windows of clients may take together; where they are long, fewer than `most` are held.

    Who loses its window is the least suspicious of the 64 clients that asked longest ago, so that new clients do not
    drive out one that was seen at something. Of four times as many clients as have windows `Past` is kept, then half of
    them are dropped, those with the least evidence first; what a store holds of them comes back with the next start.
    """

    calibrations: Mapping[str, Calibration]
    store: Store | None = None
    most: int = 100_000
    most_bytes: int = 1_900_000_000
    _held: int = field(default=0, init=False, repr=False)
    _models: dict[str, _Model] = field(init=False, repr=False)
    _clients: OrderedDict[tuple[str, str], Track] = field(default_factory=OrderedDict, init=False, repr=False)
    _cohorts: dict[tuple[str, str], Track] = field(default_factory=dict, init=False, repr=False)
    _past: dict[tuple[str, str], Past] = field(default_factory=dict, init=False, repr=False)
    _saved: dict[tuple[str, str], float] = field(default_factory=dict, init=False, repr=False)

    @classmethod
    def of(cls, path: Path, store: Store | None = None, most: int = 100_000) -> Watcher:
        """Return the watch of a calibration's file; raises InputError where it cannot be used."""
        return cls(load(path), store, most)

    def __post_init__(self) -> None:
        """Take up what earlier runs had kept; raises StoreFailed."""
        self._models = {
            name: _Model(
                one.reference,
                Sort(one.clients, signals_of(one.reference, False), SIZE),
                None if one.cohorts is None else Sort(one.cohorts, signals_of(one.reference, True), one.window),
            )
            for name, one in self.calibrations.items()
        }
        for document in [] if self.store is None else self.store.documents(KIND):
            facts = document.facts
            key = str(facts["model"]), str(facts["client"])
            if key in self._past and document.name != _name(key):
                continue  # written under a name of an earlier kind, and again since
            past = Past(float(facts["evidence"]), int(facts["seen"]), int(facts["today"]), float(facts["at"]))
            self._past[key] = past

    def see(self, seen: Seen) -> tuple[Alarm, ...]:
        """Take in one answered call, and return what rings: the client, the cohort, both or nothing."""
        model = self._models.get(seen.model)
        if model is None or not len(seen.x):
            return ()
        facts = model.reference.read(seen)
        track = self._track(model, seen)
        before = track.window.seen
        found = ring(track, facts, model.reference, model.clients)
        alarms = []
        if found is not None:
            alarms.append(alarm_of(seen, model.clients.scale, found, before + found.records, client=seen.client))
        self._save(seen, track, model.clients.scale)
        self._weigh(track)
        if model.cohorts is not None:
            alarms += self._cohort(model, model.cohorts, seen, facts)
        return tuple(alarms)

    def knows_columns(self, model: str) -> bool:
        """Whether calls that name the values of a record are brought into the site's order, or not watched at all."""
        return model not in self._models or bool(self._models[model].reference.names)

    def risks(self) -> dict[str, dict[str, float]]:
        """Return what each signal says of each client now, as a share of the threshold: 1 and more rings."""
        found: dict[str, dict[str, float]] = {}
        for (name, client), track in self._clients.items():
            if track.standard is None:
                continue
            scale, risks = self._models[name].clients.scale, found.setdefault(client, {})
            for signal, value in zip(scale.names, (track.standard / scale.threshold).tolist()):
                risks[signal] = max(value, risks.get(signal, -np.inf))
        return found

    def risk(self, model: str, client: str) -> dict[str, float]:
        """Return what each signal says of a client now, as a share of the threshold; {} before its first reading."""
        track = self._clients.get((model, client))
        if track is None or track.standard is None:
            return {}
        scale = self._models[model].clients.scale
        return dict(zip(scale.names, (track.standard / scale.threshold).tolist()))

    def guard_secrets(self, canaries: Canaries) -> None:
        """Look for these secrets in what language models are asked and say."""
        for model in self._models.values():
            for sort in (model.clients, model.cohorts):
                if sort is not None:
                    sort.signals = with_canaries(sort.signals, CanaryHits(canaries))

    def forgive(self, client: str, before: float = np.inf) -> None:
        """Forget what a client did: the operator has looked at it and let it go on.

        Args:
            client: its id.
            before: seconds since 1970; its later records stay in the windows of cohorts.
        """
        for (name, _), track in self._cohorts.items():
            sort = self._models[name].cohorts
            if sort is not None:
                scale = sort.scale
                track.forget(client, before, float(scale.middle[-1] + scale.spread[-1] * scale.threshold / 2))
        for key in [key for key in self._clients if key[1] == client]:
            self._held -= self._clients.pop(key).held
        for key in [key for key in self._past if key[1] == client]:
            self._past[key] = replace(self._past[key], evidence=0.0)
            self._write(key, self._past[key])

    def members(self, model: str, cohort: str) -> dict[str, float]:
        """Return the clients in a cohort's window, each with the time of its oldest record there."""
        track = self._cohorts.get((model, cohort))
        if track is None:
            return {}
        who = track.who[len(track.who) - len(track.window) :]
        return dict(zip(reversed(who), reversed(track.window.at.tolist())))

    def still_rings(self, model: str, cohort: str) -> bool:
        """Whether what is left in a cohort's window would ring by itself, whatever has added up."""
        track, sort = self._cohorts.get((model, cohort)), self._models[model].cohorts
        if track is None or sort is None or not len(track.window):
            return False
        scores = np.array([signal.score(track.window, self._models[model].reference) for signal in sort.signals])
        return bool(sort.scale.read(scores, 0.0)[0][:-1].max() > sort.scale.threshold)

    def oldest(self, client: str) -> float:
        """Return the time of the oldest call that still counts for a client, or infinity."""
        keys = [(model, client) for model in self._models]
        windows = [self._clients[key].window for key in keys if key in self._clients]
        past = [self._past[key].at for key in keys if key in self._past and self._past[key].evidence]
        return min([*(float(window.at[0]) for window in windows if len(window)), *past], default=np.inf)

    def nbytes(self) -> int:
        """Return the bytes of all windows, and about those of the objects around them."""
        tracks = [*self._clients.values(), *self._cohorts.values()]
        return sum(track.window.nbytes + OBJECTS for track in tracks)

    def _track(self, model: _Model, seen: Seen) -> Track:
        key = seen.model, seen.client
        track = self._clients.get(key)
        if track is None:
            track = self._clients[key] = Track(model.reference)
            past = self._past.get(key)
            if past is not None:
                track.recall(past.evidence, past.seen, past.today, past.at)
            while len(self._clients) > self.most:
                self._drop()
        else:
            self._clients.move_to_end(key)
        return track

    def _weigh(self, track: Track) -> None:
        """Count a client's bytes anew, and drop windows where there are too many."""
        size = track.window.nbytes + OBJECTS
        self._held += size - track.held
        track.held = size
        while self._held > self.most_bytes and len(self._clients) > 1:
            self._drop()

    def _drop(self) -> None:
        """Drop a window, of another client than the one that asks, and keep what counts of it."""
        old = list(islice(self._clients.items(), min(SPARED, len(self._clients) - 1)))
        key, gone = min(old, key=lambda item: _suspicion(item[1]))  # the first of those that are alike
        del self._clients[key]
        self._held -= gone.held
        self._past[key] = _past(gone)
        if len(self._past) > REMEMBERED * self.most:
            known = sorted(self._past, key=lambda one: (self._past[one].evidence, self._past[one].at))
            for one in known[: len(known) // 2]:
                del self._past[one]
                self._saved.pop(one, None)

    def _cohort(self, model: _Model, sort: Sort, seen: Seen, facts: Facts) -> list[Alarm]:
        key = seen.model, seen.cohort
        track = self._cohorts.pop(key, None) or Track(model.reference, sort.size, COHORT_STEP)
        self._cohorts[key] = track  # the last that asked stands last
        if len(self._cohorts) > COHORTS:
            del self._cohorts[next(iter(self._cohorts))]
        if len(facts) > 1:
            track.who = [*track.who, *[seen.client] * len(facts)][-sort.size :]
        else:
            track.who.append(seen.client)
            if len(track.who) > 2 * sort.size:
                track.who = track.who[-sort.size :]
        before = track.window.seen
        found = ring(track, facts, model.reference, sort)
        if found is None or len(set(track.who[-len(track.window) :])) < 2:
            return []
        suspects = suspected(track, model.reference, sort.signals, found.name)
        return [alarm_of(seen, sort.scale, found, before + found.records, suspects=suspects)]

    def _save(self, seen: Seen, track: Track, scale: Scale) -> None:
        """Keep a client's evidence where a restart finds it, now and then, once there is some."""
        if self.store is None or track.standard is None or track.standard[-1] < scale.threshold / 2:
            return
        key = seen.model, seen.client
        if seen.at - self._saved.get(key, -np.inf) >= SAVED:
            self._saved[key] = seen.at
            self._past[key] = _past(track)
            self._write(key, self._past[key])

    def _write(self, key: tuple[str, str], past: Past) -> None:
        if self.store is None:
            return
        name, facts = _name(key), {"model": key[0], "client": key[1], **asdict(past)}
        with suppress(StoreFailed, Changed):  # the next one does
            held = self.store.read(KIND, name)
            self.store.write(KIND, name, facts, held.version if held else 0, what="evidence", at=past.at)


def _name(key: tuple[str, str]) -> str:
    """Return the name of a document of evidence; "a/b" and "c" are not "a" and "b/c"."""
    return json.dumps(key)


def _suspicion(track: Track) -> float:
    return 0.0 if track.standard is None else max(0.0, float(track.standard.max()))


def _past(track: Track) -> Past:
    at = float(track.window.at[-1]) if len(track.window) else 0.0
    return Past(track.evidence, track.window.seen, track.window.today, at)
