"""Send alerts beside the answers: a thread and a bounded queue for each channel, so that no answer ever waits."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from safelight.errors import InputError
from safelight.guard.alerts.alertmanager import to_alertmanager, to_receiver
from safelight.guard.alerts.file import to_file
from safelight.guard.alerts.mail import to_mail
from safelight.guard.alerts.message import Message
from safelight.guard.alerts.post import Undelivered
from safelight.guard.alerts.settings import AlertRoute, Channel
from safelight.guard.alerts.webhook import to_webhook

WAITS = (1.0, 5.0, 25.0)  # seconds before each further try
ROOM = 256  # alerts that wait for one channel


def deliver(route: AlertRoute, message: Message, folder: Path) -> None:
    """Send one alert once.

    Args:
        route: where to.
        message: what to say; clients are named only where the route says so.
        folder: of guard.toml.

    Raises:
        Undelivered: it did not arrive.
    """
    told = message if route.clients else message.nameless
    try:
        match route.kind:
            case Channel.ALERTMANAGER:
                to_alertmanager(route, told)
            case Channel.RECEIVER:
                to_receiver(route, told)
            case Channel.WEBHOOK:
                to_webhook(route, told)
            case Channel.MAIL:
                to_mail(route, told)
            case Channel.FILE:
                to_file(route, told, folder)
    except InputError as error:  # a variable of the environment that went
        raise Undelivered(str(error)) from None


@dataclass
class Sender:
    """Alerts on their way.

    Attributes:
        routes: returns where alerts go now, and the folder of guard.toml; asked for each alert.
        lost: told of each alert that did not arrive: the channel's kind, the message, and why.
        waits: seconds before each further try.
        room: alerts that wait for one channel.
    """

    routes: Callable[[], tuple[Sequence[AlertRoute], Path]]
    lost: Callable[[str, Message, str], None]
    waits: Sequence[float] = WAITS
    room: int = ROOM
    _queues: dict[AlertRoute, queue.Queue[tuple[Message, Path] | None]] = field(default_factory=dict, repr=False)
    _threads: list[threading.Thread] = field(default_factory=list, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _stop: threading.Event = field(default_factory=threading.Event, repr=False)

    def send(self, message: Message) -> None:
        """Put an alert on its way to all channels; takes microseconds, and never raises."""
        routes, folder = self.routes()
        self._forget(routes)
        for route in routes:
            try:
                self._queue(route).put_nowait((message, folder))
            except queue.Full:
                self.lost(route.kind.value, message, "too many alerts wait")

    def close(self, patience: float = 5.0) -> None:
        """Send what waits, each once more at most, and end; what takes longer than `patience` seconds is lost."""
        self._stop.set()
        with self._lock:
            queues, threads = dict(self._queues), list(self._threads)
            self._queues.clear()
            self._threads.clear()
        for each in queues.values():
            try:
                each.put_nowait(None)
            except queue.Full:
                continue  # its thread sees that all ends
        until = time.monotonic() + patience
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))
        for route, waiting in queues.items():
            with suppress(queue.Empty):
                while found := waiting.get_nowait():
                    self.lost(route.kind.value, found[0], "the guard ended")

    def _forget(self, routes: Sequence[AlertRoute]) -> None:
        """End the threads of channels that are no longer named, once they have sent what waits."""
        with self._lock:
            for route in self._queues.keys() - set(routes):
                with suppress(queue.Full):
                    self._queues[route].put_nowait(None)
                    del self._queues[route]

    def _queue(self, route: AlertRoute) -> queue.Queue[tuple[Message, Path] | None]:
        with self._lock:
            if route not in self._queues:
                self._stop.clear()
                waiting: queue.Queue[tuple[Message, Path] | None] = queue.Queue(self.room)
                thread = threading.Thread(target=self._work, args=(route, waiting), daemon=True)
                self._queues[route] = waiting
                self._threads.append(thread)
                thread.start()
            return self._queues[route]

    def _work(self, route: AlertRoute, waiting: queue.Queue[tuple[Message, Path] | None]) -> None:
        while not (self._stop.is_set() and waiting.empty()):
            found = waiting.get()
            if found is None:
                return
            self._try(route, *found)

    def _try(self, route: AlertRoute, message: Message, folder: Path) -> None:
        why = ""
        for wait in (*self.waits, None):
            try:
                deliver(route, message, folder)
            except Undelivered as error:
                why = str(error)
            except Exception as error:  # whatever a library raises: the thread must live on for the next alert
                why = f"{type(error).__name__}: {error}"
            else:
                return
            if wait is None or self._stop.wait(wait):
                break
        self.lost(route.kind.value, message, why)
