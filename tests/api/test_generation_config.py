"""The configuration of a model that learns from earlier ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from descend import run
from descend.api.generation_config import generation_config
from descend.runs.run_files import read_info
from descend.training.recipe import choose_dropouts

Tiny = dict[str, Any]


@pytest.mark.parametrize(("length", "max_steps"), [(0.7, 9), (1.0, 12), (2.0, 24)])
def test_generation_config_has_the_steps_of_the_length(
    tiny: Tiny, length: float, max_steps: int
) -> None:
    base = run(tiny | {"epoch": None, "max_steps": 12, "save_dir": "base"})
    config = generation_config(base.folder, ["base"], 1, length, 3.0, Path("next"))
    assert (config.max_steps, config.minutes) == (max_steps, 3.0)
    assert config.teacher_folders == ("base",)


def test_generation_config_chooses_dropouts_for_its_epochs_unless_the_user_set_them(
    tiny: Tiny,
) -> None:
    keys = tiny | {"epoch": 3, "token_dropout": None, "bpe_dropout": None, "save_dir": "base"}
    base = run(keys)
    config = generation_config(base.folder, ["base"], 1, 2.0, 3.0, Path("next"))
    open_config = config.model_copy(update={"token_dropout": None, "bpe_dropout": None})
    expected = choose_dropouts(open_config, 6, read_info(base.folder).corpus["train_tokens"])
    assert expected["bpe_dropout"] > 0
    assert {key: getattr(config, key) for key in expected} == expected
    assert config.epoch == 6

    by_user = run(keys | {"bpe_dropout": 0.03, "save_dir": "by_user"})
    config = generation_config(by_user.folder, ["by_user"], 1, 2.0, 3.0, Path("next"))
    assert config.bpe_dropout == 0.03
