"""The report of a training that descend did not start: its log, or the folder of a watched loop."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

from descend.loss_logs.diagnose_log import LogDiagnosis, in_nats, judge_log
from descend.loss_logs.log import LogEntry, LossLog
from descend.loss_logs.read_log import read_log
from descend.report.html.chart_points import smooth
from descend.report.html.charts import Axis, Curve, curves
from descend.report.html.report_page import (
    Fact,
    Facts,
    Figure,
    Paragraph,
    ReportBlock,
    ReportPage,
    ReportTable,
    Section,
    number_columns,
    word_columns,
)
from descend.report.html.sections.optimization import median_update_ratios
from descend.report.html.unfinished_run_report import MAX_PLOTTED_LOSS
from descend.report.text.log_diagnosis import format_log_diagnosis
from descend.runs.event_log import EVENTS, read_events
from descend.runs.events import ActivationStats, WeightUpdateStats
from descend.units import format_significant, humanize_name
from descend.version import __version__


def log_report(path: Path) -> ReportPage:
    """Return what the log or the watched folder at `path` shows; `LogError` without a curve."""
    log = in_nats(read_log(path))
    diagnosis = judge_log(path, log)
    answer, *details = format_log_diagnosis(diagnosis).splitlines()
    events = _events(path)
    sections = [
        _diagnosis_section(diagnosis, details),
        _updates_section(log, events),
        _layers_section(events),
    ]
    return ReportPage(
        title=path.resolve().name,
        subtitle=f"Read as {log.kind}",
        lead=(answer,),
        figure=_loss_figure(log),
        facts=_facts(diagnosis),
        sections=tuple(s for s in sections if s is not None),
        made_by=f"Report of a training log · descend {__version__}",
        warnings=("A log tells neither the text nor the settings, and holds no model.",),
    )


def _diagnosis_section(diagnosis: LogDiagnosis, lines: Sequence[str]) -> Section:
    """Return the lines of the diagnosis, and as a table what the curve does not settle."""
    quiet = ("Note:", "Ruled out:", "Expected:")
    paragraphs = [
        Paragraph(line.strip(), line.strip().startswith(quiet))
        for line in lines
        if not line.strip().startswith(("Not excluded", "Not checked"))
    ]
    open_causes = ReportTable(
        "What this curve does not settle",
        word_columns("cause", "what would"),
        tuple((humanize_name(n.cause), n.required_data) for n in diagnosis.not_checked),
        folded=True,
    )
    return Section("diagnosis", "What the curve says", (*paragraphs, open_causes))


def _facts(diagnosis: LogDiagnosis) -> Facts:
    curve = diagnosis.features
    if curve is None:
        return Facts(())
    facts = [
        Fact("entries", f"{curve.entries:,}", f"over {curve.length:,.6g} {curve.unit}"),
        Fact("first loss", format_significant(curve.first), "nats per token"),
        Fact("last loss", format_significant(curve.end), "nats per token"),
    ]
    if curve.validation_best is not None:
        best = format_significant(curve.validation_best)
        facts.append(Fact("lowest validation loss", best, f"at {curve.validation_best_at:,.6g}"))
    return Facts(tuple(facts))


def _points(
    entries: Sequence[LogEntry], read: Callable[[LogEntry], float | None]
) -> tuple[list[float], list[float]]:
    """Return where the log has a finite value, and the values."""
    logged = [(e.position, value) for e in entries if (value := read(e)) is not None]
    finite = [(x, y) for x, y in logged if math.isfinite(y)]
    return [x for x, _ in finite], [y for _, y in finite]


def _loss_figure(log: LossLog) -> Figure:
    train_x, train = _points(log.entries, lambda entry: entry.train_loss)
    validation_x, validation = _points(log.entries, lambda entry: entry.validation_loss)
    lines = []
    if train:
        lines += [
            Curve("training", train_x, train, "@calm", "raw"),
            Curve("training, smoothed", train_x, smooth(train), "@second"),
        ]
    if validation:
        lines.append(Curve("validation", validation_x, validation, "@accent"))
    highest = max([*train, *validation], default=0.0)
    return Figure(
        "Loss, nats per token: lower is better",
        "; ".join(
            f"{name} loss from {format_significant(values[0])} to {format_significant(values[-1])}"
            for name, values in (("training", train), ("validation", validation))
            if values
        ),
        curves(lines, Axis(log.unit), Axis("nats per token", log=highest > MAX_PLOTTED_LOSS)),
    )


def _updates_section(log: LossLog, events: Sequence[object]) -> Section | None:
    """Return gradients, rate, and size of the updates, as far as they were logged."""
    ratios = median_update_ratios([e for e in events if isinstance(e, WeightUpdateStats)])
    figures = [
        _line_figure(title, name, log.unit, x, y)
        for title, name, (x, y) in (
            ("Norm of the gradient", "norm", _points(log.entries, lambda e: e.gradient_norm)),
            ("Learning rate", "rate", _points(log.entries, lambda e: e.learning_rate)),
            (
                "How far one step moves the weights, relative to their size (median)", "ratio",
                ([float(step) for step, _ in ratios], [ratio for _, ratio in ratios]),
            ),
        )
        if len(y) > 1
    ]  # fmt: skip
    return Section("updates", "Updates", tuple(figures)) if figures else None


def _line_figure(
    title: str, name: str, unit: str, x: Sequence[float], y: Sequence[float]
) -> Figure:
    return Figure(
        title,
        f"From {format_significant(y[0])} to {format_significant(y[-1])}, at most"
        f" {format_significant(max(y))}.",
        curves([Curve(name, list(x), list(y), "@second")], Axis(unit), Axis(name, log=min(y) > 0)),
        height=220,
    )


def _layers_section(events: Sequence[object]) -> Section | None:
    """Return what flowed through each layer of a watched loop when it was last looked at."""
    records = [e for e in events if isinstance(e, ActivationStats)]
    if not records:
        return None
    last = records[-1]
    rows = [
        (
            name,
            format_significant(size),
            f"{last.dead_unit_fraction[name]:.0%}" if name in last.dead_unit_fraction else "",
            f"{last.attention_entropy[name]:.2f}" if name in last.attention_entropy else "",
        )
        for name, size in last.output_rms.items()
    ]
    columns = word_columns("layer") + number_columns(
        "size of its output", "silent units that enter it", "evenness of attention"
    )
    blocks: tuple[ReportBlock, ...] = (
        ReportTable(f"Layers at step {last.step:,}", columns, tuple(rows)),
    )
    return Section("layers", "Layers", blocks, teaser="outputs, silent units, attention")


def _events(path: Path) -> Sequence[object]:
    """Return the events of a watched loop; none for any other log."""
    return read_events(path) if path.is_dir() and (path / EVENTS).is_file() else []
