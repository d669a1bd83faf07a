"""What each signal reads on a healthy run, and where the range comes from.

One table, so that a page, an explanation and a piece of evidence can never disagree. None: no bound
on that side. The ranges describe; no verdict hangs on them alone, since a trial decides. A range is
a rule of thumb unless `RANGE_SOURCES` says otherwise.
"""

from __future__ import annotations

from descend.units import format_significant

Range = tuple[float | None, float | None]

REFERENCE_RANGES: dict[str, Range] = {
    # Karpathy's recipe: before training every token is as likely as any other.
    "initial_loss_ratio": (0.9, 1.2),
    # 2 layers, 64 wide, tiny Shakespeare: healthy 0.01, rate/30 0.0007, rate*30 0.022.
    "update_to_weight_ratio": (0.002, 0.03),
    "clipped_step_fraction": (None, 0.5),
    "gradient_norm_p99_over_p50": (None, 5.0),
    "max_loss_increase": (None, 0.3),
    # Three times the spread between seeds of a small run (0.006).
    "validation_loss_increase_after_best": (None, 0.02),
    "generalization_gap_nats": (None, 0.3),
    "dropout_gap_nats": (None, 0.15),
    "uncontaminated_loss_increase": (None, 0.02),
    "exact_contamination_fraction": (None, 0.02),
    "duplicate_train_fraction": (None, 0.05),
    "fuzzy_contamination_fraction": (None, 0.05),
    # Ends of four books, of program text and of made-up languages read 0.1 at most.
    "distribution_shift_nats": (None, 0.3),
    "rare_token_fraction": (None, 0.3),
    "embedding_parameter_fraction": (None, 0.5),
    "bytes_per_token": (2.0, None),
    "loss_slope_per_context_doubling": (None, 0.02),
    "context_benefit_nats": (0.1, None),
    "effective_context_fraction": (0.25, None),
    "token_mutual_information_nats": (0.02, None),
    "order_information_nats": (0.02, None),
    "mutual_information_beyond_context": (None, 0.03),
    "final_lr_fraction": (None, 0.1),
    "near_zero_lr_fraction": (None, 0.05),
    # 0.5 to 2.5 on healthy runs, 5 to 600 where the rate is 3 to 30 times too low.
    "critical_step_multiplier_fresh": (0.5, 6.0),
    # At the usual rates under 30, 0, 0.7.
    "max_attention_logit": (None, 100.0),
    "dead_unit_fraction": (None, 0.25),
    "effective_rank_fraction": (0.3, None),
    "rare_token_loss_fraction": (None, 0.5),
    "gradient_noise_scale": (0.3, 30.0),
}

OPTIMIZER_RANGES: dict[tuple[str, str], Range] = {
    # From a third of the 0.001 of Karpathy's makemore, part 3 (2022), to about twice the 0.0057 of
    # benchmarks/results/ranges/old_tinyshakespeare.json.
    ("update_to_weight_ratio", "adamw"): (0.0003, 0.01),
}
"""By metric and optimizer, where they are not those of the default optimizer."""

UNMEASURED = "a rule of thumb, not measured"
MEASURED = "measured on runs of descend"

RANGE_SOURCES: dict[str, str] = {
    "initial_loss_ratio": "around ln V, as in Karpathy's recipe",
    "update_to_weight_ratio": MEASURED,
    "critical_step_multiplier_fresh": MEASURED,
    "validation_loss_increase_after_best": "three times the spread between seeds of a small run",
    "distribution_shift_nats": "half as much again as a folder of four books in two languages",
    "max_attention_logit": MEASURED,
    "dead_unit_fraction": MEASURED,
    "effective_rank_fraction": MEASURED,
    "fuzzy_contamination_fraction": MEASURED,
    "rare_token_loss_fraction": MEASURED,
}
"""Where a range comes from, if it is more than a rule of thumb: the comments above, and the files
activations.json, near_copies.json, and rare_tokens.json in benchmarks/results/ranges."""


def format_range(value_range: Range) -> str:
    """Return `0.5 to 6`, `under 3`, `over 2`; empty where there is no bound."""
    low, high = (None if bound is None else format_significant(bound) for bound in value_range)
    if low is None:
        return "" if high is None else f"under {high}"
    return f"over {low}" if high is None else f"{low} to {high}"


def range_source(metric: str) -> str:
    """Whose number the range of `metric` is."""
    return RANGE_SOURCES.get(metric, UNMEASURED)


def reference_range(metric: str, optimizer: str = "muon") -> Range:
    """Return the range of `metric` with `optimizer`; (None, None) where no value is unhealthy by
    itself."""
    default = REFERENCE_RANGES.get(metric, (None, None))
    return OPTIMIZER_RANGES.get((metric, optimizer), default)
