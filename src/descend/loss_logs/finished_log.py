"""From the points of a log to its curve: one series is the training loss, one the validation."""

from __future__ import annotations

import math

from descend.loss_logs.column_names import Split
from descend.loss_logs.epoch_restarts import (
    describe_restarts,
    describe_resumes,
    drop_before_restarts,
)
from descend.loss_logs.epoch_sums import difference_sums
from descend.loss_logs.log import LossLog, RunLosses
from descend.loss_logs.log_facts import LogFacts
from descend.loss_logs.loss_kinds import objective_of
from descend.loss_logs.point_store import PointStore
from descend.loss_logs.points import (
    Point,
    drop_unset_loss,
    ends_near_zero,
    join_entries,
    mark_lost_losses,
    merge_writers,
    new_measures,
    place_points,
    take_bar_steps,
    take_finer_steps,
    validation_places,
)
from descend.loss_logs.series import best_series, is_in_bits, with_final
from descend.loss_logs.several_runs import describe_runs, take_last_run

OTHER_UNITS = (
    "training and validation are logged in different units, one of them in bits for a "
    "character or a byte, so the two are not compared with each other"
)
FROM_PERPLEXITY = "a loss was reckoned from its perplexity (its logarithm)"


def make_log(facts: LogFacts, points: PointStore, epoch_starts: list[float]) -> LossLog | None:
    """Return the curve of `points`; None if no loss was read.

    Works on `points` in place and adds to the notes of `facts`: called once, at the end.
    """
    is_restored = points.restore_previous_run()
    points.drop_thinned_lines()
    series = points.series
    for key in [k for k in series if k.split == "validation"]:
        series[key] = new_measures(series[key])
    training = _best(facts, points, {"train", None})
    validation = with_final(series, _best(facts, points, {"validation"}))
    # A perplexity of 1 is a number, and not the loss of a run that failed.
    is_reckoned = any(training is losses for losses in points.perplexities.values())
    if training is None and validation is None:
        training = points.losses_lost or None
    training = training and drop_unset_loss(training)
    if training is None and validation is None:
        return None
    curve = training or validation or []
    if training and not is_reckoned and not ends_near_zero(validation):
        curve = mark_lost_losses(training, points.losses_lost)
    in_bits = is_in_bits(series, curve)
    has_other_unit = bool(training and validation) and is_in_bits(series, validation) != in_bits
    if has_other_unit:
        _convert(validation or [], to_bits=in_bits)
        facts.notes.append(OTHER_UNITS)
    runs = take_last_run(curve, (validation or []) if training else [], epoch_starts)
    facts.notes += describe_runs([*facts.earlier_runs, *runs], is_restored=is_restored)
    take_finer_steps(curve, validation or [])
    take_bar_steps(curve, validation or [])
    earlier = [*facts.earlier_runs[: -1 if is_restored else None], *runs[:-1]]
    earlier += _drop_restarts(facts, curve, (validation or []) if training else [])
    curve = merge_writers(curve)
    unit, places = place_points(curve)
    pairs = [(p, at) for p, at in zip(curve, places, strict=True) if at is not None]
    curve, at = [p for p, _ in pairs], [at for _, at in pairs]
    difference = difference_sums(curve, at) if training else None
    sums, curve, at = (None, curve, at) if difference is None else difference
    if training:
        validation_positions = validation_places(unit, curve, at, validation or [])
        entries = join_entries(curve, at, validation or [], validation_positions)
    else:
        entries = join_entries([], [], curve, at)
    objective, evidence = objective_of(
        facts.names, curve if sums is None else [], first_accuracy=facts.first_accuracy,
        has_perplexity=bool(points.perplexities),
    )  # fmt: skip
    return LossLog(
        kind=facts.description, unit=unit, entries=entries, skipped=facts.skipped,
        objective=objective, objective_evidence=evidence, adam=facts.uses_adam,
        epoch_starts=epoch_starts if unit == "steps" and len(runs) < 2 else [], notes=facts.notes,
        bits=facts.base_two > 0 or in_bits, lost_validations=facts.lost_validations,
        has_epochs=any(p.epoch is not None for p in curve), earlier_runs=earlier, sums=sums,
        has_perplexity=bool(points.perplexities), last_accuracy=facts.last_accuracy,
        break_off=facts.failure_scan.break_off, reward=facts.measures.select("reward"),
        policy_kl=facts.measures.select("policy_kl"), margin=facts.measures.select("margin"),
        has_other_validation_unit=has_other_unit or sums is not None,
        bits_evidence="as their name says" if in_bits else "as their perplexities show",
    )  # fmt: skip


def _drop_restarts(facts: LogFacts, curve: list[Point], validation: list[Point]) -> list[RunLosses]:
    """Drop from both lists, in place, what a later part of the log replaces; return the runs that
    are dropped."""
    restarts = drop_before_restarts(curve, validation)
    facts.notes += describe_restarts(restarts) + describe_resumes(facts.resumed_at)
    return [restart.run for restart in restarts if restart.is_other_run]


def _best(facts: LogFacts, points: PointStore, splits: set[Split | None]) -> list[Point] | None:
    """Of the series of these splits the one that tells most of the curve, else perplexities."""
    best = best_series(points.series, splits)
    for split in splits if best is None else ():
        if perplexities := points.perplexities.get(split):
            facts.notes.append(FROM_PERPLEXITY)
            return perplexities
    return best


def _convert(points: list[Point], *, to_bits: bool) -> None:
    """Change the unit of losses in place: nats to bits, or bits to nats."""
    factor = 1 / math.log(2) if to_bits else math.log(2)
    for point in points:
        point.value *= factor
