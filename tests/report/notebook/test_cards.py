"""What a notebook shows: small, of the right numbers, unable to do harm."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from descend import load, show
from descend.diagnosis.diagnosis_result import Diagnosis
from descend.errors import RunFolderError, UserError
from descend.report.notebook.cards import (
    HEIGHT,
    MAX_EPOCHS,
    WIDTH,
    live_loss_chart,
    notebook_model_card,
    polylines,
    result_card,
    subsample_epochs,
)
from descend.report.text.loss_curve import LossCurve
from descend.runs.run_folder import read_summary

HOSTILE = "<script>hacked()</script>"


def test_a_trained_model_shows_how_it_went(trained: Path) -> None:
    model = load(trained)
    html = model._repr_html_()
    for epoch in model.summary.epochs:
        assert f">{epoch.validation_loss:.3f}<" in html
    assert f"the validation loss is {model.summary.validation_loss:.2f} nats per token" in html
    bigram = model.summary.accuracy_baselines["bigram"]
    for epoch in model.summary.epochs:
        assert f">{epoch.validation_accuracy:.1%} ({bigram:.1%})<" in html
    assert html.count("<polyline") == 2
    assert "<script" not in html
    assert "src=" not in html
    assert len(html) < 8_000


def test_a_model_of_unknown_training_shows_its_name(trained: Path, own_folder: Path) -> None:
    import shutil

    copy = own_folder / "copy"
    shutil.copytree(trained, copy)
    for name in ("summary.json", "run.json", "events.jsonl"):
        (copy / name).unlink()
    assert "2 layers of 16" in load(copy)._repr_html_()


def test_names_cannot_become_a_part_of_the_page(trained: Path) -> None:
    for html in (notebook_model_card(HOSTILE, read_summary(trained)), result_card(HOSTILE, [])):
        assert "<script" not in html
        assert "&lt;script&gt;" in html


def test_epoch_table_keeps_first_best_and_last(trained: Path) -> None:
    one = read_summary(trained).epochs[0]
    epochs = [msgspec.structs.replace(one, epoch=n) for n in range(1, 101)]
    epoch_numbers = [e.epoch for e in subsample_epochs(epochs, 42)]
    assert len(epoch_numbers) <= MAX_EPOCHS
    assert {1, 42, 100} <= set(epoch_numbers)
    assert epoch_numbers == sorted(epoch_numbers)


def test_the_highest_value_is_drawn_on_top() -> None:
    falling, flat = polylines([[5.0, 3.0, 1.0], [2.0, 2.0, 2.0]])
    heights = [float(y) for y in re.findall(r",([\d.]+)", falling)]
    assert heights == sorted(heights)
    assert heights[0] == 0
    assert len(set(re.findall(r",([\d.]+)", flat))) == 1
    assert polylines([[1.0], [2.0]]) == []


def test_a_diagnosis_shows_its_verdict_and_trials() -> None:
    trial = {
        "metric": "validation_loss", "change": f"3 times {HOSTILE}", "control_loss": 4.0,
        "treatment_loss": 3.5, "loss_reduction": 0.5, "ci95": [0.4, 0.6], "p_holm": 0.001,
        "seeds": 3, "tokens": 9, "run_fraction": 1.0, "seconds": 2.0, "cost_factor": 1.0,
    }  # fmt: skip
    content: dict[str, Any] = {
        "run": "models/x", "verdict": "learning_rate_too_low", "probability": 0.93,
        "causes": [{"cause": "learning_rate_too_low", "probability": 0.93, "evidence": [],
                    "recommended_config": {}, "advice": "raise it", "trial": trial}],
        "ruled_out": [], "measurements": [], "warnings": [],
        "cost": {"seconds": 1, "fraction_of_run": 1},
    }  # fmt: skip
    import descend.api

    assert descend.api.Diagnosis is Diagnosis
    html = msgspec.convert(content, Diagnosis)._repr_html_()  # type: ignore[attr-defined]
    for part in ("the learning rate is too low", "+0.500", "+0.400 to +0.600", "raise it"):
        assert part in html
    assert "<script" not in html


NOTEBOOK = """
from descend import run
model = run(corpus_dir={corpus!r}, save_dir="m", embed_dim=16, num_heads=2, num_layers=1, ff_dim=32,
            max_seq_len=16, seq_len=16, batch_size=4, epoch=2, vocab_size=300, precision="float32")
"""


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_a_notebook_shows_the_run_as_it_goes(
    text_file: Path, own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import nbformat
    from nbclient import NotebookClient

    monkeypatch.setenv("IPYTHONDIR", str(own_folder / "ipython"))
    book = nbformat.v4.new_notebook()
    book.cells = [
        nbformat.v4.new_code_cell(NOTEBOOK.format(corpus=str(text_file))),
        nbformat.v4.new_code_cell("model"),
        nbformat.v4.new_code_cell("import descend\ndescend.show(model, height=600)"),
    ]
    NotebookClient(
        book, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(own_folder)}}
    ).execute()
    training, model_outputs, (report_output,) = (cell.outputs for cell in book.cells)
    (live,) = (o for o in training if o.output_type == "display_data")
    assert 'aria-valuenow="100"' in live.data["text/html"]
    assert live.data["text/html"].count("<tr>") == 3
    assert live.data["text/html"].count("<polyline") == 1
    assert live.data["text/html"].count("<circle") == 2
    assert "Loss: gray on training batches" in live.data["text/html"]
    streams = [o for o in training if o.output_type == "stream"]
    assert {o.name for o in streams} == {"stdout"}
    assert "parameters" in "".join(o.text for o in streams)
    assert "the validation loss is" in model_outputs[0].data["text/html"]
    assert "Model(" in model_outputs[0].data["text/plain"]
    assert 'title="Report of m" sandbox="allow-scripts"' in report_output.data["text/html"]
    assert "height:600px" in report_output.data["text/html"]


def test_live_chart_leaves_room_for_the_steps_to_come() -> None:
    training = [(step, 6.0 - 0.02 * step) for step in range(1, 101)]
    chart = live_loss_chart(LossCurve(training, [(50, 4.5), (100, 3.5)]), 200)
    assert chart is not None
    points = [tuple(map(float, pair.split(","))) for pair in chart.lines[0].points.split()]
    assert all(0 <= x <= WIDTH / 2 and 0 <= y <= HEIGHT for x, y in points)
    assert points[0][1] < 1 < points[-1][1]
    assert [(dot.x, dot.y) for dot in chart.dots] == [(WIDTH / 4, pytest.approx(38.1, abs=0.5)),
                                                      (WIDTH / 2, HEIGHT)]  # fmt: skip
    assert [label.text for label in chart.labels] == ["5.97", "3.50"]
    assert live_loss_chart(LossCurve(training[:5], []), 200) is None


def test_show_names_the_command_when_there_is_no_notebook(trained: Path) -> None:
    with pytest.raises(UserError, match=r"expected the cell of a notebook.*descend report"):
        show(trained)
    with pytest.raises(RunFolderError, match="no such folder"):
        show(trained / "nowhere")
