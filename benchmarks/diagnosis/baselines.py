"""Other ways to a verdict, re-expressed for language models and given the same record.

Rules are those that the tools publish, their thresholds as published where they carry over, or
tuned on development; accuracy becomes the fraction of the way from guessing (ln V) to nought that
the loss has come. What a symptom means is mapped to the nearest of our causes, as each tool's own
advice words it.
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from cases import PlantedRun, Values
from corpora import sizes
from signs import Signs

from descend.presets import PRESETS

Verdict = list[str]
"""Causes, likeliest first; ["healthy"] where no rule fires."""


Thresholds = Mapping[str, float]


@dataclass(frozen=True)
class Rules:
    """A tool's rules, with the thresholds that it publishes."""

    name: str
    published: Thresholds
    judge: Callable[[Values, Signs, Thresholds], Verdict]
    """Of the settings and the signs of a run."""


def checklist(config: Values, signs: Signs, at: Thresholds) -> Verdict:
    """The guide's five questions: model, rate, batch, context, epochs, each against its own values.

    The furthest below comes first; as published it never says that nothing is wrong.
    """
    guide = PRESETS["guide"]
    questions = {
        "model_too_small": "embed_dim", "learning_rate_too_low": "learning_rate",
        "batch_too_small": "batch_size", "context_too_short": "seq_len", "undertrained": "epoch",
    }  # fmt: skip
    short = {cause: guide[key] / config[key] * at[key] for cause, key in questions.items()}
    causes = sorted((c for c in short if short[c] > at["least"]), key=lambda c: -short[c])
    return causes or ["healthy"]


def sagemaker(config: Values, signs: Signs, at: Thresholds) -> Verdict:
    """Amazon SageMaker Debugger's built-in rules: exploding_tensor (not finite),
    loss_not_decreasing, vanishing_gradient, overfit, weight_update_ratio."""
    rules_fired = {
        "diverged": signs.diverged,
        "learning_rate_too_low": signs.last_fall < at["loss_not_decreasing"],
        "bad_initialization": signs.norm < at["vanishing_gradient"],
        "too_little_data": signs.over_training > 1 + at["overfit"],
        "learning_rate_too_high": signs.update_to_weight_ratio > at["weight_update_ratio"],
    }
    return _list_fired(rules_fired)


def autotrainer(config: Values, signs: Signs, at: Thresholds) -> Verdict:
    """AutoTrainer (Zhang et al., ICSE 2021), its symptoms but for dying units: exploding gradient,
    oscillating loss, slow convergence, each with the treatment that it tries first."""
    high = signs.highest_norm > at["exploding"] or signs.uphill > at["oscillating"]
    rules_fired = {
        "learning_rate_too_high": signs.diverged or high,
        "learning_rate_too_low": signs.progress < at["converged"],
    }
    return _list_fired(rules_fired)


def umlaut(config: Values, signs: Signs, at: Thresholds) -> Verdict:
    """UMLAUT (Schoop et al., CHI 2021): its checks that carry over, in its order of severity: not a
    number; rate too high or low; overfitting; dropout; accuracy suspiciously high."""
    rate = config["learning_rate"]
    rules_fired = {
        "diverged": signs.diverged,
        "learning_rate_too_high": rate > at["high_rate"],
        "learning_rate_too_low": rate < at["low_rate"],
        "too_little_data": signs.turned,
        "over_regularized": config["dropout_rate"] > at["dropout"],
        "data_leakage": 1 - signs.progress < at["suspicious"],
    }
    return _list_fired(rules_fired)


def _list_fired(rules_fired: Mapping[str, bool]) -> Verdict:
    return [cause for cause, yes in rules_fired.items() if yes] or ["healthy"]


RULES = (
    Rules("the guide's checklist",
          {"embed_dim": 1, "learning_rate": 1, "batch_size": 1, "seq_len": 1, "epoch": 1,
           "least": 0.0}, checklist),
    Rules("SageMaker Debugger's rules",
          {"loss_not_decreasing": 0.01, "vanishing_gradient": 1e-7, "overfit": 0.1,
           "weight_update_ratio": 10}, sagemaker),
    Rules("AutoTrainer's rules", {"exploding": 70, "oscillating": 3, "converged": 0.6},
          autotrainer),
    Rules("UMLAUT's rules",
          {"high_rate": 0.01, "low_rate": 1e-7, "dropout": 0.5, "suspicious": 0.05}, umlaut),
)  # fmt: skip

DRAWS = 300
"""Sets of thresholds that tuning tries."""
FURTHEST = 30.0
"""Times a published threshold, up or down."""
FROM_NOTHING = 3.0
"""Up to which a threshold is drawn that is published as nought."""

Example = tuple[Values, Signs, frozenset[str]]
"""Settings, signs, and the verdicts that are right."""


def tune_thresholds(rules: Rules, examples: Sequence[Example]) -> Thresholds:
    """The thresholds with which most of `examples` are right; of as good ones the first drawn, and
    the published ones before all."""
    rng = random.Random(0)

    def draw() -> Thresholds:
        return {
            name: value * FURTHEST ** rng.uniform(-1, 1) if value else rng.uniform(0, FROM_NOTHING)
            for name, value in rules.published.items()
        }

    def count_hits(at: Thresholds) -> int:
        return sum(rules.judge(c, s, at)[0] in accepted for c, s, accepted in examples)

    return max([rules.published, *(draw() for _ in range(DRAWS))], key=count_hits)


Features = tuple[float, ...]


def configuration(case: PlantedRun) -> Features:
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


def curve(signs: Signs) -> Features:
    """What a reader of the curve alone may look at."""
    return (
        math.log(max(signs.norm, 1e-9)), math.log(max(signs.highest_norm, 1e-9)),
        math.log(max(signs.update_to_weight_ratio, 1e-9)), math.log(1e-4 + signs.jitter),
        signs.last_fall, float(signs.uphill), signs.progress, math.log(signs.over_training),
        math.log(1e-4 + signs.rise), math.log(signs.over_unigram), 3.0 * signs.diverged,
    )  # fmt: skip


def nearest(of: Features, known: Sequence[tuple[Features, str]], neighbours: int = 3) -> Verdict:
    """Nearest neighbours over standardised features: the classifiers by settings or curve alone."""
    columns = list(zip(*(f for f, _ in known), strict=True))
    scale = [statistics.pstdev(c) or 1.0 for c in columns]

    def distance(item: tuple[Features, str]) -> float:
        return sum(((a - b) / s) ** 2 for a, b, s in zip(of, item[0], scale, strict=True))

    return list(dict.fromkeys(label for _, label in sorted(known, key=distance)[:neighbours]))
