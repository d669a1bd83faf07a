"""A plan, its reasons line by line, and how the run came out beside it."""

from __future__ import annotations

from descend.experiments.command_line import format_train_command
from descend.planner.axes import NOT_PLANNED
from descend.planner.corpus_profile import COUNTED_BYTES
from descend.planner.machine_benchmark import MachineBenchmark
from descend.planner.make_plan import CorpusPlan
from descend.planner.plan import NEARLY_ALL, TrainingPlan
from descend.runs.run_files import RunSummary
from descend.units import format_bytes, format_duration, format_epochs


def plan_lines(planned: CorpusPlan) -> list[str]:
    """Return the lines of the whole plan, as printed."""
    plan = planned.plan
    summary_lines = [
        *_symbols(planned), summarize_plan(plan, planned.corpus), *_time_left(planned),
    ]  # fmt: skip
    return [*_machine(planned.machine), *_text(plan), *_choice(plan), "", *summary_lines]


def _machine(machine: MachineBenchmark) -> list[str]:
    lines = [f"machine    {machine.execution}"]
    for timed in machine.timings:
        shape, work = timed.work.shape, timed.work
        each = timed.forward_backward_seconds + timed.update
        lines.append(
            f"           {shape.num_layers} layers of {shape.embed_dim}, vocabulary "
            f"{shape.vocab_size:,}: {work.tokens / each:,.0f} tokens/s"
        )
    if machine.correction_factor != 1.0:
        lines.append(
            f"           Measured step time is {machine.correction_factor:.0%} of the estimate. "
            "The plan was updated."
        )
    return lines


def _text(plan: TrainingPlan) -> list[str]:
    sample = plan.sample
    ratios = ", ".join(f"{v:,}: {r:.2f}" for v, r in sample.bytes_per_token.items())
    return [
        (
            f"text       {format_bytes(sample.train_bytes)} for training, {sample.documents:,}"
            f" document{'s' if sample.documents != 1 else ''}; bytes per token by vocabulary"
            f" {ratios}"
        ),
        (
            f"           baselines in bits per byte: unigram {sample.unigram:.2f}, bigram "
            f"{sample.bigram:.2f}, trigram {sample.trigram:.2f} "
            f"({format_bytes(min(COUNTED_BYTES, sample.train_bytes))} counted), 5-gram "
            f"{sample.five_gram:.2f} ({format_bytes(sample.five_gram_bytes)} counted)"
        ),
        (
            f"           {sample.overlap_fraction:.1%} of the validation text also occurs in the"
            " training text (measured on a sample). Preparing the text takes about"
            f" {format_duration(sample.seconds_to_prepare)}, once"
        ),
    ]


def _choice(plan: TrainingPlan) -> list[str]:
    prediction, config = plan.predicted, plan.config
    lines = [
        (
            f"compared   {plan.num_candidates:,} configurations that fit into"
            f" {format_duration(plan.minutes * 60)}"
        ),
        (
            f"chosen     {config['num_layers']} layers of {config['embed_dim']} "
            f"({prediction.parameters:,} parameters), vocabulary {plan.vocab_size:,}: "
            f"{prediction.seconds_per_step * 1000:.0f} ms a step, {prediction.steps:,} steps of "
            f"{config['batch_size']} x {config['seq_len']} tokens"
        ),
        (
            f"           {prediction.tokens:,} tokens, {format_epochs(prediction.num_epochs)};"
            f" learning rate {config['learning_rate']}, falling to zero over the last half;"
            f" {format_bytes(prediction.memory_bytes)} of memory"
        ),
    ]
    lines += [
        f"instead of {rival.shape.num_layers} layers of {rival.shape.embed_dim}: "
        f"{rival.steps:,} steps of {rival.batch_size} x {rival.seq_len}, "
        f"{rival.bits_per_byte:.3f} bits per byte expected"
        for rival in plan.alternatives
    ]
    return lines


