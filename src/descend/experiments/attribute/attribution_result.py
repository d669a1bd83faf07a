"""What an attribution found: plain records, as they are written, read and shown.

Numbers of the loss are raw differences, the changed run minus the other: below zero is better. What
people read shows loss reductions, above zero is better (`report/text/experiment_tables.py`).
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from descend.experiments.estimate import Estimate

_FORMAT = 1


class ChangeContribution(msgspec.Struct, frozen=True, kw_only=True):
    """What one change brought, as a part of the whole difference. Negative losses are gains."""

    key: str
    change: str
    value: float
    """Of the loss: nats per token, or bits per byte where the vocabulary changes."""
    ci95: tuple[float, float] | None
    """Of this change alone, whatever their number."""
    p: float | None = None
    """That its part is nothing; corrected by Holm for the number of changes. None without spread,
    and in a record made before it was written down."""
    accuracy: Estimate
    seconds: Estimate
    effect_first: float | None
    """What it brings (loss) when nothing else is changed; None if no order began with it."""
    effect_last: float | None
    """What it brings when all else is changed already; None if no order ended with it."""


class Interaction(msgspec.Struct, frozen=True):
    """What two changes bring together beyond what each brings alone (loss); below 0: they help
    each other. The Shapley interaction index when exact, else an estimate of it."""

    keys: tuple[str, str]
    value: float
    sets: int = 0
    """Sets of other changes, over all seeds, beside which it was seen (0: not written down)."""
    range: tuple[float, float] | None = None
    """The least and the most seen beside one of them."""


class AttributionRun(msgspec.Struct, frozen=True):
    """One run: the seed, the changes made, and what came of it."""

    seed: int
    changed: list[str]
    validation_loss: float
    bits_per_byte: float
    accuracy: float
    seconds: float
    steps: int
    tokens: int
    diverged: bool
    bigram_accuracy: float | None = None
    """Of the bigram baseline with its vocabulary. None in older records."""


class Attribution(msgspec.Struct, frozen=True, kw_only=True):
    """attribution.json and `attribute --json`."""

    a: str
    b: str
    corpus: str
    unit: str
    """Of the loss: `nats per token` or `bits per byte`."""
    method: str
    """`exact` or `sampled`."""
    seeds: list[int]
    orders: int
    """Orders followed for each seed; 0 when exact."""
    train_fraction: float
    evaluation_tokens: int
    """Validation text judged on, counted at four bytes a token."""
    base: dict[str, Any]
    """The requested configuration of A."""
    total_difference: Estimate
    total_accuracy: Estimate
    total_seconds: Estimate
    contributions: Annotated[list[ChangeContribution], msgspec.Meta(min_length=1)]
    interactions: list[Interaction]
    """Largest first; when sampled, of the pairs that were met without, with each and with both."""
    runs: list[AttributionRun]
    sentence: str = ""
    """The answer in plain words, which `report.text.experiment_summary` makes."""
    command: str = ""
    """What repeats it, as it was typed or called; empty where that is not known."""
    format: int = _FORMAT
