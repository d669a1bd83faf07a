"""What is said before a run of what was chosen for it, or of where it is taken up."""

from __future__ import annotations

import logging
from typing import Any

from descend.config import RunConfig, make_config
from descend.data.text_shape import has_words, measure_text_shape, start_of_text
from descend.diagnosis.text_warnings import describe_text_shape, has_many_phrases
from descend.report.text.contamination_notice import describe_contamination
from descend.training.execution.backends import describe_execution, forced_keys
from descend.training.execution.candidate_timing import TuningResult
from descend.training.recipe import WARMUP_FRACTION, automatic_values
from descend.training.resumption import Difference, ResumePoint, format_damaged
from descend.training.training_run import TrainingRun
from descend.units import format_bytes

logger = logging.getLogger(__name__)


def run_notices(run: TrainingRun) -> list[str]:
    """Return sentences on a run before its first step, or before its next."""
    if run.resume_point is not None:
        return describe_resumption(run, run.resume_point)
    return [] if run.tuning is None else describe_choices(run, run.tuning)


def describe_choices(run: TrainingRun, tuning: TuningResult) -> list[str]:
    """Return sentences on what the recipe and the machine decided for a new run."""
    config, resolved = make_config(run.info.requested_config), run.plan.config
    own_tokens, info = run.info.parent is None, run.store.info
    notices = []
    if run.too_long_context:
        few = f"{len(run.store.train)} tokens of text to train on: seq_len = {resolved.seq_len}"
        notices.append(f"{few} instead of {run.too_long_context}")
    by_size = _values_by_size(config, resolved, own_tokens)
    if run.chosen_batch_size is not None:
        by_size["batch_size"] = run.chosen_batch_size
    if by_size:
        words = ", ".join(f"{key} = {value}" for key, value in by_size.items())
        notices.append(f"chosen for {format_bytes(info.train_bytes)} of training text: {words}")
    got = run.store.tokenizer.vocab_size
    if own_tokens and config.vocab_size not in (None, got):
        giver = "the text" if config.tokenizer == "bpe" else f"the {config.tokenizer} tokenizer"
        notices.append(f"vocab_size is {got:,}, not {config.vocab_size:,}: {giver} gives no more")
    notices.append(_describe_speed(config, tuning))
    notices += [*_large_batch_warning(run), *_long_warmup_warning(run)]
    if config.gradient_accumulation_steps is None and (parts := resolved.num_micro_batches) > 1:
        notices.append(f"each batch is computed in {parts} parts, so that it fits into memory")
    if resolved.lora_rank and config.lora_rank is None:
        notices.append(
            f"lora_rank = {resolved.lora_rank}: all weights do not fit into memory, so only LoRA"
            " adapters are trained"
        )
    shape = measure_text_shape(run.store)
    contamination = describe_contamination(
        info.contamination_fraction, has_phrases=has_many_phrases(shape)
    )
    notices += filter(None, [contamination])
    is_merged = own_tokens and config.tokenizer == "bpe" and not config.vocab_path
    if is_merged and not has_words(start_of_text(run.store)):
        notices.append(
            "this text has few different characters and no words: tokenizer = char reads each one,"
            " and such texts end lower with it"
        )
    return [*notices, *describe_text_shape(shape)]


def _values_by_size(config: RunConfig, resolved: RunConfig, own_tokens: bool) -> dict[str, Any]:
    """Return the keys that `config` left open and the size of the text decided."""
    filled: dict[str, Any] = {"vocab_size": resolved.vocab_size, "epoch": resolved.epoch}
    for key in ("token_dropout", "bpe_dropout"):
        if value := getattr(resolved, key):
            filled[key] = value
    if not own_tokens:
        del filled["vocab_size"]
    if config.max_steps:  # then it, not the size of the text, decides how many passes are begun
        del filled["epoch"]
    return automatic_values(config, filled)


def _describe_speed(config: RunConfig, tuning: TuningResult) -> str:
    """Return how the run computes and how fast that is; what else was timed goes to the log."""
    name = describe_execution(tuning.execution)
    others = {n: 1 / s for n, s in tuning.seconds_per_token.items() if n != name}
    if others:
        logger.debug(
            "tokens/s of the other ways to compute: %s",
            ", ".join(f"{n}: {speed:,.0f}" for n, speed in others.items()),
        )
    keys = forced_keys(config)
    suffix = f" (set: {', '.join(keys)})" if keys else ""
    speed = 1 / tuning.seconds_per_token[name] if name in tuning.seconds_per_token else None
    each = " each" if tuning.execution.processes > 1 else ""
    about = "" if speed is None else f": about {float(f'{speed:.2g}'):,.0f} tokens/s{each}"
    return f"computing in {name}{about}{suffix}"


def _large_batch_warning(run: TrainingRun) -> list[str]:
    """Return a warning where a batch holds more tokens than the whole text."""
    tokens, per_step = len(run.store.train), run.plan.batches.tokens_per_step
    if per_step <= tokens:
        return []
    return [
        f"a batch of {per_step:,} tokens is larger than the whole training text ({tokens:,} "
        "tokens), so each step repeats it; use a smaller --batch-size"
    ]


MAX_WARMUP_FRACTION = 0.5
"""Of the steps; the default is a twentieth. First guess."""


def _long_warmup_warning(run: TrainingRun) -> list[str]:
    """Return a warning where the learning rate rises for most of the run."""
    warmup, steps = run.plan.config.warmup_steps or 0, run.plan.total_steps
    if warmup <= MAX_WARMUP_FRACTION * steps:
        return []
    peak = min(1.0, steps / (warmup + 1))
    return [
        f"warmup_steps = {warmup:,} of a run of {steps:,} steps: the learning rate rises for most"
        f" of it, to {peak:.0%} of learning_rate. Leave warmup_steps out, or use about"
        f" {max(1, round(WARMUP_FRACTION * steps)):,}"
    ]


def describe_resumption(run: TrainingRun, point: ResumePoint) -> list[str]:
    """Return sentences on where an interrupted run goes on, and what may differ from before."""
    notices = [f"continuing from step {run.state.step:,} of {run.plan.total_steps:,}"]
    if point.damaged_files:
        damaged = format_damaged(point.damaged_files)
        notices.append(f"a newer checkpoint is damaged{damaged} and left out")
    causes = [describe_difference(d) for d in point.differences]
    if not causes and run.plan.execution.device != "cpu":
        causes = ["a GPU may add up in another order each time"]
    notices += [f"{cause}: losses will agree closely, but not to the last bit" for cause in causes]
    if run.plan.config.minutes is not None:
        notices.append(
            "the schedule goes on from the checkpoint. Its end follows the clock, so it may "
            "differ from a run without an interruption"
        )
    return notices


def describe_difference(difference: Difference) -> str:
    """Return for example `torch was 2.5 and is 2.6`."""
    return f"{difference.name} was {difference.before} and is {difference.now}"
