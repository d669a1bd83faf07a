"""The metrics of the diagnosis on each page: descriptions, reference ranges, expected ranges."""

from __future__ import annotations

from descend.diagnosis.cause import Cause, ExpectedRange
from descend.diagnosis.metric_text import (
    format_metric_range,
    format_range_with_unit,
    format_reference_range,
    metric_label,
)
from descend.diagnosis.reference_ranges import range_source, reference_range

PAGE_METRICS: dict[str, tuple[str, ...]] = {
    # Pages on signals.
    "attention_sharpness": ("max_attention_logit",),
    "critical_step_multiplier": ("critical_step_multiplier_fresh",),
    "dead_units": ("dead_unit_fraction",),
    "effective_rank": ("effective_rank_fraction",),
    "initial_loss": ("initial_loss_ratio",),
    "generalization_gap": (
        "generalization_gap_nats",
        "measured_validation_loss",
        "trained_text_loss",
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
    "validation_shift": ("distribution_shift_nats",),
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
"""By page. Each metric belongs to one."""

METRIC_DESCRIPTIONS = {
    "max_attention_logit": "the largest score of any head",
    "best_epoch": "its weights were kept",
    "uncontaminated_loss_increase": (
        "how much higher the loss is on validation text that training does not contain"
    ),
    "context_benefit_nats": (
        "loss after one token of context, minus the loss in the second half of the sequence"
    ),
    "effective_context_fraction": "beyond this length the loss falls no further",
    "fourgram_loss_reduction": "bigram baseline minus the 3-gram or 4-gram baseline",
    "best_ngram_loss": "the lowest n-gram baseline, up to 4-grams",
    "dead_unit_fraction": "of the worst block",
    "dropout_gap_nats": "recorded training loss, minus the loss on training text without dropout",
    "effective_rank_fraction": "of the block with the lowest rank",
    "embedding_parameter_fraction": "in the input and output embeddings",
    "final_lr_fraction": "of the last step",
    "gap_to_ngram_nats": "validation loss minus the lowest n-gram baseline",
    "gradient_norm_p99_over_p50": "over all steps",
    "measured_validation_loss": "measured again by the diagnosis, on part of the validation set",
    "near_zero_lr_fraction": "with less than a hundredth of the peak learning rate",
    "token_mutual_information_nats": (
        "what a token tells about a later one, at the distance that tells the most"
    ),
    "order_information_nats": "the same for whole words, or for bytes if those tell less",
    "chance_loss": "of a model that knows only the frequencies of words or bytes",
    "mutual_information_beyond_context": "what a token tells about one beyond the context",
    "last_epoch_loss_reduction": "fall of the validation loss in the last epoch",
    "extrapolated_loss": "of the training loss, from a power law fitted to this curve alone",
    "loss_asymptote": "the loss to which that power law tends",
    "initial_loss_ratio": "the loss of the first step",
    "max_loss_increase": "the mean of 50 steps in a row, minus the lowest mean before them",
    "mean_confidence": "the probability of the model's own first choice",
    "memorization_loss": "on four sequences of random tokens, after at most 200 steps",
    "memorization_steps": "until four random sequences are memorized",
    "critical_step_multiplier_fresh": "up to this length a step lowers the loss on text not read",
    "loss_slope_per_context_doubling": "effect of the last doubling of the context",
    "fuzzy_contamination_fraction": (
        "that occur in training with small changes, beyond those that training repeats itself"
    ),
    "rare_token_loss_fraction": "tokens used fewer than 20 times in training",
    "rare_token_fraction": "used fewer than 20 times in training",
    "duplicate_train_fraction": "that occurred earlier in it",
    "validation_loss_increase_after_best": "from the best epoch to the last",
    "trained_text_loss": "on text the model trained on, evaluated in the same way",
    "distribution_shift_nats": "between the validation text and the training text",
    "warmup_fraction": "until the learning rate is at its peak",
}
"""What a metric is, where its label and unit do not say it."""

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
                f"{metric_label(metric)} {text}"
            )
    ranges = [f"{', '.join(of_it)} ({whose})" for whose, of_it in texts_by_source.items()]
    return f"The normal range: {'; '.join(ranges)}."


def expected_range_text(cause: Cause) -> str:
    """Return the expected metrics of `cause` beside the reference ranges."""
    signs = [_expected(e) for e in cause.expected_ranges if e.weight > 0]
    needed = [_expected(e) for e in cause.expected_ranges if e.weight == 0]
    sentences = [f"A diagnosis expects: {'; '.join(signs)}."] if signs else []
    if needed:
        sentences.append(f"Without these it is unlikely: {'; '.join(needed)}.")
    return " ".join(sentences)


def _expected(expectation: ExpectedRange) -> str:
    metric = expectation.metric
    text = format_range_with_unit(metric, (expectation.low, expectation.high))
    healthy = format_metric_range(metric, reference_range(metric))
    suffix = f" (normal: {healthy})" if healthy else ""
    return f"{metric_label(metric)} {text}{suffix}"
