"""What happened on the way stands in the curves where it happened, and in a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from descend import run
from descend.report.html.report_page import Figure, ReportPage, ReportTable, Section
from descend.report.html.run_report import run_report
from descend.runs.recorded_run import open_recorded_run
from descend.runs.run_folder import read_summary

ABSURD = {"learning_rate": 10.0, "gradient_clip": 0.0, "schedule": "constant", "warmup_steps": 0,
          "optimizer": "adamw", "architecture": "gpt"}  # fmt: skip
"""Settings with which the numbers run away in the second step."""


@pytest.fixture(scope="module")
def rolled_back_run(text_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from ...conftest import TINY

    folder = tmp_path_factory.mktemp("models") / "rescued"
    run({"corpus_dir": str(text_file), "save_dir": str(folder)} | TINY | ABSURD)
    return folder


def section(folder: Path, name: str) -> Section:
    return next(s for s in page(folder).sections if s.name == name)


def page(folder: Path) -> ReportPage:
    return run_report(open_recorded_run(folder))


def loss_figure(folder: Path) -> Figure:
    figure = page(folder).figure
    assert figure is not None
    return figure


def marks(figure: Figure) -> list[tuple[str, float]]:
    return [
        (mark["name"], mark["xAxis"])
        for series in figure.option["series"]
        for mark in series.get("markLine", {}).get("data", [])
        if "xAxis" in mark
    ]


def figures(section: Section) -> list[Figure]:
    return [b for b in section.blocks if isinstance(b, Figure)]


def test_every_rollback_is_in_table_and_curves(rolled_back_run: Path) -> None:
    rollbacks = read_summary(rolled_back_run).rollbacks
    assert len(rollbacks) > 2
    assert section(rolled_back_run, "learning").teaser == ""  # open: its marks are explained
    learning, inside = section(rolled_back_run, "learning"), section(rolled_back_run, "inside")
    table = next(
        b for b in learning.blocks if isinstance(b, ReportTable) and "diverged" in b.caption
    )
    assert [row[0] for row in table.rows] == [str(n) for n in range(1, len(rollbacks) + 1)]
    for row, rollback in zip(table.rows, rollbacks, strict=True):
        assert row[1:4] == (f"{rollback.failed_step:,}", rollback.problem, f"{rollback.step:,}")
    assert table.rows[1][4] == "gradients clipped at 1"
    assert all(r.step == 0 for r in rollbacks)
    for figure in [loss_figure(rolled_back_run), *figures(learning), *figures(inside)[:2]]:
        assert (f"1–{len(rollbacks)}", 0.0) in marks(figure)


def test_stable_run_shows_schedule_phases_without_rollback_table(trained: Path) -> None:
    learning = section(trained, "learning")
    assert not any("diverged" in b.caption for b in learning.blocks if isinstance(b, ReportTable))
    named: dict[str, Any] = dict(marks(loss_figure(trained)))
    assert list(named)[:2] == ["warmup ends", "rate falls"]
    assert 0 < named["warmup ends"] < 0.2
    assert 1.0 < named["rate falls"] < 1.1  # after half of what follows a short warmup


def test_per_epoch_learning_rate_is_marked_at_boundary(tiny: dict[str, object]) -> None:
    run({**tiny, "save_dir": "steps", "learning_rate": {1: 0.01, 2: 0.002}, "warmup_steps": 0})
    assert ("rate 0.002", 1.0) in marks(loss_figure(Path("steps")))


def test_token_dropout_explains_higher_training_loss(
    trained: Path, tiny: dict[str, object]
) -> None:
    def words(folder: Path) -> str:
        return " ".join(getattr(b, "text", "") for b in section(folder, "learning").blocks)

    run(tiny | {"save_dir": "hidden", "token_dropout": 0.5})
    assert "50% of their tokens were dropped (`token_dropout`)" in words(Path("hidden"))
    assert "made harder on purpose" not in words(trained)


def test_nondefault_settings_are_listed_first(trained: Path) -> None:
    requested_table, default_table = (
        b for b in section(trained, "settings").blocks if isinstance(b, ReportTable)
    )
    rows = {row[0]: row[1:] for row in requested_table.rows}
    assert rows["embed_dim"] == ("16", "set by you", "256")
    assert rows["warmup_steps"][1:] == ("automatic", "not set")
    assert ("max_steps", "–") in default_table.rows
    assert not set(rows) & {row[0] for row in default_table.rows}
    assert default_table.folded
