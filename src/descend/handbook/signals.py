"""Which readings of the doctor each page is about, and their healthy ranges in words."""

from __future__ import annotations

from descend.doctor.healthy import healthy_range, in_words

READINGS: dict[str, tuple[str, ...]] = {
    # Pages on signals.
    "attention_sharpness": ("attention_entropy", "attention_logit"),
    "critical_step_multiplier": ("multiplier_fresh", "multiplier_same"),
    "dead_units": ("dead_units",),
    "effective_rank": ("effective_rank",),
    "first_loss": ("loss_at_start",),
    "generalisation_gap": ("generalisation_gap", "held_out_loss", "seen_loss"),
    "gradient_noise_scale": ("noise_scale",),
    "gradient_norm": ("clipped_share",),
    "loss_by_position": ("position_slope", "context_gain"),
    "loss_rise": ("loss_rise", "loss_jitter", "gradient_spread"),
    "overlap": ("overlap", "clean_rise", "repeats"),
    "rare_tokens": ("rare_loss", "rare_vocabulary"),
    "shift": ("shift",),
    "stream_size": ("stream_size",),
    "update_to_weight_ratio": ("update_ratio",),
    # Pages on settings and ideas.
    "accuracy": ("validation_accuracy", "mean_confidence"),
    "dropout_rate": ("dropout_gap",),
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

HEALTHY = "{healthy}"
"""Stands in a page for `healthy_about` it."""


def healthy_about(page: str) -> str:
    """The ranges that the doctor takes for healthy, of the readings that `page` is about."""
    told = [
        f"{reading.replace('_', ' ')} {words}"
        for reading in READINGS[page]
        if (words := in_words(healthy_range(reading)))
    ]
    return f"The doctor takes for healthy: {'; '.join(told)}."
