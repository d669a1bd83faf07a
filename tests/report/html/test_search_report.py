"""The report and the card of a search, held against its record."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from descend.artifacts import SEARCH_FILE
from descend.config import RunConfig
from descend.errors import RunFolderError
from descend.experiments.compare.comparison_result import Comparison
from descend.experiments.experiment_folder import write_record
from descend.experiments.search.search_result import KeyImportance, SearchResult, SearchTrial
from descend.experiments.search.space import ChoiceParam, RangeParam
from descend.report.html.report_page import Command, Figure, ReportPage, ReportTable
from descend.report.html.search_report import search_report
from descend.report.html.write import write_report
from descend.report.notebook.cards import search_card

from .test_experiment_report import arm, compared

__all__ = ["compared"]


def tried(number: int, rate: float, width: int, bits: float, **keys: Any) -> SearchTrial:
    values: dict[str, Any] = {
        "number": number, "values": {"learning_rate": rate, "embed_dim": width},
        "state": "finished", "bits_per_byte": bits, "validation_loss": 2 * bits, "accuracy": 0.25,
        "seconds": 3.0, "steps": 30, "parameters": 99, "diverged_step": None,
        "failure_reason": None, "evaluations": [(0.5, bits + 1), (1.0, bits)],
    }  # fmt: skip
    return SearchTrial(**values | keys)


@pytest.fixture
def searched(compared: Comparison) -> SearchResult:
    two = [arm("base", 4.0, None), compared.arms[1]]
    nothing = {"bits_per_byte": None, "validation_loss": None, "accuracy": None, "seconds": None}
    return SearchResult(
        corpus="my/texts", budget_unit="seconds", budget=3.0, minutes=2.0, minutes_used=1.5,
        space=[RangeParam(key="learning_rate", low=1e-4, high=0.01, whole=False, log=True),
               ChoiceParam(key="embed_dim", values=[16, 32, 64])],
        seed=42, evaluation_tokens=1000, base=RunConfig().model_dump(mode="json"),
        trials=[tried(0, 0.001, 16, 2.5), tried(1, 0.004, 32, 2.25), tried(2, 0.003, 32, 2.4),
               tried(4, 0.0001, 16, 3.0, state="stopped"),
               tried(5, 0.009, 16, 8.0, diverged_step=3),
               tried(6, 0.002, 64, 0.0, state="failed", failure_reason="too large <b>", **nothing)],
        base_number=0, best_number=1, best=RunConfig().model_dump(mode="json"),
        importance=[KeyImportance("learning_rate", 0.7), KeyImportance("embed_dim", 0.3)],
        confirmation=msgspec.structs.replace(compared, arms=two),
        sentence="The best is <i>sure</i>.", train_command="descend train my/texts --embed-dim 32",
        command="descend search my/texts --minutes 2", study="searches/x/study.db",
    )  # fmt: skip


def blocks_of(page: ReportPage, kind: type) -> list[Any]:
    return [b for s in page.sections for b in s.blocks if isinstance(b, kind)]


def test_search_report_ranks_and_lists_every_trial(searched: SearchResult, tmp_path: Path) -> None:
    page = search_report(searched, tmp_path)
    assert page.lead == (searched.sentence,)
    best, *_ = tables = blocks_of(page, ReportTable)
    assert [row[1:3] for row in best.rows] == [
        ("0.004", "32"), ("0.003", "32"), ("0.001", "16"), ("0.009", "16"),
    ]  # fmt: skip
    assert best.rows[0][3] == "2.250"
    everything = tables[-1]
    assert [row[0] for row in everything.rows] == ["1", "2", "3", "5", "6", "7"]
    assert [row[-1] for row in everything.rows][3:] == ["stopped", "diverged", "too large <b>"]
    assert everything.rows[5][3] == "–"  # nothing was measured
    assert everything.strong == {1}
    assert "1 ended early" in page.facts.facts[1].unit


def test_search_report_shows_importance_confirmation_and_commands(
    searched: SearchResult, tmp_path: Path
) -> None:
    page = search_report(searched, tmp_path)
    assert [s.name for s in page.sections] == [
        "best", "confirmed", "curves", "decided", "trials", "again",
    ]  # fmt: skip
    assert [c.text for c in blocks_of(page, Command)] == [searched.train_command, searched.command]
    weights = next(t for t in blocks_of(page, ReportTable) if t.caption == "Importance of each key")
    assert weights.rows == (("learning_rate", "70%"), ("embed_dim", "30%"))
    by_key = next(f for f in blocks_of(page, Figure) if f.choices)
    assert list(by_key.choices) == ["learning_rate", "embed_dim"]
    dots = by_key.choices["learning_rate"]["series"][0]["data"]
    assert dots == [[0.001, 0.0], [0.004, 0.25], [0.003, 0.1], [0.009, -5.5]]
    # Of each value the best that was finished; 64 never was.
    assert by_key.choices["embed_dim"]["xAxis"]["data"] == ["16", "32"]
    assert [d["value"] for d in by_key.choices["embed_dim"]["series"][0]["data"]] == [0.0, 0.25]
    assert "+0.500 (+0.400 to +0.600)" in str(blocks_of(page, ReportTable)[1].rows)


def test_the_base_may_be_the_best(searched: SearchResult, tmp_path: Path) -> None:
    unsure = msgspec.structs.replace(searched, confirmation=None, importance=[], command="")
    page = search_report(unsure, tmp_path)
    assert [s.name for s in page.sections] == ["best", "decided", "trials"]


def test_search_report_and_card_escape_markup(searched: SearchResult, tmp_path: Path) -> None:
    write_record(tmp_path, SEARCH_FILE, searched)
    written = write_report(tmp_path / SEARCH_FILE)
    text = re.sub("</?span>", "", Path(written.file).read_text(encoding="utf-8"))
    assert "descend search my/texts --minutes 2" in text
    for html in (text, search_card(searched)):
        assert "The best is &lt;i&gt;sure&lt;/i&gt;." in html
        assert "<i>sure" not in html
        assert searched.train_command in html
    assert search_card(searched).count("<tr>") == 5
    assert written.figures >= 3


def edit_record(record: Any, edit: dict[str, Any]) -> dict[str, Any]:
    """`record` as JSON, with other values at some keys."""
    fields: dict[str, Any] = msgspec.to_builtins(record)
    return fields | edit


@pytest.mark.parametrize("edit", [
    {"space": []}, {"trials": []}, {"confirmation": {"arms": []}}, {"trials": "unfinished"},
    {"trials": "no values"}, {"trials": "a rate that is a word"},
])  # fmt: skip
def test_report_says_that_a_search_is_damaged_when_its_parts_contradict_each_other(
    searched: SearchResult, tmp_path: Path, edit: dict[str, Any]
) -> None:
    trials = [msgspec.to_builtins(trial) for trial in searched.trials]
    changes = {
        "unfinished": {"state": "failed"}, "no values": {"values": {}},
        "a rate that is a word": {"values": {"learning_rate": "x", "embed_dim": 16}},
    }  # fmt: skip
    if (change := changes.get(str(edit.get("trials")))) is not None:
        edit = {"trials": [trial | change for trial in trials]}
    if "confirmation" in edit:
        edit = {"confirmation": edit_record(searched.confirmation, edit["confirmation"])}
    (tmp_path / SEARCH_FILE).write_text(json.dumps(edit_record(searched, edit)))
    with pytest.raises(RunFolderError, match=r"search\.json: .*cannot be read"):
        write_report(tmp_path)
