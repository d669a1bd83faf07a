"""One recorded run on a screen: its state, its curve, its result and what to do next."""

from __future__ import annotations

import msgspec

from descend.report.text.loss_curve import format_loss_curve, loss_curve_from_events
from descend.report.text.run_summary import format_run_end, next_commands
from descend.runs.recorded_run import RecordedRun
from descend.runs.run_files import has_summary
from descend.runs.run_list import ListedRun
from descend.runs.suggestions import retrain_command, suggest_fix
from descend.units import format_count


def overview_lines(listed: ListedRun, run: RecordedRun, columns: int) -> list[str]:
    """Return what `descend show` prints on standard output, `columns` wide."""
    return [
        _head(listed, run),
        *format_loss_curve(loss_curve_from_events(run.events), columns),
        *_result(listed, run),
    ]


def _head(listed: ListedRun, run: RecordedRun) -> str:
    facts = [f"{listed.run}: {listed.state}"]
    if listed.corpus:
        facts.append(f"text {listed.corpus}")
    if listed.parameters:
        facts.append(f"{listed.parameters:,} parameters")
    done = format_count(listed.epochs, "epoch") if listed.epochs else "no whole epoch"
    facts.append(f"{done} ({format_count(run.num_steps, 'step')})")
    return ", ".join(facts)


def _result(listed: ListedRun, run: RecordedRun) -> list[str]:
    if listed.state == "diverged":
        problem = run.stopped.problem if run.stopped else ""
        where = f" at step {run.stopped.step:,}" if run.stopped else ""
        return [f"Training diverged{where}" + (f": {problem}." if problem else ".")]
    if not has_summary(run.folder):
        return ["No epoch has ended yet, so there is no validation loss."]
    return [format_run_end(run.summary)]


def next_step(listed: ListedRun, run: RecordedRun) -> str:
    """Return the line that says what to type next."""
    if listed.state == "finished":
        # The summary names the folder in which the run was made, which may have been moved.
        return next_commands(msgspec.structs.replace(run.summary, model_dir=str(run.folder)))
    if listed.state == "diverged":
        return f"next: {retrain_command(run.folder)}"
    fix = suggest_fix(run.folder)
    command = fix.partition("`")[2].partition("`")[0]
    return f"next: {command}" if command else f"next: {fix}"
