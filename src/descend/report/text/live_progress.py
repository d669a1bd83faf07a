"""A run as it goes, drawn on a terminal or printed line by line; always on standard error."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Column

from descend.config import RunConfig
from descend.data.token_store import TokenStore
from descend.guard import make_visible
from descend.model.shape import ModelShape
from descend.progress import ProgressCallback
from descend.report.text.loss_curve import LossCurveRecorder, format_loss_curve
from descend.report.text.run_header import run_header_lines, text_and_model_lines
from descend.report.text.run_summary import (
    format_epoch,
    format_rollback,
    format_sample,
    overfitting_line,
    step_line,
)
from descend.report.text.throughput import remaining_time
from descend.report.text.wrapping import wrap_lines
from descend.runs.events import (
    Epoch,
    Event,
    Overfitting,
    Rollback,
    Sample,
    Step,
    TrainingStarted,
    TrainingStopped,
)
from descend.runs.run_length import announced_end_step
from descend.training.assembly import PreparedCallback
from descend.training.train_state import last_step
from descend.training.training_run import TrainingRun
from descend.units import format_duration

REDRAWS_PER_SECOND = 4
"""Few: drawing takes a core's time from training."""

SECONDS_BETWEEN_LINES = 30
"""Where no bar can be drawn."""

SECONDS_BETWEEN_SAMPLES = 19.0
"""Samples that come sooner, as short epochs write them, are recorded and not printed."""

SAMPLE_LENGTH = 150
"""Characters of a sample: two lines of 80 columns."""

PROGRESS_INTERVAL_SECONDS = 60.0
"""Of a stage before training, or of trials, beside each quarter of it."""


def show_run_header(
    run: TrainingRun, console: Console, *, has_prepared_lines: bool = False
) -> None:
    """Print what is known before the first step.

    `has_prepared_lines`: `show_prepared` has printed the text and the model already.
    """
    lines = run_header_lines(run)
    if not has_prepared_lines:
        lines = text_and_model_lines(run.plan.config, run.store, run.shape) + lines
    for line in lines:
        print_line(line, console)


def show_prepared(console: Console) -> PreparedCallback:
    """Return a callback that prints the text and the model before this machine is timed."""

    def on_prepared(config: RunConfig, store: TokenStore, shape: ModelShape) -> None:
        for line in text_and_model_lines(config, store, shape):
            print_line(line, console)

    return on_prepared


def stage_progress(console: Console) -> ProgressCallback:
    """Return a progress callback for the work before training: a line a stage, each quarter of it,
    and where those are far apart now and then. What is done when its first event arrives is a
    result."""
    printed_quarters: set[tuple[str, int]] = set()
    said = time.monotonic()

    def on_progress(stage: str, fraction: float) -> None:
        nonlocal said
        quarter, now = int(fraction * 4), time.monotonic()
        anew = (stage, quarter) not in printed_quarters
        begins = not any(known == stage for known, _ in printed_quarters)
        if quarter >= 4 and begins:
            printed_quarters.add((stage, quarter))  # over when its first event arrives: a result
            print_line(stage, console, "dim")
        elif quarter < 4 and (anew or now - said >= PROGRESS_INTERVAL_SECONDS):
            printed_quarters.add((stage, quarter))
            # A short stage often has one event only, whose fraction would read like its end.
            said, done = now, 0.0 if begins else quarter / 4 if anew else fraction
            print_line(f"{stage} …" + (f" {done:.0%}" if done else ""), console, "dim")

    return on_progress


def show_line(console: Console) -> Callable[[str], None]:
    """Tells a line beside whatever is being drawn."""
    return lambda line: print_line(line, console, "cyan")


def print_progress(records: Iterator[Event], run: TrainingRun, console: Console) -> Iterator[Event]:
    """Pass `records` on unchanged, drawing them on `console` on their way."""
    return (_bar if console.is_terminal else _lines)(records, run, console)


def _lines(records: Iterator[Event], run: TrainingRun, console: Console) -> Iterator[Event]:
    """For files and pipes: a line an epoch, and one every half minute in long epochs."""
    said = time.perf_counter()
    remaining, say = remaining_time(run), _EventPrinter(run, console)
    for record in records:
        now = time.perf_counter()
        remaining.add(record)
        if isinstance(record, Step) and now - said >= SECONDS_BETWEEN_LINES:
            said = now
            print_line(step_line(record, remaining.total_steps, remaining.seconds()), console)
        say.print_event(record)
        yield record


