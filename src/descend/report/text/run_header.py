"""What a run will be, said before its first step."""

from __future__ import annotations

from descend.config import RunConfig
from descend.data.token_store import TokenStore
from descend.model.cost import parameter_count, training_memory
from descend.model.shape import ModelShape
from descend.report.text.run_notices import run_notices
from descend.report.text.run_summary import format_accuracy_baselines, format_ngram_baselines
from descend.training.training_run import TrainingRun
from descend.units import format_bytes, format_count, format_duration, format_epochs


def text_and_model_lines(config: RunConfig, store: TokenStore, shape: ModelShape) -> list[str]:
    """Return the size of the text, baselines and size of the model: known before this machine is
    timed."""
    info, baselines = store.info, store.info.ngram_baselines
    documents = f", {info.documents:,} documents" if info.documents > 1 else ""
    return [
        f"text: {info.corpus}{documents}, {format_bytes(info.train_bytes)} for training "
        f"({info.train_tokens:,} tokens), {format_bytes(info.validation_bytes)} for validation",
        format_ngram_baselines(
            {
                "uniform": baselines.uniform,
                "unigram": baselines.unigram,
                "bigram": baselines.bigram,
            }
        ),
        *filter(None, [format_accuracy_baselines(baselines.accuracies)]),
        f"model: {parameter_count(shape):,} parameters (architecture: {shape.architecture}), "
        f"about {format_bytes(training_memory(config, shape))} of memory",
    ]


def run_header_lines(run: TrainingRun) -> list[str]:
    """Return what was chosen, how long it will take and where it goes, a line each."""
    batches = run.plan.batches
    steps = run.plan.total_steps - run.state.step
    num_epochs = min(batches.epochs_at_step(run.plan.total_steps), float(run.plan.epochs))
    # Where `max_steps` ends the last one early, the part is reported: a plan counts passes so too.
    epochs = format_epochs(num_epochs)
    lines = run_notices(run)
    plan = f"{epochs}, {format_count(steps, 'step')} of {batches.tokens_per_step:,} tokens"
    seconds = 0.0
    if run.resume_point is not None:
        seconds = (run.resume_point.step_seconds or 0.0) * steps
    if run.tuning is not None:
        seconds = run.tuning.seconds(batches.tokens_per_step, steps)
    limit = run.plan.time_limit
    if limit is not None:
        left = limit.seconds - limit.elapsed()
        plan = f"{format_duration(max(left, 0.0))}, at most {plan}"
    elif seconds:
        plan += f", about {format_duration(seconds)} (limit: --minutes N)"
    lines += [f"training: {plan}", f"output: {run.folder}"]
    return lines
