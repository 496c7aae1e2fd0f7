"""Stand before a served model: let questions through as a policy says, and keep a log that shows every change."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from safelight.errors import InputError

if TYPE_CHECKING:
    from safelight.guard.store import Store

POLICY = Path("guard.toml")
Flag = Annotated[bool, Parameter(negative="", show_default=False)]
Text = Annotated[str, Parameter(show_default=False)]
PARTS = {
    "run": "Serve a guarded door to a running model server, until Ctrl-C.",
    "ui": "Serve the dashboard, until Ctrl-C.",
    "versions": "List the versions of the model, and what their audits say.",
    "promote": "Have an alias point at a version.",
    "rollback": "Have an alias point at an earlier version.",
    "plan": "Turn the leak against queries of an audit into limits of the guard.",
    "drift-reference": "Sketch records of normal traffic, which drift is measured against.",
    "due": "List the audits that are due, or close one.",
    "checkpoint": "Sign the end of the log now.",
    "checkpoint-key": "Make a key that signs checkpoints of the log.",
    "incidents": "List incidents and the clocks of the law.",
    "incident": "Look at an incident, or take it further.",
    "step": "Take a step about a client, from coarser answers to refusal.",
    "playbooks": "Read the playbooks and say what they do.",
    "approvals": "List what waits for a person's word.",
    "approve": "Approve what waits, and have it done.",
    "refuse": "Refuse what waits.",
    "calibrate": "Learn from recorded traffic what is normal here.",
    "canaries": "List secrets that a language model must not say, and draw canaries to plant.",
}
"""Commands with a file of their own, guard_NAME.py: the list shows these words and imports none of them."""
SHARED = dict.fromkeys(("versions", "promote", "rollback"), "models") | dict.fromkeys(
    ("drift-reference", "due"), "drift"
)
SHARED |= dict.fromkeys(("checkpoint", "checkpoint-key"), "checkpoints")
SHARED |= {"incident": "incidents"} | dict.fromkeys(("step", "playbooks", "approvals", "approve", "refuse"), "steps")
"""Those that share a file."""
guard = App(name="guard", help=__doc__)
for _name, _words in PARTS.items():
    _place = _name.replace("-", "_")
    guard.command(f"safelight.cli.guard_{SHARED.get(_name, _place)}:{_place}", name=_name, help=_words)


def speak(words: Sequence[str]) -> None:
    """Have the command that is asked for speak by its docstring; the list of the others imports none of them."""
    if words and words[0] in PARTS:
        guard[words[0]].help = None


@guard.command
def clients(*, policy: Path = POLICY) -> int:
    """List the clients that asked: records today and in all, the epsilon of noise spent, and who is in quarantine.

    Args:
        policy: the guard's settings.
    """
    from safelight.guard.judge import DAY, FOR_GOOD, Step, epsilons_of
    from safelight.guard.policy import noise

    now, store = time.time(), opened(policy)
    states = store.clients()
    spent = {name: store.account(epsilons_of(name)).total / noise.PARTS for name in states}
    noisy = any(spent.values())
    print(f"{'client':<24}{'today':>12}{'in all':>12}{'epsilon' * noisy:>{12 * noisy}}  quarantine, or another step")
    for name, state in states.items():
        today = state.today if state.day == int(now // DAY) else 0
        step = state.stands(now)
        left = "until released" if state.until > FOR_GOOD else f"{state.until - now:.0f} s"
        left = "" if step is Step.NONE else left if step is Step.QUARANTINE else f"{left} {step.name.lower()}"
        told = f"{spent[name]:>12,.12g}" * noisy
        print(f"{name:<24}{today:>12}{state.total:>12}{told}  {left}".rstrip())
    return 0


@guard.command
def quarantine(client: str, /, *, minutes: float = 60.0, policy: Path = POLICY) -> int:
    """Let nothing of a client through for a time; a running guard obeys at once.

    Args:
        client: its id, as `safelight guard clients` shows it.
        minutes: how long, above 0.
        policy: the guard's settings.
    """
    if not 0 < minutes < 1e7:
        raise InputError(f"--minutes is {minutes}; give a number above 0, such as 60.")
    from safelight.guard.words import lasting

    now, store = time.time(), opened(policy)
    known(client, store, policy)
    store.quarantine(client, now + 60 * minutes, now)
    print(f"{client} is in quarantine for {lasting(minutes)}.")
    return 0


@guard.command
def release(client: str, /, *, policy: Path = POLICY) -> int:
    """End whatever step holds for a client, and forget what the watch saw of it before; a running guard obeys at once.

    Args:
        client: its id, as `safelight guard clients` shows it.
        policy: the guard's settings.
    """
    now, store = time.time(), opened(policy)
    known(client, store, policy)
    store.quarantine(client, now, now)
    print(f"{client} may ask again.")
    return 0


@guard.command
def verify(
    *,
    policy: Path = POLICY,
    noted: Annotated[str | None, Parameter(allow_leading_hyphen=False)] = None,
    checkpoints: Path | None = None,
    public: str | None = None,
) -> int:
    """Check that the log was not changed, and that budgets, steps and incidents are as it says.

    Exit codes: 0 all of it is whole, 1 something was changed, 2 bad input.

    The last line printed is the head of the log: its rows, and the digest of the last one. Note it elsewhere: only
    against a noted head, or a checkpoint from elsewhere, does it show that rows at the end were cut off, or that the
    whole log was written anew by somebody who has its key.

    Args:
        policy: the guard's settings.
        noted: an earlier head, rows:digest as this command printed it; without it, no cut end shows.
        checkpoints: file that signed checkpoints went to; needs --public.
        public: public key of checkpoints, 64 hexadecimal digits, as `safelight guard checkpoint-key` printed it. It
            checks --checkpoints, and without them those that the guard itself keeps.
    """
    from safelight.guard.chain import Head
    from safelight.guard.stores.ledger import Ledger

    if checkpoints is not None and public is None:
        raise InputError("--checkpoints needs --public, the key that shows who signed them.")

    head = None
    if noted is not None:
        parts = re.fullmatch(r"(\d{1,15}):([0-9a-fA-F]{64})", noted)
        if not parts:
            raise InputError(f"--noted is {noted!r}; give rows:digest as an earlier verify printed it.")
        head = Head(int(parts[1]), parts[2])
    store, ledger = opened(policy), Ledger()
    if public is None:
        end, trouble = store.verify(head, ledger=ledger)
    else:
        from safelight.guard.checkpoints import public_key, read_checkpoints, verify_signed

        key = public_key(public)
        kept = [] if checkpoints is None else list(read_checkpoints(checkpoints, key))
        end, trouble, last = verify_signed(store, key, kept, head, ledger)
        if last is not None and not trouble:
            print(f"It holds the checkpoint of row {last.rows}; {end.rows - last.rows} rows came later.")
    store.close()
    if trouble and trouble == ledger.words:
        print(f"The log is whole, but {trouble}.")
    else:
        print(f"The log is not whole: {trouble}." if trouble else f"The log is whole.\n{ledger.words}.")
    print(f"{end.rows}:{end.digest}")
    return 1 if trouble else 0


def opened(policy: Path) -> Store:
    from safelight.guard.policy import read_policy
    from safelight.guard.store import open_store

    return open_store(read_policy(policy), make=False)


def known(client: str, store: Store, policy: Path) -> None:
    from safelight.guard.policy import read_policy
    from safelight.guard.responses.opening import named

    named(client, read_policy(policy), store)
