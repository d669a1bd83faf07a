"""The command that helps a run in the state that it is in.

One place decides it, so that two verbs can never send a person back and forth between them. A test
types each suggestion in the state that makes it (tests/cli/test_states.py).
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from descend.runs.checkpoint_folders import latest_checkpoint
from descend.runs.event_log import read_events
from descend.runs.events import TrainingStarted, TrainingStopped
from descend.runs.run_files import (
    TOKENIZER,
    has_summary,
    is_finished,
    is_run_folder,
    missing_model_files,
    read_info,
)

DEFAULT_RATE = 0.001
"""The default of `learning_rate`: what a run that diverged at a far higher one should try."""
FAR_ABOVE = 3.0
"""Times the default from which a rate is taken for a mistake; under it a third is suggested, the
first change that the rollback of `training.rollback` makes to a rate."""


def has_diverged(folder: Path) -> bool:
    """Return whether the run in `folder` ended because its loss was not finite or exploded."""
    marks = [r for r in read_events(folder) if isinstance(r, TrainingStarted | TrainingStopped)]
    last = marks[-1] if marks else None
    return isinstance(last, TrainingStopped) and last.reason == "diverged"


def lacks_model(folder: Path) -> bool:
    """Return whether a file of the model is missing in `folder`."""
    return bool(missing_model_files(folder))


@dataclass(frozen=True)
class NextStep:
    """What to do next, and the command that does it, where there is one."""

    action: str
    command: str | None = None


def suggest_fix(folder: Path) -> str:
    """Return what to do about a run in `folder` that cannot be used as it is, with the command."""
    return describe_next_step(choose_fix(folder))


def describe_next_step(step: NextStep) -> str:
    """Return `step` as the rest of a sentence, with its command in backticks."""
    return f"{step.action} with `{step.command}`" if step.command else step.action


def choose_fix(folder: Path) -> NextStep:
    """Return what to do about a run in `folder` that cannot be used as it is."""
    name = shlex.quote(str(folder))
    if not is_run_folder(folder):
        return NextStep("restore the file from a copy")
    if has_diverged(folder):
        return NextStep("train again at a lower rate", retrain_command(folder))
    if (folder / TOKENIZER).is_file() and latest_checkpoint(folder) is not None:
        finished = has_summary(folder) and is_finished(folder)
        what = "write the model again from its checkpoint" if finished else "finish the run"
        return NextStep(what, f"descend resume {name}")
    return NextStep("train it again", f"descend train --from-run {name}")


def retrain_command(folder: Path) -> str:
    """Return the command that makes the run in `folder` again with a learning rate that is
    lower."""
    rate = lower_rate(read_info(folder).resolved_config["learning_rate"])
    return f"descend train --from-run {shlex.quote(str(folder))} --learning-rate {rate}"


def lower_rate(rate: Any) -> str:
    """Return a learning rate (or one per epoch) to try after `rate` made a run diverge, as a
    flag."""
    if isinstance(rate, dict):
        return ",".join(f"{epoch}:{value / FAR_ABOVE:.2g}" for epoch, value in rate.items())
    return f"{DEFAULT_RATE if rate > FAR_ABOVE * DEFAULT_RATE else rate / FAR_ABOVE:.2g}"
