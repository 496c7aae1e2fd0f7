"""Playbooks: which alarm leads to what. Read strictly from TOML; matched by words and numbers, never by patterns."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from safelight.errors import InputError, did_you_mean
from safelight.guard.alarm import Alarm
from safelight.guard.incidents import Severity
from safelight.guard.judge import Step
from safelight.guard.settling import Settling, Stamp, said_in, stamp_of

UNITS = {"s": 1 / 60, "m": 1.0, "h": 60.0, "d": 1440.0}  # minutes
LONGEST = 366 * 1440.0  # minutes
MOST = 2**20  # bytes of a file


class Deed(Enum):
    """What a playbook can do besides steps about a client."""

    INCIDENT = "incident"
    ALERT = "alert"
    ROLLBACK = "rollback"
    FREEZE = "freeze"
    AUDIT = "audit"


STEPS = {step.name.lower(): step for step in Step if step is not Step.NONE}
WORDS = (*STEPS, *(deed.value for deed in Deed))


@dataclass(frozen=True)
class Action:
    """One action of a playbook: a step about a client, or a deed.

    Attributes:
        what: to do.
        minutes: that a step holds, or None where [actions] says so.
        severity: of an incident.
    """

    what: Step | Deed
    minutes: float | None = None
    severity: Severity = Severity.MEDIUM

    @property
    def words(self) -> str:
        """As it is written in a file."""
        if isinstance(self.what, Deed):
            return f"{self.what.value}:{self.severity.value}" if self.what is Deed.INCIDENT else self.what.value
        if self.minutes is None:
            return self.what.name.lower()
        seconds = round(60 * self.minutes)
        sizes = {letter: round(60 * minutes) for letter, minutes in UNITS.items()}
        unit = max((letter for letter in sizes if seconds % sizes[letter] == 0), key=sizes.__getitem__)
        return f"{self.what.name.lower()}:{seconds // sizes[unit]}{unit}"


@dataclass(frozen=True)
class Match:
    """Which alarms a playbook is for; what is left out matches all.

    Attributes:
        signal: that stood out most, by its name.
        scope: "client" or "cohort".
        above: times the threshold that the score must exceed (>= 0).
        model: that was asked.
        cohort: of the client.
    """

    signal: str | None = None
    scope: str | None = None
    above: float | None = None
    model: str | None = None
    cohort: str | None = None

    def fits(self, alarm: Alarm) -> bool:
        """Say whether an alarm is one of these."""
        scope = "client" if alarm.client else "cohort"
        words = (
            (self.signal, alarm.signal),
            (self.scope, scope),
            (self.model, alarm.model),
            (self.cohort, alarm.cohort),
        )
        if any(wanted is not None and wanted != found for wanted, found in words):
            return False
        return self.above is None or alarm.score > self.above * alarm.threshold


@dataclass(frozen=True)
class Playbook:
    """What is done about alarms of one kind.

    Attributes:
        name: its own.
        match: the alarms that it is for.
        actions: in order.
    """

    name: str
    match: Match
    actions: tuple[Action, ...]

    @property
    def rungs(self) -> tuple[Action, ...]:
        """Its steps about a client: one an alarm, in order."""
        return tuple(action for action in self.actions if isinstance(action.what, Step))


DEFAULT = (
    Playbook(
        "default",
        Match(),
        (Action(Step.QUARANTINE), Action(Deed.INCIDENT, severity=Severity.HIGH), Action(Deed.ALERT)),
    ),
)
"""What holds where no file is named."""


def first(playbooks: Sequence[Playbook], alarm: Alarm) -> Playbook | None:
    """Return the first playbook that fits."""
    return next((playbook for playbook in playbooks if playbook.match.fits(alarm)), None)


def read_playbooks(path: Path) -> tuple[Playbook, ...]:
    """Read a file of playbooks.

    Raises:
        InputError: it is missing or no TOML, a key or an action is unknown, a value is not what it should be.
    """
    try:
        content = path.read_bytes()
        document = tomllib.loads(content[: MOST + 1].decode())
    except OSError as error:
        raise InputError(f"The playbooks {path} cannot be read ({error.strerror}); mend [actions] playbooks.") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is no text in UTF-8; write it again.") from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path} is not valid TOML: {error}.") from None
    if len(content) > MOST:
        raise InputError(f"{path} has {len(content)} bytes; playbooks have at most {MOST}.")
    return parse_playbooks(document, str(path))


def parse_playbooks(document: Mapping[str, Any], where: str) -> tuple[Playbook, ...]:
    """Turn a parsed TOML document into playbooks; see `read_playbooks`."""
    _known(document, ("playbook",), where)
    entries = document.get("playbook", [])
    if not isinstance(entries, list) or not entries:
        raise InputError(f"{where} holds no playbook; write [[playbook]] before each.")
    found: dict[str, Playbook] = {}
    for number, entry in enumerate(entries, start=1):
        playbook = _playbook(entry, f"{where}, playbook {number}")
        if playbook.name in found:
            raise InputError(f"{where} has two playbooks named {playbook.name!r}; give each a name of its own.")
        found[playbook.name] = playbook
    return tuple(found.values())


def parse_action(text: Any, where: str) -> Action:
    """Read an action: "quarantine:60m", "incident:high", "alert"; raises InputError."""
    if not isinstance(text, str):
        raise InputError(f'{where}: {text!r} is no action; write words, such as "quarantine:60m".')
    word, _, rest = text.partition(":")
    if word not in WORDS:
        raise InputError(
            f"{where}: there is no action {word!r}; use one of {', '.join(WORDS)}.{did_you_mean(word, WORDS)}"
        )
    if word in STEPS:
        return Action(STEPS[word], minutes_of(rest, where) if rest else None)
    deed = Deed(word)
    if deed is Deed.INCIDENT and rest:
        grades = [severity.value for severity in Severity]
        if rest not in grades:
            raise InputError(
                f"{where}: the severity is {rest!r}; use one of {', '.join(grades)}.{did_you_mean(rest, grades)}"
            )
        return Action(deed, severity=Severity(rest))
    if rest:
        raise InputError(f"{where}: {word} takes nothing after it, and {rest!r} is there; write {word!r} alone.")
    return Action(deed)


def minutes_of(text: str, where: str) -> float:
    """Read a length of time, such as "90s", "30m", "4h", "7d", as minutes; raises InputError."""
    number, unit = text[:-1], text[-1:]
    fits = unit in UNITS and number.isascii() and number.isdigit() and len(number) <= 8
    minutes = int(number) * UNITS[unit] if fits else 0.0
    if not 0 < minutes <= LONGEST:
        raise InputError(
            f"{where}: the time is {text!r}; write a whole number and s, m, h or d, such as 30m; a year at most."
        )
    return minutes


@dataclass
class Playbooks:
    """Playbooks that follow their file. A broken file leaves the old ones in force, once they were read.

    Attributes:
        say: told, once for each change of the file, what was read or what is wrong with it.
    """

    say: Callable[[str], None] = lambda words: None
    _path: Path | None = field(default=None, init=False, repr=False)
    _stamp: Stamp | None = field(default=None, init=False, repr=False)
    _found: tuple[Playbook, ...] = field(default=DEFAULT, init=False, repr=False)
    _settling: Settling = field(default_factory=Settling, init=False, repr=False)

    def now(self, path: Path | None) -> tuple[Playbook, ...]:
        """Return the playbooks in force; of no file, and of a file that could never be read, the built-in one."""
        if path is None:
            self._path, self._found = None, DEFAULT
            return DEFAULT
        stamp = stamp_of(path)
        if path != self._path:
            self._settling = Settling()
        elif stamp == self._stamp or not self._settling.is_whole(path, stamp):
            return self._found
        try:
            found, trouble = read_playbooks(path), ""
        except InputError as error:
            found, trouble = self._found, f"the old playbooks stay in force: {error}"
        said = said_in(path)
        if path == self._path and stamp_of(path) != stamp:  # it was written to meanwhile
            return self._found
        self._path, self._stamp, self._found = path, stamp, found
        if not trouble:
            self._settling.said = said
        self.say(trouble or f"{path} was read")
        return self._found


def _playbook(entry: Any, where: str) -> Playbook:
    if not isinstance(entry, dict):
        raise InputError(f"{where} is {entry!r}; write [[playbook]] before each.")
    _known(entry, ("name", "match", "actions"), where)
    name, actions = entry.get("name"), entry.get("actions")
    if not isinstance(name, str) or not name.strip():
        raise InputError(f"{where} has no name; give it one.")
    if not isinstance(actions, list) or not actions:
        raise InputError(f'{where} ({name}) has no actions; write actions = ["quarantine:60m", "alert"].')
    where = f"{where} ({name})"
    read = tuple(parse_action(text, where) for text in actions)
    for deed in Deed:
        if sum(action.what is deed for action in read) > 1:
            raise InputError(f"{where} has the action {deed.value} twice; once is enough.")
    return Playbook(name, _match(entry.get("match", {}), where), read)


def _match(content: Any, where: str) -> Match:
    if not isinstance(content, dict):
        raise InputError(f'{where}: match is {content!r}; write match = {{scope = "client"}}.')
    _known(content, ("signal", "scope", "above", "model", "cohort"), f"{where}, match")
    for key, value in content.items():
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if key == "above" and not (number and 0 <= value < float("inf")):
            raise InputError(f"{where}: above is {value!r}; give times the threshold, such as 2.")
        if key != "above" and not isinstance(value, str):
            raise InputError(f"{where}: {key} is {value!r}; give a word.")
    scope = content.get("scope")
    if scope not in (None, "client", "cohort"):
        raise InputError(
            f"{where}: scope is {scope!r}; use 'client' or 'cohort'.{did_you_mean(scope, ('client', 'cohort'))}"
        )
    return Match(**content)


def _known(content: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    for key in content:
        if key not in known:
            raise InputError(f"{where} has an unknown key {key!r}.{did_you_mean(key, known)}")
