"""What a comparison found: plain records, as they are written, read and shown."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from descend.experiments.estimate import Estimate
from descend.trials.trial_spec import EvalPoint

_FORMAT = 1


class SeedResult(msgspec.Struct, frozen=True, kw_only=True):
    """One run of an arm."""

    seed: int
    validation_loss: float
    accuracy: float
    bits_per_byte: float
    seconds: float
    diverged_step: int | None
    curve: list[EvalPoint]


class ArmResult(msgspec.Struct, frozen=True, kw_only=True):
    """An arm and what came of it, as means over the seeds."""

    name: str
    config: dict[str, Any]
    """As requested; the seed is that of the first run."""
    steps: int
    tokens: int
    """Trained on, repeats counted."""
    vocab_size: int
    parameters: int
    memory: int
    """Bytes: measured on a GPU, on a processor counted from the sizes."""
    validation_loss: float
    accuracy: float
    bigram_accuracy: float | None = None
    """Of the bigram baseline with this vocabulary. None in older records."""
    bits_per_byte: float
    seconds: float
    """Of training, one run at a time on a thread."""
    difference: Estimate | None
    """Loss minus that of the first arm, paired by seed: below zero is better; None for the first.
    What people read shows it as a loss reduction."""
    p: float | None
    """That there is no difference; corrected by Holm for the number of arms."""
    verdict: str
    """`first`, `better`, `worse` or `not significant`."""
    seeds: list[SeedResult]


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """comparison.json and `compare --json`."""

    corpus: str
    budget_unit: str
    budget: float | None
    """Tokens, seconds or steps that each run had; None when each had its own epochs."""
    unit: str
    """Of the differences: `nats per token`, or `bits per byte` where vocabularies differ."""
    varied: list[str]
    seeds: list[int]
    arms: Annotated[list[ArmResult], msgspec.Meta(min_length=1)]
    sentence: str = ""
    """The answer in plain words, which `report.text.experiment_summary` makes."""
    command: str = ""
    """What repeats it, as it was typed or called; empty where that is not known."""
    format: int = _FORMAT
