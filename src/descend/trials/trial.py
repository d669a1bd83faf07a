"""One trial run in this process, on a state in memory: no run folder is made."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace

import msgspec
import torch

from descend.errors import DivergedError
from descend.runs.events import Step
from descend.training.loop import StepEvents, train
from descend.training.memory import check_memory, needed_main_memory, translate_memory_errors
from descend.training.process_settings import restore_process_state
from descend.training.train_plan import TrainPlan
from descend.training.train_state import TrainState
from descend.training.training_run import initial_train_state, make_train_plan
from descend.trials.prepared_trial import PreparedTrial, prepare_trial
from descend.trials.timing.step_timing import choose_clock
from descend.trials.trial_evaluation import TrialEvaluation, evaluate_trial, evaluation_segments
from descend.trials.trial_spec import EvalPoint, TrialResult, TrialSpec

EvalCallback = Callable[[EvalPoint], bool]
"""Receives each evaluation as it is made; True ends the trial there."""


def never_stop(point: EvalPoint) -> bool:
    """Whoever looks at a trial and never ends it."""
    return False


FractionCallback = Callable[[float], None]
"""Receives now and then the fraction of its steps that a trial has made."""

PROGRESS_EVERY_SECONDS = 3.0
"""Seconds between two such words: enough for a person, and nothing beside the steps between."""


def ignore_progress(fraction: float) -> None:
    """Ignore the progress of a trial."""


def train_trial(
    spec: TrialSpec,
    on_evaluation: EvalCallback = never_stop,
    on_fraction: FractionCallback = ignore_progress,
) -> TrialResult:
    """Carry `spec` out. The thread count of torch is left as it was found.

    One that `on_evaluation` ended has the result, and the key, of the trial that stops there.
    """
    with restore_process_state(), ExitStack() as stack:
        ready = prepare_trial(spec)
        needed = needed_main_memory(ready.config, ready.shape)
        stack.enter_context(restore_process_state(needed))
        torch.set_num_threads(ready.execution.threads)
        check_memory(ready.config, ready.shape, ready.execution.device)
        with translate_memory_errors(ready.config, ready.shape):
            return _train(ready, on_evaluation, _throttle(on_fraction))


def _train(
    ready: PreparedTrial, on_evaluation: EvalCallback, on_fraction: FractionCallback
) -> TrialResult:
    execution, on_gpu = ready.execution, ready.execution.device.startswith("cuda")
    if on_gpu:
        torch.cuda.reset_peak_memory_stats(execution.device)
    state = initial_train_state(ready, ready.execution)
    curve, evaluation, diverged_step, seconds = _train_and_evaluate(
        ready, state, on_evaluation, on_fraction
    )
    spec = ready.spec
    if diverged_step is None and state.step < ready.last_step:
        spec = msgspec.structs.replace(spec, stop_step=state.step)
    last = curve[-1] if curve else None
    tokens = ready.store.tokenizer
    guess = math.log(tokens.vocab_size)
    # Bits per byte of guessing follow from the mean length of a token in validation text.
    mean_bytes = tokens.byte_lengths[ready.store.validation].mean()
    return TrialResult(
        key=spec.key,
        steps=state.step,
        tokens=state.step * ready.batches.tokens_per_step,
        train_tokens=len(ready.batches.tokens),
        vocab_size=tokens.vocab_size,
        parameters=sum(p.numel() for p in state.model.parameters()),
        seconds=seconds,
        peak_bytes=torch.cuda.max_memory_allocated(execution.device) if on_gpu else None,
        curve=curve,
        validation_loss=last.validation_loss if last else guess,
        accuracy=last.accuracy if last else 1 / tokens.vocab_size,
        bigram_accuracy=ready.store.info.ngram_baselines.bigram_accuracy,
        bits_per_byte=last.bits_per_byte if last else guess / math.log(2) / float(mean_bytes),
        diverged_step=diverged_step,
        chunk_losses=evaluation.chunk_losses if evaluation else [],
    )


def _make_trial_plan(ready: PreparedTrial) -> TrainPlan:
    """Without teachers: those of another vocabulary could not be asked."""
    alone = replace(ready, config=ready.config.model_copy(update={"teachers": None}))
    plan = make_train_plan(alone, ready.steps)
    return replace(plan, evaluate=None)


def _train_and_evaluate(
    ready: PreparedTrial,
    state: TrainState,
    on_evaluation: EvalCallback,
    on_fraction: FractionCallback,
) -> tuple[list[EvalPoint], TrialEvaluation | None, int | None, float]:
    """Train to the last step, or to where `on_evaluation` ends it; the points, the last finite
    judgment, where it diverged, and the seconds of training."""
    parts = evaluation_segments(ready.store, ready.spec.evaluation_tokens)
    every, last_step = ready.spec.evaluate_every, ready.last_step
    curve: list[EvalPoint] = []
    last_evaluation: TrialEvaluation | None = None
    losses: list[float] = []
    seconds = 0.0
    try:
        for step, seconds in _timed(
            train(state, _make_trial_plan(ready)), choose_clock(ready.execution)
        ):
            losses.append(step.loss)
            on_fraction(state.step / last_step)
            if state.step < last_step and not (every and state.step % every == 0):
                continue
            evaluation = evaluate_trial(
                state.model, ready.execution, ready.store, parts, ready.config.seq_len
            )
            if not math.isfinite(evaluation.loss):
                return curve, last_evaluation, state.step, seconds
            last_evaluation = evaluation
            curve.append(_point(ready, state, losses, evaluation, seconds))
            losses = []
            if state.step >= last_step or on_evaluation(curve[-1]):
                break
    except DivergedError:
        return curve, last_evaluation, state.step + 1, seconds
    return curve, last_evaluation, None, seconds


def _throttle(on_fraction: FractionCallback) -> FractionCallback:
    """Return `on_fraction`, called every few seconds however often this is."""
    said = time.monotonic()

    def seldom(fraction: float) -> None:
        nonlocal said
        if (now := time.monotonic()) - said >= PROGRESS_EVERY_SECONDS:
            said = now
            on_fraction(fraction)

    return seldom


def _timed(
    records: Iterator[StepEvents], clock: Callable[[], float]
) -> Iterator[tuple[Step, float]]:
    """Yield each step with the seconds of training by then; what is done between two does not
    count."""
    seconds = 0.0
    while True:
        began = clock()
        of_step = next(records, None)
        seconds += clock() - began
        if of_step is None:
            return
        step = of_step[0]
        assert isinstance(step, Step)
        yield step, seconds


def _point(
    ready: PreparedTrial,
    state: TrainState,
    losses: list[float],
    evaluation: TrialEvaluation,
    seconds: float,
) -> EvalPoint:
    finite = [loss for loss in losses if math.isfinite(loss)]  # float16 may skip a step
    return EvalPoint(
        step=state.step,
        tokens=state.step * ready.batches.tokens_per_step,
        seconds=seconds,
        train_loss=sum(finite) / max(len(finite), 1),
        validation_loss=evaluation.loss,
        accuracy=evaluation.accuracy,
        bits_per_byte=evaluation.bits_per_byte,
    )
