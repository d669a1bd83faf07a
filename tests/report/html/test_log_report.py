"""The report of a training that descend did not start, from a watched loop and from a log."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

import descend
from descend.errors import LogError, RunFolderError
from descend.report.html.log_report import log_report
from descend.report.html.report_page import ReportPage, ReportTable
from descend.report.html.sections.optimization import median_update_ratios
from descend.report.html.write import write_report
from descend.runs.events import WeightUpdateStats


def watch_loop(folder: Path, steps: int = 60) -> None:
    torch.manual_seed(1)
    model = nn.Sequential(nn.Embedding(9, 8), nn.Flatten(), nn.Linear(32, 9))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    inputs, targets = torch.randint(9, (48, 4)), torch.randint(9, (48,))
    with descend.watch(model, optimizer, folder) as watch:
        for step in range(steps):
            loss = nn.functional.cross_entropy(model(inputs), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            watch.step(loss)
            if step % 20 == 19:
                watch.validation(loss)


def titles(page: ReportPage) -> list[str]:
    return [figure.title.split(",")[0] for figure in page.figures()]


def test_report_shows_what_a_watch_recorded(tmp_path: Path) -> None:
    watch_loop(tmp_path / "loop")
    page = log_report(tmp_path / "loop")
    assert [section.name for section in page.sections] == ["diagnosis", "updates", "layers"]
    assert titles(page) == [
        "Loss", "Norm of the gradient", "Learning rate", "How far one step moves the weights"
    ]  # fmt: skip
    assert page.facts.facts[0].value == "60"
    layers = next(b for b in page.blocks() if isinstance(b, ReportTable) and "Layers" in b.caption)
    assert [row[0] for row in layers.rows] == ["0", "2"]
    written = write_report(tmp_path / "loop")
    assert Path(written.file) == tmp_path / "loop" / "report.html"
    assert write_report(tmp_path / "loop") == written  # an older report is replaced


def test_report_stands_beside_a_log_and_keeps_its_numbers(tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    lines = [f"step {n}: train loss {4 - n / 20}, val loss {3 + n / 40}\n" for n in range(40)]
    log.write_text("".join(lines))
    written = write_report(log)
    assert Path(written.file) == tmp_path / "train.report.html"
    page = log_report(log)
    assert titles(page) == ["Loss"]
    assert "training loss from 4 to 2.05" in page.figures()[0].label
    assert page.lead[0].startswith("No, this curve is not normal")


def test_report_of_a_diverged_loop_leaves_out_what_is_not_finite(tmp_path: Path) -> None:
    log = tmp_path / "train.csv"
    rows = [f"{n},{3.0 if n < 30 else 'nan'}\n" for n in range(40)]
    log.write_text("step,loss\n" + "".join(rows))
    write_report(log)
    assert "diverged" in str(log_report(log).lead + log_report(log).sections)


def test_report_refuses_what_holds_no_losses(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(RunFolderError, match=r"run\.json"):
        write_report(tmp_path / "folder")
    (tmp_path / "notes.txt").write_text("nothing of use here\n")
    with pytest.raises(LogError):
        write_report(tmp_path / "notes.txt")


def test_median_update_ratios_skip_matrices_that_do_not_move() -> None:
    record = WeightUpdateStats(26, {"a": 1.0, "b": 1.0}, {}, {"a": 0.0, "b": 0.002})
    still = WeightUpdateStats(51, {"a": 0.0}, {}, {"a": 0.1})
    assert median_update_ratios([record, still]) == [(26, 0.002)]
