"""Small pictures of records for a notebook: HTML that needs no script and takes the notebook's own
colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from descend.diagnosis.diagnosis_result import Diagnosis, Finding, OtherCause
from descend.experiments.attribute.attribution_result import Attribution
from descend.experiments.compare.comparison_result import Comparison
from descend.experiments.estimate import to_loss_reduction
from descend.experiments.search.search_result import SearchResult
from descend.handbook.run_notes.diagnosis_notes import reduction_by_change
from descend.report.text.diagnosis_summary import headline
from descend.report.text.experiment_tables import (
    accuracy_column_name,
    arm_loss_reduction,
    contribution_loss_reduction,
    describe_method,
    describe_pairs,
    format_accuracy,
    format_estimate,
    format_loss_reduction,
    format_time_difference,
    seed_losses,
)
from descend.report.text.loss_curve import MIN_STEPS, LossCurve, column_means
from descend.report.text.run_summary import summarize_run
from descend.report.text.search_summary import MAX_LISTED_TRIALS, search_head, search_row
from descend.runs.events import Epoch
from descend.runs.run_files import RunSummary
from descend.units import (
    format_bytes,
    format_duration,
    format_percentage_points,
    humanize_name,
    quoted,
)

MAX_EPOCHS = 8
"""Rows of a card; of a longer run the first, the best and the last are among them."""

WIDTH, HEIGHT = 260, 64
"""Of the curve, in CSS pixels."""

LIVE_COLUMNS = 130
"""Points of a curve that is drawn while a run trains."""

COLORS = "gray on training batches, green on validation text"

ROW, LETTER, MAX_NAME_LENGTH = 18, 7, 40
"""Of a row of dots and a letter of its name, in CSS pixels; letters of a name that are shown."""

STRONG, MUTED, PALE = "#14908a", "#8a98a8", "rgba(128,128,128,.3)"
"""Colours that can be seen on a light and on a dark page."""

ARMS = ("configuration", "validation loss", "bits/byte", "loss reduction (95 %)", "verdict")
TRIALS = ("changed", "for the cause", "gain, nats", "95 %")
CONTRIBUTION_COLUMNS = ("alone", "made last", "accuracy", "time")


@dataclass(frozen=True)
class Line:
    """Points of an SVG polyline."""

    points: str
    colour: str
    thick: float = 1.5


@dataclass(frozen=True)
class Dot:
    """One value."""

    x: float
    y: float
    colour: str


@dataclass(frozen=True)
class Label:
    """Words at the `side` (start or end) by which they stand at x."""

    x: float
    y: float
    side: str
    text: str


@dataclass(frozen=True)
class SvgChart:
    """What is drawn, in CSS pixels, and what it shows in words."""

    alt_text: str
    width: float
    height: float
    lines: Sequence[Line] = ()
    dots: Sequence[Dot] = ()
    labels: Sequence[Label] = ()
    caption: str = ""
    """Stands below it."""


def notebook_model_card(name: str, summary: RunSummary) -> str:
    """Return a trained model: how it went, its curve, its epochs."""
    bigram = summary.accuracy_baselines.get("bigram")
    rows = [epoch_row(e, bigram) for e in subsample_epochs(summary.epochs, summary.best_epoch)]
    curves = [[e.loss_end for e in summary.epochs], [e.validation_loss for e in summary.epochs]]
    return _card(
        name, [summarize_run(summary)], _epoch_head(bigram), rows, picture=_by_epoch(curves),
        foot=f"descend report {quoted(summary.model_dir)}",
    )  # fmt: skip


def _by_epoch(curves: Sequence[Sequence[float]]) -> SvgChart | None:
    """None for one epoch, which is no line."""
    lines = polylines(curves)
    if not lines:
        return None
    description = f"Loss by epoch: {COLORS}"
    drawn = (Line(lines[0], MUTED), Line(lines[1], STRONG, 2))
    return SvgChart(description, WIDTH, HEIGHT, drawn, caption=description)


def live_loss_chart(curve: LossCurve, total_steps: int) -> SvgChart | None:
    """Return the losses so far, drawn over all `total_steps`; None while they are too few."""
    if len(curve.training) < MIN_STEPS:
        return None
    means = column_means(curve.training, total_steps, LIVE_COLUMNS)
    values = [*means.values(), *(loss for _, loss in curve.validation)]
    high, low = max(values), min(values)
    up, across = HEIGHT / max(high - low, 1e-9), WIDTH / LIVE_COLUMNS
    points = " ".join(
        f"{(column + 0.5) * across:.1f},{(high - loss) * up:.1f}" for column, loss in means.items()
    )
    dots = tuple(
        Dot(round(WIDTH * min(1.0, step / total_steps), 1), round((high - loss) * up, 1), STRONG)
        for step, loss in curve.validation
    )
    ends = (Label(WIDTH, 10, "end", f"{high:.2f}"), Label(0, HEIGHT, "start", f"{low:.2f}"))
    return SvgChart(
        f"Loss, from {high:.2f} to {low:.2f}", WIDTH, HEIGHT, (Line(points, MUTED, 2),), dots, ends,
        f"Loss: {COLORS}",
    )  # fmt: skip


def diagnosis_card(diagnosis: Diagnosis) -> str:
    """Return a diagnosis: the verdict, and every trial that was made."""
    findings: list[Finding | OtherCause] = [*diagnosis.causes, *diagnosis.ruled_out]
    tested_causes = [(c.cause, c.trial) for c in findings if c.trial is not None]  # fmt: skip
    effects = [(t.change, cause, *reduction_by_change(t)) for cause, t in tested_causes]
    effects.sort(key=lambda row: -row[2])
    rows = [
        (change, humanize_name(cause), f"{reduction:+.3f}",
         f"{interval[0]:+.3f} to {interval[1]:+.3f}" if interval else "–")
        for change, cause, reduction, interval in effects
    ]  # fmt: skip
    advice = [f"Fix: {f.advice.rstrip('.')}." for f in diagnosis.causes]
    return _card(
        "Diagnosis", [headline(diagnosis), *advice], TRIALS, rows,
        foot=f"descend diagnose {quoted(diagnosis.run)} --verbose",
    )  # fmt: skip


def comparison_card(comparison: Comparison) -> str:
    """Return a comparison: its answer, a dot a run, and every configuration as a row."""
    rows = [
        (a.name, f"{a.validation_loss:.3f}", f"{a.bits_per_byte:.3f}",
         format_estimate(arm_loss_reduction(a)), a.verdict,
         format_accuracy(a.accuracy, a.bigram_accuracy), format_duration(a.seconds),
         format_bytes(a.memory))
        for a in comparison.arms
    ]  # fmt: skip
    return _card(
        "Comparison",
        [comparison.sentence],
        (*ARMS, accuracy_column_name(a.bigram_accuracy for a in comparison.arms), "time", "memory"),
        rows,
        picture=_draw_comparison(comparison),
        foot=comparison.command,
    )


def _draw_comparison(comparison: Comparison) -> SvgChart:
    """Return a row an arm, a dot for each seed, on one axis for all; what all are set against is
    grey."""
    values = seed_losses(comparison)
    low, high = min(map(min, values)), max(map(max, values))
    bottom = ROW * len(values)
    lines, dots, labels = [], [], []
    for number, (arm, row) in enumerate(zip(comparison.arms, values, strict=True)):
        y = ROW * (number + 0.5)
        lines.append(Line(f"0,{y} {WIDTH},{y}", PALE, 1))
        dots += [
            Dot(round(WIDTH * (value - low) / ((high - low) or 1.0), 1), y,
                STRONG if number else MUTED)
            for value in row
        ]  # fmt: skip
        short = (
            arm.name if len(arm.name) <= MAX_NAME_LENGTH else arm.name[: MAX_NAME_LENGTH - 1] + "…"
        )
        labels.append(Label(WIDTH + 12, y + 4, "start", short))
    labels += [Label(0, bottom + 12, "start", f"{low:.3f}"),
               Label(WIDTH, bottom + 12, "end", f"{high:.3f}"),
               Label(WIDTH + 12, bottom + 12, "start", comparison.unit)]  # fmt: skip
    widest = max(len(label.text) for label in labels)
    return SvgChart(
        f"Validation loss, {comparison.unit}, one dot per seed: further left is better",
        WIDTH + 12 + LETTER * widest, bottom + ROW, lines, dots, labels,
    )  # fmt: skip


def attribution_card(attribution: Attribution) -> str:
    """Return an attribution: its answer, and every change as a row, the largest gain first."""
    rows = [
        (
            s.change,
            format_estimate(contribution_loss_reduction(s)),
            format_loss_reduction(s.effect_first),
            format_loss_reduction(s.effect_last),
            format_percentage_points(s.accuracy.value),
            format_time_difference(s.seconds),
        )
        for s in sorted(attribution.contributions, key=lambda s: s.value)
    ]
    rows.append(
        (
            "all of it",
            format_estimate(to_loss_reduction(attribution.total_difference)),
            "",
            "",
            format_percentage_points(attribution.total_accuracy.value),
            format_time_difference(attribution.total_seconds),
        )
    )
    lines = [
        attribution.sentence,
        f"Loss reduction in {attribution.unit}: above zero is better.",
        f"{describe_method(attribution)}.",
    ]
    if attribution.interactions:
        lines.append(f"Of {describe_pairs(attribution)}.")
    columns = ("change", "loss reduction (95 %)", *CONTRIBUTION_COLUMNS)
    return _card("Attribution", lines, columns, rows, foot=attribution.command)


def search_card(result: SearchResult) -> str:
    """Return a search: its answer, the best of it, and the command that trains the best."""
    keys = [span.key for span in result.space]
    rows = [search_row(n, t, keys) for n, t in enumerate(result.ranking[:MAX_LISTED_TRIALS], 1)]
    columns = search_head("rank", result)
    return _card("Search", [result.sentence], columns, rows, foot=result.train_command)


def result_card(title: str, lines: Sequence[str]) -> str:
    """Return a result that is reported in sentences."""
    return _card(title, lines, (), ())


def progress_card(
    fraction: float,
    status: str,
    epochs: Sequence[Epoch],
    of: int,
    sample: str | None,
    bigram: float | None,
    picture: SvgChart | None,
) -> str:
    """Return a run as it goes: how far it is, its epochs so far, what it wrote last.

    `bigram`: accuracy of the bigram baseline, if it is known; `picture`: its curve.
    """
    displayed_epochs = subsample_epochs(epochs, 0)
    return _card(
        f"epoch {min(len(epochs) + 1, of)} of {of}" if fraction < 1 else "trained",
        [status],
        _epoch_head(bigram),
        [epoch_row(e, bigram) for e in displayed_epochs],
        picture=picture,
        fraction=fraction,
        foot=f"it writes: {sample}" if sample else "",
    )


def _epoch_head(bigram: float | None) -> tuple[str, ...]:
    accuracy = f"validation {accuracy_column_name([bigram])}"
    return ("epoch", "training loss", "validation loss", accuracy, "time")


def epoch_row(e: Epoch, bigram: float | None) -> tuple[str, ...]:
    """Return an epoch as cells, its accuracy beside that of the bigram baseline."""
    return (
        str(e.epoch),
        f"{e.loss_start:.2f} → {e.loss_end:.2f}",
        f"{e.validation_loss:.3f}",
        format_accuracy(e.validation_accuracy, bigram),
        format_duration(e.seconds),
    )


def subsample_epochs(epochs: Sequence[Epoch], best: int) -> list[Epoch]:
    """At most `MAX_EPOCHS` of them, evenly picked, with the first, the best and the last."""
    if len(epochs) <= MAX_EPOCHS:
        return list(epochs)
    last = len(epochs) - 1
    picked = {round(i * last / (MAX_EPOCHS - 2)) for i in range(MAX_EPOCHS - 1)}
    return [e for n, e in enumerate(epochs) if n in picked or e.epoch == best]


def polylines(curves: Sequence[Sequence[float]]) -> list[str]:
    """Return points of SVG polylines over a common scale, the highest value on top."""
    values = [v for curve in curves for v in curve]
    low, high = min(values), max(values)
    point_strings = []
    for curve in curves:
        across, up = WIDTH / max(len(curve) - 1, 1), HEIGHT / max(high - low, 1e-9)
        point_strings.append(
            " ".join(f"{n * across:.1f},{(high - v) * up:.1f}" for n, v in enumerate(curve))
        )
    return point_strings if len(curves[0]) > 1 else []


def _card(
    title: str, lines: Sequence[str], columns: Sequence[str], rows: Sequence[tuple[str, ...]],
    *, picture: SvgChart | None = None, fraction: float | None = None, foot: str = "",
) -> str:  # fmt: skip
    return _environment().get_template("card.html").render(
        title=title, paragraphs=lines, columns=columns, rows=rows, picture=picture,
        fraction=fraction, foot=foot,
    )  # fmt: skip


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("descend.report.html"), undefined=StrictUndefined,
        autoescape=select_autoescape(default=True), trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
