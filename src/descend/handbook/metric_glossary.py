"""Which readings of the doctor each page is about, and in words what is healthy and what a cause
expects."""

from __future__ import annotations

from descend.diagnosis.cause import Cause, ExpectedRange
from descend.diagnosis.reference_ranges import format_range, range_source, reference_range

PAGE_METRICS: dict[str, tuple[str, ...]] = {
    # Pages on signals.
    "attention_sharpness": ("attention_entropy", "attention_logit"),
    "critical_step_multiplier": ("multiplier_fresh", "multiplier_same"),
    "dead_units": ("dead_units",),
    "effective_rank": ("effective_rank",),
    "first_loss": ("loss_at_start",),
    "generalisation_gap": ("generalisation_gap", "held_out_loss", "seen_loss", "unseen_loss"),
    "gradient_noise_scale": ("noise_scale",),
    "gradient_norm": ("clipped_share",),
    "loss_by_position": ("position_slope", "context_gain", "context_needed"),
    "loss_rise": ("loss_rise", "loss_jitter", "gradient_spread"),
    "memorise": ("memorise_loss", "memorise_steps"),
    "overlap": ("overlap", "near_overlap", "clean_rise", "repeats"),
    "power_law": ("loss_ahead", "loss_at_last"),
    "rare_tokens": ("rare_loss", "rare_vocabulary"),
    "shift": ("shift", "split_gap"),
    "stream_size": ("stream_size",),
    "token_information": (
        "information", "information_beyond", "recurrence", "recurrence_beyond",
    ),
    "update_to_weight_ratio": ("update_ratio",),
    # Pages on settings and ideas.
    "accuracy": ("validation_accuracy", "mean_confidence"),
    "dropout_rate": ("dropout_gap", "dropout_rate"),
    "embedding": ("embedding_share",),
    "epoch": ("epochs",),
    "epoch_and_step": ("steps",),
    "loss_ladder": (
        "unigram_loss", "bigram_loss", "counting_loss", "counting_ladder", "floor_gap",
    ),
    "overfitting": ("rise_after_best", "best_epoch"),
    "parameter_count": ("parameters", "tokens_per_parameter"),
    "schedule": ("final_rate", "idle_share"),
    "tokens": ("bytes_per_token", "train_tokens"),
    "underfitting": ("last_epoch_gain",),
    "validation": ("validation_loss", "validation_tokens"),
    "warmup_steps": ("warmup_share",),
}  # fmt: skip
"""By page; each reading belongs to one."""

METRIC_DESCRIPTIONS = {
    "attention_entropy": "of the head that looks least evenly",
    "attention_logit": "the largest score of any head",
    "best_epoch": "whose weights were kept",
    "clean_rise": "how much higher the loss is on what training does not have",
    "context_gain": "loss after one token read, minus that in the second half of the window",
    "context_needed": "after which the loss falls no further",
    "counting_ladder": "what counting three and four tokens gains over pairs",
    "counting_loss": "the lowest that counting up to four tokens reaches",
    "dead_units": "of the worst block",
    "dropout_gap": "training loss as recorded, minus the loss on training text without dropout",
    "effective_rank": "of the block with the lowest",
    "embedding_share": "held by the tables of tokens",
    "final_rate": "the rate of the last step",
    "floor_gap": "the loss of your model, minus the lowest that counting reaches",
    "gradient_spread": "of the norm of the gradient",
    "held_out_loss": "on text that it never saw",
    "idle_share": "made at under a hundredth of the highest rate",
    "information": "that a token tells of one further on, at the most telling distance",
    "information_beyond": "the same at distances that the window does not reach",
    "last_epoch_gain": "by which the last epoch lowered the validation loss",
    "loss_ahead": "of training, by the law of this curve alone",
    "loss_at_last": "to which that law goes on falling",
    "loss_at_start": "the first loss",
    "loss_jitter": "of single steps around their running median",
    "loss_rise": "of 50 steps in a row over the lowest before them",
    "mean_confidence": "that the model gives to its own first choice",
    "memorise_loss": "on four sequences of random tokens, after 200 updates at most",
    "memorise_steps": "after which these are known by heart",
    "multiplier_fresh": "so many would go on lowering the loss on fresh text",
    "multiplier_same": "the same on the batch that the step was made from",
    "position_slope": "what the last doubling brought",
    "near_overlap": "that stand in training with small changes, beyond what it has of itself",
    "rare_loss": "on tokens used fewer than 20 times in training",
    "rare_vocabulary": "used fewer than 20 times in training",
    "recurrence": "that stood in the same context before",
    "recurrence_beyond": "that stood before only further back, up to four contexts",
    "repeats": "that stood there before",
    "rise_after_best": "of the validation loss, from the best epoch to the last",
    "seen_loss": "on text that it trained on, judged in the same way",
    "shift": "between the held-out text and the training text",
    "split_gap": "the loss on held-out text, minus that on training text not read yet",
    "stream_size": "of the largest block",
    "unseen_loss": "on training text that it had not come to yet",
    "warmup_share": "before the rate was highest",
}
"""What a reading is, where its name and unit do not say it."""

HEALTHY = "{healthy}"
"""Stands in a page for `healthy_about` it."""


EXPECTED = "{expected}"
"""Stands in the page of a cause for `expected_about` it."""


def reference_range_text(page: str) -> str:
    """The ranges that the doctor takes for healthy, of the readings that `page` is about, with
    whose numbers they are."""
    texts_by_source: dict[str, list[str]] = {}
    for metric in PAGE_METRICS[page]:
        text = format_range(reference_range(metric))
        if text:
            texts_by_source.setdefault(range_source(metric), []).append(
                f"{metric.replace('_', ' ')} {text}"
            )
    ranges = [f"{', '.join(of_it)} ({whose})" for whose, of_it in texts_by_source.items()]
    return f"The doctor takes for healthy: {'; '.join(ranges)}."


def expected_range_text(cause: Cause) -> str:
    """What the doctor expects to read if `cause` holds, beside what is healthy."""
    signs = [_expected(e) for e in cause.expected_ranges if e.weight > 0]
    needed = [_expected(e) for e in cause.expected_ranges if e.weight == 0]
    sentences = [f"The doctor suspects it by: {'; '.join(signs)}."] if signs else []
    if needed:
        sentences.append(f"Only their lack counts, against it: {'; '.join(needed)}.")
    return " ".join(sentences)


def _expected(expectation: ExpectedRange) -> str:
    text = format_range((expectation.low, expectation.high))
    healthy = format_range(reference_range(expectation.metric))
    suffix = f" (healthy: {healthy})" if healthy else ""
    return f"{expectation.metric.replace('_', ' ')} {text}{suffix}"
