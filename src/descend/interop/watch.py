"""Two lines in a training loop of your own: record what it does, so that descend can judge it.

    watch = descend.watch(model, optimizer)
    ...
    optimizer.step()
    watch.step(loss)

The watch reads losses, gradients, weights, and activations, and changes none of them. It uses no
random number. It writes `events.jsonl` into a folder that `descend diagnose FOLDER` reads. A disk
that fails ends the record, never the training.
"""

from __future__ import annotations

import logging
import math
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import msgspec
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from descend.diagnosis.causes.bad_initialization import MOSTLY_DEAD
from descend.errors import DiskWriteError, WatchError
from descend.interop.parameter_checks import ParameterChecks
from descend.metrics.watched_activations import ActivationRecorder
from descend.metrics.weight_updates import RECORD_EVERY_STEPS, WeightUpdateRecorder
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


class _PendingStep(msgspec.Struct):
    step: int
    losses: list[Tensor | float]
    gradient_norm: Tensor | None
    learning_rate: float | None
    seconds: float


class TrainingWatch:
    """Records a training loop. Made by `watch`; a context manager, or closed by `close`.

    `folder`: where `events.jsonl` is. `warnings`: what was noticed so far, a sentence each.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizers: list[Optimizer],
        folder: Path,
        *,
        is_folder_chosen: bool = False,
    ) -> None:
        self.folder = folder
        self._is_folder_chosen = is_folder_chosen
        """Whether descend chose `folder`, so that the caller does not know its name."""
        self.warnings: list[str] = []
        self._model = model
        self._optimizers = optimizers
        self._updates = self._last_step = 0
        self._losses: list[Tensor | float] = []
        """Of the batches since the last recorded update."""
        self._norm: Tensor | None = None
        self._checks = ParameterChecks(model, optimizers)
        self._recorder = WeightUpdateRecorder()
        self._activations = ActivationRecorder(model)
        self._silent_layers: set[str] = set()
        """Layers whose units were mostly dead at the last record."""
        self._pending: list[_PendingStep] = []
        self._began = self._written = time.perf_counter()
        self._log: EventLog | None = EventLog(folder)
        self._append(TrainingStarted(0, current_time()))
        self._warn(*self._checks.check_optimizers())
        first, last = optimizers[0], optimizers[-1]
        self._hooks = [
            first.register_step_pre_hook(self._before_update),
            last.register_step_post_hook(self._after_update),
        ]

    def step(self, loss: Tensor | float) -> None:
        """Record `loss` (a mean in nats) of a batch; call it once per batch, after the update.

        With gradient accumulation, the losses of the batches of one update are averaged.
        """
        self._losses.append(loss.detach() if isinstance(loss, Tensor) else float(loss))
        if self._updates == self._last_step:
            return
        if len(self._pending) >= FLUSH_STEPS or (
            time.perf_counter() - self._written > MAX_SECONDS_UNWRITTEN
        ):
            self._flush()
        now = time.perf_counter()
        self._pending.append(
            _PendingStep(self._updates, self._losses, self._norm, self._rate(), now - self._began)
        )
        self._losses, self._last_step, self._began = [], self._updates, now

    def validation(self, loss: Tensor | float) -> None:
        """Record a validation loss (a mean in nats) after the updates so far."""
        self._flush()
        value = float(loss)
        if math.isfinite(value):
            self._append(Validation(self._updates, value))
        else:
            self._warn(f"The validation loss after step {self._updates} is {value}.")

    def close(self, reason: Literal["finished", "interrupted", "failed"] = "finished") -> None:
        """Write what waits, remove the hooks, and tell the folder. A second call does nothing.

        The folder is logged (logger `descend`, level INFO). If descend chose it and nobody reads
        that log, the line goes to stderr.
        """
        for hook in self._hooks:
            hook.remove()
        self._activations.stop()
        if self._log is None:
            return
        self._hooks = []
        self._flush()
        if self._losses and not self._updates:
            self._warn(
                "The optimizer made no update, so the model did not change. Fix: call "
                "optimizer.step() on the optimizer that is watched."
            )
        self._append(TrainingStopped(self._updates, reason, current_time()))
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

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        interrupted = kind is not None and issubclass(kind, KeyboardInterrupt)
        self.close("finished" if kind is None else "interrupted" if interrupted else "failed")

    def _before_update(self, *_: Any) -> None:
        gradients = [p.grad for p in self._model.parameters() if p.grad is not None]
        self._norm = _global_norm(gradients) if gradients else None
        self._warn(*self._checks.check_gradients(self._updates))
        if self._updates % RECORD_EVERY_STEPS == 0:
            self._recorder.before(self._model)
            self._record_activations()

    def _after_update(self, *_: Any) -> None:
        recorded = self._updates % RECORD_EVERY_STEPS == 0
        self._updates += 1
        if self._updates % RECORD_EVERY_STEPS == 0:
            # Not before the first update: a program that compiles its model does so there.
            self._activations.start()
        if recorded:
            stats = self._recorder.after(self._model, self._updates)
            self._flush()
            if all(map(math.isfinite, (*stats.weight_rms.values(), *stats.gradient_rms.values()))):
                self._append(stats)

    def _record_activations(self) -> None:
        stats = self._activations.take(self._updates + 1)
        if stats is None:
            return
        self._flush()
        self._append(stats)
        silent = {n for n, value in stats.dead_unit_fraction.items() if value >= MOSTLY_DEAD}
        lasting = sorted(silent & self._silent_layers)
        self._silent_layers = silent
        if lasting and not any("units" in warning for warning in self.warnings):
            self._warn(
                f"{stats.dead_unit_fraction[lasting[0]]:.0%} of the units that enter {lasting[0]} "
                "are silent in two records. Fix: lower the learning rate, or check the "
                "initialization and the activation function."
            )

    def _rate(self) -> float | None:
        """Return the highest learning rate of all parameter groups."""
        rates = [float(g["lr"]) for o in self._optimizers for g in o.param_groups if "lr" in g]
        return max(rates, default=None)

    def _flush(self) -> None:
        self._written = time.perf_counter()
        for pending in self._pending:
            loss = sum(float(value) for value in pending.losses) / len(pending.losses)
            norm = None if pending.gradient_norm is None else float(pending.gradient_norm)
            finite = math.isfinite(loss)
            if not finite or (norm is not None and not math.isfinite(norm)):
                self._report_nonfinite(pending.step, loss)
            self._append(
                WatchedStep(
                    pending.step,
                    loss if finite else None,
                    pending.learning_rate,
                    norm if norm is not None and math.isfinite(norm) else None,
                    round(pending.seconds, 6),
                )
            )
        self._pending = []

    def _report_nonfinite(self, step: int, loss: float) -> None:
        if any("not finite" in warning for warning in self.warnings):
            return
        what = "loss" if not math.isfinite(loss) else "gradient"
        self._warn(f"The {what} of step {step} is not finite: the run diverged there.")
        self._checks.expect_nonfinite()

    def _warn(self, *texts: str) -> None:
        for text in texts:
            self.warnings.append(text)
            logging.getLogger("descend").warning("%s", text)
            self._append(ProgramWarning(self._updates, text))

    def _append(self, record: Event) -> None:
        if self._log is None:
            return
        try:
            self._log.append(record)
        except DiskWriteError as problem:
            self._log.close()
            self._log = None
            logging.getLogger("descend").warning("%s Training goes on without a record.", problem)


def watch(
    model: nn.Module,
    optimizer: Optimizer | list[Optimizer],
    folder: str | Path | None = None,
) -> TrainingWatch:
    """Watch a training loop; call `step(loss)` on the result after each `optimizer.step()`.

    `optimizer`: one, or several that step in this order. `folder` must not hold a record yet; by
    default it is `watched_runs/<model's class>_<unix time>`. Raises `WatchError` for anything
    else than a module and optimizers, or where `folder` holds a record.
    """
    optimizers = [unwrap_optimizer(o) for o in _as_list(optimizer)]
    if not isinstance(model, nn.Module) or not optimizers:
        raise WatchError(
            "watch()", f"{type(model).__name__} and {len(optimizers)} optimizers",
            "a torch.nn.Module and its optimizer", "call descend.watch(model, optimizer)",
        )  # fmt: skip
    target = Path(folder) if folder is not None else _new_folder(model)
    if has_record(target):
        raise WatchError(
            str(target), "the record of another run", "a new folder",
            "give another folder, or delete this one",
        )  # fmt: skip
    return TrainingWatch(model, optimizers, target, is_folder_chosen=folder is None)


def unwrap_optimizer(optimizer: object) -> Optimizer:
    """Return the torch optimizer inside a wrapper such as that of accelerate."""
    inner = optimizer
    while (deeper := getattr(inner, "optimizer", None)) is not None:
        inner = deeper
    if not isinstance(inner, Optimizer):
        raise WatchError(
            "watch()", type(optimizer).__name__, "a torch.optim.Optimizer",
            "pass the optimizer whose step() the loop calls",
        )  # fmt: skip
    return inner


def has_record(folder: Path) -> bool:
    """Return whether `folder` holds the record of a run."""
    return (folder / "events.jsonl").exists()


def choose_free_folder(output: Path) -> Path:
    """Return `descend` below `output`, with a number where that holds the record of a run."""
    folder, number = output / "descend", 1
    while has_record(folder):
        number += 1
        folder = output / f"descend_{number}"
    return folder


def _as_list(optimizer: Optimizer | list[Optimizer]) -> list[Optimizer]:
    return list(optimizer) if isinstance(optimizer, list | tuple) else [optimizer]


def _global_norm(gradients: list[Tensor]) -> Tensor:
    """Return the Euclidean norm of all gradients together, on the device of the first."""
    dense = [g.to_dense() if g.is_sparse else g for g in gradients]
    norms = torch._foreach_norm(dense)
    stacked = torch.stack([n.to(norms[0].device).float() for n in norms])
    norm: Tensor = torch.linalg.vector_norm(stacked)
    return norm


def _new_folder(model: nn.Module) -> Path:
    moment = int(time.time())
    while (folder := Path("watched_runs") / f"{type(model).__name__}_{moment}").exists():
        moment += 1
    return folder
