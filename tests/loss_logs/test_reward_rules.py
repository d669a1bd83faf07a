"""A reward that is in the log is read, and its collapse named."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from descend.errors import LogError
from descend.loss_logs.diagnose_log import LogDiagnosis, diagnose_log
from descend.report.text.log_diagnosis import format_log_diagnosis

from .written_logs import written

COUNT = 70


def block(number: int, reward: float, kl: float) -> list[str]:
    """What Stable-Baselines3 prints of one iteration."""
    return [
        "-----------------------------------",
        "| rollout/                |       |",
        f"|    ep_rew_mean          | {reward:.3g} |",
        "| time/                   |       |",
        f"|    iterations           | {number} |",
        f"|    total_timesteps      | {2048 * number} |",
        "| train/                  |       |",
        f"|    approx_kl            | {kl:.4g} |",
        "|    loss                 | 0.012 |",
        f"|    n_updates            | {10 * number} |",
        "|    policy_gradient_loss | -0.005 |",
    ]


def row(number: int, reward: float, kl: float) -> list[str]:
    """A dictionary as TRL prints it."""
    return [str({"loss": 0.012, "reward": reward, "reward_std": 0.3, "kl": kl, "step": number})]


Layout = Callable[[int, float, float], list[str]]


def diagnose_rewards(
    tmp_path: Path, rewards: Sequence[float], layout: Layout = block, jump: int | None = None
) -> LogDiagnosis:
    """The diagnosis of a run with these rewards; `jump`: the iteration whose update is far too
    large."""
    lines = []
    for number, reward in enumerate(rewards, 1):
        lines += layout(number, reward, 5.5 if number == jump else 0.01 + 0.0001 * (number % 7))
    return diagnose_log(written(tmp_path, lines))


def rising(number: int) -> float:
    """A reward that is learned."""
    return 0.9 - 0.8 * 0.93**number


def noisy(rewards: Sequence[float], noise: float = 0.02) -> list[float]:
    """The rewards with the noise of a mean over a few episodes."""
    draw = random.Random(5)
    return [reward + draw.gauss(0, noise) for reward in rewards]


COLLAPSED = [rising(n) if n < 40 else max(0.02, 0.9 - 0.3 * (n - 39)) for n in range(COUNT)]


@pytest.mark.parametrize("layout", [block, row])
def test_collapse_of_the_reward_is_named(layout: Layout, tmp_path: Path) -> None:
    diagnosis = diagnose_rewards(tmp_path, noisy(COLLAPSED), layout)
    assert diagnosis.normal.answer == "no"
    assert "the policy has collapsed" in diagnosis.normal.reason
    place = "81,920 timesteps" if layout is block else "40 steps"
    assert f"falls after {place}" in diagnosis.normal.reason
    assert f"Fix: take a checkpoint of {place} or before" in format_log_diagnosis(diagnosis)


def test_update_that_is_too_large_is_named(tmp_path: Path) -> None:
    diagnosis = diagnose_rewards(tmp_path, noisy(COLLAPSED), jump=41)
    assert diagnosis.verdict == "learning_rate_too_high"
    assert "approx_kl rises to 5.5 at 83,968 timesteps" in diagnosis.normal.reason


@pytest.mark.parametrize("noise", [0.0, 0.02, 0.2])
@pytest.mark.parametrize("layout", [block, row])
def test_reward_that_is_not_lost_is_described_only(
    layout: Layout, noise: float, tmp_path: Path
) -> None:
    rewards_of_runs = (
        [rising(n) for n in range(COUNT)],
        [0.3] * COUNT,
        [rising(n) - (0.15 if n > 60 else 0) for n in range(COUNT)],
        [-3.0 + rising(n) for n in range(COUNT)],
    )
    for expected in rewards_of_runs:
        rewards = noisy(expected, noise)
        diagnosis = diagnose_rewards(tmp_path, rewards, layout)
        assert diagnosis.normal.answer == "cannot tell"
        name = "ep_rew_mean" if layout is block else "reward"
        assert f"the reward ({name}) begins at" in diagnosis.normal.reason
        assert not diagnosis.causes


def test_causes_of_language_models_are_not_listed_for_another_loss(tmp_path: Path) -> None:
    diagnosis = diagnose_rewards(tmp_path, [rising(n) for n in range(COUNT)])
    assert "vocabulary" not in format_log_diagnosis(diagnosis).split("Expected:")[1].split("\n")[1]
    assert diagnosis.not_checked == []


def test_rewards_without_losses_are_described_in_the_error(tmp_path: Path) -> None:
    lines = [f"global_step={120 * n}, episodic_return={reward:.3f}"
             for n, reward in enumerate(COLLAPSED, 1)]  # fmt: skip
    with pytest.raises(LogError, match="rewards and no losses") as raised:
        diagnose_log(written(tmp_path, lines))
    assert "episodic_return" in str(raised.value)
    assert "the policy has collapsed" in str(raised.value)


def test_place_of_a_reward_is_its_epoch_where_no_step_is_logged(tmp_path: Path) -> None:
    lines = [str({"loss": 0.01, "reward": reward, "epoch": round(n / 100, 2)})
             for n, reward in enumerate(noisy(COLLAPSED), 1)]  # fmt: skip
    diagnosis = diagnose_log(written(tmp_path, lines))
    assert "falls after 0.4 epochs" in diagnosis.normal.reason
