"""Several listeners on one stream of events, none of which can stop the search."""

from __future__ import annotations

import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from autotts.sandbox.text import printable
from autotts.search.events import Event

__all__ = ["Listener", "Listeners"]

Listener = Callable[[Event], None]


def _on_standard_error(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


class Listeners:
    """Calls every listener with every event, in the order in which they were given.

    What a listener raises is reported once for each listener, in one line, and the search goes on; that listener is
    called with the next event all the same. KeyboardInterrupt and SystemExit pass through. Events may come from several
    threads: listeners are called with one at a time.

    Args:
        listeners: called with every event.
        notice: told of what a listener raised; a line on standard error by default.
    """

    def __init__(self, *listeners: Listener, notice: Callable[[str], None] = _on_standard_error) -> None:
        self._listeners = listeners
        self._notice = notice
        self._reported: set[int] = set()
        # Re-entrant, for a signal's handler may tell of an event while one is being told.
        self._lock = threading.RLock()

    def add(self, listener: Listener) -> None:
        """Call this one too, after the others, from the next event on."""
        with self._lock:
            self._listeners = (*self._listeners, listener)

    def __call__(self, event: Event) -> None:
        """Tell all of them of an event."""
        with self._lock:
            for number, listener in enumerate(self._listeners):
                try:
                    listener(event)
                except Exception as error:
                    if number not in self._reported:
                        self._reported.add(number)
                        self._report(listener, event, error)

    def _report(self, listener: Listener, event: Event, error: Exception) -> None:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        name = getattr(listener, "__qualname__", type(listener).__qualname__)
        text = (
            f"the listener {name} failed on {type(event).__name__} with {type(error).__name__}: {error} "
            f"({Path(frame.filename).name}, line {frame.lineno}); the search goes on, and further failures of this "
            "listener are not reported"
        )
        # Where nobody can be told (standard error is gone, say), a search of days does not end by it.
        with suppress(Exception):
            self._notice(printable(text))
