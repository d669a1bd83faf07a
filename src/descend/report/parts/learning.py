"""The curves of loss and accuracy, held against the guide's picture, and the table of epochs."""

from __future__ import annotations

from descend.handbook.yours.learning import made_harder
from descend.handbook.yours.record import RunRecord
from descend.report.figures import Area, Axis, Curve, Level, Mark, curves, smooth
from descend.report.page import Column, Figure, Paragraph, Section, Table
from descend.report.parts.marks import marks, rescues
from descend.report.parts.progress import progress_of
from descend.report.words import GUIDE_FIRST, GUIDE_TENTH, guide_caution, shape_of_the_curve
from descend.units import duration

GUIDE = "the guide's picture"


def learning(run: RunRecord) -> Section:
    """Curves, what the bands mean, and every epoch as a row."""
    return Section("learning", "How it learned", (
        Paragraph(shape_of_the_curve(run.summary)),
        _figure(run, "loss"),
        *rescues(run),
        _figure(run, "accuracy"),
        *((Paragraph(harder),) if (harder := made_harder(run)) else ()),
        Paragraph(_about_the_bands(run), quiet=True),
        epoch_table(run),
    ))  # fmt: skip


def _figure(run: RunRecord, what: str) -> Figure:
    loss = what == "loss"
    x = progress_of(run, [s.step for s in run.steps])
    train = [s.loss if loss else 100 * s.accuracy for s in run.steps]
    ends = [float(e.epoch) for e in run.epochs]
    held_out = [e.validation_loss if loss else 100 * e.validation_accuracy for e in run.epochs]
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
    axis = Axis("nats per token") if loss else Axis("percent", least=0)
    last = max(run.epochs[-1].epoch, x[-1])
    kept = [Mark("best epoch", float(best.epoch))] if best.epoch < run.epochs[-1].epoch else []
    drawn = curves(
        lines, Axis("epochs", least=0, most=last), axis,
        areas=_bands(run, loss), levels=levels, marks=[*marks(run), *kept],
    )  # fmt: skip
    return Figure(
        "Loss, nats per token: lower is better" if loss else "Next tokens named right, percent",
        label, drawn, height=340 if loss else 260,
    )  # fmt: skip


def _bands(run: RunRecord, loss: bool) -> list[Area]:
    """The guide's first epoch, and its tenth where the run came so far."""

    def band(last: float, numbers: tuple[float, ...]) -> Area:
        low, high = sorted(numbers[:2] if loss else [100 * n for n in numbers[2:]])
        return Area(GUIDE, (last - 1, last), (low, high))

    tenth = [band(10.0, GUIDE_TENTH)] if run.epochs[-1].epoch >= 10 else []
    return [band(1.0, GUIDE_FIRST), *tenth]


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
