"""A diagnosis of another program in words: the verdict, and each treatment with its effect."""

from __future__ import annotations

from descend.program_trials.diagnose_program import ProgramDiagnosis, ProgramEffect
from descend.units import humanize_name


def format_program_diagnosis(diagnosis: ProgramDiagnosis) -> str:
    """Return what `descend diagnose --program` prints."""
    lines = [f"{_verdict(diagnosis)}: {diagnosis.reason}."]
    loss = "not finite" if diagnosis.loss is None else f"{diagnosis.loss:.5g}"
    lines.append(
        f"  As it is: {diagnosis.metric} {loss}, the mean of {len(diagnosis.controls)} seeds."
    )
    lines += [f"  {_effect(effect)}" for effect in diagnosis.effects]
    if diagnosis.recommended_command is not None:
        lines.append(f"  Try: {diagnosis.recommended_command}")
    lines.append("  The verdict holds for runs as long as these trials.")
    return "\n".join(lines)


def _verdict(diagnosis: ProgramDiagnosis) -> str:
    if diagnosis.verdict == "healthy":
        return "No problem found by these trials"
    if diagnosis.verdict == "unknown":
        return "Cannot tell"
    return f"Cause: {humanize_name(diagnosis.verdict)}"


def _effect(effect: ProgramEffect) -> str:
    name = f"{effect.treatment.description} ({humanize_name(effect.treatment.cause)})"
    if effect.problem is not None:
        return f"{name}: not tested, {effect.problem}."
    if not effect.trials:
        return f"{name}: not tried, since a smaller change was clearly worse."
    interval = effect.loss_reduction
    if interval is None:
        return f"{name}: the loss is not finite."
    if len(effect.trials) == 1:
        return f"{name}: clearly worse with the first seed, not repeated."
    sign = "saves" if interval.value > 0 else "costs"
    span = f"{interval.low:+.3f} to {interval.high:+.3f}"
    return f"{name}: {sign} {abs(interval.value):.3f} (95 % CI {span})."
