"""What a run will be, said before its first step."""

from __future__ import annotations

from descend.model.cost import parameter_count, training_memory
from descend.report.text.run_summary import format_ngram_baselines
from descend.training.training_run import TrainingRun
from descend.units import format_bytes, format_count, format_duration, format_epochs


def run_header_lines(run: TrainingRun) -> list[str]:
    """Corpus, model, machine and time, a line each."""
    info, batches, config = run.store.info, run.plan.batches, run.plan.config
    steps = run.plan.total_steps - run.state.step
    num_epochs = batches.epochs_at_step(run.plan.total_steps)
    # Where `max_steps` ends the last one early, the part is told: a plan counts passes so too.
    epochs = format_epochs(num_epochs, run.plan.epochs)
    lines = [
        f"text: {info.corpus}, {format_count(info.documents, 'document')}, "
        f"{format_bytes(info.train_bytes)} for training ({info.train_tokens:,} tokens), "
        f"{format_bytes(info.validation_bytes)} for validation (split by {info.split_by})",
        format_ngram_baselines(
            {
                "uniform": info.ngram_baselines.uniform,
                "unigram": info.ngram_baselines.unigram,
                "bigram": info.ngram_baselines.bigram,
            }
        ),
        f"model: {parameter_count(run.shape):,} parameters ({run.shape.architecture}), "
        f"about {format_bytes(training_memory(config, run.shape))} of memory",
        *run.warnings,
    ]
    plan = f"{epochs}, {format_count(steps, 'step')} of {batches.tokens_per_step:,} tokens"
    seconds = (run.estimated_step_seconds or 0.0) * steps
    if run.tuning is not None:
        seconds = run.tuning.seconds(batches.tokens_per_step, steps)
    limit = run.plan.time_limit
    if limit is not None:
        left = limit.seconds - limit.elapsed()
        plan = f"{format_duration(max(left, 0.0))}, at most {plan}"
    elif seconds:
        plan += f", about {format_duration(seconds)} (set another time with --minutes)"
    lines += [f"training: {plan}", f"output: {run.folder}"]
    return lines