def summarize_plan(plan: TrainingPlan, corpus: str) -> str:
    """Return what is expected, and the command that does it."""
    prediction = plan.predicted
    low, high = prediction.bits_per_byte_interval
    return (
        f"Expected validation loss: {prediction.bits_per_byte:.3f} bits per byte (80 % interval"
        f" {low:.3f} to {high:.3f}) after {format_duration(prediction.seconds)} of training,"
        f" or {prediction.validation_loss:.2f} nats per token with this vocabulary."
        f" Train it with:\n{format_train_command(plan.config, corpus)}"
    )


def _time_left(planned: CorpusPlan) -> list[str]:
    """Return what is done with the time that the text leaves, where the plan ends before it is
    up."""
    if not planned.plan.leaves_time:
        return []
    lines = []
    if planned.num_models > 1:
        lines.append(
            f"{planned.num_models} models are trained one after the other. Each later model learns"
            " from the predictions of those before it too. That is expected to end lower than one"
            f" long training: {planned.final_bits_per_byte:.3f} bits per byte for the last one."
        )
    if planned.unused_seconds > (1 - NEARLY_ALL) * 60 * planned.plan.minutes:
        lines.append(
            f"{format_duration(planned.unused_seconds)} of the time limit is unused. Add text to"
            " use it."
        )
    return lines


def time_used_line(plan: TrainingPlan | None, seconds: float, minutes: float | None) -> str:
    """Return what a run took from its start to the saved model, and why not all of its
    `minutes`."""
    line = f"{format_duration(seconds)} from the start to the saved model"
    if plan is None or minutes is None or not plan.leaves_time:
        return line
    left = 60 * minutes - seconds
    if left < (1 - NEARLY_ALL) * 60 * minutes:
        return line
    return f"{line}. {format_duration(left)} are left, which no training is expected to use well"


def time_plan_lines(planned: CorpusPlan) -> list[str]:
    """Return the plan of a run with a time limit, in short: before its first step."""
    plan, prediction = planned.plan, planned.plan.predicted
    low, high = prediction.bits_per_byte_interval
    fixed_keys = ", ".join(k for k in planned.fixed if k not in NOT_PLANNED)
    return [
        f"planned for {format_duration(60 * plan.minutes)} of training: {plan.config['num_layers']}"
        f" layers of {plan.config['embed_dim']} ({prediction.parameters:,} parameters), about"
        f" {prediction.steps:,} steps of {plan.config['batch_size']} x {plan.config['seq_len']}"
        " tokens" + (f"; as you set: {fixed_keys}" if fixed_keys else ""),
        *_symbols(planned),
        (
            f"predicted validation loss {prediction.bits_per_byte:.3f} bits per byte (80 %"
            f" interval {low:.3f} to {high:.3f})"
        ),
        *_time_left(planned),
    ]


def _symbols(planned: CorpusPlan) -> list[str]:
    """Return why each character is a token, where the plan chose that."""
    if "tokenizer" not in planned.plan.config or "tokenizer" in planned.fixed:
        return []
    return [
        "This text has few different characters and no words, so each character is a token."
        " Such texts often end lower than predicted."
    ]


def compare_with_prediction(plan: TrainingPlan, summary: RunSummary) -> str:
    """Measured beside predicted, after a run that was planned, with why it may be higher."""
    low, high = plan.predicted.bits_per_byte_interval
    line = (
        f"validation loss {summary.bits_per_byte:.3f} bits per byte (predicted {low:.2f} to "
        f"{high:.2f})"
    )
    planned, made = plan.predicted.steps, summary.epochs[-1].step
    if made >= MIN_STEP_FRACTION * planned:
        return line
    return (
        f"{line}. Only {made:,} of about {planned:,} planned steps fit into the time, because a "
        "step took longer than planned"
    )


MIN_STEP_FRACTION = 0.8
"""Steps made over those planned, under which the prediction was for a much longer run."""
