"""Whether the loss of a log is a language model's next-token loss, by its names and its start.

Source for the names: TRL (DPO, PPO, GRPO), transformers' examples (run_mlm, run_glue), diffusers,
ESPnet, sentence-transformers.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from typing import Protocol

from descend.loss_logs.column_names import split_identifier
from descend.loss_logs.log import Objective

NEAR_LN_2 = 0.02
"""Share by which a first loss may differ from ln 2, what a guess between two costs."""
NEAR_GUESS = 0.15
"""The same for several classes, where an accuracy is logged too."""
MIN_FIRST_NATS, NUM_FIRST = 0.3, 9
"""Nats that the median of so many first losses of a language model is never below, unless it has
memorized its text: the best models of English need about 0.6 a character. A first guess."""
ZERO = 1e-3
"""Nats of a loss that is a bug rather than another kind of loss."""
MAX_ABOVE_GUESS, GUESS_ERROR = 2.0, 0.05
"""Times the accuracy of a guess, and what is added for chance and unequal classes, up to which an
accuracy beside the first loss is one of guessing. First guesses."""
NEAR_START_STEPS, MAX_INTERVALS_BEFORE = 10, 1.5
"""Steps, or intervals of the log, before a first loss that is of the beginning of a run: a logger
waits one before it logs."""
MAX_CLASSES = 10
"""Guessing among more costs what a language model of characters starts from."""

ADVERSARIAL_WORDS = frozenset({"gan", "wgan", "adversarial", "discriminator", "generator"})
"""Words of losses of two networks that work against each other, of which none need fall."""
NEGATIVE = "the loss is negative"

_WORDS: tuple[tuple[Objective, frozenset[str]], ...] = (
    ("preference", frozenset({"chosen", "rejected", "margins", "margin", "dpo", "orpo", "simpo"})),
    ("reward", frozenset({"reward", "rewards", "rew", "advantage", "advantages", "ppo", "grpo",
                          "return", "policy", "completions"})),
    ("adversarial", ADVERSARIAL_WORDS),
    ("masked tokens", frozenset({"mlm", "masked"})),
    ("diffusion", frozenset({"diffusion", "vlb", "noise", "denoising", "denoise", "ddpm", "elbo"})),
    ("speech", frozenset({"ctc", "wer", "cer", "mel"})),
    ("contrastive", frozenset({"contrastive", "triplet", "infonce", "cosine"})),
    ("classification", frozenset({"f1", "auc", "mcc", "matthews", "recall", "auroc", "top1", "top5",
                                  "acc1", "acc5", "ents", "spans", "cats", "uas", "las"})),
    ("no cross-entropy", frozenset({"mse", "mae", "rmse"})),
)  # fmt: skip


_GAN_LOSSES = ({"d", "loss"}, {"g", "loss"})
"""Words of the short names of their losses."""


class HasValue(Protocol):
    """A point of a series."""

    @property
    def place(self) -> float | None:
        """Its step; None where the log tells none."""

    @property
    def value(self) -> float:
        """The loss."""


def objective_of(
    names: Iterable[str],
    points: Sequence[HasValue],
    *,
    first_accuracy: float | None = None,
    has_perplexity: bool = False,
) -> tuple[Objective | None, str]:
    """Return what the loss is of, and by which sign; (None, "") where nothing speaks against a
    language model's.

    `first_accuracy`: the first fraction of right predictions; `has_perplexity`: whether the log
    names a perplexity, so that its loss is a cross-entropy.
    """
    spelled = {name: set(split_identifier(name)) for name in sorted(names)}
    for objective, words in _WORDS:
        for name, own in spelled.items():
            is_named = bool(own & words) or (objective == "adversarial" and own in _GAN_LOSSES)
            if is_named and not (objective == "diffusion" and "scale" in own):
                return objective, f"the log names {name.strip()}"
    values = [p.value for p in points if math.isfinite(p.value)]
    if not values:
        return None, ""
    first = values[0]
    if min(values) < 0:
        return "no cross-entropy", NEGATIVE
    start = statistics.median(values[:NUM_FIRST])
    if len(values) >= NUM_FIRST and ZERO < start < MIN_FIRST_NATS and not has_perplexity:
        low = (
            "its first losses are near"
            if first < MIN_FIRST_NATS
            else f"it falls from {first:.2f} at once to"
        )
        return "low from the start", (
            f"{low} {start:.2g}, lower than a language model that has not memorized its text"
        )
    if not _begins_at_start(points):
        return None, ""  # a loss from the middle of a run is no guess
    accuracy = any(
        own & {"acc", "accuracy"} and not own & {"token", "tokens"} for own in spelled.values()
    )
    if accuracy and not has_perplexity:
        for classes in range(2, MAX_CLASSES + 1):
            if first_accuracy is not None and first_accuracy > max_guessed_accuracy(classes):
                continue
            guess = math.log(classes)
            if abs(first - guess) <= NEAR_GUESS * guess and first < math.log(MAX_CLASSES) * 1.02:
                return "classification", (
                    f"an accuracy is logged and it starts at {first:.2f}, as a guess among a few "
                    "classes would"
                )
    if abs(first - math.log(2)) <= NEAR_LN_2 * math.log(2):
        return "two classes", f"it starts at {first:.3f}, near ln 2, as a guess between two would"
    return None, ""


def max_guessed_accuracy(classes: int) -> float:
    """Return the accuracy up to which a first loss near ln `classes` may be one of guessing: a
    first epoch, whose mean it is, ends above the guess."""
    return MAX_ABOVE_GUESS / classes + GUESS_ERROR


def _begins_at_start(points: Sequence[HasValue]) -> bool:
    """Return whether no more than a usual interval lies before the first point."""
    places = [point.place for point in points[:2]]
    if None in places or len(places) < 2:
        return True
    first, second = (place or 0.0 for place in places)
    return first <= max(NEAR_START_STEPS, MAX_INTERVALS_BEFORE * (second - first))
