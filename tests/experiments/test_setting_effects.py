"""What each group of settings is worth, by leaving it out of the best configuration."""

from __future__ import annotations

from typing import Any

from descend.config import make_config
from descend.experiments.improvement import Contribution, Improvement
from descend.experiments.setting_effects import (
    RevertedGroup,
    measure_setting_effects,
    reverted_groups,
)
from descend.planner.step_time import StepTimeModel
from descend.report.text.improvement_summary import improvement_text

RATES = StepTimeModel(0.0011, 0.0055, 0.41, 0.0024, 0.005, 0.0022)


def test_settings_that_differ_are_grouped() -> None:
    before = {"optimizer": "adamw", "learning_rate": 0.0003, "embed_dim": 64, "epoch": 3}
    after = {"optimizer": "muon", "learning_rate": 0.001, "embed_dim": 64, "epoch": 8}
    groups = reverted_groups(before, after)
    assert groups == [RevertedGroup(
        "the optimizer and its learning rate",
        {"optimizer": "adamw", "learning_rate": 0.0003},
        {"optimizer": "muon", "learning_rate": 0.001},
    )]  # fmt: skip


def config_of(tiny: dict[str, Any]) -> Any:
    small = {"embed_dim": 32, "num_layers": 1, "ff_dim": 64, "optimizer": "adamw",
             "warmup_steps": None, "epoch": None, "learning_rate": 0.003}  # fmt: skip
    return make_config(tiny | small)


def test_effects_are_sorted_by_gain(tiny: dict[str, Any]) -> None:
    groups = [
        RevertedGroup("the schedule of the learning rate", {"schedule": "linear"}, {}),
        RevertedGroup("the optimizer and its learning rate", {"learning_rate": 1e-6}, {}),
        RevertedGroup("the size of the network", {"num_heads": 7}, {}),  # cannot be trained
    ]
    effects = measure_setting_effects(config_of(tiny), 300, groups, RATES, lambda: 1.2)
    assert effects[0].reason == "the optimizer and its learning rate"
    assert effects[0].gain > 0.1
    assert effects[0].ci95 is not None
    assert effects[0].ci95[0] > 0
    assert "the size of the network" not in [e.reason for e in effects]


def test_diverged_trial_does_not_hide_the_groups_after_it(tiny: dict[str, Any]) -> None:
    groups = [
        RevertedGroup(
            "the optimizer and its learning rate", {"learning_rate": 10.0, "weight_decay": 1.0}, {}
        ),
        RevertedGroup("the schedule of the learning rate", {"schedule": "linear"}, {}),
    ]
    effects = measure_setting_effects(config_of(tiny), 300, groups, RATES, lambda: 1.2)
    assert [e.reason for e in effects] == ["the schedule of the learning rate"]


def test_without_time_nothing_is_measured(tiny: dict[str, Any]) -> None:
    groups = [RevertedGroup("the schedule of the learning rate", {"schedule": "linear"}, {})]
    assert measure_setting_effects(config_of(tiny), 300, groups, RATES, lambda: 0.0) == []


def test_report_describes_effects() -> None:
    effects = [
        Contribution(reason="the vocabulary", changes={"vocab_size": 1024}, gain=0.12, ci95=None,
                     measured_by="short trial without it", seconds=6.0),
        Contribution(reason="the schedule of the learning rate", changes={"schedule": "wsd"},
                     gain=0.002, ci95=(-0.01, 0.014), measured_by="short trial without it"),
    ]  # fmt: skip
    text = improvement_text(
        Improvement(source="a", corpus="t", setting_effects=effects, stopped="x")
    )
    assert "trained for 6 s with and without it" in text
    assert "the vocabulary: 0.120 lower with it; vocab_size" in text
    assert "which may be chance (95 % CI -0.010 to +0.014)" in text
