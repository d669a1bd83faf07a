"""`descend check`."""

from __future__ import annotations

from typing import Annotated

import typer

from descend.cli.config_flags import JsonOption
from descend.cli.output import print_json, print_result


def check(
    module: Annotated[
        str,
        typer.Argument(metavar="MODULE", help="A module name, or the path of a .py file."),
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
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Check a PyTorch training program for 27 common bugs by running it briefly.

    The program runs in a separate process, in a copy of its folder. See docs/check.md.

    Exit codes: 0 no bug found, 1 a bug, 2 a mistake in the command, 3 not checked.
    """
    from descend.program_check.child_process import CheckLimits, check_in_child
    from descend.report.text.check import format_check_report

    max_memory_bytes = None if memory is None else int(memory * 2**30)
    checked = check_in_child(
        module, arguments or [], CheckLimits(timeout, max_memory_bytes, in_place)
    )
    if as_json:
        print_json("check", checked)
    else:
        print_result(format_check_report(checked))
    if checked.exit_code:
        raise typer.Exit(checked.exit_code)
