"""What the reward of reinforcement learning says: its loss measures no progress, the reward does.

Names are those of Stable-Baselines3, CleanRL, RLlib, and TRL.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from descend.loss_logs.curve_features import averaged
from descend.loss_logs.judgment import EvidenceFacts, LogVerdict, Shape
from descend.loss_logs.log import Measure
from descend.loss_logs.positions import format_place
from descend.metrics.periodicity import running_mean

MIN_REWARDS = 20
"""Rewards from which their course is described: of fewer, the mean of a twentieth is one."""
LOST = 0.5
"""Fraction of its rise that the reward has lost at the end where the policy has collapsed."""
NEAR_PEAK = 0.2
"""Fraction of its rise by which the reward may lie below its peak and is near it. A first guess."""
MIN_RISE_NOISE = 4.0
"""Standard deviations of single rewards around their course that rise and loss must exceed: means
of a few episodes jump. A first guess."""
MIN_RISE = 0.02
"""Fraction of the reward itself that rise and loss must exceed, too."""
MIN_KL_RATIO, MIN_KL = 20.0, 0.2
"""Times its median, and the divergence itself, from which one update has changed the policy too
much. PPO aims at 0.01 to 0.03 (Stable-Baselines3's `target_kl`). First guesses."""


@dataclass(frozen=True)
class RewardSummary:
    """Where a reward began, was highest, and ends, each as a mean of neighbors."""

    start: float
    peak: float
    peak_at: float
    last_high_at: float
    """The last place at which it is near its peak."""
    end: float
    noise: float


def summarize_reward(reward: Measure | None) -> RewardSummary | None:
    """Return the course of a logged reward; None where there are too few."""
    if reward is None or len(reward.values) < MIN_REWARDS:
        return None
    places, values = (np.array(side, dtype=np.float64) for side in zip(*reward.values, strict=True))
    finite = np.isfinite(values)
    if finite.sum() < MIN_REWARDS:
        return None
    places, values = places[finite], values[finite]
    width = averaged(len(values))
    smooth = running_mean(values, width)
    # A median of steps from one value to the next is not that of a sudden fall. Of normal noise
    # it is 0.954 times the standard deviation.
    noise = float(np.median(np.abs(np.diff(values)))) / 0.954
    start, peak = float(values[:width].mean()), float(smooth.max())
    is_high = (values >= peak - NEAR_PEAK * (peak - start)) | (smooth == peak)
    return RewardSummary(
        start, peak, float(places[smooth.argmax()]), float(places[is_high][-1]),
        float(values[-width:].mean()), noise,
    )  # fmt: skip


def has_collapsed(summary: RewardSummary) -> bool:
    """Return whether the reward rose clearly and then lost half of that rise or more."""
    rise, lost = summary.peak - summary.start, summary.peak - summary.end
    visible = max(MIN_RISE_NOISE * summary.noise, MIN_RISE * abs(summary.peak))
    return min(rise, lost) > visible and lost > LOST * rise


def reward_collapsed(shape: Shape) -> LogVerdict | None:
    """Return a reward that has risen and is lost again."""
    reward, summary = shape.log.reward, summarize_reward(shape.log.reward)
    if shape.log.objective != "reward" or reward is None or summary is None:
        return None
    if not has_collapsed(summary):
        return None
    place = f"{format_place(summary.last_high_at)} {reward.counter}"
    reason = (
        f"the reward ({reward.name}) rises from {summary.start:.3g} to {summary.peak:.3g}, falls "
        f"after {place}, and ends at {summary.end:.3g}: the policy has collapsed. The loss of "
        "reinforcement learning does not measure progress"
    )
    advice = (
        f"take a checkpoint of {place} or before; train with a third of the learning rate, fewer "
        "passes over each batch, and a limit of the policy's change (target_kl)"
    )
    facts: list[EvidenceFacts] = [("lost_reward", summary.peak - summary.end, "", (None, None),
                                   f"since {place}")]  # fmt: skip
    jump = describe_kl(shape.log.policy_kl)
    if jump is None:
        return LogVerdict(reason, "no", 0.5, None, facts, {}, advice)
    rate = shape.curve.rate_highest
    keys = {} if not rate else {"learning_rate": float(f"{rate / 3:.2g}")}
    return LogVerdict(f"{reason}; {jump}", "no", 0.5, "learning_rate_too_high", facts, keys, advice)


def describe_kl(policy_kl: Measure | None) -> str | None:
    """Return a divergence between two policies far above its median; None where there is none."""
    values = [] if policy_kl is None else [v for v in policy_kl.values if math.isfinite(v[1])]
    if policy_kl is None or len(values) < MIN_REWARDS:
        return None
    place, highest = max(values, key=lambda pair: pair[1])
    median = float(np.median([value for _, value in values]))
    if highest < max(MIN_KL, MIN_KL_RATIO * median):
        return None
    return (
        f"{policy_kl.name} rises to {highest:.2g} at {format_place(place)} {policy_kl.counter} "
        f"(median {median:.2g}), so that single updates change the policy too much"
    )


def describe_reward(reward: Measure | None, policy_kl: Measure | None) -> str:
    """Return how the reward goes, for a run whose loss is not judged; empty where none is."""
    summary = summarize_reward(reward)
    if reward is None or summary is None:
        return ""
    jump = describe_kl(policy_kl)
    return (
        f"the reward ({reward.name}) begins at {summary.start:.3g}, is highest at "
        f"{summary.peak:.3g} ({format_place(summary.peak_at)} {reward.counter}), and ends at "
        f"{summary.end:.3g}"
        + (": the policy has collapsed" if has_collapsed(summary) else "")
        + (f"; {jump}" if jump else "")
    )
