"""What each signal reads on a healthy run, and where the range comes from.

One table, so that a page, an explanation and a piece of evidence can never disagree. None: no bound
on that side. The ranges describe; no verdict hangs on them alone, since a trial decides. A range is
a first guess unless `ORIGINS` says otherwise.
"""

from __future__ import annotations

Range = tuple[float | None, float | None]

REFERENCE_RANGES: dict[str, Range] = {
    # Karpathy's recipe: before training every token is as likely as any other.
    "loss_at_start": (0.9, 1.2),
    # 2 layers, 64 wide, tiny Shakespeare: healthy 0.01, rate/30 0.0007, rate*30 0.022.
    "update_ratio": (0.002, 0.03),
    "clipped_share": (None, 0.5),
    "gradient_spread": (None, 5.0),
    "loss_rise": (None, 0.3),
    # Three times the spread between seeds of a small run (0.006).
    "rise_after_best": (None, 0.02),
    "generalisation_gap": (None, 0.3),
    "dropout_gap": (None, 0.15),
    "clean_rise": (None, 0.02),
    "overlap": (None, 0.02),
    "repeats": (None, 0.05),
    "near_overlap": (None, 0.05),
    # Ends of four books, of program text and of made-up languages read 0.1 at most.
    "shift": (None, 0.3),
    "split_gap": (None, 0.3),
    "rare_vocabulary": (None, 0.3),
    "embedding_share": (None, 0.5),
    "bytes_per_token": (2.0, None),
    "position_slope": (None, 0.02),
    "context_gain": (0.1, None),
    "context_needed": (0.25, None),
    "information": (0.02, None),
    "information_beyond": (None, 0.03),
    "final_rate": (None, 0.1),
    "idle_share": (None, 0.05),
    # 0.5 to 2.5 on healthy runs, 5 to 600 where the rate is 3 to 30 times too low.
    "multiplier_fresh": (0.5, 6.0),
    "multiplier_same": (1.0, 20.0),
    # At the usual rates under 30, over 0.2, under 3, 0, 0.7.
    "attention_logit": (None, 100.0),
    "attention_entropy": (0.05, None),
    "stream_size": (None, 10.0),
    "dead_units": (None, 0.25),
    "effective_rank": (0.3, None),
    "rare_loss": (None, 0.5),
    "noise_scale": (0.3, 30.0),
}

FIRST_GUESS = "a first guess"
PROTOTYPE = "a prototype's first guess, whose runs were not kept"
FROM_HEALTHY_RUNS = "read off benchmarks/results/doctor/inside.json"

RANGE_SOURCES: dict[str, str] = {
    "loss_at_start": "around ln V, as in Karpathy's recipe",
    "update_ratio": PROTOTYPE,
    "rise_after_best": PROTOTYPE,
    "multiplier_fresh": PROTOTYPE,
    "multiplier_same": PROTOTYPE,
    "attention_logit": FROM_HEALTHY_RUNS,
    "attention_entropy": FROM_HEALTHY_RUNS,
    "stream_size": FROM_HEALTHY_RUNS,
    "dead_units": FROM_HEALTHY_RUNS,
    "effective_rank": FROM_HEALTHY_RUNS,
    "near_overlap": "read off benchmarks/results/doctor/near_copies.json",
    "rare_loss": "read off benchmarks/results/doctor/rare_tokens.json",
}
"""Where a range comes from, of those that are more than a first guess, or less: the prototype was a
script that is gone (docs/recipe.md)."""


def format_range(value_range: Range) -> str:
    """`0.5 to 6`, `under 3`, `over 2`; empty where there is no bound."""
    low, high = value_range
    if low is None:
        return "" if high is None else f"under {high:g}"
    return f"over {low:g}" if high is None else f"{low:g} to {high:g}"


def range_source(metric: str) -> str:
    """Whose number the range of `signal` is."""
    return RANGE_SOURCES.get(metric, FIRST_GUESS)


def reference_range(metric: str) -> Range:
    """The range of `signal`; (None, None) where no value of it is unhealthy by itself."""
    return REFERENCE_RANGES.get(metric, (None, None))
