"""A connection that is mended beside the calls, and cut when an answer takes too long: no call waits for the dead."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

Line = TypeVar("Line")
PATIENCE = 2.0  # seconds that a call waits for an answer, at most
PAUSE = 0.25  # seconds between two tries to connect, and between two looks at the clock


class Keeper(Generic[Line]):
    """One line to a server.

    Args:
        connect: makes a line; raises an error of `errors`.
        cut: ends what a line waits for, from another thread; raises nothing.
        close: a line, from the thread that used it; raises nothing.
        errors: that say that the server cannot be used.
        name: of the thread.
    """

    def __init__(
        self,
        connect: Callable[[], Line],
        cut: Callable[[Line], None],
        close: Callable[[Line], None],
        errors: tuple[type[Exception], ...],
        name: str,
    ) -> None:
        self._connect, self._cut, self._close, self._errors, self._name = connect, cut, close, errors, name
        self.line: Line | None = None
        self.trouble = "it was not asked yet"
        self._deadline: float | None = None
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Connect now, and keep watch from now on; raises an error of `errors`."""
        self.line = self._connect()
        self.watch()

    def try_start(self) -> None:
        """Connect now where that can be done, else later, and keep watch from now on."""
        try:
            self.start()
        except self._errors as error:
            self.lost(error)
            self.watch()

    def watch(self) -> None:
        """Keep watch from now on."""
        self._stopped.clear()
        if self._thread is None:
            self._thread = threading.Thread(target=self._keep, name=self._name, daemon=True)
            self._thread.start()

    def begin(self) -> None:
        """A call waits from now on."""
        self._deadline = time.monotonic() + PATIENCE

    def end(self) -> None:
        """The call was answered."""
        self._deadline = None

    def lost(self, error: Exception) -> None:
        """Give the line up; another one is made beside the calls."""
        self.trouble = (str(error).strip() or type(error).__name__).splitlines()[0]
        line, self.line = self.line, None
        if line is not None:
            self._close(line)

    def stop(self) -> None:
        """End the watch and the line."""
        self._stopped.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
        self._thread = None
        line, self.line = self.line, None
        if line is not None:
            self._close(line)

    def _keep(self) -> None:
        pause = 0.0
        while not self._stopped.wait(pause):
            pause = PAUSE
            line, deadline = self.line, self._deadline
            if line is None:
                try:
                    made = self._connect()
                except self._errors as error:
                    self.trouble = (str(error).strip() or type(error).__name__).splitlines()[0]
                else:
                    self.line = made
            elif deadline is not None and time.monotonic() > deadline:
                self._deadline = None
                self._cut(line)
