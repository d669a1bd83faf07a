"""What the records of a run say by themselves. Cost class: free; needs no torch.

All of these are pure functions of the records in events.jsonl; None where the run was too short to
say.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from descend.runs.events import Epoch, Step, WeightUpdateStats

WINDOW = 50
"""Steps in a row whose mean loss is the level of the curve; fewer norms have no percentiles."""


def initial_loss_ratio(steps: Sequence[Step], vocab_size: int) -> float | None:
    """Return the training loss of the first step over ln V (ratio).

    Near 1: all tokens are equally likely before training, as they should be.
    Source: Karpathy, "A recipe for training neural networks" (2019).
    """
    if not steps or steps[0].step != 1:
        return None
    return steps[0].loss / float(np.log(vocab_size))


def update_to_weight_ratio(matrices: Sequence[WeightUpdateStats]) -> float | None:
    """Update over weight, as root mean squares: median over matrices, then the largest of the
    records' medians after the first (ratio a step).

    The largest is where the rate stood at its peak. Source: Karpathy, makemore part 3 (2022).
    """
    medians = [float(np.median(list(m.update_to_weight_ratio.values()))) for m in matrices[1:]]
    return max(medians) if medians else None


def clipped_step_fraction(steps: Sequence[Step]) -> float | None:
    """Return the fraction of steps whose gradient was cut down to `gradient_clip` (0 to 1)."""
    return float(np.mean([s.clipped for s in steps])) if steps else None


def gradient_norm_p99_over_p50(steps: Sequence[Step]) -> float | None:
    """Return 99th over 50th percentile of the gradient norm after the first tenth of the run
    (ratio).

    Source: spikes of thousands times the norm precede divergence, SPAM, arXiv 2501.06842.
    """
    norms = [s.gradient_norm for s in steps[len(steps) // 10 :] if s.gradient_norm is not None]
    if len(norms) < WINDOW:
        return None
    return float(np.quantile(norms, 0.99) / max(float(np.median(norms)), 1e-12))


def max_loss_increase(steps: Sequence[Step]) -> float | None:
    """Return the highest mean loss of `WINDOW` steps in a row after the first tenth of the run,
    minus the lowest before it (nats): above 0 the loss rose again for good."""
    losses = np.array([s.loss for s in steps])
    if len(losses) < 4 * WINDOW:
        return None
    means = np.convolve(losses, np.full(WINDOW, 1 / WINDOW), mode="valid")
    lowest = np.minimum.accumulate(means)
    first = max(1, len(means) // 10)
    return float((means[first:] - lowest[first:]).max())


def validation_loss_increase_after_best(epochs: Sequence[Epoch]) -> float | None:
    """Return the validation loss of the last epoch minus that of the best (nats): above 0 it
    overfits."""
    if len(epochs) < 2:
        return None
    return epochs[-1].validation_loss - min(e.validation_loss for e in epochs)


def last_epoch_loss_reduction(epochs: Sequence[Epoch]) -> float | None:
    """Fall of the validation loss in the last epoch (nats); negative where it rose."""
    if len(epochs) < 2:
        return None
    return epochs[-2].validation_loss - epochs[-1].validation_loss


def final_lr_fraction(steps: Sequence[Step]) -> float | None:
    """Return the learning rate of the last step over the highest (ratio): near 0 where it was let
    fall. None if no rate is above 0."""
    highest = max((s.learning_rate for s in steps), default=0.0)
    return steps[-1].learning_rate / highest if highest > 0 else None


def warmup_fraction(steps: Sequence[Step]) -> float | None:
    """Return the fraction of the recorded steps before the rate first reached its highest (0 to
    1)."""
    if not steps:
        return None
    highest = max(s.learning_rate for s in steps)
    return next(n for n, s in enumerate(steps) if s.learning_rate >= highest) / len(steps)


def near_zero_lr_fraction(steps: Sequence[Step]) -> float | None:
    """Return the fraction of steps whose rate was under a hundredth of the highest (0 to 1): nearly
    wasted."""
    if not steps:
        return None
    highest = max(s.learning_rate for s in steps)
    return float(np.mean([s.learning_rate < 0.01 * highest for s in steps]))
