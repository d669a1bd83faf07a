"""`descend show`."""

from __future__ import annotations

from descend.cli.config_flags import JsonOption, RunArgument
from descend.cli.output import print_json, print_result, print_status, terminal_columns


def show(
    run: RunArgument,
    as_json: JsonOption = False,
) -> None:
    """Show a run: its state, its loss curve, its result, and what to do next."""
    from descend.handbook.run_notes.diagnosis_notes import load_saved_diagnosis
    from descend.report.text.next_step import choose_next_step, format_next_step
    from descend.report.text.run_overview import overview_lines
    from descend.runs.recorded_run import RecordedRun
    from descend.runs.run_list import describe_run

    recorded_run = RecordedRun(run)
    _ = recorded_run.metadata  # raises where this is no run
    listed = describe_run(run)
    step = choose_next_step(recorded_run, load_saved_diagnosis(run))
    if as_json:
        content = {
            "run": listed,
            "epochs": recorded_run.epochs,
            "next": step.command or step.action,
        }
        print_json("show", content)
        return
    print_result("\n".join(overview_lines(listed, recorded_run, terminal_columns())))
    print_status(format_next_step(step))
