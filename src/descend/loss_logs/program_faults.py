"""What `descend.watch` saw in the program itself: a fault of it comes before its curve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from descend.loss_logs.judgment import LogVerdict
from descend.runs.events import ProgramWarning

PROBABILITY = {"weights_not_in_optimizer": 0.95, "step_never_called": 0.95}
"""Of bugs that were seen, and not guessed from a curve. Weights without a gradient may be unused on
purpose, so for others it is that of a guess."""

GUESS = 0.5
FIX = " Fix: "


def add_program_faults(verdict: LogVerdict, warnings: Sequence[ProgramWarning]) -> LogVerdict:
    """Return the verdict of the curve, changed to the first bug of the program, if there is one.

    Any other warning leaves open whether a curve that falls as it should is normal.
    """
    bugs = sorted((w for w in warnings if w.bug), key=lambda w: -PROBABILITY.get(w.bug, GUESS))
    leading = (bugs or ([] if verdict.normal == "no" else list(warnings)))[:1]
    notes = [w.text.rstrip(".") for w in warnings if w not in leading] + verdict.notes
    if not leading:
        return replace(verdict, notes=notes)
    reason, _, fix = leading[0].text.partition(FIX)
    probability = PROBABILITY.get(leading[0].bug, GUESS)
    is_wrong = probability > GUESS or verdict.normal == "no"
    return LogVerdict(
        reason.rstrip("."), "no" if is_wrong else "cannot tell", probability,
        advice=fix.rstrip("."), ruled_out=verdict.ruled_out,
        notes=[*notes, f"the curve alone: {verdict.reason}"], state=leading[0].bug or "unknown",
    )  # fmt: skip
