"""What the user set stays as set, and the rest is planned around it."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
import pytest

from descend.config import make_config
from descend.config_sources import resolve_config
from descend.errors import UserError
from descend.planner.axes import axes_for
from descend.planner.corpus_profile import CorpusProfile
from descend.planner.generations import (
    MIN_GAIN,
    choose_later_models,
    estimate_final_loss,
    plan_first_model,
)
from descend.planner.machine_benchmark import MachineBenchmark
from descend.planner.make_plan import (
    CorpusPlan,
    count_useful_steps,
    make_corpus_plan,
    plan_config,
)
from descend.planner.plan import (
    NEARLY_ALL,
    TextTooShortError,
    TrainingPlan,
    choose_config,
    law_input,
)
from descend.planner.scaling_law import load_scaling_law
from descend.planner.step_time import StepTimeModel
from descend.report.text.plan_summary import (
    compare_with_prediction,
    time_used_line,
)
from descend.runs.events import Epoch
from descend.runs.run_files import RunSummary, read_info
from descend.runs.run_folder import read_summary

RATES = StepTimeModel(0.0011, 0.0055, 0.41, 0.0024, 0.005, 0.0022)
"""About those of one core of a server of 2024."""


def sample(train_bytes: int = 10**6) -> CorpusProfile:
    ratios = {1024: 2.3, 2048: 2.8}
    return CorpusProfile(
        train_bytes=train_bytes, validation_bytes=train_bytes // 9, documents=1,
        bytes_per_token=ratios, train_bytes_per_token=ratios,
        unigram=3.9, bigram=3.1, trigram=2.9, five_gram=2.2, five_gram_bytes=1_000_000,
        overlap_fraction=0.0, seconds_to_prepare=1.0,
    )  # fmt: skip


def plan_with(minutes: float = 3, **fixed: object) -> TrainingPlan:
    return choose_config(sample(), RATES, load_scaling_law(), minutes, None, axes_for(fixed))


@pytest.mark.parametrize(
    "fixed",
    [
        {"embed_dim": 96}, {"num_layers": 5}, {"num_heads": 8}, {"ff_dim": 100},
        {"batch_size": 7}, {"seq_len": 48}, {"max_seq_len": 64}, {"learning_rate": 0.01},
        {"optimizer": "adamw"}, {"architecture": "gpt"}, {"schedule": "cosine"},
        {"embed_dim": 64, "num_layers": 12, "batch_size": 3},
    ],
)  # fmt: skip
def test_plan_keeps_what_the_user_set(fixed: dict[str, object]) -> None:
    plan = plan_with(**fixed)
    config = make_config(plan.config)
    assert {k: getattr(config, k) for k in fixed} == fixed
    assert plan.predicted.seconds <= 180 * 1.001


def test_plan_is_as_long_as_the_user_set() -> None:
    assert plan_with(max_steps=77).predicted.steps == 77
    assert plan_with(60, epoch=2).predicted.num_epochs == pytest.approx(2, rel=0.02)
    assert plan_with(60).predicted.num_epochs > 2.2


def test_choose_config_fails_when_the_text_is_too_short() -> None:
    with pytest.raises(TextTooShortError):
        choose_config(sample(300), RATES, load_scaling_law(), 3)


def test_spare_steps_only_where_time_is_the_limit() -> None:
    machine = MachineBenchmark(RATES, "", [])
    timed = plan_with(0.5)
    planned = CorpusPlan("text", machine, timed, {}, 0.6)
    assert plan_config(planned).max_steps > timed.predicted.steps  # type: ignore[operator]
    assert plan_config(planned).minutes == 0.6
    by_text = plan_with(600)
    planned = CorpusPlan("text", machine, by_text, {}, 601)
    assert plan_config(planned).max_steps == by_text.predicted.steps


def test_spare_steps_end_where_more_epochs_overfit() -> None:
    plan = plan_with(1.0)
    law = load_scaling_law()
    useful = count_useful_steps(plan, law)
    assert useful >= plan.predicted.steps
    setting = law_input(plan)
    after = [
        law.bits_per_byte(msgspec.structs.replace(setting, tokens=n * setting.batch_tokens))
        for n in (plan.predicted.steps, useful, 2 * useful)
    ]
    assert after[0] >= after[1]
    planned = CorpusPlan("text", MachineBenchmark("", plan.rates, []), plan, {}, 1.2)
    steps = plan_config(planned).max_steps
    assert steps is not None
    assert plan.predicted.steps <= steps <= useful


def test_run_that_ends_for_the_text_says_so() -> None:
    by_text, by_time = plan_with(600), plan_with(0.5)
    assert by_text.leaves_time
    assert not by_time.leaves_time
    assert not plan_with(600, epoch=1).leaves_time  # the user set it
    assert "no training is expected to use well" in time_used_line(by_text, 60.0, 600)
    assert time_used_line(by_time, 29.0, 0.5) == "29 s from the start to the saved model"
    assert "left" not in time_used_line(by_text, 599 * 60.0, 600)


def test_plan_is_limited_by_time_when_what_is_left_is_one_evaluation() -> None:
    plan = plan_with(0.5)
    allowed = NEARLY_ALL * 60 * plan.minutes
    leaves_time = []
    for left in (0.9 * plan.evaluation_seconds, 1.1 * plan.evaluation_seconds):
        predicted = msgspec.structs.replace(plan.predicted, seconds=allowed - left)
        leaves_time.append(msgspec.structs.replace(plan, predicted=predicted).leaves_time)
    assert leaves_time == [False, True]


def test_comparison_with_prediction_says_how_much_shorter_the_run_was() -> None:
    plan = plan_with(0.5)
    steps = plan.predicted.steps
    texts = [
        compare_with_prediction(plan, run_summary(step)) for step in (steps, round(0.36 * steps))
    ]
    assert "planned steps" not in texts[0]
    assert f"Only {round(0.36 * steps):,} of about {steps:,} planned steps fit" in texts[1]


def run_summary(step: int) -> RunSummary:
    epoch = Epoch(
        epoch=1, step=step, loss_start=6.0, loss_end=5.0, accuracy_start=0.1, accuracy_end=0.2,
        validation_loss=5.0, validation_accuracy=0.2, bits_per_byte=2.0, tokens_per_second=1000.0,
        seconds=60.0,
    )  # fmt: skip
    return RunSummary(
        model_dir="x", parameters=1, seconds=1.0, tokens_per_second=1.0, epochs=[epoch],
        best_epoch=1, validation_loss=5.0, validation_accuracy=0.2, bits_per_byte=2.0,
        ngram_baselines={"uniform": 8.0}, finished=True, samples=[],
    )  # fmt: skip


def test_make_corpus_plan_fails_when_planning_takes_all_the_time(text_file: Path) -> None:
    settings = resolve_config({"corpus_dir": str(text_file)})
    with pytest.raises(UserError, match="planning and preparing"):
        make_corpus_plan(str(text_file), 0.01, settings=settings, began=time.perf_counter())


@pytest.mark.slow
def test_run_with_minutes_is_planned_and_ends_in_time(varied_text: Path) -> None:
    from descend import run

    began = time.perf_counter()
    model = run({
        "corpus_dir": str(varied_text), "minutes": 0.6, "embed_dim": 64, "save_dir": "timed",
    })  # fmt: skip
    assert time.perf_counter() - began <= 36 * 1.05
    assert read_info(Path("timed")).resolved_config["embed_dim"] == 64
    assert read_summary(Path("timed")).finished
    assert Path("timed/plan.json").exists()
    assert model.summary.bits_per_byte < 8


def test_first_model_takes_a_part_of_the_time_when_later_models_end_lower() -> None:
    plan = plan_first_model(plan_with, 60, {})
    later = choose_later_models(plan, {})
    assert plan.minutes == 60
    assert plan.leaves_time
    assert later
    final = estimate_final_loss(plan, later)
    assert final < (1 - MIN_GAIN) * plan_with(60).predicted.bits_per_byte


@pytest.mark.parametrize(
    ("minutes", "fixed"),
    [(0.3, {}), (60, {"epoch": 2}), (60, {"max_steps": 900}), (60, {"teachers": "run"})],
)
def test_first_model_takes_all_the_time_when_no_other_may_follow(
    minutes: float, fixed: dict[str, object]
) -> None:
    def plan_for(training_minutes: float) -> TrainingPlan:
        return plan_with(training_minutes, **{k: v for k, v in fixed.items() if k != "teachers"})

    assert plan_first_model(plan_for, minutes, fixed) == plan_for(minutes)
