"""Every error a user can meet. Each message is one sentence: what happened, the value seen, what to do.

SafelightError
├── InputError            data, settings or files that cannot be used        (exit code 2)
│   ├── UntrustedFile     a pickle or joblib file without `trusted = true`
│   ├── MissingExtra      an optional package is not installed
│   └── NotAllowed        a remote address without the owner's word
├── BadAnswer             the model answered with NaN or with scores that are no probabilities (exit code 2)
├── AccessDenied          an attack asked for more than its threat model grants
├── BudgetSpent           an attack asked for more queries than its budget holds
├── TargetFailed          the model died while it was being asked             (exit code 3)
├── StoreFailed           the guard's database cannot be read or written      (exit code 3)
├── WorkersLost           worker processes die, or have other packages        (exit code 3)
└── PolicyFailed          `report.require` found more than the policy allows  (exit code 1)
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SafelightError(Exception):
    """The root of every error that Safelight raises on purpose."""

    exit_code = 2


class InputError(SafelightError):
    """Data, settings or files that cannot be used as they are."""


class UntrustedFile(InputError):
    """A file that can run code when it is opened, without the owner's `trusted = true`."""


class NotAllowed(InputError):
    """A query to an address that is not this machine, without the owner's word that it may be tested."""


class MissingExtra(InputError):
    """An optional package is needed and not installed."""

    def __init__(self, package: str, extra: str, wanted_for: str) -> None:
        super().__init__(
            f'{wanted_for} needs the package {package}, which is not installed; run: pip install "safelight[{extra}]".'
        )
        self._facts = (package, extra, wanted_for)

    def __reduce__(self) -> tuple[type[MissingExtra], tuple[str, str, str]]:
        """Survive the way home from a worker process."""
        return MissingExtra, self._facts


def need_torch(wanted_for: str) -> None:
    """Raise MissingExtra where torch is not installed."""
    try:
        import torch  # noqa: F401
    except ImportError:
        raise MissingExtra("torch", "torch", wanted_for) from None


class BadAnswer(SafelightError):
    """The model gave an answer that cannot be what it was said to be."""


class AccessDenied(SafelightError):
    """An attack asked for more than its threat model, or the target, offers."""


class BudgetSpent(SafelightError):
    """The next batch would exceed the query budget; nothing of it was sent."""


class TargetFailed(SafelightError):
    """The target stopped answering; what was learnt so far is kept."""

    exit_code = 3


class StoreFailed(SafelightError):
    """The guard's database cannot be read or written; the policy says what becomes of calls meanwhile."""

    exit_code = 3


class Changed(InputError):
    """Somebody else changed a document of the guard meanwhile; read it again."""


class WorkersLost(SafelightError):
    """Worker processes die again and again, or have other packages; what was finished is kept."""

    exit_code = 3


class PolicyFailed(SafelightError):
    """The report holds a finding that the policy does not allow."""

    exit_code = 1


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `` Did you mean 'x'?`` for the closest known word, or an empty string."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f" Did you mean '{close[0]}'?" if close else ""
