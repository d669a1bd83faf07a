"""Ctrl-C and a polite kill, noticed between two steps instead of inside one."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from descend.units import quoted


@dataclass
class Wish:
    """The signal that asked training to stop, or None."""

    signal_number: int | None = None


class Interrupted(BaseException):
    """Training stopped by a signal, saved, and can be resumed.

    Not an `Exception`, like `KeyboardInterrupt`: nothing should catch it by accident.
    `exit_code` is 128 + the signal's number: 130 for Ctrl-C, 143 for SIGTERM.
    """

    def __init__(self, folder: str, step: int, signal_number: int) -> None:
        self.folder, self.step = folder, step
        self.exit_code = 128 + signal_number
        super().__init__(f"stopped after step {step}; go on with `descend resume {quoted(folder)}`")


@contextmanager
def noticing_signals() -> Iterator[Wish]:
    """Inside it, the first Ctrl-C or SIGTERM only sets the wish; a second one acts at once.

    Signals can be caught by the main thread only; elsewhere this does nothing.
    """
    wish = Wish()
    if threading.current_thread() is not threading.main_thread():
        yield wish
        return
    previous = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}

    def notice(number: int, _: FrameType | None) -> None:
        wish.signal_number = number
        for known, handler in previous.items():
            signal.signal(known, handler)

    for known in previous:
        signal.signal(known, notice)
    try:
        yield wish
    finally:
        for known, handler in previous.items():
            signal.signal(known, handler)
