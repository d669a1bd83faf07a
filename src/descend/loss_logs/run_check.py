"""How a run of descend goes, from its curve alone, while it trains: the rules for loss logs.

No trial is made and no weight is read, so this costs a run nothing. It says less than a diagnosis.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from descend.loss_logs.curve_features import extract_curve_features
from descend.loss_logs.curve_rules import apply_curve_rules
from descend.loss_logs.expected_loss import ExpectedLoss, expected_loss_range
from descend.loss_logs.judgment import Shape
from descend.loss_logs.log import LogEntry, LossLog

MIN_STEPS, MIN_FRACTION = 100, 0.15
"""Steps, and fraction of the run, before which there is no verdict: the rate still rises until
then, and a good run has hardly begun. The warmup is 0.05 of a run."""

MAX_ENTRIES = 2000
"""Steps that are read: every n-th of a longer run, which leaves the noise as it is."""


ADVICE = {
    "diverged": "lower the learning rate",
    "learning_rate_too_high": "lower the learning rate",
    "learning_rate_too_low": "raise the learning rate",
    "too_little_data": "add more text of the same kind, or stop at the best epoch",
}
"""By verdict that is reported of a run that still trains. Others, such as `undertrained`, are no
fault of a run on its way. The advice of the rules is for logs of other programs."""


class CurveStep(msgspec.Struct, frozen=True):
    """A step as far as its curve goes."""

    step: int
    loss: float
    learning_rate: float


class RunCheck(msgspec.Struct, frozen=True, kw_only=True):
    """What the curve of a run says. `cause` is None where nothing speaks against it."""

    cause: str | None
    probability: float
    reason: str = ""
    advice: str = ""
    recommended_config: dict[str, Any] = {}


def check_curve(
    steps: Sequence[CurveStep],
    validation: Sequence[tuple[int, float]],
    *,
    total_steps: int,
    optimizer: str,
    vocab_size: int,
    baselines: Mapping[str, float],
) -> RunCheck | None:
    """Judge the curve of a run so far; None while it is too early.

    `validation` has a step and its validation loss for each epoch, `baselines` the losses of the
    n-gram baselines (nats per token).
    """
    if not steps or len(steps) < max(MIN_STEPS, MIN_FRACTION * total_steps):
        return None
    entries = [
        LogEntry(position=s.step, train_loss=s.loss, learning_rate=s.learning_rate)
        for s in steps[:: -(-len(steps) // MAX_ENTRIES)]
    ]
    entries += [LogEntry(position=step, validation_loss=loss) for step, loss in validation]
    entries.sort(key=lambda entry: entry.position)
    log = LossLog(kind="descend", unit="steps", entries=entries, adam=optimizer == "adamw")
    band = expected_loss_range(None, vocab_size)
    band = ExpectedLoss(
        start_low=band.start_low, start_high=band.start_high, unigram=baselines["unigram"],
        source="the n-gram baselines of the run",
    )  # fmt: skip
    verdict = apply_curve_rules(Shape(log, extract_curve_features(log), band))
    if verdict.cause is None or verdict.cause not in ADVICE:
        return RunCheck(cause=None, probability=verdict.probability)
    return RunCheck(
        cause=verdict.cause, probability=verdict.probability, reason=verdict.reason,
        advice=ADVICE[verdict.cause], recommended_config=verdict.recommended_config,
    )  # fmt: skip
