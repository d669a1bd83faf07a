"""From a run to its readings: which signals are taken, and on how much.

Everything here costs at most a few forward passes over some ten thousand tokens.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from descend.doctor.case import RecordedRun
from descend.doctor.curve import mask_at_peak_lr, extrapolation_measurements
from descend.doctor.reading import Measurement
from descend.machine import Execution
from descend.model.cost import parameter_count
from descend.model.transformer import Transformer
from descend.runs.model_files import load_model
from descend.runs.suggestions import lacks_model
from descend.signals import breakdown, counting, recorded
from descend.signals.activations import block_activation_stats
from descend.signals.attention import head_attention_entropies
from descend.signals.curve import extrapolate_curve
from descend.signals.distance import mutual_information
from descend.signals.recurrence import recurrence_distances, recurring_ngram_fraction
from descend.signals.steps import critical_step_multiplier, gradient_noise_scale
from descend.text.baselines import kneser_ney_loss
from descend.text.near_copies import Mask, FuzzyOverlap, find_fuzzy_overlap
from descend.text.overlap import ExactOverlap, find_exact_overlap, min_significant_match_length
from descend.text.store import TokenStore
from descend.training.checkpoint import load_checkpoint
from descend.training.objective import mean_cross_entropy
from descend.training.optimizer import make_optimizers, set_learning_rate
from descend.training.precision import make_grad_scaler
from descend.training.state import TrainState
from descend.trials.judge import evaluate_trial, evaluation_segments

DISTANCES = [*range(1, 33), 48, 64, 96, 128, 192, 256, 384, 512]
"""Tokens apart, at which one is asked what it tells of another."""
MOST_TOKENS = 32_768
"""Tokens that the model is looked at on: a standard error of the loss near 0.02 nat."""
PROBE_TOKENS = 4_096
"""Tokens of a batch that a step multiplier is searched on, at most 22 times."""
PASSAGE = 256
"""Tokens of the one passage that is followed head by head: memory grows with its square."""
MICRO_BATCHES = 8
"""Parts for the gradient noise scale: enough for a factor of two either way."""
RARE = 20
"""Uses in training under which a token counts as rare (vocabulary scaling, arXiv 2407.13623)."""
CONTEXTS = 4
"""Contexts back that are looked for the same tokens: as far as a remedy would lengthen it."""
LEAST_UNSEEN = 8
"""Windows of training text not read yet, from which their loss is told."""
HIGHEST_ORDER = 4
"""Of the n-gram ladder: above it, in a megabyte or less, nothing more is gained."""


def measure_run(case: RecordedRun) -> dict[str, Measurement]:
    """All readings that can be taken of `case`, by signal name."""
    found = [*_from_records(case), *_from_settings(case)]
    if case.store is not None:
        counted = _count(case.store)
        found += _from_text(case.store, counted, case.config.seq_len)
        model = _model(case)
        if model is not None:
            found += _from_model(case, case.store, model, counted)
        if case.checkpoint is not None and not case.diverged:
            found += _from_state(case)
    readings = {r.metric: r for r in found if math.isfinite(r.value)}
    if {"held_out_loss", "counting_loss"} <= readings.keys():
        gap = readings["held_out_loss"].value - readings["counting_loss"].value
        readings["floor_gap"] = Measurement("floor_gap", gap, "nats")
    return readings


def _from_records(case: RecordedRun) -> Iterator[Measurement]:
    steps, epochs = case.steps, case.epochs
    optional: list[tuple[str, float | None, str]] = [
        ("loss_at_start", recorded.initial_loss_ratio(steps, case.shape.vocab_size), "of ln V"),
        ("update_ratio", recorded.update_ratio(case.matrices), "of the weight, a step"),
        ("clipped_share", recorded.clipped_step_fraction(steps), "of steps"),
        ("gradient_spread", recorded.gradient_norm_p99_over_p50(steps), "99th over 50th percentile"),
        ("loss_jitter", recorded.loss_noise_std(steps), "nats"),
        ("loss_rise", recorded.max_loss_increase(steps), "nats"),
        ("rise_after_best", recorded.validation_loss_increase_after_best(epochs), "nats"),
        ("last_epoch_gain", recorded.last_epoch_loss_reduction(epochs), "nats"),
        ("final_rate", recorded.final_lr_fraction(steps) if case.finished else None, "of the peak"),
        ("warmup_share", recorded.warmup_fraction(steps), "of the run"),
        ("idle_share", recorded.near_zero_lr_fraction(steps), "of steps"),
    ]
    for name, value, unit in optional:
        if value is not None:
            yield Measurement(name, value, unit)
    if epochs:
        best = min(epochs, key=lambda e: e.validation_loss)
        yield Measurement("validation_loss", best.validation_loss, "nats per token")
        yield Measurement("validation_accuracy", best.validation_accuracy, "of tokens")
        yield Measurement("best_epoch", best.epoch / epochs[-1].epoch, "of the epochs")
    yield from _heading(case)


def _heading(case: RecordedRun) -> Iterator[Measurement]:
    """Where the training loss was going at the peak of the rate: its decay is no part of the law.
    Smoothed losses are on another scale than all others that are told."""
    if case.diverged or case.first_exploded_step or case.config.label_smoothing or not case.steps:
        return
    places = np.array([float(s.step) for s in case.steps])
    here = mask_at_peak_lr([(s.step, s.learning_rate) for s in case.steps], places)
    if here is None:
        return
    found = extrapolate_curve(places[here], np.array([s.loss for s in case.steps])[here])
    if found is not None:
        yield from extrapolation_measurements(found, "step")


def _from_settings(case: RecordedRun) -> Iterator[Measurement]:
    config, shape = case.config, case.shape
    parameters = parameter_count(shape)
    yield Measurement("epochs", case.num_epochs, "passes over the text")
    yield Measurement("steps", float(case.total_steps), "updates")
    yield Measurement("dropout_rate", config.dropout_rate, "of the units")
    yield Measurement("parameters", float(parameters), "numbers")
    tables = 1 if shape.architecture == "gpt" else 2
    embedding = tables * shape.vocab_size * shape.embed_dim
    yield Measurement("embedding_share", embedding / parameters, "of the parameters")
    if case.store is not None:
        seen = case.total_steps * case.tokens_per_step
        yield Measurement("tokens_per_parameter", seen / parameters, "tokens trained on")


@dataclass(frozen=True)
class _CorpusCounts:
    """What is counted in a text once, for its own readings and for those of the model."""

    uses: breakdown.Ids
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
        told = [] if self.copies is None else [self.copies.covered]
        if self.near is not None and self.near.excess_fraction_lower_bound > 0:
            told.append(self.near.covered)
        return np.logical_or.reduce(told) if told else None


def _count(store: TokenStore) -> _CorpusCounts:
    size, ladder = store.tokenizer.vocab_size, store.info.ngram_baselines
    fourgram = kneser_ney_loss(store.train, store.validation, size, HIGHEST_ORDER)
    loss = min(ladder.best, fourgram)
    length = min_significant_match_length(len(store.train), loss, store.bytes_per_token)
    return _CorpusCounts(
        uses=np.bincount(np.asarray(store.train), minlength=size),
        fourgram_loss=fourgram,
        loss=loss,
        copy_length=length,
        copies=None if length is None else find_exact_overlap(store.train, store.validation, length),
        near=find_fuzzy_overlap(store.train, store.validation, store.tokenizer.decode),
    )


def _from_text(store: TokenStore, counted: _CorpusCounts, seq_len: int) -> Iterator[Measurement]:
    ladder = store.info.ngram_baselines
    yield Measurement("train_tokens", float(len(store.train)), "tokens")
    yield Measurement("validation_tokens", float(len(store.validation)), "tokens")
    yield Measurement("bytes_per_token", store.bytes_per_token, "bytes")
    # The bytes that stand by for what never comes are no fault.
    used = counted.uses[counted.uses > 0]
    yield Measurement("rare_vocabulary", float((used < RARE).mean()), "of the tokens that are used")
    yield Measurement("unigram_loss", ladder.unigram, "nats per token")
    yield Measurement("bigram_loss", ladder.bigram, "nats per token")
    yield Measurement("counting_loss", counted.loss, "nats per token")
    if counted.copies is not None and counted.copy_length is not None:
        yield Measurement("overlap", counted.copies.fraction, "of held-out tokens")
        repeats = counting.repeated_ngram_fraction(store.train, counted.copy_length)
        yield Measurement("repeats", repeats, "of the training text")
    if counted.near is not None:
        word_for_word = counted.copies.fraction if counted.copies is not None else 0.0
        nearly = max(0.0, counted.near.excess_fraction_lower_bound - word_for_word)
        yield Measurement("near_overlap", nearly, "of held-out passages")
    higher = min(ladder.trigram, counted.fourgram_loss)
    yield Measurement("counting_ladder", ladder.bigram - higher, "nats")
    beyond = [d for d in DISTANCES if d > seq_len]
    told = dict(zip(DISTANCES, mutual_information(store.train, DISTANCES).tolist(), strict=True))
    yield Measurement("information", max(told.values()), "nats")
    if beyond:
        yield Measurement("information_beyond", max(told[d] for d in beyond), "nats")
    apart = recurrence_distances(store.train)
    within = recurring_ngram_fraction(apart, 0, seq_len)
    yield Measurement("recurrence", within, "of runs of four tokens")
    further = recurring_ngram_fraction(apart, seq_len, CONTEXTS * seq_len)
    yield Measurement("recurrence_beyond", further, "of runs of four tokens")
    found = validation_shift(store)
    if found is not None:
        yield Measurement("shift", found, "nats")


def validation_shift(store: TokenStore) -> float | None:
    """Of the held-out text, in nats a token. Where it is above 0, in bytes as well, and the smaller
    of the two: a piece that is hardly ever used is foreign in any text, its bytes are not."""
    found = counting.distribution_shift_nats(store.train, store.validation, store.tokenizer.vocab_size)
    if found is None or found <= 0:
        return found
    train, held_out = (
        np.frombuffer(store.tokenizer.decode(part.tolist()).encode(), np.uint8)
        for part in (store.train[: counting.MOST_COMPARED], store.validation)
    )
    in_bytes = counting.distribution_shift_nats(train, held_out, BYTES)
    return found if in_bytes is None else min(found, in_bytes * store.bytes_per_token)


BYTES = 256
"""Values of a byte."""


def run_validation_loss(case: RecordedRun, evaluation_tokens: int) -> float | None:
    """Held-out loss (nats) of the model of `case` on the very text that a trial is judged on."""
    model = _model(case) if case.store is not None and case.epochs else None
    if model is None or case.store is None:
        return None
    parts = evaluation_segments(case.store, evaluation_tokens)
    execution = Execution("cpu", "float32", "fused", 1, "", "")
    return evaluate_trial(model, execution, case.store, parts, case.config.seq_len).loss


def _model(case: RecordedRun) -> Transformer | None:
    """The kept model, or of an unfinished run the one of its newest checkpoint."""
    if case.finished and not lacks_model(case.folder):
        return load_model(case.folder, "cpu").model
    state = state_of(case)
    return state.model if state else None


def _from_model(
    case: RecordedRun, store: TokenStore, model: Transformer, counted: _CorpusCounts
) -> Iterator[Measurement]:
    config = case.config
    windows = max(1, MOST_TOKENS // config.seq_len)
    held = breakdown.token_losses(model, store.validation, config.seq_len, windows=windows)
    seen = _loss_on_trained_text(case, store, model, windows)
    held_loss, error = _mean_and_error(held)
    seen_loss, _ = _mean_and_error(seen)
    yield Measurement("held_out_loss", held_loss, "nats per token", error)
    yield Measurement("seen_loss", seen_loss, "nats per token")
    yield Measurement("generalisation_gap", held_loss - seen_loss, "nats", 1.4 * error)
    unseen = _unread_windows(case, windows)
    if unseen is not None:
        fresh_loss, spread = _mean_and_error(breakdown.token_losses_for_ids(model, unseen))
        yield Measurement("unseen_loss", fresh_loss, "nats per token", spread)
        yield Measurement("split_gap", held_loss - fresh_loss, "nats", math.hypot(error, spread))
    yield Measurement("mean_confidence", float(held.confidence.mean()), "probability")
    if case.epochs and not config.label_smoothing:
        yield Measurement("dropout_gap", case.epochs[-1].loss_end - seen_loss, "nats")
    slope = breakdown.loss_slope_per_context_doubling(held)
    yield Measurement(
        "position_slope", slope, "nats per doubling of the context", breakdown.slope_error(held)
    )
    yield Measurement("context_gain", breakdown.context_benefit_nats(held), "nats")
    needed = breakdown.effective_context_length(held)
    yield Measurement("context_needed", needed / held.losses.shape[1], "of the context")
    yield from _from_inside(model, held.targets)
    rare = breakdown.rare_token_loss_fraction(held, counted.uses, RARE)
    yield Measurement("rare_loss", rare, "of the held-out loss")
    covered = counted.known
    if covered is not None and 0 < covered.sum() < len(covered):
        # The same windows as `held`: the covered tokens and the rest, each by itself.
        length = held.losses.shape[1]
        full = (len(store.validation) - 1) // length
        chosen = np.unique(np.linspace(0, full - 1, min(windows, full)).astype(np.int64))
        mask = covered[(chosen * length)[:, None] + np.arange(1, length + 1)]
        if 0 < mask.sum() < mask.size:
            rise = float(held.losses[~mask].mean()) - held_loss
            yield Measurement("clean_rise", rise, "nats")


def _mean_and_error(found: breakdown.TokenLosses) -> tuple[float, float]:
    """Mean loss (nats per token) and its standard error, each window taken for a draw."""
    error = float(found.losses.mean(1).std() / max(len(found.losses), 1) ** 0.5)
    return float(found.losses.mean()), error


def _read(case: RecordedRun) -> tuple[int, int]:
    """Sequences of the first pass that the run has read, and how many it has not."""
    read = len(case.steps) * case.config.batch_size
    return read, case.batches.sequences_per_epoch - read


def _loss_on_trained_text(case: RecordedRun, store: TokenStore, model: Transformer, windows: int) -> breakdown.TokenLosses:
    """Losses on training text that the run has read."""
    read, left = _read(case)
    if left <= 0 or not read:
        return breakdown.token_losses(model, store.train, case.config.seq_len, windows=windows)
    numbers = np.unique(np.linspace(0, read - 1, min(windows, read)).astype(np.int64))
    return breakdown.token_losses_for_ids(model, case.batches.sequences(numbers))


def _unread_windows(case: RecordedRun, windows: int) -> breakdown.Ids | None:
    """Windows (N, T + 1) of the training text that the run has not read: only where it made less
    than a pass."""
    read, left = _read(case)
    if left < LEAST_UNSEEN:
        return None
    numbers = read + np.linspace(0, left - 1, min(windows, left)).astype(np.int64)
    return case.batches.sequences(np.unique(numbers))


def _from_inside(model: Transformer, ids_NT: breakdown.Ids) -> Iterator[Measurement]:
    """What goes on in the network while it reads: the worst head and the worst block."""
    heads = head_attention_entropies(model, ids_NT[0, :PASSAGE])
    if heads:
        yield Measurement("attention_logit", max(h.max_logit for h in heads), "at most")
        yield Measurement("attention_entropy", min(h.normalized_entropy for h in heads), "of an even look")
    blocks = block_activation_stats(model, ids_NT[: max(1, PROBE_TOKENS // ids_NT.shape[1])])
    yield Measurement("stream_size", max(b.rms for b in blocks), "root mean square")
    yield Measurement("dead_units", max(b.dead_unit_fraction for b in blocks), "of a block's units")
    rank = min(b.effective_rank for b in blocks) / model.shape.embed_dim
    yield Measurement("effective_rank", rank, "of the width")


def _from_state(case: RecordedRun) -> Iterator[Measurement]:
    """What the next step would do, at the peak of the rate."""
    state = state_of(case)
    if state is None:
        return
    plan, model = case.batches, state.model
    rows = max(1, min(case.config.batch_size, PROBE_TOKENS // case.config.seq_len))
    numbers = np.arange(case.config.batch_size) + state.step * case.config.batch_size
    own = torch.from_numpy(plan.sequences(numbers))
    many = max(rows, PROBE_TOKENS // case.config.seq_len)
    fresh = torch.from_numpy(plan.sequences(np.arange(many) + int(numbers[-1]) + 1))
    model.eval()  # without dropout: two looks at one point must agree

    def loss_on(batch: torch.Tensor) -> Callable[[], float]:
        def found() -> float:
            with torch.no_grad():
                return float(mean_cross_entropy(model(batch[:, :-1]).float(), batch[:, 1:], 0.0))

        return found

    micro = _micro_batches(case, state.step)
    if micro is not None:
        scale = gradient_noise_scale(
            model, micro, lambda b: mean_cross_entropy(model(b[:, :-1]).float(), b[:, 1:], 0.0)
        )
        yield Measurement("noise_scale", scale / case.tokens_per_step, "batches")
    weights = [p for p in model.parameters() if p.requires_grad]
    before = [w.detach().clone() for w in weights]
    model.zero_grad(set_to_none=True)
    for part in own.tensor_split(case.config.num_micro_batches):  # as training does
        loss = mean_cross_entropy(model(part[:, :-1]).float(), part[:, 1:], 0.0)
        (loss * (len(part) / len(own))).backward()  # type: ignore[no-untyped-call]
    set_learning_rate(state.optimizers, max(s.learning_rate for s in case.steps))
    for optimizer in state.optimizers:
        optimizer.step()
    update = [w.detach() - b for w, b in zip(weights, before, strict=True)]
    with torch.no_grad():
        for weight, old in zip(weights, before, strict=True):
            weight.copy_(old)
    for name, batch in (("multiplier_same", own[:rows]), ("multiplier_fresh", fresh)):
        yield Measurement(name, critical_step_multiplier(weights, update, loss_on(batch)), "steps")


def _micro_batches(case: RecordedRun, step: int) -> list[torch.Tensor] | None:
    """`MICRO_BATCHES` equal parts of fresh text, of at most `PROBE_TOKENS` tokens together."""
    rows = max(1, PROBE_TOKENS // MICRO_BATCHES // case.config.seq_len)
    first = (step + 2) * case.config.batch_size
    ids = case.batches.sequences(np.arange(MICRO_BATCHES * rows) + first)
    return [torch.from_numpy(ids[n : n + rows]) for n in range(0, len(ids), rows)]


def state_of(case: RecordedRun) -> TrainState | None:
    """The newest checkpoint of the run, on the CPU in float32, or None."""
    if case.checkpoint is None:
        return None
    execution = Execution("cpu", "float32", case.execution.attention, 1, "", "")
    model = Transformer(case.shape, case.config.dropout_rate, execution.attention)
    state = TrainState(model, make_optimizers(model, case.config), make_grad_scaler(execution))
    load_checkpoint(case.checkpoint, state)
    return state
