"""The models of an improvement through the interface: what each is, and how its training goes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import descend
from descend.experiments.improvement import Improvement, TrainedModel, save
from descend.web.studio.feed import FeedCache
from descend.web.studio.improvement_model_rows import model_fields

from .studio_server import TINY_SETTINGS

pytest.importorskip("fastapi", reason="the extra `studio` is not installed")


@pytest.fixture
def improved(tmp_path: Path, text_file: Path) -> tuple[Path, Improvement]:
    """An improvement whose first model is finished, and whose second learns from it."""
    folder = tmp_path / "improvements" / "first"
    settings: dict[str, Any] = TINY_SETTINGS | {"corpus_dir": str(text_file), "epoch": 2}
    first = descend.run(settings | {"save_dir": str(folder / "model_1")})
    descend.run(settings | {
        "save_dir": str(folder / "model_2"), "seed": 7, "split_seed": 42,
        "teachers": str(first.folder),
    })  # fmt: skip
    given = TrainedModel(
        run="models/first", origin="your run", changes={}, bits_per_byte=3.0, predicted=None,
        seconds=1.0, pieces=[3.1, 2.9], elapsed_seconds=1.0,
    )  # fmt: skip
    planned = TrainedModel(
        run=str(folder / "model_1"), origin="planned", changes={}, predicted=None, seconds=2.0,
        bits_per_byte=first.summary.bits_per_byte, pieces=[2.6, 2.4], elapsed_seconds=9.0,
    )  # fmt: skip
    improvement = Improvement(
        source="models/first", corpus=str(text_file), candidates=[given, planned],
        trainings={str(folder / "model_1"): 3.0, str(folder / "model_2"): 10.0},
    )  # fmt: skip
    save(improvement, folder)
    return folder, improvement


def test_models_name_their_teachers_and_the_one_in_training(
    improved: tuple[Path, Improvement],
) -> None:
    folder, improvement = improved
    rows = model_fields(improvement, folder, FeedCache(5), is_active=True)
    assert [row["name"] for row in rows] == ["first", "model_1", "model_2"]
    assert [row["origin"] for row in rows] == ["your run", "planned", "distilled"]
    assert [row["teachers"] for row in rows] == [[], [], ["model_1"]]
    assert "what model_1 would predict" in rows[2]["sentence"]
    assert [row["is_best"] for row in rows] == [False, True, False]
    assert rows[1]["gain"] == pytest.approx(3.0 - rows[1]["bits_per_byte"])
    assert rows[1]["ci95"] == pytest.approx((0.5, 0.5))
    assert [len(row["epochs"]) for row in rows] == [0, 2, 2]
    assert rows[2]["bits_per_byte"] is None
    assert rows[2]["state"] == "measuring"  # its run has ended, and has no result yet


def test_model_in_training_tells_its_progress(improved: tuple[Path, Improvement]) -> None:
    folder, improvement = improved
    log = folder / "model_2" / "events.jsonl"
    lines = log.read_text().splitlines(keepends=True)
    steps = [line for line in lines if json.loads(line)["kind"] in ("training_started", "step")]
    log.write_text("".join(steps[: len(steps) // 2]))
    row = model_fields(improvement, folder, FeedCache(5), is_active=True)[2]
    assert row["state"] == "running"
    assert 0 < row["progress"]["fraction"] < 1
    assert row["progress"]["step"] < row["progress"]["total_steps"]
    row = model_fields(improvement, folder, FeedCache(5), is_active=False)[2]
    assert row["state"] == "stopped"
