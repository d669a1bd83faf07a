"""What a watch writes: the steps that wait on the device, and the events of the folder."""

from __future__ import annotations

import logging
import math
import os
import sys
import time
from pathlib import Path
from typing import Literal

import msgspec
from torch import Tensor

from descend.errors import DiskWriteError
from descend.runs.event_log import EventLog
from descend.runs.events import (
    Event,
    ProgramWarning,
    TrainingStarted,
    TrainingStopped,
    Validation,
    WatchedStep,
    current_time,
)
from descend.units import quoted

FLUSH_STEPS = 10
"""Steps whose losses are read from the device at once: reading each would stall a GPU."""
MAX_SECONDS_UNWRITTEN = 5.0
"""Seconds after which records are written although fewer than `FLUSH_STEPS` wait."""

StopReason = Literal["finished", "interrupted", "failed"]


class PendingStep(msgspec.Struct):
    """A step whose numbers are still on the device."""

    step: int
    losses: list[Tensor | float]
    gradient_norm: Tensor | None
    learning_rate: float | None
    seconds: float


class WatchRecord:
    """Writes `events.jsonl` of a watched loop, and knows nothing of its model.

    `num_updates`: of the weights so far. `warnings`: what was noticed, a sentence each.
    `diverged`: whether a loss or a gradient was not finite.
    """

    def __init__(self, folder: Path, *, is_folder_chosen: bool) -> None:
        self.folder = folder
        self.num_updates = 0
        self.warnings: list[str] = []
        self.diverged = False
        self._is_folder_chosen = is_folder_chosen
        """Whether descend chose `folder`, so that the caller does not know its name."""
        self._pending: list[PendingStep] = []
        self._written = time.perf_counter()
        self._process = os.getpid()
        self._log: EventLog | None = EventLog(folder)
        self.append(TrainingStarted(0, current_time()))

    def add_step(self, pending: PendingStep) -> None:
        """Keep a step until its numbers are read from the device."""
        if len(self._pending) >= FLUSH_STEPS or (
            time.perf_counter() - self._written > MAX_SECONDS_UNWRITTEN
        ):
            self.flush()
        self._pending.append(pending)

    def add_validation(self, loss: float) -> None:
        """Write a validation loss."""
        self.flush()
        if math.isfinite(loss):
            self.append(Validation(self.num_updates, loss))
        else:
            self.warn(f"The validation loss after step {self.num_updates} is {loss}.")

    def flush(self) -> None:
        """Write the steps that wait."""
        self._written = time.perf_counter()
        for pending in self._pending:
            loss = sum(float(value) for value in pending.losses) / len(pending.losses)
            norm = None if pending.gradient_norm is None else float(pending.gradient_norm)
            is_finite = math.isfinite(loss)
            if not is_finite or (norm is not None and not math.isfinite(norm)):
                self._report_nonfinite(pending.step, loss)
            self.append(
                WatchedStep(
                    pending.step,
                    loss if is_finite else None,
                    pending.learning_rate,
                    norm if norm is not None and math.isfinite(norm) else None,
                    round(pending.seconds, 6),
                )
            )
        self._pending = []

    def _report_nonfinite(self, step: int, loss: float) -> None:
        if not self.diverged:
            self.diverged = True
            what = "loss" if not math.isfinite(loss) else "gradient"
            self.warn(f"The {what} of step {step} is not finite: the run diverged there.")

    def warn(self, *texts: str, bug: str = "") -> None:
        """Log and write each of `texts`. `bug`: its name in the list of bugs, where it is one."""
        for text in texts:
            self.warnings.append(text)
            logging.getLogger("descend").warning("%s", text)
            self.append(ProgramWarning(self.num_updates, text, bug))

    def append(self, event: Event) -> None:
        """Write an event; a disk that fails ends the record."""
        if self._log is None:
            return
        try:
            self._log.append(event)
        except DiskWriteError as problem:
            self._log.close()
            self._log = None
            logging.getLogger("descend").warning("%s Training goes on without a record.", problem)

    def close(self, reason: StopReason | None = None) -> None:
        """Write what waits and how training ended, and tell the folder.

        Without a reason, the program ends: by the exception that Python has shown, if there is one.
        """
        if self._log is None or os.getpid() != self._process:  # a copy in a forked process
            return
        self.flush()
        stopped = TrainingStopped(self.num_updates, reason or _program_end(), current_time())
        self.append(stopped)
        if self._log is not None:
            self._log.close()
            self._log = None
            self._tell_folder()

    def _tell_folder(self) -> None:
        text = f"recorded in {self.folder}; next: descend diagnose {quoted(self.folder)}"
        logger = logging.getLogger("descend")
        if logger.hasHandlers() and logger.isEnabledFor(logging.INFO):
            logger.info("%s", text)
        elif self._is_folder_chosen and sys.stderr is not None:
            print(text, file=sys.stderr)


def _program_end() -> StopReason:
    problem = getattr(sys, "last_value", None)
    if problem is None:
        return "finished"
    return "interrupted" if isinstance(problem, KeyboardInterrupt) else "failed"
