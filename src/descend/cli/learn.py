"""`descend learn`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from descend.cli.config_flags import JsonOption
from descend.cli.output import print_report, print_status, set_up_logging, stderr_console
from descend.errors import ConfigError


def learn(
    lesson: Annotated[
        str | None,
        typer.Argument(metavar="[LESSON]", help="Name or number of a lesson. Default: list them."),
    ] = None,
    text: Annotated[
        str,
        typer.Option(
            "--text", metavar="CORPUS", help="Text of the experiment, as in `descend train`."
        ),
    ] = "stories",
    prediction: Annotated[
        int | None,
        typer.Option(
            metavar="INT",
            help="Your prediction: the number of a choice. Range: 1 to the last choice.",
        ),
    ] = None,
    save_dir: Annotated[
        Path | None,
        typer.Option("--save-dir", metavar="DIR", help="Output folder. Default: lessons/LESSON."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Learn how training works: eight short lessons with experiments."""
    from descend.handbook.lesson import load_lesson, load_lessons
    from descend.report.text.lesson_text import lesson_list, lesson_result_text, lesson_text

    if lesson is None:
        lessons = list(load_lessons().values())
        print_report("learn", {"lessons": lessons}, lambda: lesson_list(lessons), as_json)
        return
    chosen = load_lesson(lesson)
    if prediction is not None and not 1 <= prediction <= len(chosen.choices):
        raise ConfigError(
            "--prediction", str(prediction), f"1 to {len(chosen.choices)}",
            "name the number of a choice",
        )  # fmt: skip
    print_status(lesson_text(chosen))

    from descend.api.lessons import run_lesson

    set_up_logging("info")
    folder = Path("lessons") / chosen.name if save_dir is None else save_dir
    result = run_lesson(chosen.name, text, folder, console=stderr_console())
    print_report(
        "learn",
        {"lessons": [chosen], "result": result},
        lambda: lesson_result_text(chosen, result, prediction),
        as_json,
    )
