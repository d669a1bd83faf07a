"""`--trials-file`: each trial as it ends, as one JSON object a line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from descend.runs.atomic_write import disk_error

TrialsFile = Annotated[
    Path | None,
    typer.Option(
        "--trials-file",
        metavar="FILE",
        help="Write each trial to this file as it ends, as one JSON object a line.",
    ),
]


def make_trial_writer(file: Path | None) -> Callable[[msgspec.Struct], None] | None:
    """Empty `file`, and return what writes a trial to it; None without a file."""
    if file is None:
        return None

    def write(mode: str, content: bytes) -> None:
        try:
            with file.open(mode) as trials:
                trials.write(content)
        except OSError as problem:
            raise disk_error(file, problem) from None

    file.unlink(missing_ok=True)  # a link that stands there would be followed
    write("xb", b"")
    return lambda trial: write("ab", msgspec.json.encode(trial) + b"\n")
