"""`train --show-metrics`: the recorded diagnostic metrics beside the live curve."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from descend.diagnosis.reference_ranges import reference_range
from descend.metrics import training_history
from descend.runs.events import Epoch, Event, Rollback, Step, WeightUpdateStats

LINES_PER_EPOCH = 4
"""Times an epoch that the signals are reported, at most."""
MIN_STEPS = 100
"""Between two looks: over fewer steps the signals are noise."""


def with_metrics_lines(
    records: Iterator[Event],
    steps_an_epoch: int,
    vocab_size: int,
    write_line: Callable[[str], None],
    optimizer: str = "muon",
) -> Iterator[Event]:
    """Pass `records` on unchanged; `tell` what the signals read every quarter of an epoch."""
    steps: list[Step] = []
    matrices: list[WeightUpdateStats] = []
    epochs: list[Epoch] = []
    every = max(steps_an_epoch // LINES_PER_EPOCH, MIN_STEPS)
    for record in records:
        if isinstance(record, Step):
            steps.append(record)
        elif isinstance(record, WeightUpdateStats):
            matrices.append(record)
        elif isinstance(record, Epoch):
            epochs.append(record)
        elif isinstance(record, Rollback):
            steps = [s for s in steps if s.step <= record.step]
            matrices = [m for m in matrices if m.step <= record.step]
            epochs = [e for e in epochs if e.step <= record.step]
        yield record
        if isinstance(record, Step) and len(steps) % every == 0:
            write_line(format_metrics_line(steps, matrices, epochs, vocab_size, optimizer))


def format_metrics_line(
    steps: list[Step], matrices: list[WeightUpdateStats], epochs: list[Epoch], vocab_size: int,
    optimizer: str = "muon",
) -> str:  # fmt: skip
    """Return what the recorded signals read so far; those outside their healthy range are
    marked."""
    measurements: list[tuple[str, str, float | None, str]] = [
        (
            "initial_loss_ratio",
            "first loss",
            training_history.initial_loss_ratio(steps, vocab_size),
            "of ln V",
        ),
        (
            "update_to_weight_ratio",
            "update to weight",
            training_history.update_to_weight_ratio(matrices),
            "a step",
        ),
        (
            "clipped_step_fraction",
            "clipped",
            training_history.clipped_step_fraction(steps),
            "of steps",
        ),
        (
            "gradient_norm_p99_over_p50",
            "gradient outliers",
            training_history.gradient_norm_p99_over_p50(steps),
            "times",
        ),
        ("max_loss_increase", "loss rose by", training_history.max_loss_increase(steps), "nats"),
        (
            "validation_loss_increase_after_best",
            "past its best by",
            training_history.validation_loss_increase_after_best(epochs),
            "nats",
        ),
    ]
    parts = [
        _part(*measurement, optimizer) for measurement in measurements if measurement[2] is not None
    ]
    return f"  metrics, step {steps[-1].step:,}: " + "; ".join(parts)


def _part(metric: str, label: str, value: float | None, unit: str, optimizer: str) -> str:
    assert value is not None
    low, high = reference_range(metric, optimizer)
    beyond = "" if low is None or value >= low else f" (low, normal from {low:g})"
    beyond = beyond if high is None or value <= high else f" (high, normal up to {high:g})"
    return f"{label} {value:.2g} {unit}{beyond}"
