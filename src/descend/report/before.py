"""What a run will be, said before its first step."""

from __future__ import annotations

from descend.model.cost import parameter_count, training_memory
from descend.report.words import ladder_line
from descend.training.job import Job
from descend.units import counted, duration, epochs_told, size


def before_lines(job: Job) -> list[str]:
    """Corpus, model, machine and time, a line each."""
    info, batches, config = job.store.info, job.course.batches, job.course.config
    steps = job.course.total_steps - job.state.step
    passes = batches.passes(job.course.total_steps)
    # Where `max_steps` ends the last one early, the part is told: a plan counts passes so too.
    epochs = epochs_told(passes, job.course.epochs)
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
    plan = f"{epochs}, {counted(steps, 'step')} of {batches.tokens_per_step:,} tokens"
    seconds = (job.step_seconds or 0.0) * steps
    if job.choice is not None:
        seconds = job.choice.seconds(batches.tokens_per_step, steps)
    limit = job.course.time_limit
    if limit is not None:
        left = limit.seconds - limit.elapsed()
        plan = f"at most {plan}; training ends by the clock, in {duration(max(left, 0.0))}"
    elif seconds:
        plan += f", about {duration(seconds)} (`--minutes M` plans for another time)"
    lines.append(f"{plan}; the model goes to {job.folder}")
    return lines
