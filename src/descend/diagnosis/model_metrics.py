"""Metrics of the trained model: its losses, and what its layers do."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from descend.data.token_store import TokenStore
from descend.diagnosis.corpus_metrics import RARE, CorpusCounts
from descend.diagnosis.run_context import RunContext
from descend.diagnosis.step_metrics import PROBE_TOKENS, load_newest_state
from descend.metrics import loss_breakdown
from descend.metrics.activations import block_activation_stats
from descend.metrics.attention import max_attention_logit
from descend.metrics.measurement import Measurement
from descend.model.transformer import Transformer
from descend.runs.model_files import load_model
from descend.runs.suggestions import lacks_model
from descend.training.lora_adapters import has_adapters, merge_adapters

MAX_TOKENS = 32_768
"""Tokens that the model is looked at on: a standard error of the loss near 0.02 nat."""
ATTENTION_WINDOW = 256
"""Tokens of the one passage whose attention scores are computed: memory grows with its square."""


def load_trained_model(recorded_run: RunContext) -> Transformer | None:
    """Return the saved model, or of an unfinished run the one of its newest checkpoint."""
    if recorded_run.finished and not lacks_model(recorded_run.folder):
        return load_model(recorded_run.folder, "cpu").model
    state = load_newest_state(recorded_run)
    if state is not None and has_adapters(state.model):
        merge_adapters(state.model)
    return state.model if state else None


def measure_model(
    recorded_run: RunContext, store: TokenStore, model: Transformer, counted: CorpusCounts
) -> Iterator[Measurement]:
    """Yield the metrics of the model on validation text and on text that it trained on."""
    config = recorded_run.config
    windows = max(1, MAX_TOKENS // config.seq_len)
    validation_losses = loss_breakdown.token_losses(
        model, store.validation, config.seq_len, windows=windows
    )
    train_losses = _loss_on_trained_text(recorded_run, store, model, windows)
    validation_loss, error = _mean_and_error(validation_losses)
    train_loss, _ = _mean_and_error(train_losses)
    yield Measurement("measured_validation_loss", validation_loss, "nats per token", error)
    yield Measurement("trained_text_loss", train_loss, "nats per token")
    yield Measurement("generalization_gap_nats", validation_loss - train_loss, "nats", 1.4 * error)
    yield Measurement("mean_confidence", float(validation_losses.confidence.mean()), "probability")
    # A smoothed loss, or one per token of a text in other tokens, cannot be compared.
    if recorded_run.epochs and not (config.label_smoothing or config.bpe_dropout):
        yield Measurement("dropout_gap_nats", recorded_run.epochs[-1].loss_end - train_loss, "nats")
    yield from _measure_context(validation_losses)
    yield from _measure_layers(model, validation_losses.targets)
    rare = loss_breakdown.rare_token_loss_fraction(validation_losses, counted.uses, RARE)
    yield Measurement("rare_token_loss_fraction", rare, "of the validation loss")
    if counted.known is not None and 0 < counted.known.sum() < len(counted.known):
        yield from _measure_uncontaminated(validation_losses, counted.known, windows)


def _measure_context(validation_losses: loss_breakdown.TokenLosses) -> Iterator[Measurement]:
    """Yield what the context is worth to the model."""
    slope = loss_breakdown.loss_slope_per_context_doubling(validation_losses)
    error = loss_breakdown.slope_error(validation_losses)
    unit = "nats per doubling of the context"
    yield Measurement("loss_slope_per_context_doubling", slope, unit, error)
    benefit = loss_breakdown.context_benefit_nats(validation_losses)
    yield Measurement("context_benefit_nats", benefit, "nats")
    needed = loss_breakdown.effective_context_length(validation_losses)
    fraction = needed / validation_losses.losses.shape[1]
    yield Measurement("effective_context_fraction", fraction, "of the context")


def _measure_uncontaminated(
    validation_losses: loss_breakdown.TokenLosses, covered: NDArray[np.bool_], windows: int
) -> Iterator[Measurement]:
    """Yield how much higher the loss is on the tokens that are not `covered` by training text.

    `covered` has an entry for each validation token; the losses are those of at most `windows`
    windows of them.
    """
    length = validation_losses.losses.shape[1]
    full = (len(covered) - 1) // length
    window_indices = np.unique(np.linspace(0, full - 1, min(windows, full)).astype(np.int64))
    mask = covered[(window_indices * length)[:, None] + np.arange(1, length + 1)]
    if 0 < mask.sum() < mask.size:
        losses = validation_losses.losses
        rise = float(losses[~mask].mean()) - float(losses.mean())
        yield Measurement("uncontaminated_loss_increase", rise, "nats")


def _mean_and_error(token_losses: loss_breakdown.TokenLosses) -> tuple[float, float]:
    """Return the mean loss (nats per token) and its standard error, each window taken for a
    draw."""
    error = float(token_losses.losses.mean(1).std() / max(len(token_losses.losses), 1) ** 0.5)
    return float(token_losses.losses.mean()), error


def _count_read_sequences(recorded_run: RunContext) -> tuple[int, int]:
    """Return sequences of the first pass that the run has read, and how many it has not."""
    read = len(recorded_run.steps) * recorded_run.config.batch_size
    return read, recorded_run.batches.sequences_per_epoch - read


def _loss_on_trained_text(
    recorded_run: RunContext, store: TokenStore, model: Transformer, windows: int
) -> loss_breakdown.TokenLosses:
    """Return losses on training text that the run has read."""
    read, num_unread = _count_read_sequences(recorded_run)
    if num_unread <= 0 or not read:
        return loss_breakdown.token_losses(
            model, store.train, recorded_run.config.seq_len, windows=windows
        )
    numbers = np.unique(np.linspace(0, read - 1, min(windows, read)).astype(np.int64))
    return loss_breakdown.token_losses_for_ids(model, recorded_run.batches.sequences(numbers))


def _measure_layers(model: Transformer, ids_NT: loss_breakdown.Ids) -> Iterator[Measurement]:
    """Yield what goes on in the network while it reads: the worst head and the worst block."""
    yield Measurement(
        "max_attention_logit", max_attention_logit(model, ids_NT[0, :ATTENTION_WINDOW]), ""
    )
    blocks = block_activation_stats(model, ids_NT[: max(1, PROBE_TOKENS // ids_NT.shape[1])])
    yield Measurement(
        "dead_unit_fraction", max(b.dead_unit_fraction for b in blocks), "of a block's units"
    )
    rank = min(b.effective_rank for b in blocks) / model.shape.embed_dim
    yield Measurement("effective_rank_fraction", rank, "of the width")
