"""An improvement in words: its models, its trials, what each change brought."""

from __future__ import annotations

from descend.experiments.improvement import Contribution, Improvement, TrainedModel, TreatmentTrial
from descend.report.text.diagnosis import assignments, humanize_name
from descend.units import format_duration


def model_line(model: TrainedModel) -> str:
    """A model of an improvement."""
    prediction_text = "" if model.predicted is None else f" (predicted {model.predicted:.3f})"
    changes = f": {assignments(model.changes)}" if model.changes else ""
    return (
        f"{model.run}: {model.bits_per_byte:.3f} bits per byte{prediction_text},"
        f" {model.origin}{changes}; {format_duration(model.seconds)} of training"
    )


def trial_line(trial: TreatmentTrial) -> str:
    """A trial of a treatment."""
    status = "accepted" if trial.accepted else "pruned" if trial.pruned else "rejected"
    return (
        f"  {status}: {assignments(trial.changes)} ({humanize_name(trial.cause)}), "
        f"{trial.control:.3f} → {trial.treated:.3f} bits per byte"
    )


def improvement_text(improvement: Improvement) -> str:
    """What `descend improve` prints at its end."""
    lines = [model_line(model) for model in improvement.candidates]
    if improvement.contributions:
        lines += ["", "Contribution of each change, in bits per byte:"]
        lines += [f"  {_contribution(c)}" for c in improvement.contributions]
    if improvement.expectations and improvement.best is not None:
        lines += [
            "",
            "Prediction of the scaling law of `descend plan`, starting from "
            f"{improvement.best.bits_per_byte:.3f}:",
        ]
        lines += [f"  {e.more}: about {e.bits_per_byte:.3f}" for e in improvement.expectations]
    best = improvement.best
    lines += ["", f"Finished after {format_duration(improvement.seconds)}: {improvement.stopped}."]
    if best is not None:
        lines.append(f"The best model is {best.run}, {best.bits_per_byte:.3f} bits per byte.")
    if (
        improvement.candidates
        and improvement.candidates[0].origin == "your run"
        and best is not None
    ):
        first = improvement.candidates[0].run
        if best.run != first:
            lines.append(f"Effect of each changed setting: descend attribute {first} {best.run}")
    return "\n".join(lines)


def _contribution(part: Contribution) -> str:
    interval = "" if part.ci95 is None else f" (95 % CI {part.ci95[0]:+.3f} to {part.ci95[1]:+.3f})"
    changes = f": {assignments(part.changes)}" if part.changes else ""
    return (
        f"{part.gain:+.3f}{interval} {humanize_name(part.reason)}{changes}, by {part.measured_by}"
    )
