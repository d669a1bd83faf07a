"""What a run says of its updates: rates, batch, context, clipping, weights."""

from __future__ import annotations

import statistics

from descend.handbook.run_notes.wording import (
    alternative_learning_rates,
    comparison_baseline_text,
    format_percent,
    suggest_comparison,
    suggest_flags,
)
from descend.runs.epochs_read import count_epochs_read, format_epochs_read
from descend.runs.recorded_run import RecordedRun
from descend.units import format_count, format_significant

MAX_LISTED_MATRICES = 24
"""Of a larger model, half as many from either end of the list are shown."""

NEAR_PEAK = 0.9
"""Fraction of the peak from which a rate is counted as being near it."""


def learning_rate(run: RecordedRun) -> str:
    """Rates used, how far the weights moved, how often gradients were clipped."""
    rates = [s.learning_rate for s in run.steps]
    ratios = list(run.update_ratios.values())
    update_text = (
        f"A typical step changed a weight matrix by "
        f"{format_significant(statistics.median(ratios))} of its size "
        f"(median of {len(ratios)} matrices, from {format_significant(min(ratios))} to "
        f"{format_significant(max(ratios))}). "
        if ratios
        else ""
    )
    return (
        f"Over {len(rates):,} steps the rate began at {format_significant(rates[0])}, was"
        f" {format_significant(max(rates))} at most and {format_significant(rates[-1])} at the end."
        f" {update_text}The gradients of {format_percent(run.clipped_step_fraction)} of the steps"
        " were clipped. To learn whether another rate serves this text better,"
        f" {suggest_comparison(run, *alternative_learning_rates(run))}."
    )


