"""Steps about clients, and what waits for a person's word."""

from __future__ import annotations

import time
from pathlib import Path
from textwrap import fill

from safelight.cli.guard import POLICY, Flag
from safelight.errors import InputError, did_you_mean

WIDE = 120
"""Characters of a line; a longer list of clients goes below it."""
NAMES = " " * 7


def step(
    client: str, step: str, /, *, minutes: float | None = None, by: str = "operator", policy: Path = POLICY
) -> int:
    """Take a step about a client; a running guard obeys at once, and `safelight guard release` takes it back.

    Args:
        client: its id, as `safelight guard clients` shows it.
        step: from the mildest: log (noted alone), coarsen (scores as [actions] says), slow (also later), challenge
            (also only for work done), quarantine (403 for a time) or refuse (403 for good).
        minutes: how long, above 0; when left out refuse is for good, and all others `minutes` of [actions].
        by: your name, for the log.
        policy: the guard's settings.
    """
    from safelight.cli.guard import known, opened
    from safelight.guard.judge import Step
    from safelight.guard.policy import read_policy
    from safelight.guard.responses.ladder import FOREVER
    from safelight.guard.words import lasting

    words = {each.name.lower(): each for each in Step if each is not Step.NONE}
    if step not in words:
        raise InputError(f"There is no step {step!r}; use one of {', '.join(words)}.{did_you_mean(step, words)}")
    if minutes is not None and not 0 < minutes < 1e7:
        raise InputError(f"--minutes is {minutes}; give a number above 0, such as 60.")
    now, store = time.time(), opened(policy)
    known(client, store, policy)
    if minutes is None and words[step] is not Step.REFUSE:
        minutes = read_policy(policy).actions.minutes
    store.step(client, words[step], FOREVER if minutes is None else now + 60 * minutes, now, by=by)
    print(f"{client}: {step} {'until released' if minutes is None else f'for {lasting(minutes)}'}.")
    return 0


def playbooks(*, policy: Path = POLICY) -> int:
    """Read the playbooks and say what they do. Exit codes: 0 they can be used, 2 they cannot.

    Args:
        policy: the guard's settings; `playbooks` in [actions] names the file.
    """
    from dataclasses import asdict

    from safelight.guard.playbooks import DEFAULT, read_playbooks
    from safelight.guard.policy import read_policy

    rules = read_policy(policy)
    named = rules.actions.playbooks
    for each in read_playbooks(rules.folder / named) if named else DEFAULT:
        wanted = ", ".join(f"{key} {value}" for key, value in asdict(each.match).items() if value is not None)
        print(f"{each.name} (for {wanted or 'every alarm'}): {', '.join(action.words for action in each.actions)}")
    return 0


def approvals(*, all: Flag = False, policy: Path = POLICY) -> int:
    """List what waits for a person's word.

    Args:
        all: list what was decided, too.
        policy: the guard's settings.
    """
    from safelight.cli.guard import opened
    from safelight.guard.responses.approvals import Approvals, Word

    found = [each for each in Approvals(opened(policy)).all() if each.word is Word.PENDING or all]
    for each in found:
        length = "" if each.what == "rollback" else f" {_length(each.minutes)}"
        whom = f"model {each.model}" if each.what == "rollback" else ", ".join(each.clients)
        said = f" by {each.by}" if each.by else ""
        held = 0 if each.what == "rollback" else each.hit - len(each.clients)
        hit = f"hits {each.hit} of {each.of} clients" + (f", {held} of them held already" if held > 0 else "")
        line = f"{each.name}  {each.word.value}{said}  {each.what}{length}  {hit}  {each.why}  {each.incident}  "
        many = len(line + whom) > WIDE
        print(line.rstrip() if many else line + whom)
        if many:
            print(fill(whom, WIDE, initial_indent=NAMES, subsequent_indent=NAMES, break_long_words=False,
                       break_on_hyphens=False))  # fmt: skip
    if not found:
        print("Nothing waits for a person's word.")
    return 0


def approve(name: str, /, *, by: str, policy: Path = POLICY) -> int:
    """Approve what waits, and have it done now.

    Args:
        name: such as A0001, as `safelight guard approvals` lists it.
        by: your name, for the log.
        policy: the guard's settings.
    """
    from safelight.cli.guard import opened
    from safelight.guard.policy import read_policy
    from safelight.guard.responses.approvals import Approvals, Word
    from safelight.guard.responses.deeds import carry_out

    now, store = time.time(), opened(policy)
    approval = Approvals(store).decide(name, Word.APPROVED, by, now)
    print(f"{name} is approved; done: {carry_out(read_policy(policy), store, approval, now)}.")
    return 0


def refuse(name: str, /, *, by: str, policy: Path = POLICY) -> int:
    """Refuse what waits; it is asked for again only after alarms have been quiet for [actions] forget minutes.

    Args:
        name: such as A0001, as `safelight guard approvals` lists it.
        by: your name, for the log.
        policy: the guard's settings.
    """
    from safelight.cli.guard import opened
    from safelight.guard.responses.approvals import Approvals, Word

    Approvals(opened(policy)).decide(name, Word.REFUSED, by, time.time())
    print(f"{name} is refused; nothing is done.")
    return 0


def _length(minutes: float | None) -> str:
    from safelight.guard.words import lasting

    return "until released" if minutes is None else lasting(minutes)
