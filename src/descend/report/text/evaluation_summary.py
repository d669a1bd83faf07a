"""An evaluation in words."""

from __future__ import annotations

from descend.metrics.evaluation import Evaluation
from descend.units import format_bytes, perplexity


def describe_evaluation(evaluation: Evaluation) -> str:
    """Return what `descend evaluate` prints."""
    unigram = evaluation.unigram_accuracy
    beside = "" if unigram is None else f" (most common token: {unigram:.0%})"
    return (
        f"The model predicts {evaluation.accuracy:.0%} of the next tokens correctly{beside}. "
        f"Loss {evaluation.loss:.4f} nats per token (perplexity {perplexity(evaluation.loss)}), "
        f"{evaluation.bits_per_byte:.3f} bits per byte, over {evaluation.tokens:,} tokens "
        f"({format_bytes(evaluation.bytes)}). Lower is better."
    )
