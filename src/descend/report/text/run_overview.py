"""One recorded run on a screen: its state, its curve, and its result."""

from __future__ import annotations

from descend.report.text.loss_curve import format_loss_curve, loss_curve_from_events
from descend.report.text.run_summary import format_run_end
from descend.runs.epochs_read import format_epochs_read
from descend.runs.recorded_run import RecordedRun
from descend.runs.run_files import has_summary
from descend.runs.run_list import ListedRun
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
    done = format_epochs_read(run.summary) if listed.epochs else "no whole epoch"
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
