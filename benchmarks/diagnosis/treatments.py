"""Every factor's treatment, to be tried on every case: what is really wrong with it.

All at equal tokens (equal passes over equal text), but for more epochs; a larger model costs time.
Two factors cannot be verified by a gain on validation text, since what is wrong is that text
itself: leakage and distribution shift. They are true by construction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from cases import PlantedRun, Values, with_variant
from corpora import COPIES, sizes

BY_CONSTRUCTION = ("data_leakage", "distribution_shift", "duplicate_data", "diverged")


@dataclass(frozen=True)
class Treatment:
    """A change that addresses one cause. `buys`: it costs training time or text."""

    cause: str
    label: str
    apply: Callable[[PlantedRun], PlantedRun | None]
    buys: bool = False
    after: str = ""
    """Label of the weaker treatment of its kind; this one is tried where that one gained."""


def _set(case: PlantedRun, **changes: object) -> PlantedRun:
    return replace(case, values=case.values | changes)


def _rate(factor: float) -> Callable[[PlantedRun], PlantedRun | None]:
    return lambda case: _set(case, learning_rate=min(case.values["learning_rate"] * factor, 10.0))


def _wider(factor: int) -> Callable[[PlantedRun], PlantedRun | None]:
    def apply(case: PlantedRun) -> PlantedRun | None:
        v = case.values
        return _set(case, embed_dim=factor * v["embed_dim"], ff_dim=max(factor * v["ff_dim"], 8))

    return apply


def _batch(factor: float) -> Callable[[PlantedRun], PlantedRun | None]:
    def apply(case: PlantedRun) -> PlantedRun | None:
        size = round(case.values["batch_size"] * factor)
        return _set(case, batch_size=size) if size >= 1 else None

    return apply


def _context(factor: float) -> Callable[[PlantedRun], PlantedRun | None]:
    """Windows of another length, as many tokens in a step."""

    def apply(case: PlantedRun) -> PlantedRun | None:
        v = case.values
        length = max(2, min(round(factor * v["seq_len"]), 512))
        size = max(1, v["batch_size"] * v["seq_len"] // length)
        return None if length == v["seq_len"] else _set(case, seq_len=length, batch_size=size)

    return apply


def _vocabulary(case: PlantedRun, size: int) -> PlantedRun:
    return _set(case, tokenizer="bpe", vocab_size=size)


def _vocabulary_down(case: PlantedRun) -> PlantedRun | None:
    now = case.values.get("vocab_size", 257)
    return _vocabulary(case, max(now // 4, 270)) if now > 300 else None


def _vocabulary_up(factor: int) -> Callable[[PlantedRun], PlantedRun | None]:
    """Of bytes and letters: pieces instead."""
    return lambda case: _vocabulary(case, case.values.get("vocab_size", 257) * factor)


def _freer(case: PlantedRun) -> PlantedRun | None:
    v = case.values
    neutral = v["dropout_rate"] == 0 and v["weight_decay"] <= 0.15 and v["epoch"] <= NO_BLANKS
    if neutral:
        return None
    return _set(case, dropout_rate=0.0, weight_decay=min(v["weight_decay"], 0.1), token_dropout=0.0)


NO_BLANKS = 3
"""Passes up to which the recipe hides no tokens by itself (`training.recipe`)."""


def _more_text(case: PlantedRun) -> PlantedRun | None:
    v = case.values
    if case.variant.kind in COPIES:
        return with_variant(case, kind="plain")
    if case.variant.kind != "plain":
        return None
    num_validation_bytes = sizes(case.variant)[1]
    factor = min(8, v["epoch"], 2 / case.variant.share)
    epochs = max(1, round(v["epoch"] / factor))
    text = case.variant.share * v["epoch"] / epochs
    more = with_variant(case, share=text, validation_bytes=num_validation_bytes)
    return _set(more, epoch=epochs) if epochs < v["epoch"] else None


def _scheduled(case: PlantedRun) -> PlantedRun | None:
    v = case.values
    usual = v["schedule"] != "constant" and v.get("warmup_steps") is None
    return None if usual else _set(case, schedule="wsd", warmup_steps=None)


def _warmer(case: PlantedRun) -> PlantedRun | None:
    return _set(case, epoch=2 * case.values["epoch"])


TREATMENTS = (
    Treatment("learning_rate_too_low", "rate x 4", _rate(4)),
    Treatment("learning_rate_too_low", "rate x 16", _rate(16), after="rate x 4"),
    Treatment("learning_rate_too_high", "rate / 4", _rate(1 / 4)),
    Treatment("learning_rate_too_high", "rate / 16", _rate(1 / 16), after="rate / 4"),
    Treatment("model_too_small", "width x 2", _wider(2), buys=True),
    Treatment("model_too_small", "width x 4", _wider(4), buys=True, after="width x 2"),
    Treatment("batch_too_small", "batch x 4", _batch(4)),
    Treatment("batch_too_large", "batch / 4", _batch(1 / 4)),
    Treatment("batch_too_large", "batch / 16", _batch(1 / 16), after="batch / 4"),
    Treatment("context_too_short", "context x 4", _context(4)),
    Treatment("context_too_short", "context x 16", _context(16), after="context x 4"),
    Treatment("context_unused", "context / 4", _context(1 / 4)),
    Treatment("vocabulary_too_large", "vocabulary / 4", _vocabulary_down),
    Treatment("vocabulary_too_small", "vocabulary x 2", _vocabulary_up(2)),
    Treatment("vocabulary_too_small", "vocabulary x 8", _vocabulary_up(8), after="vocabulary x 2"),
    Treatment("over_regularized", "no dropout, decay 0.1", _freer),
    Treatment("too_little_data", "more text, as many tokens", _more_text, buys=True),
    Treatment("bad_schedule", "warm-up 5 %, then decay", _scheduled),
    Treatment("undertrained", "epochs x 2", _warmer, buys=True),
)
"""What hurts less than its weaker neighbour is not worth a stronger dose: `after`."""


def case_treatments(case: PlantedRun) -> Iterator[tuple[Treatment, PlantedRun]]:
    """Each treatment that applies to `case`, and the case so treated."""
    for treatment in TREATMENTS:
        treated = treatment.apply(case)
        if treated is not None:
            yield treatment, treated


def differs(one: Values, other: Values) -> bool:
    """Whether two settings are not the same run."""
    return {k: v for k, v in one.items() if v is not None} != {
        k: v for k, v in other.items() if v is not None
    }
