"""A series is reported while its runs are made: how far each is, and what is left."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from descend.config import make_config
from descend.report.text import live_progress, trial_progress
from descend.report.text.trial_progress import estimate_remaining_seconds, line_on, show_trials
from descend.trials import trial
from descend.trials.executor import TrialProgress, run_trials
from descend.trials.trial_spec import make_trial_spec


def test_remaining_seconds_match_hand_calculation() -> None:
    costs = {"a": 10.0, "b": 10.0, "c": 20.0}
    assert estimate_remaining_seconds(costs, {}, 5.0, 2) is None
    # Two at a time made 15 of 40 in 30 seconds: 2 a unit, and 25 are left.
    assert estimate_remaining_seconds(costs, {"a": 1.0, "b": 0.5}, 30.0, 2) == pytest.approx(
        80.0
    )  # c alone
    assert estimate_remaining_seconds(costs, {"a": 1.0, "b": 0.5}, 30.0, 1) == pytest.approx(50.0)
    assert estimate_remaining_seconds(costs, {"a": 1.0, "b": 1.0, "c": 1.0}, 30.0, 2) == 0.0


def test_local_trials_report_progress(
    tiny: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, "PROGRESS_EVERY_SECONDS", 0.0)
    progress_updates: list[TrialProgress] = []
    specs = [
        make_trial_spec(make_config(tiny | {"learning_rate": r}), steps=5) for r in (0.0081, 0.0082)
    ]
    run_trials(specs, workers=1, on_progress=progress_updates.append)
    shares = [
        [news.fraction_done for news in progress_updates if news.key == spec.key] for spec in specs
    ]
    assert shares == [[0.2, 0.4, 0.6, 0.8, 1.0, 1.0]] * 2
    assert [(n.done, n.total) for n in progress_updates if n.result] == [(1, 2), (2, 2)]
    assert progress_updates[4].result is None  # its last step is made, but it is not judged yet


def test_progress_prints_periodically_without_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial_progress, "SECONDS_BETWEEN_LINES", 0.2)
    console = Console(file=io.StringIO(), width=200)
    with line_on(console) as renew:
        renew("too soon")
        time.sleep(0.25)
        renew("a line")
        renew("too soon again")
    assert console.file.getvalue() == "a line\n"  # type: ignore[attr-defined]


def test_stage_progress_prints_each_quarter_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    console = Console(file=io.StringIO(), width=200)
    on_progress = live_progress.stage_progress(console)
    for share in (0.0, 0.1, 0.26, 0.3):
        on_progress("trying", share)
    monkeypatch.setattr(live_progress, "PROGRESS_INTERVAL_SECONDS", 0.0)
    on_progress("trying", 0.34)
    on_progress("trying", 1.0)
    text = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert text == ["trying …", "trying … 25%", "trying … 34%"]


def test_stage_progress_prints_no_fraction_when_stage_begins_late() -> None:
    console = Console(file=io.StringIO(), width=200)
    on_progress = live_progress.stage_progress(console)
    on_progress("tokenizing", 0.8)
    on_progress("tokenizing", 1.0)
    assert console.file.getvalue().splitlines() == ["tokenizing …"]  # type: ignore[attr-defined]


def test_progress_is_redrawn_and_removed_on_terminal(tiny: dict[str, object]) -> None:
    console = Console(file=io.StringIO(), width=60, force_terminal=True, _environ={"TERM": "xterm"})
    spec = make_trial_spec(make_config(tiny | {"learning_rate": 0.0083}), steps=5)
    with show_trials([spec], 1, console) as on_progress:
        for share in (0.25, 0.5):
            on_progress(TrialProgress(0, 1, spec.key, share, None))
    output = console.file.getvalue()  # type: ignore[attr-defined]
    lines = output[output.index("Ctrl-C") :]
    assert "25% of the running ones done" in lines
    assert "50% of the running ones done" in lines
    assert lines.count("\r\x1b[2K") >= 2  # each is taken away before the next is drawn
    assert lines.rstrip("\x1b[?25h\r").endswith("\x1b[2K")


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="a terminal of ours is POSIX")
def test_the_verb_shows_its_workers_on_a_terminal(text_file: Path, tiny_file: Path) -> None:
    import pty

    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "descend", "compare", str(text_file), "--config", str(tiny_file),
         "--vary", "learning_rate=0.0084,0.0085", "--num-seeds", "1", "--workers", "2",
         "--budget-unit", "steps", "--budget", "4000"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=theirs,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "200"},
    )  # fmt: skip
    os.close(theirs)
    output = b""
    try:
        while more := os.read(ours, 4096):
            output += more
    except OSError:  # Linux: the other end is closed
        pass
    finally:
        os.close(ours)
    assert process.wait(60) == 0
    text = output.decode()
    assert "0 of 2 runs, about " in text
    assert "% of the running ones done" in text
    assert text.count("2 of 2 runs: validation loss") == 1


NOTEBOOK = """
from descend import compare
found = compare(corpus_dir={corpus!r}, vary={{"learning_rate": [0.001, 0.004]}}, seeds=1, workers=1,
                embed_dim=16, num_heads=2, num_layers=1, ff_dim=32, max_seq_len=16, seq_len=16,
                batch_size=4, epoch=1, vocab_size=300, budget=640)
"""


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_a_notebook_shows_a_comparison_as_it_goes(
    text_file: Path, own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import nbformat
    from nbclient import NotebookClient

    monkeypatch.setenv("IPYTHONDIR", str(own_folder / "ipython"))
    book = nbformat.v4.new_notebook()
    book.cells = [nbformat.v4.new_code_cell(NOTEBOOK.format(corpus=str(text_file)))]
    NotebookClient(
        book, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(own_folder)}}
    ).execute()
    outputs = book.cells[0].outputs
    (line,) = (o for o in outputs if o.output_type == "display_data")
    assert line.data["text/html"] == "<p>2 of 2 runs</p>"
    output_text = "".join(o.text for o in outputs if o.output_type == "stream")
    assert "2 runs: about " in output_text
    assert "saved in comparisons/" in output_text
    assert any((own_folder / "comparisons").iterdir())
