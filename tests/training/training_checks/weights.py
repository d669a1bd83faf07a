"""Weights and optimizers as they stand before a step: nothing is computed with them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.optim import Optimizer

from descend.machine import Execution
from descend.model.transformer import Transformer
from descend.training.train_state import TrainState

from .failure import failure

MAX_COMPARED_COLUMNS, MIN_COLUMNS = 8, 4
"""Numbers of a row that are compared, and from how many on: four are never drawn twice."""


def check_weights(
    state: TrainState, execution: Execution, loaded: Mapping[str, Tensor] | None
) -> None:
    """In training mode, each weight in one optimizer and free to move, as drawn or as loaded."""
    model = state.model
    _training(model)
    _all_weights_once(model, state.optimizers)
    _matrices_alone_decay(model, state.optimizers)
    if state.scaler.is_enabled() != (execution.precision == "float16"):
        raise failure("the loss scaler", f"one that is {_on(state.scaler.is_enabled())}",
                    f"the one for {execution.precision}")  # fmt: skip
    if loaded is None:
        _check_random_initialization(model)
    else:
        _as_loaded(model, loaded)
    if state.step > state.skipped:  # else no update was made that could have left anything
        _moments(model, state.optimizers)


def _on(enabled: bool) -> str:
    return "on" if enabled else "off"


def _training(model: Transformer) -> None:
    still = [name or "the network" for name, part in model.named_modules() if not part.training]
    if still:
        raise failure(still[0], "evaluation mode", "training mode, in which dropout works")


def _all_weights_once(model: Transformer, optimizers: list[Optimizer]) -> None:
    optimized_ids = [id(p) for o in optimizers for g in o.param_groups for p in g["params"]]
    own = {id(p): name for name, p in model.named_parameters()}
    missing = [name for key, name in own.items() if optimized_ids.count(key) != 1]
    if missing or len(optimized_ids) != len(own):
        raise failure(
            "optimizer", f"{missing[0] if missing else 'a weight'} not exactly once in a group",
            "every weight of the network once",
        )  # fmt: skip
    frozen = [name for name, p in model.named_parameters() if not p.requires_grad]
    if frozen:
        raise failure(frozen[0], "a weight that takes no gradient", "every weight free to move")


def _matrices_alone_decay(model: Transformer, optimizers: list[Optimizer]) -> None:
    names = {id(p): name for name, p in model.named_parameters()}
    for group in (g for o in optimizers for g in o.param_groups):
        vectors = [names[id(p)] for p in group["params"] if p.ndim < 2]
        if vectors and group["weight_decay"]:
            raise failure(vectors[0], f"a weight decay of {group['weight_decay']:g}",
                        "none on biases and norms")  # fmt: skip


def _check_random_initialization(model: Transformer) -> None:
    """Units that start alike get the same gradient and stay alike for ever."""
    for name, weight in model.named_parameters():
        if weight.ndim < 2 or not bool(weight[0].any()):  # zero: what is before it sets it apart
            continue
        for axis_name, rows in (("rows", weight.detach()), ("columns", weight.detach().T)):
            if rows.shape[1] >= MIN_COLUMNS and _has_identical_rows(rows[:, :MAX_COMPARED_COLUMNS]):
                raise failure(name, f"{axis_name} that are alike", "weights drawn at random")


def _has_identical_rows(rows: Tensor) -> bool:
    """Whether two rows are the same; in order of their first number, such two are neighbours."""
    first, order = rows[:, 0].sort()
    ties = (first[1:] == first[:-1]).nonzero()[:, 0]
    return bool((rows[order[ties]] == rows[order[ties + 1]]).all(1).any())


def _as_loaded(model: Transformer, loaded: Mapping[str, Tensor]) -> None:
    for name, weight in model.named_parameters():
        if name not in loaded or not _same(weight.detach(), loaded[name].to(weight.device)):
            raise failure(name, "other numbers than those that were saved", "the ones saved")


def _same(one: Tensor, other: Tensor) -> bool:
    """Whether all numbers are the same; a run may be resumed on its way out of ones that are
    none."""
    return torch.equal(torch.nan_to_num(one), torch.nan_to_num(other))


def _moments(model: Transformer, optimizers: list[Optimizer]) -> None:
    ids_with_state = {id(p) for o in optimizers for p, moments in o.state.items() if moments}
    without = [name for name, p in model.named_parameters() if id(p) not in ids_with_state]
    if without:
        raise failure("optimizer", f"no moments for {without[0]} after a resume",
                    "those of the steps before")  # fmt: skip
