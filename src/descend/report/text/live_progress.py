"""A run as it goes, drawn on a terminal or told line by line; always on standard error."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from descend.guard import make_visible
from descend.progress import ProgressCallback
from descend.report.notebook.live_progress import show_in_notebook
from descend.report.text.run_header import run_header_lines
from descend.report.text.run_summary import (
    format_epoch,
    format_rollback,
    overfitting_line,
    step_line,
)
from descend.report.text.throughput import pace_of_steps
from descend.runs.events import (
    EndStepChosen,
    Epoch,
    Event,
    Overfitting,
    Rollback,
    Sample,
    Step,
    TrainingStarted,
)
from descend.training.training_run import TrainingRun

REDRAWS_PER_SECOND = 4
"""Few: drawing takes a core's time from training."""

SECONDS_BETWEEN_LINES = 30
"""Where no bar can be drawn."""


PROGRESS_INTERVAL_SECONDS = 60.0
"""Of a stage before training, or of trials, beside each quarter of it."""


def show_run_header(run: TrainingRun, console: Console) -> None:
    """What is known before the first step: what was chosen, how large, how long."""
    for line in run_header_lines(run):
        print_line(line, console)


def stage_progress(console: Console) -> ProgressCallback:
    """A progress callback for the work before training: a line a stage, each quarter of it, and
    where those are far apart now and then. What is done when it is first heard of is a result."""
    printed_quarters: set[tuple[str, int]] = set()
    said = time.monotonic()

    def on_progress(stage: str, fraction: float) -> None:
        nonlocal said
        quarter, now = int(fraction * 4), time.monotonic()
        anew = (stage, quarter) not in printed_quarters
        if quarter >= 4 and not any(known == stage for known, _ in printed_quarters):
            printed_quarters.add((stage, quarter))  # over when it is first heard of: a result
            print_line(stage, console, "dim")
        elif quarter < 4 and (anew or now - said >= PROGRESS_INTERVAL_SECONDS):
            printed_quarters.add((stage, quarter))
            said, done = now, quarter / 4 if anew else fraction
            print_line(f"{stage} …" + (f" {done:.0%}" if done else ""), console, "dim")

    return on_progress


def show_line(console: Console) -> Callable[[str], None]:
    """Tells a line beside whatever is being drawn."""
    return lambda line: print_line(line, console, "cyan")


def show_progress(records: Iterator[Event], run: TrainingRun, console: Console) -> Iterator[Event]:
    """Pass `records` on unchanged, drawing them on `console` on their way."""
    if console.is_jupyter:
        return show_in_notebook(records, run)
    return (_bar if console.is_terminal else _lines)(records, run, console)


def _lines(records: Iterator[Event], run: TrainingRun, console: Console) -> Iterator[Event]:
    """For files and pipes: a line an epoch, and one every half minute in long epochs."""
    said = time.perf_counter()
    another, total = pace_of_steps(time.perf_counter), run.plan.total_steps
    for record in records:
        now = time.perf_counter()
        pace = another() if isinstance(record, Step) else None
        if isinstance(record, EndStepChosen):
            total = record.end_step
        if isinstance(record, Step) and now - said >= SECONDS_BETWEEN_LINES:
            said = now
            remaining_seconds = None if pace is None else pace * (total - record.step)
            print_line(step_line(record, total, remaining_seconds), console)
        elif not isinstance(record, Step):
            _say(record, run, console)
        yield record


def _bar(records: Iterator[Event], run: TrainingRun, console: Console) -> Iterator[Event]:
    columns = (
        SpinnerColumn(),
        TextColumn("epoch {task.fields[epoch]}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]}  {task.fields[speed]} tokens/s"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    total, epochs = run.plan.total_steps, run.plan.epochs
    with Progress(
        *columns, console=console, refresh_per_second=REDRAWS_PER_SECOND, transient=True
    ) as bar:
        task = bar.add_task("", total=total, epoch=f"1/{epochs}", loss="-", speed="-")
        smooth = None
        for record in records:
            if isinstance(record, TrainingStarted | Rollback):
                bar.update(task, completed=record.step)
            elif isinstance(record, Overfitting) and record.decay_steps:
                bar.update(task, total=record.step + record.decay_steps)
            elif isinstance(record, EndStepChosen):
                bar.update(task, total=record.end_step)
            elif isinstance(record, Step):
                smooth = record.seconds if smooth is None else 0.9 * smooth + 0.1 * record.seconds
                bar.update(
                    task,
                    completed=record.step,
                    epoch=f"{record.epoch}/{epochs}",
                    loss=f"{record.loss:.3f}",
                    speed=f"{run.plan.batches.tokens_per_step / max(smooth, 1e-9):,.0f}",
                )
            if not isinstance(record, Step):
                _say(record, run, bar.console)
            yield record


def _say(record: Event, run: TrainingRun, console: Console) -> None:
    if isinstance(record, Epoch):
        print_line(format_epoch(record, run.plan.epochs), console)
    elif isinstance(record, Rollback):
        print_line("  " + format_rollback(record), console, "yellow")
    elif isinstance(record, Overfitting):
        print_line("  " + overfitting_line(record), console, "yellow")
    elif isinstance(record, Sample) and _is_after_epoch(record, run):
        # Those of the last step are printed whole with the outcome.
        print_line(
            "  sample (the model writes after ▸): "
            + " ".join(f"{record.prompt}▸{record.text}".split()),
            console,
            "dim",
        )


def _is_after_epoch(sample: Sample, run: TrainingRun) -> bool:
    """Whether `sample` stands after an epoch that is not the last: those between are too many."""
    batches, step = run.plan.batches, sample.step
    ends_epoch = step == batches.steps(batches.epoch_at_step(max(step - 1, 0)))
    return ends_epoch and step < run.plan.total_steps


def print_line(line: str, console: Console, style: str | None = None) -> None:
    """Print `line`, its control characters made visible.

    A terminal gets it wrapped between words, a file as one line. A line with a command stays one
    line, so that it can be copied.
    """
    line = make_visible(line)
    if console.is_jupyter:  # there each print of rich would be an output of its own
        print(line)
        return
    whole = not console.is_terminal or "descend " in line
    console.print(line, markup=False, highlight=False, soft_wrap=whole, style=style)
