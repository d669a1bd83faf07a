"""A run opened for diagnosis: with its text, without it, diverged."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

from descend import run
from descend.diagnosis.run_context import load_run_context
from descend.errors import RunFolderError
from descend.runs.recorded_run import open_recorded_run
from descend.training.rollback import SPIKE_PATIENCE_STEPS


def test_run_context_holds_the_text_the_run_trained_on(trained: Path) -> None:
    context = load_run_context(trained)
    recorded = open_recorded_run(trained)
    assert context.store is not None
    assert len(context.store.train) == recorded.corpus_count("train_tokens")
    assert context.steps == recorded.steps
    # The text of these tests is a few sentences again and again.
    assert [w for w in context.warnings if "repeat an earlier one" not in w] == []
    assert context.total_steps == len(context.steps)
    assert not context.had_divergence


def test_run_context_warns_when_the_text_is_gone_or_changed(tiny: dict[str, Any]) -> None:
    text = Path(shutil.copy(tiny["corpus_dir"], "copy.txt"))
    run(tiny | {"corpus_dir": str(text), "save_dir": "run"})
    text.write_text(text.read_text(encoding="utf-8") + "More.\n" * 50, encoding="utf-8")
    changed = load_run_context(Path("run"))
    assert changed.store is None
    assert "changed since the run trained on it" in changed.warnings[0]
    assert changed.total_steps == len(changed.steps)
    text.unlink()
    gone = load_run_context(Path("run"))
    assert gone.store is None
    assert "cannot be read" in gone.warnings[0]


def test_first_exploded_step_needs_a_loss_above_guessing_to_the_end(trained: Path) -> None:
    context = load_run_context(trained)
    far = math.log(context.shape.vocab_size) + 2
    assert context.first_exploded_step is None
    late = len(context.steps) - SPIKE_PATIENCE_STEPS
    steps = [
        msgspec.structs.replace(s, loss=far) if n >= late else s
        for n, s in enumerate(context.steps)
    ]
    exploded = context.with_parts(steps=tuple(steps))
    assert exploded.first_exploded_step == context.steps[late].step
    assert exploded.had_divergence
    steps[-1] = context.steps[-1]
    assert context.with_parts(steps=tuple(steps)).first_exploded_step is None


def test_load_run_context_refuses_a_folder_without_run(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="no such folder"):
        load_run_context(tmp_path / "nowhere")
