"""Which function speaks on which page, and the sentence that every setting has."""

from __future__ import annotations

from collections.abc import Callable

from descend.handbook.run_notes import loss_notes, model_notes, optimization_notes
from descend.handbook.setting_facts import format_value
from descend.runs.epochs_read import format_epochs_read
from descend.runs.recorded_run import RecordedRun

TOPICS: dict[str, Callable[[RecordedRun], str]] = {
    # The text.
    "corpus_dir": loss_notes.describe_validation_split,
    "sample_size": loss_notes.describe_validation_split,
    "validation_fraction": loss_notes.describe_validation_split,
    "tokenizer": loss_notes.text_bits,
    "vocab_size": loss_notes.text_bits,
    # The model.
    "architecture": model_notes.architecture,
    "embed_dim": model_notes.parameters,
    "num_heads": model_notes.heads,
    "num_layers": model_notes.parameters,
    "ff_dim": model_notes.parameters,
    "max_seq_len": optimization_notes.context,
    "dropout_rate": loss_notes.regularization,
    "token_dropout": loss_notes.regularization,
    "bpe_dropout": loss_notes.regularization,
    # The training.
    "batch_size": optimization_notes.updates,
    "seq_len": optimization_notes.context,
    "epoch": loss_notes.epochs,
    "max_steps": optimization_notes.updates,
    "minutes": optimization_notes.updates,
    "learning_rate": optimization_notes.learning_rate,
    "optimizer": optimization_notes.optimizer,
    "schedule": optimization_notes.schedule,
    "warmup_steps": optimization_notes.warmup,
    "weight_decay": optimization_notes.weight_decay,
    "gradient_clip": optimization_notes.gradients,
    "label_smoothing": loss_notes.regularization,
    "gradient_accumulation_steps": model_notes.describe_micro_batches,
    "activation_checkpointing": model_notes.describe_micro_batches,
    "divergence_rollback": optimization_notes.describe_rollbacks,
    "seed": loss_notes.describe_seed_variance,
    # The machine.
    "precision": model_notes.machine,
    "device": model_notes.machine,
    "attention": model_notes.attention,
    "compile": model_notes.compiling,
    "threads": model_notes.threads,
    "num_processes": model_notes.describe_processes,
    # Choices.
    "gpt": model_notes.architecture,
    "llama": model_notes.architecture,
    "modern": model_notes.architecture,
    "adamw": optimization_notes.optimizer,
    "muon": optimization_notes.optimizer,
    "constant": optimization_notes.schedule,
    "linear": optimization_notes.schedule,
    "cosine": optimization_notes.schedule,
    "wsd": optimization_notes.schedule,
    "piecewise": optimization_notes.schedule,
    # Ideas.
    "tokens": loss_notes.text_bits,
    "embedding": model_notes.describe_embedding,
    "transformer": model_notes.parameters,
    "gradient_descent": optimization_notes.descent,
    "loss": loss_notes.loss,
    "nats": loss_notes.loss,
    "perplexity": loss_notes.perplexity,
    "bits_per_byte": loss_notes.text_bits,
    "accuracy": loss_notes.accuracy,
    "overfitting": loss_notes.epochs,
    "underfitting": loss_notes.epochs,
    "validation": loss_notes.epochs,
    "epoch_and_step": optimization_notes.updates,
    "ngram_baselines": loss_notes.describe_ngram_baselines,
    "entropy": loss_notes.entropy,
    "checkpoint": loss_notes.checkpoint,
    "parameter_count": model_notes.parameters,
    "key_value_cache": model_notes.cache,
    # Signals.
    "update_to_weight_ratio": optimization_notes.update_ratios,
    "gradient_norm": optimization_notes.gradients,
    "initial_loss": optimization_notes.describe_initial_loss,
    "loss_spikes": optimization_notes.describe_rollbacks,
    "memorization": model_notes.memory,
    "contamination": loss_notes.describe_contamination,
}
"""By page; a page that is not here and no setting has nothing to say of a run."""


def describe_run_key(key: str, run: RecordedRun) -> str:
    """Return the value that the run used, and whether it was requested or left open."""
    used = getattr(run.config, key)
    if used is None:
        return f"Your run did not set `{key}`."
    if key == "epoch" and run.config.max_steps:
        read = format_epochs_read(run.summary)
        return f"Your run ended by `max_steps` {run.config.max_steps:,}, after {read}."
    is_automatic = run.metadata.requested_config.get(key) is None
    return f"Your run used `{key}` {format_value(used)}" + (
        ", chosen by descend." if is_automatic else "."
    )
