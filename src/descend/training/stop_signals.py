"""Ctrl-C, a polite kill and a closed terminal, noticed between two steps instead of inside one."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from descend.units import quoted


@dataclass
class StopRequest:
    """The signal that stops training, or None."""

    signal_number: int | None = None


class TrainingInterrupted(BaseException):
    """Training stopped by a signal, saved, and can be resumed.

    Not an `Exception`, like `KeyboardInterrupt`: nothing should catch it by accident.
    `exit_code` is 128 + the signal's number: 130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP.
    """

    def __init__(self, folder: str, step: int, signal_number: int) -> None:
        self.folder, self.step = folder, step
        self.exit_code = 128 + signal_number
        super().__init__(
            f"stopped after step {step}; continue with `descend resume {quoted(folder)}`"
        )


@contextmanager
def defer_stop_signals() -> Iterator[StopRequest]:
    """Inside it, the first Ctrl-C or SIGTERM only sets the wish; a second one acts at once.

    SIGHUP, a terminal that closed, sets the wish too, and never acts at once: shells and the
    system may send it twice, and SIGTERM with it. Where it was ignored (`nohup`), it stays so.
    Signals can be caught by the main thread only; elsewhere this does nothing.
    """
    stop_request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield stop_request
        return
    previous = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}
    hangup = getattr(signal, "SIGHUP", None)  # not on Windows
    if hangup is not None and signal.getsignal(hangup) == signal.SIG_IGN:
        hangup = None
    before_hangup = None if hangup is None else signal.getsignal(hangup)

    def notice(number: int, _: FrameType | None) -> None:
        stop_request.signal_number = number
        for known, handler in previous.items():
            signal.signal(known, handler)

    def notice_hangup(number: int, _: FrameType | None) -> None:
        stop_request.signal_number = stop_request.signal_number or number

    for known in previous:
        signal.signal(known, notice)
    if hangup is not None:
        signal.signal(hangup, notice_hangup)
    try:
        yield stop_request
    finally:
        for known, handler in previous.items():
            signal.signal(known, handler)
        if hangup is not None:
            signal.signal(hangup, before_hangup)
