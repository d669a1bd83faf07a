"""The curves of loss and accuracy, held against the guide's picture, and the table of epochs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from descend.handbook.yours.record import RunRecord
from descend.report.figures import Area, Axis, Curve, Level, Option, curves, smooth
from descend.report.page import Column, Figure, Paragraph, Section, Table
from descend.report.words import GUIDE_FIRST, GUIDE_TENTH, guide_caution, shape_of_the_curve
from descend.units import duration

GUIDE = "the guide's picture"

HEADROOM = 1.05
"""The axis of the loss ends so far above the first loss: a spike beyond it is told in words."""


def learning(run: RunRecord) -> Section:
    """Curves, what the bands mean, and every epoch as a row."""
    return Section("learning", "How it learned", (
        Paragraph(shape_of_the_curve(run.summary)),
        _figure(run, "loss"),
        _figure(run, "accuracy"),
        Paragraph(_about_the_bands(run), quiet=True),
        epoch_table(run),
    ))  # fmt: skip


def progress_of(run: RunRecord, steps: Sequence[int]) -> list[float]:
    """Each step as epochs gone by: 0 at the start, 1 after the first."""
    ends = [0, *(e.step for e in run.epochs)]
    done = [0.0, *(float(e.epoch) for e in run.epochs)]
    per_step = (done[-1] - done[-2]) / max(ends[-1] - ends[-2], 1)
    return [
        float(np.interp(step, ends, done)) if step <= ends[-1]
        else done[-1] + (step - ends[-1]) * per_step
        for step in steps
    ]  # fmt: skip


def _figure(run: RunRecord, what: str) -> Figure:
    loss = what == "loss"
    x = progress_of(run, [s.step for s in run.steps])
    train = [s.loss if loss else s.accuracy for s in run.steps]
    ends = [float(e.epoch) for e in run.epochs]
    held_out = [e.validation_loss if loss else e.validation_accuracy for e in run.epochs]
    lines = [
        Curve("training batches", x, train, "@calm", "raw"),
        Curve("training batches", x, smooth(train), "@calm"),
        Curve("held-out text", ends, held_out, "@accent", "points"),
    ]
    levels = [
        Level({"unigram": "counting single tokens", "bigram": "counting pairs"}[key], value)
        for key, value in run.ladder.items()
        if loss and key in ("unigram", "bigram")
    ]
    best, name = run.best, "Loss" if loss else "Accuracy"
    label = (
        f"{name} by epoch. Training batches from {train[0]:.3g} to {smooth(train)[-1]:.3g}; "
        f"held-out text {held_out[0]:.3g} after the first epoch, "
        f"{held_out[ends.index(best.epoch)]:.3g} after the best, {best.epoch}. "
        "The table below has every epoch."
    )
    most = max(held_out) if not loss else None
    return Figure(
        "Loss, nats per token: lower is better" if loss else "Share of next tokens named right",
        label, _option(run, lines, levels, loss, most), height=340 if loss else 260,
    )  # fmt: skip


def _option(
    run: RunRecord, lines: list[Curve], levels: list[Level], loss: bool, most: float | None
) -> Option:
    axis = Axis("nats per token") if loss else Axis("share right", least=0)
    return curves(
        lines, Axis("epochs", least=0, most=max(run.epochs[-1].epoch, lines[0].x[-1])), axis,
        areas=_bands(run, loss), levels=levels,
    )  # fmt: skip


def _bands(run: RunRecord, loss: bool) -> list[Area]:
    """The guide's first epoch, and its tenth where the run came so far."""
    start, end = (0, 1) if loss else (2, 3)
    bands = [Area(GUIDE, (0.0, 1.0), (GUIDE_FIRST[end], GUIDE_FIRST[start]))]
    if run.epochs[-1].epoch >= 10:
        bands.append(Area(GUIDE, (9.0, 10.0), (GUIDE_TENTH[end], GUIDE_TENTH[start])))
    return bands


def _about_the_bands(run: RunRecord) -> str:
    tenth = "" if run.epochs[-1].epoch >= 10 else " This run ended before a tenth epoch."
    return (
        f"The shaded fields are what the guide calls a run that goes well: a training loss from "
        f"{GUIDE_FIRST[0]} to {GUIDE_FIRST[1]} and an accuracy from {GUIDE_FIRST[2]:.0%} to "
        f"{GUIDE_FIRST[3]:.0%} in the first epoch, a loss from {GUIDE_TENTH[0]} to "
        f"{GUIDE_TENTH[1]} and an accuracy from {GUIDE_TENTH[2]:.0%} to {GUIDE_TENTH[3]:.0%} in "
        f"the tenth.{tenth} {guide_caution(run.of_corpus('train_bytes'))}"
    )


EPOCH_COLUMNS = (
    Column("epoch"), Column("training loss"), Column("held-out loss"), Column("bits per byte"),
    Column("held-out accuracy"), Column("training accuracy"), Column("time"),
)  # fmt: skip


def epoch_table(run: RunRecord) -> Table:
    """Every epoch; the one whose weights are kept is set apart."""
    rows = tuple(
        (
            str(e.epoch), f"{e.loss_start:.2f} → {e.loss_end:.2f}", f"{e.validation_loss:.3f}",
            f"{e.bits_per_byte:.3f}", f"{e.validation_accuracy:.1%}",
            f"{e.accuracy_start:.0%} → {e.accuracy_end:.0%}", duration(e.seconds),
        )
        for e in run.epochs
    )  # fmt: skip
    kept = next(n for n, e in enumerate(run.epochs) if e.epoch == run.summary.best_epoch)
    return Table(
        f"Each epoch; the weights of epoch {run.summary.best_epoch} are the ones kept",
        EPOCH_COLUMNS, rows, strong=frozenset({kept}),
    )  # fmt: skip
