"""A Lightning module as a program: one step of what `Trainer.fit` does with it.

Followed is the order of Lightning 2's automatic optimization (`training_step`,
`optimizer_zero_grad`, `backward`, `optimizer_step`), or `training_step` alone where the module
optimizes by hand. The module is attached to a trainer for the length of a step only.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from descend.program_check.instrumentation.call_recorder import ids_of, logits_of, loss_of
from descend.program_check.instrumentation.state_guard import preserve_state
from descend.program_check.trainer_program import made_or_reason

LOADERS = ("train_dataloaders", "train_loader", "train_dataloader", "batches", "train_batches",
           "loader", "dataloader", "train_dl")  # fmt: skip


@dataclass
class Optimization:
    """What `configure_optimizers` returned."""

    optimizers: list[Optimizer] = field(default_factory=list)
    by_step: list[Any] = field(default_factory=list)
    """Schedules that are stepped after each step of the optimizer."""
    by_epoch: list[Any] = field(default_factory=list)


def is_lightning_module(value: Any) -> bool:
    """Return whether `value` is a LightningModule, of either name of the package."""
    return isinstance(value, nn.Module) and _class_of(value, "LightningModule") is not None


def _class_of(value: Any, name: str) -> type | None:
    homes = ("lightning", "pytorch_lightning")
    return next((c for c in type(value).__mro__ if c.__name__ == name
                 and c.__module__.partition(".")[0] in homes), None)  # fmt: skip


def lightning_parts(
    module: Any, runner: Any, values: Iterable[Any], given: Mapping[str, Any],
    namespace: Mapping[str, Any],
) -> dict[str, Any]:  # fmt: skip
    """Return the parts of a program that `module` makes and calls; `runner` is its Trainer, if
    any."""
    batches = made_or_reason("train_dataloader", lambda: _loader(module, values, given, namespace))
    epochs = getattr(runner, "max_epochs", None)
    runner = runner or _new_runner(module)
    attach = _attacher(module, runner, batches)

    def configure() -> Optimization:
        with attach(Optimization()):
            return read_optimization(module.configure_optimizers())

    made = made_or_reason("configure_optimizers", configure)
    parts: dict[str, Any] = {"model": module}
    if batches is not None:
        parts["batches"] = batches
    if not isinstance(made, Optimization):
        parts["step"] = lambda batch: made()
        return parts
    parts["optimizer"] = made.optimizers[0] if len(made.optimizers) == 1 else made.optimizers
    schedules = made.by_step + made.by_epoch
    if schedules:
        parts["scheduler"] = schedules[0] if len(schedules) == 1 else schedules
    if made.by_epoch:
        parts["after_epoch"] = lambda: [s.step() for s in made.by_epoch]
    if isinstance(epochs, int) and epochs > 0:
        parts["num_epochs"] = epochs
    parts["step"] = _step_of(module, runner, made, attach)
    parts["model"] = network_of(module, parts)
    return parts


def read_optimization(returned: Any) -> Optimization:
    """Return what `configure_optimizers` may return, in its forms: optimizer, lists,
    dictionaries."""
    optimization = Optimization()
    if (
        isinstance(returned, tuple | list)
        and len(returned) == 2
        and all(isinstance(x, tuple | list) for x in returned)
    ):
        optimization.optimizers = list(returned[0])
        for schedule in returned[1]:
            _add_schedule(optimization, schedule)
        return optimization
    for one in returned if isinstance(returned, tuple | list) else [returned]:
        if isinstance(one, Mapping):
            optimization.optimizers.append(one["optimizer"])
            if one.get("lr_scheduler") is not None:
                _add_schedule(optimization, one["lr_scheduler"])
        elif isinstance(one, Optimizer):
            optimization.optimizers.append(one)
    return optimization


def _add_schedule(optimization: Optimization, schedule: Any) -> None:
    interval = "epoch"
    if isinstance(schedule, Mapping):
        interval, schedule = schedule.get("interval", "epoch"), schedule["scheduler"]
    (optimization.by_step if interval == "step" else optimization.by_epoch).append(schedule)


def _loader(
    module: Any, values: Iterable[Any], given: Mapping[str, Any], namespace: Mapping[str, Any]
) -> Any:
    for names in (given, namespace):
        for name in LOADERS:
            value = names.get(name)
            if value is not None and not _class_of(value, "LightningDataModule"):
                return value() if inspect.isfunction(value) else value
    data = next((v for v in values if _class_of(v, "LightningDataModule")), None)
    if data is not None:
        data.prepare_data()
        data.setup("fit")
        return data.train_dataloader()
    base = _class_of(module, "LightningModule")
    if type(module).train_dataloader is not getattr(base, "train_dataloader", None):
        return module.train_dataloader()
    return None


def _new_runner(module: Any) -> Any:
    home = _class_of(module, "LightningModule")
    root = "lightning.pytorch" if home and home.__module__.startswith("lightning.") else (
        "pytorch_lightning")  # fmt: skip
    return importlib.import_module(root).Trainer(
        accelerator="cpu", devices=1, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, max_epochs=1,
    )  # fmt: skip


Attach = Callable[[Optimization], Any]


def _attacher(module: Any, runner: Any, batches: Any) -> Attach:
    with suppress(Exception):  # lets `estimated_stepping_batches` be asked for
        runner._data_connector.attach_data(module, train_dataloaders=batches)
        runner.strategy.connect(module)

    @contextmanager
    def attach(made: Optimization) -> Iterator[None]:
        one = made.optimizers[0] if len(made.optimizers) == 1 else made.optimizers
        schedules = made.by_step + made.by_epoch
        instead: dict[str, Any] = {
            "optimizers": lambda use_pl_optimizer=True: one,
            "lr_schedulers": lambda: schedules[0] if len(schedules) == 1 else schedules or None,
            "manual_backward": lambda loss, *args, **kwargs: loss.backward(*args, **kwargs),
            "log": lambda *args, **kwargs: None,
            "log_dict": lambda *args, **kwargs: None,
            "toggle_optimizer": lambda *args, **kwargs: None,
            "untoggle_optimizer": lambda *args, **kwargs: None,
            "clip_gradients": _clip_of(module),
        }
        before = module._trainer
        names = vars(module)
        own = {k: names[k] for k in instead if k in names}
        names.update(instead)
        module._trainer = runner
        try:
            yield
        finally:
            for name in instead:
                names.pop(name, None)
            names.update(own)
            module._trainer = before

    return attach


def _clip_of(module: Any) -> Callable[..., None]:
    def clip_gradients(
        optimizer: Any, gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:  # fmt: skip
        if gradient_clip_val:
            by_value = gradient_clip_algorithm == "value"
            clip = nn.utils.clip_grad_value_ if by_value else nn.utils.clip_grad_norm_
            clip(module.parameters(), gradient_clip_val)

    return clip_gradients


def _step_of(module: Any, runner: Any, made: Optimization, attach: Attach) -> Callable[[Any], Any]:
    done = [0]
    accumulated = int(getattr(runner, "accumulate_grad_batches", 1) or 1)
    width = len(inspect.signature(module.training_step).parameters)

    def step(batch: Any) -> Any:
        index = done[0]
        done[0] += 1
        with attach(made):
            module.train()
            output = module.training_step(*(batch, index, 0)[:width])
            loss = loss_of(output)
            if not module.automatic_optimization or not isinstance(loss, torch.Tensor):
                return output
            optimizer = made.optimizers[0]
            if index % accumulated == 0:
                module.optimizer_zero_grad(0, index, optimizer)
            module.backward(loss / accumulated)
            if (index + 1) % accumulated == 0:
                clip_value = getattr(runner, "gradient_clip_val", None)
                how = getattr(runner, "gradient_clip_algorithm", None)
                module.configure_gradient_clipping(optimizer, clip_value, how)
                module.optimizer_step(0, index, optimizer, lambda: loss)
                for schedule in made.by_step:
                    schedule.step()
        return output

    step.defined_as = module.training_step  # type: ignore[attr-defined]
    return step


def network_of(module: Any, parts: Mapping[str, Any]) -> nn.Module:
    """Return the part of the module that takes ids and gives logits: itself, or the network it
    holds."""
    batch = _first_batch(parts.get("batches"))
    sizes = {m.num_embeddings for m in module.modules() if isinstance(m, nn.Embedding)}
    called: list[nn.Module] = []

    def note(network: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        logits = logits_of(output)
        if ids_of(args, kwargs) is not None and logits is not None and logits.shape[-1] in sizes:
            called.append(network)  # an outer one is noted after what it calls

    hooks = [m.register_forward_hook(note, with_kwargs=True) for m in module.modules()]
    try:
        with preserve_state(parts, {"module": module}), suppress(Exception):
            parts["step"](batch)
    finally:
        for hook in hooks:
            hook.remove()
    return called[-1] if called else module


def _first_batch(loader: Any) -> Any:
    with suppress(Exception):
        return next(iter(loader))
    return None
