"""The configuration of a model that learns from earlier ones of the same recipe."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from descend.config import RunConfig, make_config
from descend.planner.generations import FirstModel
from descend.runs.epochs_read import count_epochs_read
from descend.runs.planned_models import read_planned_models
from descend.runs.run_files import read_info
from descend.runs.run_folder import read_summary
from descend.training.recipe import choose_dropouts


def measure_first_model(run: Path) -> FirstModel:
    """Return what the training of the finished `run` took."""
    summary = read_summary(run)
    return FirstModel(summary.seconds, count_epochs_read(summary))


def generation_config(
    base: Path, teachers: Sequence[str], number: int, length: float, minutes: float, save_dir: Path
) -> RunConfig:
    """Configure the run in `base` again, with `teachers`, and another seed on the same split.

    `number` of models were trained before. `length`: epochs, over those of `base`.
    """
    requested = read_info(base).requested_config
    config = make_config(requested)
    num_epochs = count_epochs_read(read_summary(base))
    keys = requested | _choose_dropouts_again(base, requested, length * num_epochs)
    if config.max_steps is not None:
        keys["max_steps"] = math.ceil(length * config.max_steps)
    elif config.epoch is not None:
        keys["epoch"] = math.ceil(length * config.epoch)
    return make_config(keys | {
        "seed": config.seed + number, "split_seed": config.data_seed, "minutes": minutes,
        "teachers": list(teachers), "save_dir": str(save_dir),
    })  # fmt: skip


def _choose_dropouts_again(
    base: Path, requested: dict[str, Any], num_epochs: float
) -> dict[str, float]:
    """Choose the dropouts for `num_epochs` of the text of `base`, where the user set none."""
    planned = read_planned_models(base)
    set_by_user = requested if planned is None else planned.config
    open_config = make_config(requested | {"token_dropout": None, "bpe_dropout": None})
    train_tokens = read_info(base).corpus["train_tokens"]
    chosen = choose_dropouts(open_config, math.ceil(num_epochs), train_tokens)
    return {key: rate for key, rate in chosen.items() if set_by_user.get(key) is None}
