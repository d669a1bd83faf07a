"""`descend check`."""

from __future__ import annotations

from typing import Annotated

import typer

from descend.cli.config_flags import JsonOption
from descend.cli.output import print_json, print_result


def check(
    module: Annotated[
        str,
        typer.Argument(metavar="MODULE", help="A dotted name, or the path of a .py file."),
    ],
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="[-- ARGUMENTS]", help="The program's own arguments, after `--`."),
    ] = None,
    timeout: Annotated[
        float,
        typer.Option("--timeout", metavar="SECONDS", min=1, help="Time that the check may take."),
    ] = 300.0,
    memory: Annotated[
        float | None,
        typer.Option(
            "--memory", metavar="GB", min=0.5,
            help="Memory that the program may take. Default: three quarters of what is free.",
        ),
    ] = None,
    in_place: Annotated[
        bool,
        typer.Option("--in-place", help="Work in the folder itself, not in a scratch copy of it."),
    ] = False,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Look for bugs in a PyTorch training program by trying it out; see docs/check.md.

    The module is imported, so it runs: in a process of its own, in a copy of its folder.
    Exit code 0: nothing found. 1: a bug. 2: your mistake. 3: not checked.

    descend check my_training.py

    descend check my_training.py -- --lr 1e-3
    """
    from descend.program_check.child_process import CheckLimits, check_in_child
    from descend.report.text.check import format_check_report

    max_memory_bytes = None if memory is None else int(memory * 2**30)
    checked = check_in_child(
        module, arguments or [], CheckLimits(timeout, max_memory_bytes, in_place)
    )
    if as_json:
        print_json(checked)
    else:
        print_result(format_check_report(checked))
    if checked.exit_code:
        raise typer.Exit(checked.exit_code)
