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

import math
import time
import weakref
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from descend.diagnosis.causes.bad_initialization import MOSTLY_DEAD
from descend.errors import DescendError, WatchError
from descend.interop.parameter_checks import ParameterChecks
from descend.interop.watch_record import PendingStep, StopReason, WatchRecord
from descend.metrics.watched_activations import ActivationRecorder
from descend.metrics.weight_updates import RECORD_EVERY_STEPS, WeightUpdateRecorder
from descend.runs.run_folder import claim_folder


class TrainingWatch:
    """Records a training loop. Made by `watch`; a context manager, or closed by `close`.

    One that is never closed is closed when the program ends. `folder`: where `events.jsonl` is.
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
        self._model = model
        self._optimizers = optimizers
        """Empty where the loop changes the weights itself."""
        self._last_step = 0
        self._losses: list[Tensor | float] = []
        """Of the batches since the last recorded update."""
        self._norm: Tensor | None = None
        self._checks = ParameterChecks(model, optimizers)
        self._recorder = WeightUpdateRecorder()
        self._activations = ActivationRecorder(model)
        self._silent_layers: set[str] = set()
        """Layers whose units were mostly dead at the last record."""
        self._names_nonfinite = False
        self._began = time.perf_counter()
        self._record = WatchRecord(folder, is_folder_chosen=is_folder_chosen)
        self._close_at_exit = weakref.finalize(self, self._record.close)
        self._record.warn(*self._checks.check_optimizers(), bug="weights_not_in_optimizer")
        if optimizers:
            first, last = optimizers[0], optimizers[-1]
            self._hooks = [
                first.register_step_pre_hook(self._before_update),
                last.register_step_post_hook(self._after_update),
            ]
        else:
            self._hooks = []
            self._recorder.remember_weights(model)

    @property
    def warnings(self) -> list[str]:
        """What was noticed so far, a sentence each."""
        return self._record.warnings

    def step(self, loss: Tensor | float) -> None:
        """Record `loss` (a mean in nats) of a batch; call it once per batch, after the update.

        With gradient accumulation, the losses of the batches of one update are averaged. Without an
        optimizer each call is an update, and the gradients must still be there.
        """
        if not self._optimizers:
            self._observe_gradients()
            self._after_update()
        self._losses.append(loss.detach() if isinstance(loss, Tensor) else float(loss))
        updates = self._record.num_updates
        if updates == self._last_step:
            return
        now = time.perf_counter()
        self._record.add_step(
            PendingStep(updates, self._losses, self._norm, self._rate(), now - self._began)
        )
        if self._record.diverged and not self._names_nonfinite:
            self._names_nonfinite = True
            self._checks.expect_nonfinite()
        self._losses, self._last_step, self._began = [], updates, now

    def validation(self, loss: Tensor | float) -> None:
        """Record a validation loss (a mean in nats) after the updates so far."""
        self._record.add_validation(float(loss.detach() if isinstance(loss, Tensor) else loss))

    def close(self, reason: StopReason = "finished") -> None:
        """Write what waits, remove the hooks, and tell the folder. A second call does nothing.

        The folder is logged (logger `descend`, level INFO). If descend chose it and nobody reads
        that log, the line goes to stderr.
        """
        for hook in self._hooks:
            hook.remove()
        self._hooks = []
        self._activations.stop()
        if self._losses and not self._record.num_updates:
            self._record.warn(
                "The optimizer made no update, so the model did not change. Fix: call "
                "optimizer.step() on the optimizer that is watched.",
                bug="step_never_called",
            )
        self._losses = []
        self._close_at_exit.detach()
        self._record.close(reason)

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
        if self._is_recorded():
            self._recorder.remember_weights(self._model)
        self._observe_gradients()

    def _observe_gradients(self) -> None:
        gradients = [p.grad for p in self._model.parameters() if p.grad is not None]
        self._norm = _global_norm(gradients) if gradients else None
        updates = self._record.num_updates
        self._record.warn(*self._checks.check_coverage(updates), bug="weights_frozen")
        self._record.warn(*self._checks.check_finite(updates))
        if self._is_recorded():
            self._recorder.read_gradients(self._model)
            self._record_activations()

    def _is_recorded(self) -> bool:
        """Return whether the update that comes is one of those looked at closely."""
        return self._record.num_updates % RECORD_EVERY_STEPS == 0

    def _after_update(self, *_: Any) -> None:
        if self._is_recorded():
            stats = self._recorder.after(self._model, self._record.num_updates + 1)
            self._record.flush()
            values = (*stats.weight_rms.values(), *stats.gradient_rms.values())
            if self._norm is not None and all(map(math.isfinite, values)):
                self._record.append(stats)
        self._record.num_updates += 1
        if self._is_recorded():
            # Not before the first update: a program that compiles its model does so there.
            self._activations.start()
            if not self._optimizers:
                self._recorder.remember_weights(self._model)

    def _record_activations(self) -> None:
        stats = self._activations.take(self._record.num_updates + 1)
        if stats is None:
            return
        self._record.flush()
        self._record.append(stats)
        silent = {n for n, value in stats.dead_unit_fraction.items() if value >= MOSTLY_DEAD}
        lasting = sorted(silent & self._silent_layers)
        self._silent_layers = silent
        if lasting and not any("units" in warning for warning in self.warnings):
            self._record.warn(
                f"{stats.dead_unit_fraction[lasting[0]]:.0%} of the units that enter {lasting[0]} "
                "are silent in two records. Fix: lower the learning rate, or check the "
                "initialization and the activation function."
            )

    def _rate(self) -> float | None:
        """Return the highest learning rate of all parameter groups."""
        rates = [float(g["lr"]) for o in self._optimizers for g in o.param_groups if "lr" in g]
        return max(rates, default=None)


def watch(
    model: nn.Module,
    optimizer: Optimizer | list[Optimizer] | None = None,
    folder: str | Path | None = None,
) -> TrainingWatch:
    """Watch a training loop; call `step(loss)` on the result after each `optimizer.step()`.

    `optimizer`: one, or several that step in this order; None for a loop that changes the weights
    itself. `folder` must not hold a record yet; by default it is
    `watched_runs/<model's class>_<unix time>`. Raises `WatchError` for anything else than a module
    and optimizers, or where `folder` holds a record.
    """
    optimizers = [unwrap_optimizer(o) for o in _as_list(optimizer)]
    if not isinstance(model, nn.Module) or (optimizer is not None and not optimizers):
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


def _as_list(optimizer: Optimizer | list[Optimizer] | None) -> list[Optimizer]:
    if optimizer is None:
        return []
    return list(optimizer) if isinstance(optimizer, list | tuple) else [optimizer]


def _global_norm(gradients: list[Tensor]) -> Tensor:
    """Return the Euclidean norm of all gradients together, on the device of the first."""
    dense = [g.to_dense() if g.is_sparse else g for g in gradients]
    norms = torch._foreach_norm(dense)
    stacked = torch.stack([n.to(norms[0].device).float() for n in norms])
    norm: Tensor = torch.linalg.vector_norm(stacked)
    return norm


def _new_folder(model: nn.Module) -> Path:
    inner: object = model
    # Of a model in DistributedDataParallel or Lightning Fabric, and of a compiled one.
    while isinstance(deeper := _wrapped_model(inner), nn.Module):
        inner = deeper
    parent, stem = Path("watched_runs"), f"{type(inner).__name__}_"
    try:
        return claim_folder(parent, stem)
    except DescendError:  # no record is a reason to end the loop
        return parent / f"{stem}{int(time.time())}"


def _wrapped_model(model: object) -> object:
    """Return the model inside a wrapper of torch or Lightning Fabric; None where it is none."""
    return getattr(model, "_orig_mod", None) or getattr(model, "module", None)
