"""The part of `descend diagnose` for other programs: its options, and what it prints."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from descend.cli.output import print_report, print_status
from descend.errors import ConfigError

Program = Annotated[
    str | None,
    typer.Option(
        "--program",
        metavar="COMMAND",
        rich_help_panel="Program",
        help="Instead of a run: a training program to run in paired trials, as one text.",
    ),
]
Metric = Annotated[
    str | None,
    typer.Option(
        "--metric",
        metavar="NAME",
        rich_help_panel="Program",
        help="With --program: the loss that it prints, as val_loss.",
    ),
]
MetricFile = Annotated[
    str | None,
    typer.Option(
        "--metric-file",
        metavar="PATTERN",
        rich_help_panel="Program",
        help="With --program: the file that it writes the metric to, as 'runs/*/events.jsonl'. "
        "Default: the metric is printed.",
    ),
]
Map = Annotated[
    list[str] | None,
    typer.Option(
        "--map",
        metavar="KEY=FLAG[=VALUE]",
        rich_help_panel="Program",
        help="With --program: its flag for learning_rate, batch_size, num_layers, dropout_rate, "
        "seed, max_steps, max_tokens, or num_epochs, and the value it has without the flag. May "
        "be repeated.",
    ),
]
Seeds = Annotated[
    int,
    typer.Option(
        "--seeds",
        metavar="INT",
        rich_help_panel="Program",
        help="With --program: pairs of each trial. Range: 2 or more.",
    ),
]
TrialSeconds = Annotated[
    float,
    typer.Option(
        "--trial-seconds",
        metavar="FLOAT",
        rich_help_panel="Program",
        help="With --program: time limit of one trial in seconds. Range: above 0.",
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        metavar="INT",
        min=1,
        rich_help_panel="Program",
        help="With --program: trials at a time. Default: 1, and on a Ray cluster all.",
    ),
]


def diagnose_command(
    program: str,
    mappings: list[str] | None,
    metric: str | None,
    metric_file: str | None,
    options: dict[str, Any],
    as_json: bool,
) -> set[str]:
    """Run the trials of a program, print the result, and return the name of the verdict."""
    from descend.program_trials.diagnose_program import TrialOptions, diagnose_program
    from descend.program_trials.program_flags import parse_program
    from descend.report.text.program_diagnosis import format_program_diagnosis

    if metric is None:
        raise ConfigError(
            "--metric", "nothing", "the loss that the program prints",
            "add --metric val_loss, or the name that it prints",
        )  # fmt: skip
    flags = parse_program(program, mappings or [])
    diagnosis = diagnose_program(
        flags, TrialOptions(metric, metric_file, **options), on_trial=print_status
    )
    print_report("diagnose", diagnosis, lambda: format_program_diagnosis(diagnosis), as_json)
    return {diagnosis.verdict}
