"""Other ways to a verdict, re-expressed for language models and given the same record.

Rules are those that the tools publish, their thresholds as published where they carry over;
accuracy becomes the share of the way from guessing (ln V) to nought that the loss has come. What a
symptom means is mapped to the nearest of our causes, as each tool's own advice words it.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Callable, Sequence

from cases import Case
from corpora import sizes
from record import RunRecord

from descend.config import PRESETS

Verdict = list[str]
"""Causes, likeliest first; ["healthy"] where no rule fires."""


def checklist(record: RunRecord) -> Verdict:
    """The guide's five questions: model, rate, batch, context, epochs, each against its own values.

    The furthest below comes first; a checklist never says that nothing is wrong.
    """
    guide, config = PRESETS["guide"], record.config
    rate = config["learning_rate"]
    values = {
        "model_too_small": guide["embed_dim"] / config["embed_dim"],
        "learning_rate_too_low": guide["learning_rate"] / (rate if isinstance(rate, float) else 1),
        "batch_too_small": guide["batch_size"] / config["batch_size"],
        "context_too_short": guide["seq_len"] / config["seq_len"],
        "undertrained": guide["epoch"] / config["epoch"],
    }
    return sorted(values, key=lambda cause: -values[cause])


def sagemaker(record: RunRecord) -> Verdict:
    """Amazon SageMaker Debugger's built-in rules with their default parameters.

    exploding_tensor (not finite), loss_not_decreasing (1 % in a tenth of the steps),
    vanishing_gradient (1e-7), overfit (validation over training by 10 %),
    weight_update_ratio (large_threshold 10).
    """
    found = []
    if record.diverged or not all(map(math.isfinite, record.losses)):
        found.append("diverged")
    last = record.losses[-max(2, len(record.losses) // 10) :]
    half = len(last) // 2
    if half and statistics.mean(last[half:]) > 0.99 * statistics.mean(last[:half]):
        found.append("learning_rate_too_low")
    if record.norms and statistics.median(record.norms) < 1e-7:
        found.append("bad_initialisation")
    if record.validation and record.validation[-1] > 1.1 * record.training[-1]:
        found.append("too_little_data")
    if record.update_ratios and max(record.update_ratios) > 10:
        found.append("learning_rate_too_high")
    return found or ["healthy"]


def autotrainer(record: RunRecord) -> Verdict:
    """AutoTrainer (Zhang et al., ICSE 2021): its five symptoms and the remedies it tries for each.

    Exploding gradient, vanishing gradient (1e-3 between layers), dying units (not recorded),
    oscillating loss (rises in more than 3 of 10 intervals), slow convergence (comes less than 60 %
    of the way at the end).
    """
    found = []
    if record.diverged or (record.norms and max(record.norms) > 70):
        found.append("learning_rate_too_high")
    parts = _parts(record.losses, 10)
    if sum(b > a for a, b in itertools.pairwise(parts)) > 3:
        found.append("learning_rate_too_high")
    if record.validation and 1 - record.validation[-1] / record.uniform < 0.6:
        found.append("learning_rate_too_low")
    return list(dict.fromkeys(found)) or ["healthy"]


def umlaut(record: RunRecord) -> Verdict:
    """UMLAUT (Schoop et al., CHI 2021): its checks that carry over, in its order of severity.

    Not-a-number in the loss; rate above 0.01 or below 1e-7; overfitting (validation rises while
    training falls); dropout above 0.5; accuracy suspiciously high.
    """
    found = []
    if record.diverged:
        found.append("diverged")
    rate = record.config["learning_rate"]
    if isinstance(rate, float) and rate > 0.01:
        found.append("learning_rate_too_high")
    if isinstance(rate, float) and rate < 1e-7:
        found.append("learning_rate_too_low")
    v, t = record.validation, record.training
    if len(v) > 1 and v[-1] > v[-2] and t[-1] < t[-2]:
        found.append("too_little_data")
    if record.config["dropout_rate"] > 0.5:
        found.append("over_regularised")
    if v and v[-1] < 0.05 * record.uniform:
        found.append("leakage")
    return found or ["healthy"]


Features = tuple[float, ...]


def configuration(case: Case) -> Features:
    """What a reader of the settings alone may look at, as logarithms."""
    config = case.values
    nbytes = sizes(case.variant)[0]
    steps = config["epoch"] * nbytes / (config["batch_size"] * config["seq_len"])
    return (
        math.log(config["learning_rate"]), math.log(config["embed_dim"]),
        math.log(config["batch_size"]), math.log(config["seq_len"]), math.log(config["epoch"]),
        math.log(config.get("vocab_size", 257)), math.log(nbytes), math.log(steps),
        10 * config["dropout_rate"], math.log(0.01 + config["weight_decay"]),
        5.0 * (config["schedule"] == "constant"), math.log(1 + (config.get("warmup_steps") or 10)),
    )  # fmt: skip


def nearest(of: Features, known: Sequence[tuple[Features, str]], neighbours: int = 3) -> Verdict:
    """Nearest neighbours over standardised features: the configuration-only classifier."""
    columns = list(zip(*(f for f, _ in known), strict=True))
    scale = [statistics.pstdev(c) or 1.0 for c in columns]

    def distance(item: tuple[Features, str]) -> float:
        return sum(((a - b) / s) ** 2 for a, b, s in zip(of, item[0], scale, strict=True))

    return list(dict.fromkeys(label for _, label in sorted(known, key=distance)[:neighbours]))


RULES: tuple[tuple[str, Callable[[RunRecord], Verdict]], ...] = (
    ("the guide's checklist", checklist),
    ("SageMaker Debugger's rules", sagemaker),
    ("AutoTrainer's rules", autotrainer),
    ("UMLAUT's rules", umlaut),
)


def _parts(values: list[float], count: int) -> list[float]:
    size = max(1, len(values) // count)
    return [statistics.mean(values[i : i + size]) for i in range(0, len(values) - size + 1, size)]
