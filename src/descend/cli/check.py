"""`descend check`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from descend.cli.config_flags import JsonOption
from descend.cli.output import print_report, print_status
from descend.errors import ConfigError

DATA_SUFFIXES = (".jsonl", ".ndjson", ".json")
"""Names of files that are data and no program."""

TokenizerFolder = Annotated[
    Path | None,
    typer.Option(
        "--tokenizer",
        metavar="FOLDER",
        help="Data: the folder of the tokenizer, with its chat template.",
    ),
]
ValidationFile = Annotated[
    Path | None,
    typer.Option(
        "--validation",
        metavar="FILE",
        help="Data: validation file. Examples in both files are reported.",
    ),
]
MaxLength = Annotated[
    int | None,
    typer.Option(
        "--max-length",
        metavar="INT",
        min=1,
        help="Data: tokens after which training cuts off an example. Default: the limit of the "
        "tokenizer.",
    ),
]


def check(
    module: Annotated[
        str,
        typer.Argument(
            metavar="MODULE", help="A module name, a .py file, or fine-tuning data (.jsonl, .json)."
        ),
    ],
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="[-- ARGUMENTS]", help="The program's own arguments, after `--`."),
    ] = None,
    timeout: Annotated[
        float,
        typer.Option("--timeout", metavar="FLOAT", min=1, help="Time limit in seconds."),
    ] = 300.0,
    memory: Annotated[
        float | None,
        typer.Option(
            "--memory", metavar="FLOAT", min=0.5,
            help="Memory limit of the program in GB. Default: three quarters of the free memory.",
        ),
    ] = None,
    in_place: Annotated[
        bool,
        typer.Option("--in-place", help="Run in the folder itself, not in a temporary copy."),
    ] = False,
    tokenizer: TokenizerFolder = None,
    validation: ValidationFile = None,
    max_length: MaxLength = None,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Check a PyTorch training program for 30 common bugs, or fine-tuning data for problems.

    The program runs briefly in a separate process, in a copy of its folder. See docs/check.md.

    Exit codes: 0 nothing found, 1 a problem, 2 a wrong command, 3 not checked.
    """
    if Path(module).suffix.lower() in DATA_SUFFIXES:
        _check_data(Path(module), tokenizer, validation, max_length, as_json=as_json)
        return
    if (tokenizer, validation, max_length) != (None, None, None):
        raise ConfigError(
            "check", f"a flag for data together with {module}",
            f"data ({', '.join(DATA_SUFFIXES)})", "name the file with the data",
        )  # fmt: skip
    from descend.program_check.child_process import CheckLimits, check_in_child
    from descend.report.text.check_summary import format_check_report, progress_lines

    limits = CheckLimits(timeout, None if memory is None else int(memory * 2**30), in_place)
    progress = progress_lines(print_status, timeout)
    checked = check_in_child(module, arguments or [], limits, progress)
    print_report("check", checked, lambda: format_check_report(checked), as_json)
    if checked.exit_code:
        raise typer.Exit(checked.exit_code)


def _check_data(
    file: Path, tokenizer: Path | None, validation: Path | None, max_length: int | None,
    *, as_json: bool,
) -> None:  # fmt: skip
    from descend.data_check.check_data import check_data
    from descend.report.text.data_check import format_data_check

    checked = check_data(file, tokenizer, validation, max_length)
    print_report("check", checked, lambda: format_data_check(checked), as_json)
    if checked.exit_code:
        raise typer.Exit(checked.exit_code)
