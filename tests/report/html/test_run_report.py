"""What the report says, held against the files of a real run."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
import shlex
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from descend import load, run
from descend.cli.main import run as command_line
from descend.config import RunConfig
from descend.errors import DivergedError, LogError, RunFolderError, UserError
from descend.report.html import charts, echarts
from descend.report.html.rendering import render, to_script_json
from descend.report.html.report_page import (
    LEVELS,
    Figure,
    Pictures,
    ReportPage,
    ReportTable,
    ShadedText,
)
from descend.report.html.run_report import run_report
from descend.report.html.sections.requested_config import repeat_command
from descend.report.html.unfinished_run_report import loss_word
from descend.report.html.write import write_report
from descend.runs.recorded_run import open_recorded_run
from descend.runs.run_files import REPORT, read_info


@pytest.fixture(scope="module")
def page(trained: Path) -> ReportPage:
    return run_report(open_recorded_run(trained))


def blocks(page: ReportPage, kind: type[Any]) -> list[Any]:
    return [b for b in page.blocks() if isinstance(b, kind)]


def test_all_sections_stand_there_in_order(page: ReportPage) -> None:
    assert [s.name for s in page.sections] == [
        "writing", "ngram_baselines", "learning", "surprise", "attention", "rules", "text",
        "inside", "settings", "again",
    ]  # fmt: skip
    assert page.warnings == ()


def test_epoch_table_matches_summary_file(page: ReportPage, trained: Path) -> None:
    epochs = json.loads((trained / "summary.json").read_text())["epochs"]
    table = next(t for t in blocks(page, ReportTable) if t.caption.startswith("Each epoch"))
    assert len(table.rows) == len(epochs) == 2
    for row, epoch in zip(table.rows, epochs, strict=True):
        assert row[0] == str(epoch["epoch"])
        assert row[2] == f"{epoch['validation_loss']:.3f}"
        assert row[3] == f"{epoch['bits_per_byte']:.3f}"
    best = min(epochs, key=lambda e: e["validation_loss"])["epoch"]
    assert table.strong == frozenset({best - 1})
    assert all(len(row) == len(t.columns) for t in blocks(page, ReportTable) for row in t.rows)


def test_figure_labels_describe_the_data(page: ReportPage) -> None:
    figures = blocks(page, Figure)
    assert len(figures) > 8
    for figure in figures:
        assert figure.title
        assert re.search(r"\d|[Tt]he table below", figure.label)


def test_surprisal_section_shows_validation_text(
    page: ReportPage, trained: Path, text_file: Path
) -> None:
    passages = blocks(page, ShadedText)
    text = text_file.read_text()
    shaded_text = "".join(p.text for p in passages[0].tokens).replace("↵", "").replace("⟨end⟩", "")
    assert len(shaded_text) > 20
    assert shaded_text in text
    levels = {p.level for passage in passages for p in passage.tokens}
    assert levels <= set(range(LEVELS))
    assert len(levels) > 2


def test_each_head_has_a_picture(page: ReportPage) -> None:
    (pictures,) = blocks(page, Pictures)
    assert len(pictures.pictures) == 4
    assert len({p.address for p in pictures.pictures}) == 4


def test_the_command_repeats_the_run(trained: Path, own_folder: Path) -> None:
    words = shlex.split(repeat_command(read_info(trained)))
    assert words[:2] == ["descend", "train"]
    assert command_line([*words[1:], "--save-dir", "again", "--log-level", "error"]) == 0
    assert load("again").summary.validation_loss == load(trained).summary.validation_loss


def test_the_command_of_another_preset_names_it(trained: Path, tiny: dict[str, object]) -> None:
    run({**tiny, "preset": "old", "save_dir": "old", "epoch": 1, "learning_rate": {1: 1e-5}})
    text = repeat_command(read_info(Path("old")))
    assert "--preset old" in text
    assert "--learning-rate 1:1e-05" in text
    assert "--optimizer" not in text
    assert "--schedule" not in text


def test_the_same_run_gives_the_same_file(trained: Path, page: ReportPage) -> None:
    assert render(page) == render(run_report(open_recorded_run(trained)))


def test_without_the_model_the_rest_is_reported(tiny: dict[str, object]) -> None:
    run(tiny | {"save_dir": "partial", "epoch": 1})
    folder = Path("partial")
    (folder / "model.safetensors").unlink()
    page = run_report(open_recorded_run(folder))
    assert "attention" not in [s.name for s in page.sections]
    assert "learning" in [s.name for s in page.sections]
    assert len(page.warnings) == 1
    assert "model.safetensors" in page.warnings[0]


def test_without_the_text_the_rest_is_reported(text_file: Path, tiny: dict[str, object]) -> None:
    copy = Path("copy.txt")
    copy.write_text(text_file.read_text())
    run(tiny | {"corpus_dir": str(copy.resolve()), "save_dir": "gone", "epoch": 1})
    copy.unlink()
    page = run_report(open_recorded_run(Path("gone")))
    assert "surprise" not in [s.name for s in page.sections]
    assert "the text cannot be read again" in page.warnings[0]


def test_report_without_figures_carries_no_script(page: ReportPage) -> None:
    sections = tuple(
        replace(s, blocks=tuple(b for b in s.blocks if not isinstance(b, Figure)))
        for s in page.sections
    )
    whole, bare = render(page), render(replace(page, figure=None, sections=sections))
    assert "<script" not in bare
    assert bare.count("<table") == whole.count("<table") > 6
    assert len(bare) < len(whole) / 3


def test_script_json_escapes_closing_tags() -> None:
    hostile = ["</script><script>hacked()</script>", "<!--<script>"]
    packed = to_script_json(hostile)
    assert "<" not in packed
    assert json.loads(packed) == hostile


def test_drawing_script_is_compressed_and_self_contained(page: ReportPage) -> None:
    script = echarts.load_echarts_script()
    assert gzip.decompress(base64.b64decode(script.packed)).decode() == script.code
    assert script.policy in render(page)
    assert "sourceMappingURL" not in script.code
    assert len(render(page)) < 700_000


def test_vendored_script_matches_its_table_and_has_licenses() -> None:
    folder = Path(echarts.__file__).parent / "vendor"
    table = tomllib.loads((folder / "vendored.toml").read_text(encoding="utf-8"))
    code = (folder / table["file"]).read_bytes()
    assert table["file"] == echarts.SCRIPT_FILE
    assert (hashlib.sha256(code).hexdigest(), len(code)) == (table["sha256"], table["bytes"])
    assert table["packages"]["echarts"]["version"].encode() in code
    for name in ("LICENSE", "NOTICE", "LICENSE-d3", "LICENSE-zrender"):
        assert len((folder / name).read_text(encoding="utf-8")) > 100


def test_vendored_script_has_every_part_that_charts_use() -> None:
    """What charts.py draws with was named when the script was made."""
    source = Path(charts.__file__).read_text(encoding="utf-8")
    code = echarts.load_echarts_script().code
    series = set(re.findall(r'"type": "(line|bar|scatter|heatmap|pie|boxplot|custom)"', source))
    assert series == {"line", "bar", "scatter", "heatmap"}
    for part in (*series, "markLine", "markArea", "visualMap", "tooltip", "containLabel"):
        assert part in code


def test_report_supports_run_diverged_in_first_epoch(tiny: dict[str, object]) -> None:
    changes = {"learning_rate": 10.0, "optimizer": "adamw", "architecture": "gpt",
               "gradient_clip": 0.0, "warmup_steps": 0, "weight_decay": 10.0,
               "save_dir": "astray", "divergence_rollback": "off"}  # fmt: skip
    with pytest.raises(DivergedError):
        run(tiny | changes)
    written = write_report(Path("astray"))
    assert written.sections == ["updates", "settings", "again"]
    text = (Path("astray") / REPORT).read_text()
    assert "did not finish its first epoch: it diverged" in text
    steps = [json.loads(x) for x in (Path("astray") / "events.jsonl").read_text().splitlines()]
    last = [s for s in steps if s["kind"] == "step"][-1]
    assert f'<td class="number">{loss_word(last["loss"])}</td>' in text


def test_write_report_overwrites_only_reports(tiny: dict[str, object]) -> None:
    run(tiny | {"save_dir": "mine", "epoch": 1})
    folder = Path("mine")
    assert write_report(folder).file == str(folder / REPORT)
    assert write_report(folder).bytes == (folder / REPORT).stat().st_size
    other = Path("notes.html")
    other.write_text("<p>my own notes</p>")
    with pytest.raises(UserError, match="no report"):
        write_report(folder, other)
    assert other.read_text() == "<p>my own notes</p>"
    with pytest.raises(UserError, match="a folder"):
        write_report(folder, folder)


def test_silly_mistakes_get_one_sentence(own_folder: Path, text_file: Path) -> None:
    with pytest.raises(RunFolderError, match="no such folder"):
        write_report(Path("nothing"))
    with pytest.raises(LogError, match="found no losses"):
        write_report(text_file)
    with pytest.raises(RunFolderError, match=r"no run\.json"):
        write_report(own_folder)


def test_the_verb_says_where_it_is(
    trained: Path, capsys: pytest.CaptureFixture[str], own_folder: Path
) -> None:
    assert command_line(["report", str(trained), "--output", "r.html", "--json"]) == 0
    output = json.loads(capsys.readouterr().out)
    assert output["file"] == "r.html"
    assert output["bytes"] == Path("r.html").stat().st_size
    assert output["figures"] > 8
    assert set(RunConfig.model_fields) <= set(
        re.findall(r"<td>(\w+)</td>", Path("r.html").read_text())
    )
