"""A report as a file: what is reported on, where it goes, and what is never overwritten."""

from __future__ import annotations

from pathlib import Path

import msgspec

from descend.errors import RunFolderError, UserError
from descend.report.html import MARK, render
from descend.report.run_report import run_report
from descend.runs.durable import write_file

NAME = "report.html"

HEAD_BYTES = 2048
"""The maker of a report is named within so much of its beginning."""


class WrittenReport(msgspec.Struct, frozen=True):
    """`report --json`: the file, its size, what stands in it and what could not."""

    file: str
    bytes: int
    sections: list[str]
    figures: int
    notes: list[str]


def write_report(what: Path, output: Path | None = None) -> WrittenReport:
    """Write the report on `what`, the folder of a run, to `output` or into its folder.

    Raises `RunFolderError` where there is no run, `UserError` where another file would be
    overwritten, `DiskError` if the disk refuses.
    """
    if not what.is_dir():
        raise RunFolderError(
            str(what), "a file" if what.exists() else "no such folder", "the folder of a run",
            "check the path",
        )  # fmt: skip
    file = what / NAME if output is None else output
    _check_place(file)
    page = run_report(what)
    content = render(page).encode()
    write_file(file, content)
    return WrittenReport(
        str(file), len(content), [s.name for s in page.sections], len(page.figures()),
        list(page.notes),
    )  # fmt: skip


def _check_place(file: Path) -> None:
    """A report may replace a report, nothing else."""
    if file.is_dir():
        raise UserError(
            str(file), "a folder", "the name of a file", f"write to {file / NAME}"
        )  # fmt: skip
    if file.exists():
        with file.open("rb") as opened:
            head = opened.read(HEAD_BYTES)
        if f'content="{MARK}"'.encode() not in head:
            raise UserError(
                str(file), "a file that is no report", "a new file or an older report",
                "choose another name",
            )  # fmt: skip
