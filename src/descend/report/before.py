"""What a run will be, said before its first step."""

from __future__ import annotations

from descend.model.cost import parameter_count, training_memory
from descend.report.words import ladder_line
from descend.training.job import Job
from descend.units import counted, duration, size


def before_lines(job: Job) -> list[str]:
    """Corpus, model, machine and time, a line each."""
    info, batches, config = job.store.info, job.course.batches, job.course.config
    steps = job.course.total_steps - job.state.step
    lines = [
        f"text: {info.corpus}, {counted(info.documents, 'document')}, "
        f"{size(info.train_bytes)} to train on ({info.train_tokens:,} tokens) and "
        f"{size(info.validation_bytes)} held out, by {info.split_by}",
        ladder_line({"uniform": info.ladder.uniform, "unigram": info.ladder.unigram,
                     "bigram": info.ladder.bigram}),
        f"model: {parameter_count(job.shape):,} parameters ({job.shape.architecture}), "
        f"about {size(training_memory(config, job.shape))} of memory",
        *job.notes,
    ]  # fmt: skip
    plan = (
        f"{counted(job.course.epochs, 'epoch')}, {counted(steps, 'step')} of "
        f"{batches.tokens_per_step:,} tokens"
    )
    if job.choice is not None:
        plan += f", about {duration(job.choice.seconds(batches.tokens_per_step, steps))}"
    return [*lines, f"{plan}; the model goes to {job.folder}"]
