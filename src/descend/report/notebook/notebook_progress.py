"""A run as it goes, in a notebook: one output that is renewed in place.

It needs no widgets, which have broken time and again between versions of notebooks: an output with
an id is what every front end can renew.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from descend.report.notebook.cards import live_loss_chart, progress_card
from descend.report.notebook_cell import display_cell, update_cell
from descend.report.text.loss_curve import LossCurveRecorder
from descend.report.text.run_summary import format_rollback
from descend.report.text.throughput import remaining_time
from descend.runs.events import Epoch, Event, Rollback, Sample, Step
from descend.units import format_duration

if TYPE_CHECKING:
    from descend.training.training_run import TrainingRun

SECONDS_BETWEEN_RENEWALS = 0.5
"""Each sends some kilobytes to the browser; an epoch is shown at once."""

MAX_DRAWING_FRACTION = 0.01
"""Of the time, for drawing: the curve of a long run takes longer, so it is drawn less often."""


def show_in_notebook(records: Iterator[Event], run: TrainingRun) -> Iterator[Event]:
    """Pass `records` on unchanged, drawing them in the cell on their way."""
    epochs, sample, status, trouble = list(run.previous_epochs), None, "starting …", ""
    of, total = run.plan.epochs, run.plan.total_steps
    bigram = run.store.info.ngram_baselines.bigram_accuracy
    first, began = run.state.step, time.perf_counter()
    handle = display_cell(progress_card(first / total, status, epochs, of, None, bigram, None))
    renewed, step, remaining = began, first, remaining_time(run)
    losses, pause = LossCurveRecorder(run.previous_epochs), SECONDS_BETWEEN_RENEWALS

    def draw() -> float:
        drawn_at = time.perf_counter()
        picture = live_loss_chart(losses.curve(), total)
        update_cell(
            handle, progress_card(step / total, status, epochs, of, sample, bigram, picture)
        )
        return (time.perf_counter() - drawn_at) / MAX_DRAWING_FRACTION

    for record in records:
        now = time.perf_counter()
        remaining.add(record)
        losses.add(record)
        total = remaining.total_steps
        if isinstance(record, Step):
            step = record.step
            status = f"step {step:,} of {total:,} · loss {record.loss:.3f}"
            seconds, pace = remaining.seconds(), remaining.step_seconds()
            if seconds is not None and pace is not None:
                rate = run.plan.batches.tokens_per_step / max(pace, 1e-9)
                status += f" · {rate:,.0f} tokens/s · {format_duration(seconds)} left"
            status += trouble
        elif isinstance(record, Epoch):
            epochs.append(record)
        elif isinstance(record, Rollback):
            step, epochs = record.step, [e for e in epochs if e.step <= record.step]
            trouble = f" · {format_rollback(record)}"
        elif isinstance(record, Sample):
            sample = " ".join(f"{record.prompt}▸{record.text}".split())
        if isinstance(record, Epoch | Rollback) or now - renewed >= pause:
            pause = max(SECONDS_BETWEEN_RENEWALS, draw())
            renewed = now
        yield record
    status = f"{step:,} steps in {format_duration(time.perf_counter() - began)}"
    draw()
