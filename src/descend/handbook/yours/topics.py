"""Which function speaks on which page, and the sentence that every setting has."""

from __future__ import annotations

from collections.abc import Callable

from descend.handbook.facts import format_value
from descend.handbook.yours import learning, size, steps
from descend.handbook.yours.record import RunRecord

TOPICS: dict[str, Callable[[RunRecord], str]] = {
    # The text.
    "corpus_dir": learning.describe_validation_split,
    "sample_size": learning.describe_validation_split,
    "validation_fraction": learning.describe_validation_split,
    "tokenizer": learning.text_bits,
    "vocab_size": learning.text_bits,
    # The model.
    "architecture": size.architecture,
    "embed_dim": size.parameters,
    "num_heads": size.heads,
    "num_layers": size.parameters,
    "ff_dim": size.parameters,
    "max_seq_len": steps.context,
    "dropout_rate": learning.regularisation,
    "blank_rate": learning.regularisation,
    # The training.
    "batch_size": steps.updates,
    "seq_len": steps.context,
    "epoch": learning.epochs,
    "max_steps": steps.updates,
    "minutes": steps.updates,
    "learning_rate": steps.learning_rate,
    "optimizer": steps.optimizer,
    "schedule": steps.schedule,
    "warmup_steps": steps.warmup,
    "weight_decay": steps.weight_decay,
    "gradient_clip": steps.gradients,
    "label_smoothing": learning.regularisation,
    "gradient_accumulation": size.describe_micro_batches,
    "activation_checkpointing": size.describe_micro_batches,
    "rescue": steps.describe_rollbacks,
    "seed": learning.describe_seed_variance,
    # The machine.
    "precision": size.machine,
    "device": size.machine,
    "attention": size.attention,
    "compile": size.compiling,
    "threads": size.threads,
    # Choices.
    "gpt": size.architecture,
    "modern": size.architecture,
    "adamw": steps.optimizer,
    "muon": steps.optimizer,
    "constant": steps.schedule,
    "linear": steps.schedule,
    "cosine": steps.schedule,
    "wsd": steps.schedule,
    "piecewise": steps.schedule,
    # Ideas.
    "tokens": learning.text_bits,
    "embedding": size.describe_embedding,
    "transformer": size.parameters,
    "gradient_descent": steps.descent,
    "loss": learning.loss,
    "nats": learning.loss,
    "perplexity": learning.perplexity,
    "bits_per_byte": learning.text_bits,
    "accuracy": learning.accuracy,
    "overfitting": learning.epochs,
    "underfitting": learning.epochs,
    "validation": learning.epochs,
    "epoch_and_step": steps.updates,
    "loss_ladder": learning.describe_ngram_baselines,
    "entropy": learning.entropy,
    "checkpoint": learning.checkpoint,
    "parameter_count": size.parameters,
    "key_value_cache": size.cache,
    # Signals.
    "update_to_weight_ratio": steps.update_ratios,
    "gradient_norm": steps.gradients,
    "first_loss": steps.describe_initial_loss,
    "loss_rise": steps.describe_rollbacks,
    "memorise": size.memory,
    "overlap": learning.describe_contamination,
}
"""By page; a page that is not here and no setting has nothing to say of a run."""


def describe_run_key(key: str, run: RunRecord) -> str:
    """The value that the run used, and whether it was asked for or left open."""
    used = getattr(run.config, key)
    if used is None:
        return f"Your run left `{key}` open."
    is_automatic = run.info.requested_config.get(key) is None
    return f"Your run used `{key}` {format_value(used)}" + (", chosen by descend." if is_automatic else ".")
