"""A `Trainer` of transformers, or one that inherits from it (trl), as a program.

The loop of `Trainer._run_epoch` is followed, from transformers 4.46 and 5: batches by
`get_train_dataloader`, loss by `compute_loss`, gradients by `training_step`.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import torch

from descend.program_check.results import UndeterminedError

METHODS = ("get_train_dataloader", "compute_loss", "create_optimizer", "training_step")

EVALUATED_BATCHES = 2


def is_trainer(value: Any) -> bool:
    """Return whether `value` is an object with the methods of transformers' Trainer."""
    return not isinstance(value, type) and all(callable(getattr(value, m, None)) for m in METHODS)


def trainer_parts(trainer: Any) -> dict[str, Any]:
    """Return the parts of a program that `trainer` makes and calls."""
    model = trainer.model
    if not hasattr(trainer, "current_gradient_accumulation_steps"):  # made when it trains
        trainer.current_gradient_accumulation_steps = 1
    parts: dict[str, Any] = {"model": model, "trainer": trainer}
    loader = made_or_reason("get_train_dataloader", trainer.get_train_dataloader)
    parts["batches"] = loader
    optimizer = made_or_reason("create_optimizer", lambda: _optimizer(trainer))
    if isinstance(optimizer, torch.optim.Optimizer):
        parts["optimizer"] = optimizer
        total = _total_steps(trainer, loader)
        scheduler = made_or_reason("create_scheduler", lambda: _scheduler(trainer, total))
        if scheduler is not None and not inspect.isfunction(scheduler):
            parts["scheduler"] = scheduler
        parts["total_steps"] = total
        parts["step"] = _step_of(trainer, optimizer, parts.get("scheduler"))

    def loss(model: Any, batch: Any) -> Any:
        return trainer.compute_loss(model, dict(batch))

    loss.defined_as = trainer.compute_loss  # type: ignore[attr-defined]
    parts["loss"] = loss
    if getattr(trainer, "eval_dataset", None) is not None:
        parts["evaluate"] = _evaluate_of(trainer)
    tokenizer = getattr(trainer, "processing_class", None) or getattr(trainer, "tokenizer", None)
    if callable(getattr(tokenizer, "encode", None)):
        parts["tokenizer"] = tokenizer
    return parts


def made_or_reason(name: str, make: Callable[[], Any]) -> Any:
    """Return what `make` makes, or a function that says why it could not."""
    try:
        return make()
    except Exception as problem:
        first = (str(problem).strip().splitlines() or [""])[0][:120]
        reason = f"`{name}` raised {type(problem).__name__}: {first}"

    def fail() -> Any:
        raise UndeterminedError(reason)

    return fail


def _optimizer(trainer: Any) -> Any:
    made = trainer.create_optimizer()
    return made if made is not None else trainer.optimizer


def _scheduler(trainer: Any, total: int) -> Any:
    if getattr(trainer, "lr_scheduler", None) is not None:
        return trainer.lr_scheduler
    return trainer.create_scheduler(num_training_steps=total, optimizer=trainer.optimizer)


def _total_steps(trainer: Any, loader: Any) -> int:
    """Return steps of the whole training, as `Trainer` counts them."""
    args = trainer.args
    if args.max_steps > 0:
        return int(args.max_steps)
    batches = len(loader) if hasattr(loader, "__len__") else 1
    an_epoch = max(1, batches // max(1, int(args.gradient_accumulation_steps)))
    epochs = float(args.num_train_epochs)
    return max(1, math.ceil(epochs * an_epoch))


def _step_of(trainer: Any, optimizer: Any, scheduler: Any) -> Callable[[Any], Any]:
    """Return a function that runs one micro-batch. Gradients of all that belong to an update follow
    when the last is there."""
    accumulated = max(1, int(trainer.args.gradient_accumulation_steps))
    waiting: list[Any] = []
    takes_count = "num_items_in_batch" in inspect.signature(trainer.training_step).parameters

    def step(batch: Any) -> Any:
        waiting.append(batch)
        if len(waiting) < accumulated:
            return None
        parts = list(waiting)
        waiting.clear()
        trainer.current_gradient_accumulation_steps = len(parts)
        with suppress(AttributeError):
            trainer.accelerator.gradient_state._set_sync_gradients(True)
        more = {"num_items_in_batch": _num_items(trainer, parts)} if takes_count else {}
        losses = [trainer.training_step(trainer.model, dict(p), **more) for p in parts]
        if (trainer.args.max_grad_norm or 0) > 0:
            torch.nn.utils.clip_grad_norm_(trainer.model.parameters(), trainer.args.max_grad_norm)
        optimizer.step()
        if scheduler is not None and type(scheduler).__name__ != "ReduceLROnPlateau":
            scheduler.step()
        trainer.model.zero_grad()
        return sum(losses)

    step.defined_as = trainer.training_step  # type: ignore[attr-defined]
    return step


def _num_items(trainer: Any, parts: list[Any]) -> Any:
    count = getattr(trainer, "_get_num_items_in_batch", None)
    return count(parts, trainer.args.device) if count is not None else None


def _evaluate_of(trainer: Any) -> Callable[[], Any]:
    def evaluate() -> Any:
        size = EVALUATED_BATCHES * trainer.args.eval_batch_size
        data = trainer.eval_dataset
        few = torch.utils.data.Subset(data, range(min(len(data), size)))
        loader = trainer.get_eval_dataloader(few)
        return trainer.evaluation_loop(loader, "check", prediction_loss_only=True).metrics

    return evaluate
