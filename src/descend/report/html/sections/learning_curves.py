"""The curves of loss and accuracy, and the table of epochs."""

from __future__ import annotations

from typing import Literal

from descend.handbook.run_notes.loss_notes import explain_higher_train_loss
from descend.report.html.chart_points import smooth
from descend.report.html.charts import Axis, Curve, HorizontalLine, VerticalLine, curves
from descend.report.html.report_page import Figure, Paragraph, ReportTable, Section, TableColumn
from descend.report.html.sections.curve_events import curve_events, rollback_blocks
from descend.report.html.sections.epoch_axis import steps_to_epochs
from descend.report.text.experiment_tables import accuracy_column_name, format_accuracy
from descend.report.text.run_summary import describe_convergence
from descend.runs.recorded_run import RecordedRun
from descend.units import format_duration


def learning_curves_section(run: RecordedRun) -> Section:
    """Return what the curve says, its accuracy, and every epoch as a row; the curve of the loss
    stands above all sections.

    Open where training rolled back: the marks of the curve are numbered here.
    """
    harder = explain_higher_train_loss(run)
    rollbacks = rollback_blocks(run)
    return Section("learning", "How it learned", (
        Paragraph(describe_convergence(run.summary)),
        *((Paragraph(harder),) if harder else ()),
        *rollbacks,
        learning_curve(run, "accuracy"),
        epoch_table(run),
    ), teaser="" if rollbacks else "accuracy, and every epoch in numbers")  # fmt: skip


BASELINE_LABELS = {"unigram": "unigram baseline", "bigram": "bigram baseline"}


def learning_curve(run: RecordedRun, what: Literal["loss", "accuracy"] = "loss") -> Figure:
    """Return the loss or the accuracy along the run, on training batches and on validation text."""
    loss = what == "loss"
    x = steps_to_epochs(run, [s.step for s in run.steps])
    train = [s.loss if loss else 100 * s.accuracy for s in run.steps]
    ends = [float(e.epoch) for e in run.epochs]
    validation_values = [
        e.validation_loss if loss else 100 * e.validation_accuracy for e in run.epochs
    ]
    baselines = run.ngram_baselines if loss else run.summary.accuracy_baselines
    lines = [
        Curve("training batches", x, train, "@calm", "raw"),
        Curve("training batches", x, smooth(train), "@calm"),
        Curve("validation text", ends, validation_values, "@accent", "points"),
    ]
    levels = [
        HorizontalLine(BASELINE_LABELS[key], value if loss else 100 * value)
        for key, value in baselines.items()
        if key in BASELINE_LABELS
    ]
    best, name = run.best_epoch, "Loss" if loss else "Accuracy"
    label = (
        f"{name} by epoch. "
        + (f"Training batches from {train[0]:.3g} to {smooth(train)[-1]:.3g}; " if train else "")
        + f"validation text {validation_values[0]:.3g} after the first epoch, "
        f"{validation_values[run.epochs.index(best)]:.3g} after the best, {best.epoch}. "
        "A table below has every epoch."
    )
    axis = Axis("nats per token") if loss else Axis("percent", min_value=0)
    last = max([run.epochs[-1].epoch, *x])
    best_epoch_marks = (
        [VerticalLine("best epoch", float(best.epoch))] if best.epoch < run.epochs[-1].epoch else []
    )
    drawn = curves(
        lines, Axis("epochs", min_value=0, max_value=last), axis,
        levels=levels, marks=[*curve_events(run), *best_epoch_marks],
    )  # fmt: skip
    return Figure(
        "Loss, nats per token: lower is better" if loss
        else "Next tokens predicted correctly, percent: higher is better",
        label, drawn, height=300 if loss else 240,
    )  # fmt: skip


def epoch_table(run: RecordedRun) -> ReportTable:
    """Return every epoch; the one whose weights are kept is set apart."""
    bigram = run.summary.accuracy_baselines.get("bigram")
    accuracy = f"validation {accuracy_column_name([bigram])}"
    head = ("epoch", "training loss", "validation loss", "bits per byte", accuracy,
            "training accuracy", "time")  # fmt: skip
    rows = tuple(
        (
            str(e.epoch), f"{e.loss_start:.2f} → {e.loss_end:.2f}", f"{e.validation_loss:.3f}",
            f"{e.bits_per_byte:.3f}", format_accuracy(e.validation_accuracy, bigram),
            f"{e.accuracy_start:.0%} → {e.accuracy_end:.0%}", format_duration(e.seconds),
        )
        for e in run.epochs
    )  # fmt: skip
    return ReportTable(
        f"Each epoch; the weights of epoch {run.summary.best_epoch} were kept",
        tuple(map(TableColumn, head)), rows,
        strong=frozenset(n for n, e in enumerate(run.epochs) if e.epoch == run.summary.best_epoch),
    )  # fmt: skip
