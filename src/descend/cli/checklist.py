"""`descend checklist`."""

from __future__ import annotations

from descend.cli.config_flags import JsonOption, RunArgument
from descend.cli.output import print_report


def checklist(
    run: RunArgument,
    as_json: JsonOption = False,
) -> None:
    """Check a run against five rules: model size, learning rate, batch size, context, data."""
    from descend.handbook.checklist import answer_checklist
    from descend.report.text.run_summary import checklist_text

    result = answer_checklist(run)
    print_report("checklist", result, lambda: checklist_text(result), as_json)
