"""Several models within one time limit, each of which learns from those before it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from descend import resume, run
from descend.api.planned_training import train_later_models
from descend.config import make_config
from descend.runs.events import Epoch
from descend.runs.planned_models import find_models, teacher_folder, write_plan
from descend.runs.run_files import is_finished, read_info, write_summary
from descend.runs.run_folder import read_summary
from descend.training.checkpoint import save_checkpoint
from descend.training.trainer import run_training
from descend.training.training_run import create_run

Tiny = dict[str, Any]

LAST = Path("model")
FIRST = teacher_folder(LAST, 1)


def train_first(tiny: Tiny, num_models: int, minutes: float = 5.0) -> None:
    """Train the first model of a plan for so many."""
    run(tiny | {"save_dir": str(FIRST)})
    write_plan(FIRST, {"minutes": minutes, "num_models": num_models})


def models_of(*folders: Path) -> dict[str, Path]:
    """The folders by the teachers of their runs: the best of them has another place."""
    return {read_info(f).requested_config["teachers"] or "": f for f in folders if f.exists()}


@pytest.mark.slow
def test_later_models_learn_from_those_before_on_the_same_split(tiny: Tiny) -> None:
    train_first(tiny, 3)
    assert train_later_models(LAST, [FIRST], None, time.perf_counter()).folder == LAST
    second = teacher_folder(LAST, 2)
    models = models_of(FIRST, second, teacher_folder(LAST, 3), LAST)
    assert set(models) == {"", str(FIRST), f"{FIRST},{second}"}
    infos = [read_info(folder) for folder in models.values()]
    assert len({info.corpus["corpus_sha256"] for info in infos}) == 1
    assert len({info.resolved_config["seed"] for info in infos}) == 3
    assert len({make_config(info.requested_config).data_seed for info in infos}) == 1


def test_only_model_is_the_last_one_when_the_time_is_up(tiny: Tiny) -> None:
    train_first(tiny, 3)
    model = train_later_models(LAST, [FIRST], None, time.perf_counter() - 295)
    assert model.folder == LAST
    assert not FIRST.exists()
    assert model.summary.model_dir == str(LAST)
    assert model.predict("the", 3)


@pytest.mark.slow
def test_last_model_is_the_one_after_which_none_fits(tiny: Tiny) -> None:
    train_first(tiny, 3)
    train_later_models(LAST, [FIRST], None, time.perf_counter() - 300 + 14)
    assert set(models_of(FIRST, teacher_folder(LAST, 2), LAST)) == {"", str(FIRST)}


@pytest.mark.parametrize(("first_loss", "is_last_best"), [(0.1, False), (9.0, True)])
def test_best_model_is_in_the_folder_of_the_run(
    tiny: Tiny, first_loss: float, is_last_best: bool
) -> None:
    train_first(tiny, 2)
    write_summary(FIRST, msgspec.structs.replace(read_summary(FIRST), bits_per_byte=first_loss))
    model = train_later_models(LAST, [FIRST], None, time.perf_counter())
    assert bool(read_info(LAST).requested_config["teachers"]) == is_last_best
    assert (model.summary.bits_per_byte == first_loss) != is_last_best
    others = [f for f in (FIRST, teacher_folder(LAST, 2)) if f.exists()]
    assert len(others) == 1
    assert read_summary(others[0]).model_dir == str(others[0])


@pytest.mark.slow
@pytest.mark.parametrize("name", [str(LAST), str(FIRST)])
def test_resume_finishes_the_first_model_and_those_after_it(tiny: Tiny, name: str) -> None:
    first = create_run(make_config(tiny | {"epoch": 3, "save_dir": str(FIRST)}), FIRST)
    records = run_training(first)
    next(record for record in records if isinstance(record, Epoch))
    records.close()  # type: ignore[attr-defined]
    save_checkpoint(FIRST, first.state)
    write_plan(FIRST, {"minutes": 5.0, "num_models": 2})
    model = resume(name)
    assert model.folder == LAST
    assert is_finished(FIRST)
    assert read_info(LAST).requested_config["teachers"] == str(FIRST)


def test_run_planned_alone_is_not_one_of_several(tiny: Tiny) -> None:
    run(tiny | {"save_dir": str(FIRST)})
    assert find_models(FIRST) is None
    write_plan(FIRST, {"minutes": 5.0, "num_models": 1})
    assert find_models(LAST) is None


@pytest.mark.slow
def test_run_with_more_minutes_than_the_text_needs_trains_several(varied_text: Path) -> None:
    began = time.perf_counter()
    model = run({
        "corpus_dir": str(varied_text), "minutes": 2.0, "embed_dim": 32, "num_layers": 2,
        "ff_dim": 64, "save_dir": str(LAST),
    })  # fmt: skip
    assert time.perf_counter() - began <= 126
    assert model.folder == LAST
    models = find_models(LAST)
    assert models is not None
    first = read_summary(models.teachers[0])
    assert model.summary.bits_per_byte < first.bits_per_byte