def _bar(records: Iterator[Event], run: TrainingRun, console: Console) -> Iterator[Event]:
    columns = (
        SpinnerColumn(),
        _one_line("epoch {task.fields[epoch]}"),
        BarColumn(bar_width=None),
        _one_line("step {task.completed:,}/{task.total:,}  loss {task.fields[loss]}"),
        _one_line(" {task.fields[speed]} tokens/s "),
        _one_line("{task.fields[left]}"),
    )
    remaining, curve = remaining_time(run), LossCurveRecorder(run.previous_epochs)
    total, epochs = run.plan.total_steps, run.plan.epochs
    tokens = run.plan.batches.tokens_per_step
    with Progress(
        *columns,
        console=console,
        refresh_per_second=REDRAWS_PER_SECOND,
        transient=True,
        expand=True,
    ) as bar:
        task = bar.add_task("", total=total, epoch=f"1/{epochs}", loss="–", speed="–", left="")
        say = _EventPrinter(run, bar.console)
        for record in records:
            remaining.add(record)
            curve.add(record)
            if isinstance(record, TrainingStarted | Rollback):
                bar.update(task, completed=record.step)
            elif announced_end_step(record) is not None:
                bar.update(task, total=remaining.total_steps)
            elif isinstance(record, Step):
                bar.update(
                    task,
                    completed=record.step,
                    epoch=f"{record.epoch}/{epochs}",
                    loss=f"{record.loss:.2f}",
                    speed=f"{tokens / max(remaining.step_seconds() or record.seconds, 1e-9):,.0f}",
                    left=_format_left(remaining.seconds()),
                )
            elif isinstance(record, Epoch) and record.step >= remaining.total_steps:
                bar.update(task, left="saving …")
            say.print_event(record)
            yield record
    for line in format_loss_curve(curve.curve(), console.width):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _one_line(text: str) -> TextColumn:
    """Return a column that never wraps: only the bar gives way."""
    return TextColumn(text, table_column=Column(no_wrap=True))


def _format_left(seconds: float | None) -> str:
    return "" if seconds is None else f"{format_duration(max(seconds, 1.0))} left"


class _EventPrinter:
    """Prints epochs, rollbacks, overfitting and now and then a sample."""

    def __init__(self, run: TrainingRun, console: Console) -> None:
        self._run, self._console = run, console
        self._last_sample: float | None = None

    def print_event(self, record: Event) -> None:
        """Print a line for `record`, if it is worth one."""
        if isinstance(record, Epoch):
            plan = self._run.plan
            num_epochs = plan.batches.epochs_at_step(record.step)
            print_line(format_epoch(record, plan.epochs, num_epochs), self._console)
        elif isinstance(record, Rollback):
            print_line("  " + format_rollback(record), self._console, "yellow")
        elif isinstance(record, Overfitting):
            print_line("  " + overfitting_line(record), self._console, "yellow")
        elif isinstance(record, TrainingStopped) and record.reason == "paused":
            print_line(f"  Paused after step {record.step:,}.", self._console, "yellow")
        elif isinstance(record, Sample) and not self._is_of_the_end():
            self._print_sample(record)

    def _is_of_the_end(self) -> bool:
        """Return whether the run is over: its last samples are printed whole with the result."""
        plan, state = self._run.plan, self._run.state
        is_late = plan.time_limit is not None and plan.time_limit.is_over
        return is_late or state.step >= last_step(state, plan.total_steps)

    def _print_sample(self, sample: Sample) -> None:
        now = time.perf_counter()
        if self._last_sample is None:
            print_line("  The model writes (its own text begins at ▸):", self._console, "dim")
        elif now - self._last_sample < SECONDS_BETWEEN_SAMPLES:
            return
        self._last_sample = now
        line = "  " + format_sample(sample, SAMPLE_LENGTH)
        print_line(line, self._console, "dim")


def print_line(line: str, console: Console, style: str | None = None) -> None:
    """Print `line`, its control characters made visible.

    A terminal gets it wrapped between words, a file as one line.
    """
    line = make_visible(line)
    if console.is_jupyter:  # there each print of rich would be an output of its own
        print(line)
        return
    if console.is_terminal:
        line = wrap_lines(line, console.width)
    console.print(line, markup=False, highlight=False, soft_wrap=True, style=style)
