"""What a run that broke off says beside its curve: where, by what, and what to change."""

from __future__ import annotations

from dataclasses import replace

from descend.diagnosis.diagnosis_result import BROKE_OFF
from descend.loss_logs.curve_features import CurveFeatures
from descend.loss_logs.curve_notes import describe_place
from descend.loss_logs.judgment import EvidenceFacts, LogVerdict, Shape
from descend.loss_logs.log import BreakOff, BreakOffKind

RESUME = "go on from the last checkpoint"
"""The end of the advice where a checkpoint may be there."""
LOWER_RATE = (
    "lower the learning rate to a third, clip gradients at 1.0, and go on from a checkpoint before "
    "that"
)
_EVENTS: dict[BreakOffKind, str] = {
    "accelerator memory": "the accelerator ran out of memory",
    "shared memory": "the shared memory ran out",
    "memory": "it was killed, or an allocation failed, as when the machine runs out of memory",
    "disk": "the disk is full",
    "accelerator": "the accelerator reported an error",
    "not a number": "the program found a number that is not finite",
    "exploded": "the program found that the loss exploded",
    "communication": "the processes lost their connection, or waited too long",
    "interrupted": "it was interrupted by hand",
    "stopped": "it was ended from outside, by a limit or a signal",
    "error": "the program ended with an error",
}
_FIXES: dict[BreakOffKind, str] = {
    "accelerator memory": "make the batch smaller and accumulate gradients over more of them, "
    "limit the length of a sequence, or use activation checkpointing. Far into a run it is mostly "
    f"one long sequence, or an evaluation, that needs too much. Then {RESUME}",
    "shared memory": f"use fewer loader workers, or more shared memory (/dev/shm). Then {RESUME}",
    "memory": "use fewer loader workers, and do not load the whole text at once. The kernel's log "
    f"(dmesg) tells whether memory ran out. Then {RESUME}",
    "disk": "free space, and keep fewer checkpoints. Check that the last checkpoint is complete "
    "before you go on from it",
    "accelerator": "run it again with CUDA_LAUNCH_BLOCKING=1 to see the line. An assert is mostly "
    "a token or a target outside the vocabulary. Other errors may be of the hardware (dmesg)",
    "not a number": LOWER_RATE,
    "exploded": LOWER_RATE,
    "communication": "look at the output of each process for the first error: the process that "
    f"failed is the cause, and the others only wait for it. Then {RESUME}",
    "interrupted": RESUME,
    "stopped": f"{RESUME}, with a longer limit or with saves before the limit",
    "error": f"correct the error, which the lines above the last one explain, and {RESUME}",
}


_BY_LOSS = ("not a number", "exploded")
"""What a program ends itself for, though it could go on."""


def add_break_off(shape: Shape, verdict: LogVerdict) -> LogVerdict:
    """Return the verdict of the curve, changed to what ended the run where it broke off.

    A fault of the curve stays the verdict, and so does the judgment of a run that was interrupted
    by hand: that is no fault.
    """
    end, curve = shape.log.break_off, shape.features
    if end is None:
        return verdict
    place, quote = _describe_progress(end, curve), f"the log ends with {end.message!r}"
    if end.is_after_end:
        note = f"the training had come to its end, and then {_EVENTS[end.kind]}: {quote}"
        return replace(verdict, notes=[note, *verdict.notes])
    note = f"the run broke off {place}, since {_EVENTS[end.kind]}: {quote}"
    if end.kind == "interrupted":
        return replace(verdict, notes=[f"{note}. To train it further, {RESUME}", *verdict.notes])
    if verdict.normal == "no" and end.kind not in _BY_LOSS:
        reason = f"{verdict.reason}. Besides, the run broke off {place}, since {_EVENTS[end.kind]}"
        advice = f"to keep it from breaking off, {_FIXES[end.kind]}"
        return replace(verdict, reason=reason, notes=[quote, advice, *verdict.notes])
    if end.kind in _BY_LOSS:
        return _diverged(verdict, shape, f"{_EVENTS[end.kind]} {place}", note)
    reason = f"it broke off {place}, since {_EVENTS[end.kind]}. {_until_then(verdict)}"
    return replace(
        verdict, state=BROKE_OFF, probability=0.9, normal="no", reason=reason, cause=None,
        evidence=[], recommended_config={}, advice=_FIXES[end.kind], notes=[quote, *verdict.notes],
    )  # fmt: skip


def describe_break_off(end: BreakOff) -> tuple[str, str]:
    """Return what ended a program whose log has no curve, and what to do."""
    return f"{_EVENTS[end.kind]}: the log ends with {end.message!r}", _FIXES[end.kind]


def _until_then(verdict: LogVerdict) -> str:
    """Return what the curve is up to the end of the log. That it falls is no advice to train for
    longer: the run was to go on."""
    if verdict.normal == "yes":
        return "Until then the curve is normal"
    return f"Whether the curve is normal until then cannot be determined: {verdict.reason}"


def _diverged(verdict: LogVerdict, shape: Shape, reason: str, note: str) -> LogVerdict:
    """Return the verdict on a program that ended itself because a number was not finite."""
    if verdict.cause == "diverged":
        return replace(verdict, notes=[note, *verdict.notes])
    at = shape.features.length if shape.features is not None else 0.0
    fact: EvidenceFacts = ("last_logged_loss", at, shape.log.unit, (None, None),
                           "the program ended itself after it")  # fmt: skip
    return replace(
        verdict, probability=0.85, normal="no", reason=reason,
        cause="diverged", evidence=[fact], recommended_config={}, advice=LOWER_RATE,
        ruled_out={c: why for c, why in verdict.ruled_out.items() if c != "diverged"},
        notes=[note, *verdict.notes],
    )  # fmt: skip


def _describe_progress(end: BreakOff, curve: CurveFeatures | None) -> str:
    """Return where the run ended: by its progress bar, else by its last loss."""
    if end.done is not None and end.total:
        return f"at {end.done:,} of {end.total:,} ({end.done / end.total:.0%})"
    if curve is None or curve.unit == "entries":
        return "after the last loss in the log"
    return f"after {describe_place(curve, curve.length)}"
