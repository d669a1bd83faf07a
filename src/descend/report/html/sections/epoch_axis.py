"""Steps as epochs gone by: the axis that all curves of a run share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from descend.runs.recorded_run import RecordedRun


def steps_to_epochs(run: RecordedRun, steps: Sequence[int]) -> list[float]:
    """Return each step as epochs gone by: 0 at the start, 1 after the first."""
    ends = [0, *(e.step for e in run.epochs)]
    done = [0.0, *(float(e.epoch) for e in run.epochs)]
    per_step = (done[-1] - done[-2]) / max(ends[-1] - ends[-2], 1)
    return [
        float(np.interp(step, ends, done)) if step <= ends[-1]
        else done[-1] + (step - ends[-1]) * per_step
        for step in steps
    ]  # fmt: skip
