"""An improvement over time: the best model so far, and a waterfall whose steps add up."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

import pytest

from descend.experiments.improvement import Improvement, Origin, TrainedModel, contributions
from descend.experiments.improvement_progress import (
    forecast_over_time,
    progress_points,
    waterfall_steps,
)
from descend.planner.corpus_profile import CorpusProfile
from descend.planner.machine_benchmark import MachineBenchmark
from descend.planner.make_plan import CorpusPlan
from descend.planner.plan import choose_config
from descend.planner.scaling_law import load_scaling_law
from descend.planner.step_time import StepTimeModel


def model(name: str, origin: Origin, value: float, seconds: float) -> TrainedModel:
    return TrainedModel(
        run=name, origin=origin, changes={}, bits_per_byte=value, predicted=None, seconds=20,
        elapsed_seconds=seconds,
    )  # fmt: skip


def improvement(*models: TrainedModel) -> Improvement:
    whole = Improvement(source="run", corpus="text", candidates=list(models))
    return Improvement(
        source="run", corpus="text", candidates=list(models), contributions=contributions(whole)
    )


THREE = (
    model("runs/own", "your run", 2.4, 5), model("i/model_1", "planned", 2.1, 60),
    model("i/model_2", "another plan", 2.2, 120),
)  # fmt: skip


def test_best_never_rises_over_time() -> None:
    points = progress_points(improvement(*THREE), Path("i"))
    assert [point.seconds for point in points] == [5, 60, 120]
    assert [point.best for point in points] == [2.4, 2.1, 2.1]
    assert all(point.is_final for point in points)


def test_epochs_of_a_training_count_until_it_is_evaluated(trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained, tmp_path / "model_1")
    run = str(tmp_path / "model_1")
    begun = Improvement(source="run", corpus="text", trainings={run: 10.0})
    points = progress_points(begun, tmp_path)
    assert len(points) == 2
    assert all(not point.is_final and point.seconds > 10 for point in points)
    assert points[-1].best == min(point.bits_per_byte for point in points)
    done = Improvement(
        source="run", corpus="text", trainings={run: 10.0},
        candidates=[model(run, "planned", 9.0, 90)],
    )  # fmt: skip
    assert progress_points(done, tmp_path)[-1].best == 9.0


def test_link_in_place_of_a_training_is_not_read(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "model_1").symlink_to(trained)
    begun = Improvement(source="r", corpus="t", trainings={str(tmp_path / "model_1"): 10.0})
    assert progress_points(begun, tmp_path) == []


def test_waterfall_leads_from_the_first_model_to_the_best() -> None:
    better = model("i/model_3", "treated", 1.9, 200)
    steps = waterfall_steps(improvement(*THREE, better))
    assert steps[0]["start"] == 2.4
    assert steps[-1]["end"] == pytest.approx(1.9)
    assert sum(float(step["gain"]) for step in steps) == pytest.approx(0.5)
    for before, after in itertools.pairwise(steps):
        assert before["end"] == after["start"]


def test_waterfall_is_empty_when_nothing_is_better() -> None:
    assert waterfall_steps(improvement(THREE[0])) == []
    assert waterfall_steps(Improvement(source="run", corpus="text")) == []


RATES = StepTimeModel(0.0011, 0.0055, 0.41, 0.0024, 0.005, 0.0022)
RATIOS = {512: 1.9, 1024: 2.3, 2048: 2.8, 4096: 3.2}
SAMPLE = CorpusProfile(
    train_bytes=900_000, validation_bytes=100_000, documents=1, bytes_per_token=RATIOS,
    train_bytes_per_token={v: 1.05 * ratio for v, ratio in RATIOS.items()},
    unigram=3.9, bigram=3.1, trigram=2.9, five_gram=2.2, five_gram_bytes=1_000_000,
    overlap_fraction=0.0, seconds_to_prepare=1.0,
)  # fmt: skip


def test_forecast_falls_over_time_and_ends_with_the_plan() -> None:
    plan = choose_config(SAMPLE, RATES, load_scaling_law(), 8.0)
    planned = CorpusPlan("text", MachineBenchmark(RATES, "cpu", []), plan, minutes=9.0)
    points = forecast_over_time(planned, began_seconds=10.0, end_seconds=600.0)
    seconds = [point.seconds for point in points]
    losses = [point.bits_per_byte for point in points]
    assert len(points) >= 5
    assert seconds == sorted(seconds)
    assert losses == sorted(losses, reverse=True)
    assert points[-1].seconds == pytest.approx(600)
    assert points[-1].bits_per_byte == pytest.approx(plan.predicted.bits_per_byte)
    for point in points:
        assert point.interval[0] < point.bits_per_byte < point.interval[1]
