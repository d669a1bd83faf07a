"""A report as a file: what is reported on, where it goes, and what is never overwritten."""

from __future__ import annotations

from pathlib import Path

import msgspec

from descend.artifacts import ATTRIBUTION_FILE, COMPARISON_FILE, RUN_FILE, SEARCH_FILE
from descend.errors import RunFolderError, UserError
from descend.experiments.attribute.attribution_result import Attribution
from descend.experiments.compare.comparison_result import Comparison
from descend.experiments.experiment_folder import read_record
from descend.experiments.search.search_result import SearchResult
from descend.guard import open_regular
from descend.loss_logs.log_folder import holds_other_log
from descend.report.html.attribution_report import attribution_report
from descend.report.html.comparison_report import comparison_report
from descend.report.html.log_report import log_report
from descend.report.html.rendering import MARK, render
from descend.report.html.report_page import ReportPage
from descend.report.html.run_report import run_report
from descend.report.html.search_report import search_report
from descend.report.html.unfinished_run_report import unfinished_run_report
from descend.runs.atomic_write import write_file_atomic
from descend.runs.folder_errors import not_a_run_error
from descend.runs.recorded_run import open_recorded_run
from descend.runs.run_files import REPORT, has_model, is_run_folder

EXPERIMENTS = (COMPARISON_FILE, ATTRIBUTION_FILE, SEARCH_FILE)
"""Files that may be named instead of their folder."""

HEAD_BYTES = 2048
"""The maker of a report is named within so much of its beginning."""


class WrittenReport(msgspec.Struct, frozen=True):
    """`report --json`: the file, its size, what stands in it and what could not."""

    file: str
    bytes: int
    sections: list[str]
    figures: int
    warnings: list[str]


def write_report(what: Path, output: Path | None = None) -> WrittenReport:
    """Write the report on `what` to `output`, or into its folder, or beside a log file.

    `what`: the folder of a run, an experiment, or a watched loop, or a log of another program.
    Raises `RunFolderError` where there is neither, `LogError` for a file without losses,
    `UserError` where another file would be overwritten, `DiskWriteError` if the disk refuses.
    """
    folder = what.parent if what.name in EXPERIMENTS and what.is_file() else what
    if not folder.exists():
        raise RunFolderError(
            str(what), "no such folder", "the folder of a run or of an experiment", "check the path"
        )
    file = output or (folder / REPORT if folder.is_dir() else folder.with_suffix(f".{REPORT}"))
    _check_report_path(file)
    page = make_report_page(folder)
    content = render(page).encode()
    write_file_atomic(file, content)
    return WrittenReport(
        str(file), len(content), [s.name for s in page.sections], len(page.figures()),
        list(page.warnings),
    )  # fmt: skip


def make_report_page(folder: Path) -> ReportPage:
    """Return the report on `folder`, or on a log file.

    Raises `RunFolderError` or `LogError` where there is nothing to report on.
    """
    if is_run_folder(folder):
        run = open_recorded_run(folder)
        return run_report(run) if run.epochs else unfinished_run_report(run)
    if (folder / COMPARISON_FILE).exists():
        return comparison_report(read_record(folder, COMPARISON_FILE, Comparison), folder)
    if (folder / ATTRIBUTION_FILE).exists():
        return attribution_report(read_record(folder, ATTRIBUTION_FILE, Attribution), folder)
    if (folder / SEARCH_FILE).exists():
        return search_report(read_record(folder, SEARCH_FILE, SearchResult), folder)
    if folder.is_file() or holds_other_log(folder):
        return log_report(folder)
    raise not_a_run_error(folder, RUN_FILE, model=has_model(folder))


def _check_report_path(file: Path) -> None:
    """Refuse to replace anything but a report."""
    if file.is_dir():
        raise UserError(
            str(file), "a folder", "the name of a file", f"write to {file / REPORT}"
        )  # fmt: skip
    if file.exists():
        try:
            with open_regular(file) as opened:
                head = opened.read(HEAD_BYTES)
        except OSError as problem:
            raise UserError(
                str(file), f"no file that can be read ({problem.strerror or problem})",
                "a new file or an older report", "choose another name",
            ) from None  # fmt: skip
        if f'content="{MARK}"'.encode() not in head:
            raise UserError(
                str(file), "a file that is no report", "a new file or an older report",
                "choose another name",
            )  # fmt: skip