def updates(run: RecordedRun) -> str:
    """Return how the batch cuts the text into updates."""
    batch = run.config.batch_size
    trials = ({"batch_size": batch // 2}, {"batch_size": batch * 2})
    first = f"the first epoch took {run.epochs[0].step:,} steps, and the run made"
    if count_epochs_read(run.summary) < 1:
        first = f"the run read {format_epochs_read(run.summary)}, and made"
    return (
        f"Each step read {batch:,} sequences of {run.config.seq_len:,} tokens:"
        f" {run.tokens_per_step:,} tokens. With {run.corpus_count('train_tokens'):,} training"
        f" tokens {first}"
        f" {run.num_steps:,} in all. At the same number of epochs, half the batch makes twice as"
        f" many steps and twice the batch half as many: {suggest_comparison(run, *trials)}."
    )


def context(run: RecordedRun) -> str:
    """Return how much text a sequence covers, and what the context costs in updates."""
    length, batch = run.config.seq_len, run.config.batch_size
    covered = length * run.bytes_per_token
    longer = {"seq_len": length * 2, "batch_size": batch // 2}
    if length * 2 > run.config.max_seq_len:
        longer["max_seq_len"] = length * 2
    shorter = {"seq_len": length // 2, "batch_size": batch * 2}
    return (
        f"A training sequence had {length:,} tokens, about {covered:,.0f} bytes of this text "
        f"({run.bytes_per_token:.2f} bytes a token); the model can read up to "
        f"{run.config.max_seq_len:,} tokens. The run made {run.num_steps:,} steps of "
        f"{run.tokens_per_step:,} tokens. To judge the context alone, keep the tokens of a "
        f"step as they are: {suggest_comparison(run, longer, shorter)}."
    )


def schedule(run: RecordedRun) -> str:
    """Return how long the rate stayed up and where it ended."""
    rates = [s.learning_rate for s in run.steps]
    peak = run.peak_learning_rate
    high = sum(r >= NEAR_PEAK * peak for r in rates) / len(rates)
    end = rates[-1] / peak if peak else 0.0
    rate = {"learning_rate": peak} if run.config.schedule == "piecewise" else {}
    others = [s for s in ("wsd", "cosine", "linear") if s != run.config.schedule]
    return (
        f"Your run followed the `{run.config.schedule}` schedule: {format_percent(high)} of its "
        f"{len(rates):,} steps were made at {NEAR_PEAK:.0%} of the peak rate or more, and the "
        f"last at {format_percent(end)} of it. To see what the schedule does, "
        f"{suggest_comparison(run, *({'schedule': s} | rate for s in others))}."
    )


def warmup(run: RecordedRun) -> str:
    """Return how long the rate rose, and what the loss did meanwhile."""
    steps = run.config.warmup_steps or 0
    first, after = run.steps[0].loss, run.steps[min(steps, len(run.steps) - 1)].loss
    highest = max(run.steps, key=lambda s: s.loss)
    part = steps / max(run.num_steps, 1)
    trials = ({"warmup_steps": max(2 * steps, 10)}, {"warmup_steps": 0})
    return (
        f"The rate rose over the first {steps:,} of {run.num_steps:,} steps"
        f" ({format_percent(part)}). The training loss was {first:.3f} at the"
        f" first step, {after:.3f} right after the warmup, and highest at step {highest.step:,}"
        f" with {highest.loss:.3f}. To see what the warmup is worth,"
        f" {suggest_comparison(run, *trials)}."
    )


def gradients(run: RecordedRun) -> str:
    """Return the size of the gradients and what clipping did to them."""
    norms, limit = run.gradient_norms, run.config.gradient_clip
    if not norms:
        return "No step of your run has a gradient that is a number."
    peak_step = max(run.steps, key=lambda s: s.gradient_norm or 0.0)
    clipped = (
        f"clipping at {format_significant(limit)} scaled down"
        f" {format_percent(run.clipped_step_fraction)} of the steps"
        if limit
        else "clipping was off"
    )
    trials = ({"gradient_clip": 2 * limit or 1.0}, {"gradient_clip": 0.0})
    return (
        f"The norm of the gradient had a median of {format_significant(statistics.median(norms))}"
        f" over {len(norms):,} steps and was largest, {format_significant(max(norms))}, at step"
        f" {peak_step.step:,}; {clipped}. To see whether it matters here,"
        f" {suggest_comparison(run, *trials)}."
    )


def describe_rollbacks(run: RecordedRun) -> str:
    """When training diverged and what was done, or how far it was from that."""
    rollbacks = run.summary.rollbacks
    highest = max(run.steps, key=lambda s: s.loss)
    if rollbacks:
        text = "; ".join(
            f"at step {r.failed_step:,} ({r.problem}), back to step {r.step:,}, "
            f"{r.adjustment} {format_significant(r.value)}"
            for r in rollbacks
        )
        said = f"Training diverged {format_count(len(rollbacks), 'time')}: {text}."
    else:
        said = (
            f"Training never diverged: over {run.num_steps:,} steps the training loss was "
            f"highest at step {highest.step:,}, with {highest.loss:.3f}."
        )
    limit = run.config.gradient_clip
    calmer = ({"gradient_clip": limit / 2 or 1.0}, alternative_learning_rates(run)[1])
    return f"{said} To see whether a calmer run ends lower, {suggest_comparison(run, *calmer)}."


def describe_initial_loss(run: RecordedRun) -> str:
    """Return the first loss beside that of guessing."""
    first, guessing = run.steps[0], run.ngram_baselines["uniform"]
    part = first.loss / guessing if guessing else 1.0
    began = (
        f"It continued the model {run.metadata.parent}, so it did not begin at random guessing. "
        if run.metadata.parent
        else ""
    )
    return (
        f"The training loss of the first step was {first.loss:.3f}. Random guessing among your"
        f" {run.corpus_count('vocab_size'):,} tokens costs ln V = {guessing:.3f}, so the run began"
        f" at {part:.2f} of that. {began}To see how much of it is chance,"
        f" {suggest_flags(run, {'seed': run.config.seed + 1})}."
    )


def update_ratios(run: RecordedRun) -> str:
    """Return the ratio of each matrix, smallest first."""
    ranked = sorted(run.update_ratios.items(), key=lambda item: item[1])
    if not ranked:
        return "Your run is too short to record a ratio: try more epochs."
    half = MAX_LISTED_MATRICES // 2
    listed_ratios = ranked if len(ranked) <= 2 * half else [*ranked[:half], *ranked[-half:]]
    lines = [f"- `{name}`: {format_significant(ratio)}" for name, ratio in listed_ratios]
    num_omitted = len(ranked) - len(listed_ratios)
    middle = f" ({num_omitted} in between are left out)" if num_omitted else ""
    return (
        f"Medians over the records after the warmup, smallest first{middle}:\n\n"
        + "\n".join(lines)
        + f"\n\nTo move all of them, {suggest_comparison(run, *alternative_learning_rates(run))}."
    )


def optimizer(run: RecordedRun) -> str:
    """Return what an update took, and what it brought."""
    seconds = statistics.median(s.seconds for s in run.steps)
    other = "adamw" if run.config.optimizer == "muon" else "muon"
    return (
        f"Your run used `{run.config.optimizer}`: {run.num_steps:,} steps,"
        f" {format_significant(seconds)} s each (median), {run.summary.tokens_per_second:,.0f}"
        f" tokens a second. To compare, {suggest_flags(run, {'optimizer': other})}, at two or three"
        f" rates, {comparison_baseline_text(run)}."
    )


def weight_decay(run: RecordedRun) -> str:
    """Return how the weights grew or shrank."""
    records = [record for record in run.weight_updates if record.weight_rms]
    if not records:
        return "Your run is too short to record the sizes of its weights: try more epochs."
    before = statistics.median(records[0].weight_rms.values())
    after = statistics.median(records[-1].weight_rms.values())
    decay = run.config.weight_decay
    trials = ({"weight_decay": 3 * decay or 0.1}, {"weight_decay": 0.0})
    return (
        "The median size of a matrix (root mean square of its weights) was"
        f" {format_significant(before)} at step {records[0].step:,} and"
        f" {format_significant(after)} at step {records[-1].step:,}. To see what the"
        f" decay does, {suggest_comparison(run, *trials)}."
    )


def descent(run: RecordedRun) -> str:
    """From the first loss to the last."""
    best = run.best_epoch
    return (
        f"In {run.num_steps:,} steps the loss on training batches went from"
        f" {run.steps[0].loss:.3f} to {run.epochs[-1].loss_end:.3f} (mean of the last"
        f" twentieth of the last epoch), and the validation loss was lowest after step"
        f" {best.step:,}. To see whether longer or shorter steps go down further,"
        f" {suggest_flags(run, *alternative_learning_rates(run))} {comparison_baseline_text(run)}."
    )
