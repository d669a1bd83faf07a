"""From a run to its readings: which signals are taken, and on how much.

Everything here costs at most a few forward passes over some ten thousand tokens.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from descend.data.contamination.exact_overlap import (
    ExactOverlap,
    find_exact_overlap,
    min_significant_match_length,
)
from descend.data.contamination.fuzzy_overlap import FuzzyOverlap, Mask, find_fuzzy_overlap
from descend.data.ngram_baselines import kneser_ney_loss
from descend.data.token_store import TokenStore
from descend.diagnosis.run_context import RunContext
from descend.machine import Execution
from descend.metrics import corpus_distribution, loss_breakdown, training_history
from descend.metrics.activations import block_activation_stats
from descend.metrics.attention import head_attention_entropies
from descend.metrics.extrapolation import extrapolation_measurements, mask_at_peak_lr
from descend.metrics.measurement import Measurement
from descend.metrics.mutual_information import mutual_information
from descend.metrics.ngram_recurrence import recurrence_distances, recurring_ngram_fraction
from descend.metrics.power_law import extrapolate_curve
from descend.metrics.step_size import critical_step_multiplier, gradient_noise_scale
from descend.model.cost import parameter_count
from descend.model.transformer import Transformer
from descend.runs.model_files import load_model
from descend.runs.suggestions import lacks_model
from descend.training.checkpoint import load_checkpoint
from descend.training.execution.precision import make_grad_scaler
from descend.training.loss import mean_cross_entropy
from descend.training.optimizers import make_optimizers, set_learning_rate
from descend.training.train_state import TrainState
from descend.trials.evaluation import evaluate_trial, evaluation_segments

DISTANCES = [*range(1, 33), 48, 64, 96, 128, 192, 256, 384, 512]
"""Tokens apart, at which one is asked what it tells of another."""
MAX_TOKENS = 32_768
"""Tokens that the model is looked at on: a standard error of the loss near 0.02 nat."""
PROBE_TOKENS = 4_096
"""Tokens of a batch that a step multiplier is searched on, at most 22 times."""
ENTROPY_WINDOW = 256
"""Tokens of the one passage that is followed head by head: memory grows with its square."""
MICRO_BATCHES = 8
"""Parts for the gradient noise scale: enough for a factor of two either way."""
RARE = 20
"""Uses in training under which a token counts as rare (vocabulary scaling, arXiv 2407.13623)."""
CONTEXTS = 4
"""Contexts back that are looked for the same tokens: as far as a remedy would lengthen it."""
MIN_UNREAD_WINDOWS = 8
"""Windows of training text not read yet, from which their loss is told."""
HIGHEST_ORDER = 4
"""Of the n-gram ladder: above it, in a megabyte or less, nothing more is gained."""


def measure_run(recorded_run: RunContext) -> dict[str, Measurement]:
    """All readings that can be taken of `case`, by signal name."""
    all_measurements = [*_from_records(recorded_run), *_from_config(recorded_run)]
    if recorded_run.store is not None:
        counted = _count(recorded_run.store)
        all_measurements += _from_text(recorded_run.store, counted, recorded_run.config.seq_len)
        model = _model(recorded_run)
        if model is not None:
            all_measurements += _from_model(recorded_run, recorded_run.store, model, counted)
        if recorded_run.checkpoint is not None and not recorded_run.diverged:
            all_measurements += _from_state(recorded_run)
    measurements = {r.metric: r for r in all_measurements if math.isfinite(r.value)}
    if {"measured_validation_loss", "best_ngram_loss"} <= measurements.keys():
        gap = measurements["measured_validation_loss"].value - measurements["best_ngram_loss"].value
        measurements["gap_to_ngram_nats"] = Measurement("gap_to_ngram_nats", gap, "nats")
    return measurements


def _from_records(recorded_run: RunContext) -> Iterator[Measurement]:
    steps, epochs = recorded_run.steps, recorded_run.epochs
    optional: list[tuple[str, float | None, str]] = [
        (
            "initial_loss_ratio",
            training_history.initial_loss_ratio(steps, recorded_run.shape.vocab_size),
            "of ln V",
        ),
        (
            "update_to_weight_ratio",
            training_history.update_to_weight_ratio(recorded_run.weight_updates),
            "of the weight, a step",
        ),
        ("clipped_step_fraction", training_history.clipped_step_fraction(steps), "of steps"),
        (
            "gradient_norm_p99_over_p50",
            training_history.gradient_norm_p99_over_p50(steps),
            "99th over 50th percentile",
        ),
        ("loss_noise_std", training_history.loss_noise_std(steps), "nats"),
        ("max_loss_increase", training_history.max_loss_increase(steps), "nats"),
        (
            "validation_loss_increase_after_best",
            training_history.validation_loss_increase_after_best(epochs),
            "nats",
        ),
        ("last_epoch_loss_reduction", training_history.last_epoch_loss_reduction(epochs), "nats"),
        (
            "final_lr_fraction",
            training_history.final_lr_fraction(steps) if recorded_run.finished else None,
            "of the peak",
        ),
        ("warmup_fraction", training_history.warmup_fraction(steps), "of the run"),
        ("near_zero_lr_fraction", training_history.near_zero_lr_fraction(steps), "of steps"),
    ]
    for name, value, unit in optional:
        if value is not None:
            yield Measurement(name, value, unit)
    if epochs:
        best = min(epochs, key=lambda e: e.validation_loss)
        yield Measurement("validation_loss", best.validation_loss, "nats per token")
        yield Measurement("validation_accuracy", best.validation_accuracy, "of tokens")
        yield Measurement("best_epoch", best.epoch / epochs[-1].epoch, "of the epochs")
    yield from _measure_extrapolation(recorded_run)


def _measure_extrapolation(recorded_run: RunContext) -> Iterator[Measurement]:
    """Where the training loss was going at the peak of the rate: its decay is no part of the law.
    Smoothed losses are on another scale than all others that are told."""
    if (
        recorded_run.diverged
        or recorded_run.first_exploded_step
        or recorded_run.config.label_smoothing
        or not recorded_run.steps
    ):
        return
    positions = np.array([float(s.step) for s in recorded_run.steps])
    here = mask_at_peak_lr([(s.step, s.learning_rate) for s in recorded_run.steps], positions)
    if here is None:
        return
    extrapolation = extrapolate_curve(
        positions[here], np.array([s.loss for s in recorded_run.steps])[here]
    )
    if extrapolation is not None:
        yield from extrapolation_measurements(extrapolation, "step")


def _from_config(recorded_run: RunContext) -> Iterator[Measurement]:
    config, shape = recorded_run.config, recorded_run.shape
    parameters = parameter_count(shape)
    yield Measurement("epochs", recorded_run.num_epochs, "passes over the text")
    yield Measurement("steps", float(recorded_run.total_steps), "updates")
    yield Measurement("dropout_rate", config.dropout_rate, "of the units")
    yield Measurement("parameters", float(parameters), "numbers")
    tables = 1 if shape.architecture == "gpt" else 2
    embedding = tables * shape.vocab_size * shape.embed_dim
    yield Measurement("embedding_parameter_fraction", embedding / parameters, "of the parameters")
    if recorded_run.store is not None:
        num_tokens = recorded_run.total_steps * recorded_run.tokens_per_step
        yield Measurement("tokens_per_parameter", num_tokens / parameters, "tokens trained on")


@dataclass(frozen=True)
class _CorpusCounts:
    """What is counted in a text once, for its own readings and for those of the model."""

    uses: loss_breakdown.Ids
    """Of each token in training (V,)."""
    fourgram_loss: float
    """Of counting to `HIGHEST_ORDER` (nats per token)."""
    loss: float
    """The lowest that counting reaches (nats per token)."""
    copy_length: int | None
    """Tokens of a run that count as a copy; None: no run tells."""
    copies: ExactOverlap | None
    """Of training text in held-out text, word for word."""
    near: FuzzyOverlap | None
    """The same with small changes or none; None: the text has too few words to tell."""

    @property
    def known(self) -> Mask | None:
        """For each held-out token, whether it may be known by heart; None where nothing tells."""
        masks = [] if self.copies is None else [self.copies.covered]
        if self.near is not None and self.near.excess_fraction_lower_bound > 0:
            masks.append(self.near.covered)
        return np.logical_or.reduce(masks) if masks else None


def _count(store: TokenStore) -> _CorpusCounts:
    size, baselines = store.tokenizer.vocab_size, store.info.ngram_baselines
    fourgram = kneser_ney_loss(store.train, store.validation, size, HIGHEST_ORDER)
    loss = min(baselines.best, fourgram)
    length = min_significant_match_length(len(store.train), loss, store.bytes_per_token)
    return _CorpusCounts(
        uses=np.bincount(np.asarray(store.train), minlength=size),
        fourgram_loss=fourgram,
        loss=loss,
        copy_length=length,
        copies=None
        if length is None
        else find_exact_overlap(store.train, store.validation, length),
        near=find_fuzzy_overlap(store.train, store.validation, store.tokenizer.decode),
    )


def _from_text(store: TokenStore, counted: _CorpusCounts, seq_len: int) -> Iterator[Measurement]:
    baselines = store.info.ngram_baselines
    yield Measurement("train_tokens", float(len(store.train)), "tokens")
    yield Measurement("validation_tokens", float(len(store.validation)), "tokens")
    yield Measurement("bytes_per_token", store.bytes_per_token, "bytes")
    # The bytes that stand by for what never comes are no fault.
    used = counted.uses[counted.uses > 0]
    yield Measurement(
        "rare_token_fraction", float((used < RARE).mean()), "of the tokens that are used"
    )
    yield Measurement("unigram_loss", baselines.unigram, "nats per token")
    yield Measurement("bigram_loss", baselines.bigram, "nats per token")
    yield Measurement("best_ngram_loss", counted.loss, "nats per token")
    if counted.copies is not None and counted.copy_length is not None:
        yield Measurement(
            "exact_contamination_fraction", counted.copies.fraction, "of held-out tokens"
        )
        repeats = corpus_distribution.repeated_ngram_fraction(store.train, counted.copy_length)
        yield Measurement("duplicate_train_fraction", repeats, "of the training text")
    if counted.near is not None:
        word_for_word = counted.copies.fraction if counted.copies is not None else 0.0
        nearly = max(0.0, counted.near.excess_fraction_lower_bound - word_for_word)
        yield Measurement("fuzzy_contamination_fraction", nearly, "of held-out passages")
    higher = min(baselines.trigram, counted.fourgram_loss)
    yield Measurement("fourgram_loss_reduction", baselines.bigram - higher, "nats")
    beyond = [d for d in DISTANCES if d > seq_len]
    information = dict(
        zip(DISTANCES, mutual_information(store.train, DISTANCES).tolist(), strict=True)
    )
    yield Measurement("token_mutual_information_nats", max(information.values()), "nats")
    if beyond:
        yield Measurement(
            "mutual_information_beyond_context", max(information[d] for d in beyond), "nats"
        )
    apart = recurrence_distances(store.train)
    within = recurring_ngram_fraction(apart, 0, seq_len)
    yield Measurement("ngram_recurrence_fraction", within, "of runs of four tokens")
    further = recurring_ngram_fraction(apart, seq_len, CONTEXTS * seq_len)
    yield Measurement("recurrence_beyond_context", further, "of runs of four tokens")
    shift_nats = validation_shift(store)
    if shift_nats is not None:
        yield Measurement("distribution_shift_nats", shift_nats, "nats")


def validation_shift(store: TokenStore) -> float | None:
    """Of the held-out text, in nats a token. Where it is above 0, in bytes as well, and the smaller
    of the two: a piece that is hardly ever used is foreign in any text, its bytes are not."""
    shift_nats = corpus_distribution.distribution_shift_nats(
        store.train, store.validation, store.tokenizer.vocab_size
    )
    if shift_nats is None or shift_nats <= 0:
        return shift_nats
    train, validation_bytes = (
        np.frombuffer(store.tokenizer.decode(part.tolist()).encode(), np.uint8)
        for part in (store.train[: corpus_distribution.MAX_COMPARED], store.validation)
    )
    in_bytes = corpus_distribution.distribution_shift_nats(train, validation_bytes, BYTES)
    return shift_nats if in_bytes is None else min(shift_nats, in_bytes * store.bytes_per_token)


BYTES = 256
"""Values of a byte."""


def run_validation_loss(recorded_run: RunContext, evaluation_tokens: int) -> float | None:
    """Held-out loss (nats) of the model of `case` on the very text that a trial is judged on."""
    model = _model(recorded_run) if recorded_run.store is not None and recorded_run.epochs else None
    if model is None or recorded_run.store is None:
        return None
    parts = evaluation_segments(recorded_run.store, evaluation_tokens)
    execution = Execution("cpu", "float32", "fused", 1, "", "")
    return evaluate_trial(
        model, execution, recorded_run.store, parts, recorded_run.config.seq_len
    ).loss


def _model(recorded_run: RunContext) -> Transformer | None:
    """The kept model, or of an unfinished run the one of its newest checkpoint."""
    if recorded_run.finished and not lacks_model(recorded_run.folder):
        return load_model(recorded_run.folder, "cpu").model
    state = state_of(recorded_run)
    return state.model if state else None


def _from_model(
    recorded_run: RunContext, store: TokenStore, model: Transformer, counted: _CorpusCounts
) -> Iterator[Measurement]:
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
    unread_ids = _unread_windows(recorded_run, windows)
    if unread_ids is not None:
        fresh_loss, spread = _mean_and_error(loss_breakdown.token_losses_for_ids(model, unread_ids))
        yield Measurement("unread_text_loss", fresh_loss, "nats per token", spread)
        yield Measurement(
            "validation_minus_unread_train_nats",
            validation_loss - fresh_loss,
            "nats",
            math.hypot(error, spread),
        )
    yield Measurement("mean_confidence", float(validation_losses.confidence.mean()), "probability")
    if recorded_run.epochs and not config.label_smoothing:
        yield Measurement("dropout_gap_nats", recorded_run.epochs[-1].loss_end - train_loss, "nats")
    slope = loss_breakdown.loss_slope_per_context_doubling(validation_losses)
    yield Measurement(
        "loss_slope_per_context_doubling",
        slope,
        "nats per doubling of the context",
        loss_breakdown.slope_error(validation_losses),
    )
    yield Measurement(
        "context_benefit_nats", loss_breakdown.context_benefit_nats(validation_losses), "nats"
    )
    needed = loss_breakdown.effective_context_length(validation_losses)
    yield Measurement(
        "effective_context_fraction", needed / validation_losses.losses.shape[1], "of the context"
    )
    yield from _from_inside(model, validation_losses.targets)
    rare = loss_breakdown.rare_token_loss_fraction(validation_losses, counted.uses, RARE)
    yield Measurement("rare_token_loss_fraction", rare, "of the held-out loss")
    covered = counted.known
    if covered is not None and 0 < covered.sum() < len(covered):
        # The same windows as `held`: the covered tokens and the rest, each by itself.
        length = validation_losses.losses.shape[1]
        full = (len(store.validation) - 1) // length
        window_indices = np.unique(np.linspace(0, full - 1, min(windows, full)).astype(np.int64))
        mask = covered[(window_indices * length)[:, None] + np.arange(1, length + 1)]
        if 0 < mask.sum() < mask.size:
            rise = float(validation_losses.losses[~mask].mean()) - validation_loss
            yield Measurement("uncontaminated_loss_increase", rise, "nats")


def _mean_and_error(token_losses: loss_breakdown.TokenLosses) -> tuple[float, float]:
    """Mean loss (nats per token) and its standard error, each window taken for a draw."""
    error = float(token_losses.losses.mean(1).std() / max(len(token_losses.losses), 1) ** 0.5)
    return float(token_losses.losses.mean()), error


def _read(recorded_run: RunContext) -> tuple[int, int]:
    """Sequences of the first pass that the run has read, and how many it has not."""
    read = len(recorded_run.steps) * recorded_run.config.batch_size
    return read, recorded_run.batches.sequences_per_epoch - read


def _loss_on_trained_text(
    recorded_run: RunContext, store: TokenStore, model: Transformer, windows: int
) -> loss_breakdown.TokenLosses:
    """Losses on training text that the run has read."""
    read, num_unread = _read(recorded_run)
    if num_unread <= 0 or not read:
        return loss_breakdown.token_losses(
            model, store.train, recorded_run.config.seq_len, windows=windows
        )
    numbers = np.unique(np.linspace(0, read - 1, min(windows, read)).astype(np.int64))
    return loss_breakdown.token_losses_for_ids(model, recorded_run.batches.sequences(numbers))


def _unread_windows(recorded_run: RunContext, windows: int) -> loss_breakdown.Ids | None:
    """Windows (N, T + 1) of the training text that the run has not read: only where it made less
    than a pass."""
    read, num_unread = _read(recorded_run)
    if num_unread < MIN_UNREAD_WINDOWS:
        return None
    numbers = read + np.linspace(0, num_unread - 1, min(windows, num_unread)).astype(np.int64)
    return recorded_run.batches.sequences(np.unique(numbers))


def _from_inside(model: Transformer, ids_NT: loss_breakdown.Ids) -> Iterator[Measurement]:
    """What goes on in the network while it reads: the worst head and the worst block."""
    heads = head_attention_entropies(model, ids_NT[0, :ENTROPY_WINDOW])
    if heads:
        yield Measurement("max_attention_logit", max(h.max_logit for h in heads), "at most")
        yield Measurement(
            "attention_entropy_fraction",
            min(h.normalized_entropy for h in heads),
            "of an even look",
        )
    blocks = block_activation_stats(model, ids_NT[: max(1, PROBE_TOKENS // ids_NT.shape[1])])
    yield Measurement("residual_stream_rms", max(b.rms for b in blocks), "root mean square")
    yield Measurement(
        "dead_unit_fraction", max(b.dead_unit_fraction for b in blocks), "of a block's units"
    )
    rank = min(b.effective_rank for b in blocks) / model.shape.embed_dim
    yield Measurement("effective_rank_fraction", rank, "of the width")


def _from_state(recorded_run: RunContext) -> Iterator[Measurement]:
    """What the next step would do, at the peak of the rate."""
    state = state_of(recorded_run)
    if state is None:
        return
    plan, model = recorded_run.batches, state.model
    rows = max(1, min(recorded_run.config.batch_size, PROBE_TOKENS // recorded_run.config.seq_len))
    numbers = (
        np.arange(recorded_run.config.batch_size) + state.step * recorded_run.config.batch_size
    )
    own = torch.from_numpy(plan.sequences(numbers))
    many = max(rows, PROBE_TOKENS // recorded_run.config.seq_len)
    fresh = torch.from_numpy(plan.sequences(np.arange(many) + int(numbers[-1]) + 1))
    model.eval()  # without dropout: two looks at one point must agree

    def loss_on(batch: torch.Tensor) -> Callable[[], float]:
        def compute_loss() -> float:
            with torch.no_grad():
                return float(mean_cross_entropy(model(batch[:, :-1]).float(), batch[:, 1:], 0.0))

        return compute_loss

    micro = _micro_batches(recorded_run, state.step)
    if micro is not None:
        scale = gradient_noise_scale(
            model, micro, lambda b: mean_cross_entropy(model(b[:, :-1]).float(), b[:, 1:], 0.0)
        )
        yield Measurement("gradient_noise_scale", scale / recorded_run.tokens_per_step, "batches")
    weights = [p for p in model.parameters() if p.requires_grad]
    before = [w.detach().clone() for w in weights]
    model.zero_grad(set_to_none=True)
    for part in own.tensor_split(recorded_run.config.num_micro_batches):  # as training does
        loss = mean_cross_entropy(model(part[:, :-1]).float(), part[:, 1:], 0.0)
        (loss * (len(part) / len(own))).backward()  # type: ignore[no-untyped-call]
    set_learning_rate(state.optimizers, max(s.learning_rate for s in recorded_run.steps))
    for optimizer in state.optimizers:
        optimizer.step()
    update = [w.detach() - b for w, b in zip(weights, before, strict=True)]
    with torch.no_grad():
        for weight, old in zip(weights, before, strict=True):
            weight.copy_(old)
    for name, batch in (
        ("critical_step_multiplier_same", own[:rows]),
        ("critical_step_multiplier_fresh", fresh),
    ):
        yield Measurement(name, critical_step_multiplier(weights, update, loss_on(batch)), "steps")


def _micro_batches(recorded_run: RunContext, step: int) -> list[torch.Tensor] | None:
    """`MICRO_BATCHES` equal parts of fresh text, of at most `PROBE_TOKENS` tokens together."""
    rows = max(1, PROBE_TOKENS // MICRO_BATCHES // recorded_run.config.seq_len)
    first = (step + 2) * recorded_run.config.batch_size
    ids = recorded_run.batches.sequences(np.arange(MICRO_BATCHES * rows) + first)
    return [torch.from_numpy(ids[n : n + rows]) for n in range(0, len(ids), rows)]


def state_of(recorded_run: RunContext) -> TrainState | None:
    """The newest checkpoint of the run, on the CPU in float32, or None."""
    if recorded_run.checkpoint is None:
        return None
    execution = Execution("cpu", "float32", recorded_run.execution.attention, 1, "", "")
    model = Transformer(recorded_run.shape, recorded_run.config.dropout_rate, execution.attention)
    state = TrainState(
        model, make_optimizers(model, recorded_run.config), make_grad_scaler(execution)
    )
    load_checkpoint(recorded_run.checkpoint, state)
    return state
