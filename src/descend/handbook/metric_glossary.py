"""The metrics of the diagnosis on each page, and in words what is healthy and what a cause
expects."""

from __future__ import annotations

from descend.diagnosis.cause import Cause, ExpectedRange
from descend.diagnosis.reference_ranges import (
    format_range,
    format_reference_range,
    range_source,
    reference_range,
)

PAGE_METRICS: dict[str, tuple[str, ...]] = {
    # Pages on signals.
    "attention_sharpness": ("attention_entropy_fraction", "max_attention_logit"),
    "critical_step_multiplier": ("critical_step_multiplier_fresh",),
    "dead_units": ("dead_unit_fraction",),
    "effective_rank": ("effective_rank_fraction",),
    "initial_loss": ("initial_loss_ratio",),
    "generalization_gap": (
        "generalization_gap_nats",
        "measured_validation_loss",
        "trained_text_loss",
        "unread_text_loss",
    ),
    "gradient_noise_scale": ("gradient_noise_scale",),
    "gradient_norm": ("clipped_step_fraction",),
    "loss_by_position": (
        "loss_slope_per_context_doubling",
        "context_benefit_nats",
        "effective_context_fraction",
    ),
    "loss_spikes": ("max_loss_increase", "gradient_norm_p99_over_p50"),
    "memorization": ("memorization_loss", "memorization_steps"),
    "contamination": (
        "exact_contamination_fraction",
        "fuzzy_contamination_fraction",
        "uncontaminated_loss_increase",
        "duplicate_train_fraction",
    ),
    "power_law": ("extrapolated_loss", "loss_asymptote"),
    "rare_tokens": ("rare_token_loss_fraction", "rare_token_fraction"),
    "validation_shift": ("distribution_shift_nats", "validation_minus_unread_train_nats"),
    "residual_stream": ("residual_stream_rms",),
    "token_information": (
        "token_mutual_information_nats",
        "order_information_nats",
        "chance_loss",
        "mutual_information_beyond_context",
    ),
    "update_to_weight_ratio": ("update_to_weight_ratio",),
    # Pages on settings and ideas.
    "accuracy": ("validation_accuracy", "mean_confidence"),
    "dropout_rate": ("dropout_gap_nats", "dropout_rate"),
    "embedding": ("embedding_parameter_fraction",),
    "epoch": ("epochs",),
    "epoch_and_step": ("steps",),
    "ngram_baselines": (
        "unigram_loss",
        "best_ngram_loss",
        "fourgram_loss_reduction",
        "gap_to_ngram_nats",
    ),
    "overfitting": ("validation_loss_increase_after_best", "best_epoch"),
    "parameter_count": ("parameters", "tokens_per_parameter"),
    "schedule": ("final_lr_fraction", "near_zero_lr_fraction"),
    "tokens": ("bytes_per_token", "train_tokens"),
    "underfitting": ("last_epoch_loss_reduction",),
    "validation": ("validation_loss", "validation_tokens"),
    "warmup_steps": ("warmup_fraction",),
}
"""By page; each metric belongs to one."""

METRIC_DESCRIPTIONS = {
    "attention_entropy_fraction": "of the head that looks least evenly",
    "max_attention_logit": "the largest score of any head",
    "best_epoch": "whose weights were kept",
    "uncontaminated_loss_increase": "how much higher the loss is on what training does not have",
    "context_benefit_nats": (
        "loss after one token read, minus that in the second half of the window"
    ),
    "effective_context_fraction": "after which the loss falls no further",
    "fourgram_loss_reduction": "what counting three and four tokens gains over pairs",
    "best_ngram_loss": "the lowest that counting up to four tokens reaches",
    "dead_unit_fraction": "of the worst block",
    "dropout_gap_nats": (
        "training loss as recorded, minus the loss on training text without dropout"
    ),
    "effective_rank_fraction": "of the block with the lowest",
    "embedding_parameter_fraction": "held by the tables of tokens",
    "final_lr_fraction": "the rate of the last step",
    "gap_to_ngram_nats": "the loss of your model, minus the lowest that counting reaches",
    "gradient_norm_p99_over_p50": "of the norm of the gradient",
    "measured_validation_loss": "on text that it never saw",
    "near_zero_lr_fraction": "made at under a hundredth of the highest rate",
    "token_mutual_information_nats": (
        "that a token tells of one further on, at the most telling distance"
    ),
    "order_information_nats": "the same of whole words, or of bytes where those tell less",
    "chance_loss": "of who knows how frequent words or bytes are, and nothing else",
    "mutual_information_beyond_context": "the same at distances that the window does not reach",
    "last_epoch_loss_reduction": "by which the last epoch lowered the validation loss",
    "extrapolated_loss": "of training, by the law of this curve alone",
    "loss_asymptote": "to which that law goes on falling",
    "initial_loss_ratio": "the first loss",
    "max_loss_increase": "of 50 steps in a row over the lowest before them",
    "mean_confidence": "that the model gives to its own first choice",
    "memorization_loss": "on four sequences of random tokens, after 200 updates at most",
    "memorization_steps": "after which these are memorized",
    "critical_step_multiplier_fresh": "so many would go on lowering the loss on fresh text",
    "loss_slope_per_context_doubling": "what the last doubling brought",
    "fuzzy_contamination_fraction": (
        "that stand in training with small changes, beyond what it has of itself"
    ),
    "rare_token_loss_fraction": "on tokens used fewer than 20 times in training",
    "rare_token_fraction": "used fewer than 20 times in training",
    "duplicate_train_fraction": "that stood there before",
    "validation_loss_increase_after_best": (
        "of the validation loss, from the best epoch to the last"
    ),
    "trained_text_loss": "on text that it trained on, judged in the same way",
    "distribution_shift_nats": "between the validation text and the training text",
    "validation_minus_unread_train_nats": (
        "the loss on validation text, minus that on training text not read yet"
    ),
    "residual_stream_rms": "of the largest block",
    "unread_text_loss": "on training text that it had not come to yet",
    "warmup_fraction": "before the rate was highest",
}
"""What a metric is, where its name and unit do not say it."""

HEALTHY = "{healthy}"
"""Stands in a page for its `reference_range_text`."""


EXPECTED = "{expected}"
"""Stands in the page of a cause for its `expected_range_text`."""


def reference_range_text(page: str) -> str:
    """Return the reference ranges of the metrics that `page` is about, with
    whose numbers they are."""
    texts_by_source: dict[str, list[str]] = {}
    for metric in PAGE_METRICS[page]:
        text = format_reference_range(metric)
        if text:
            texts_by_source.setdefault(range_source(metric), []).append(
                f"{metric.replace('_', ' ')} {text}"
            )
    ranges = [f"{', '.join(of_it)} ({whose})" for whose, of_it in texts_by_source.items()]
    return f"The normal range: {'; '.join(ranges)}."


def expected_range_text(cause: Cause) -> str:
    """Return the expected metrics of `cause` beside the reference ranges."""
    signs = [_expected(e) for e in cause.expected_ranges if e.weight > 0]
    needed = [_expected(e) for e in cause.expected_ranges if e.weight == 0]
    sentences = [f"Expected measurements: {'; '.join(signs)}."] if signs else []
    if needed:
        sentences.append(f"Only their lack counts, against it: {'; '.join(needed)}.")
    return " ".join(sentences)


def _expected(expectation: ExpectedRange) -> str:
    text = format_range((expectation.low, expectation.high))
    healthy = format_range(reference_range(expectation.metric))
    suffix = f" (normal: {healthy})" if healthy else ""
    return f"{expectation.metric.replace('_', ' ')} {text}{suffix}"
