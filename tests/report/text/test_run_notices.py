"""What is said of a run before its first step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from descend.config import make_config
from descend.report.text.run_notices import run_notices
from descend.training.training_run import create_run


@pytest.mark.parametrize(("requested_config", "giver"), [
    ({"vocab_size": 5_000}, "the text"),
    ({"vocab_size": 5_000, "tokenizer": "byte"}, "the byte tokenizer"),
])  # fmt: skip
def test_unreachable_vocab_size_gives_a_warning(
    tiny: dict[str, Any], requested_config: dict[str, Any], giver: str
) -> None:
    run = create_run(make_config(tiny | requested_config), Path("run"))
    got = run.store.tokenizer.vocab_size
    assert got < 5_000
    assert f"vocab_size is {got:,}, not 5,000: {giver} gives no more" in run_notices(run)


@pytest.mark.parametrize("size", [270, None])
def test_reachable_or_automatic_vocab_size_gives_no_warning(
    tiny: dict[str, Any], size: int | None
) -> None:
    run = create_run(make_config(tiny | {"vocab_size": size}), Path("run"))
    assert not any(note.startswith("vocab_size is") for note in run_notices(run))


def test_a_batch_size_that_the_text_decided_is_said(tiny: dict[str, Any]) -> None:
    left_open = {key: value for key, value in tiny.items() if key != "batch_size"}
    run = create_run(make_config(left_open), Path("run"))
    assert run.chosen_batch_size == run.plan.config.batch_size < 16
    assert any(f"batch_size = {run.chosen_batch_size}" in note for note in run_notices(run))
    requested = create_run(make_config(tiny), Path("requested"))
    assert not any("batch_size" in note for note in run_notices(requested))


def test_a_batch_larger_than_the_text_is_said(tiny: dict[str, Any]) -> None:
    large = create_run(make_config(tiny | {"batch_size": 400, "epoch": 1}), Path("large"))
    assert any("larger than the whole training text" in note for note in run_notices(large))
    small = create_run(make_config(tiny), Path("small"))
    assert not any("larger than" in note for note in run_notices(small))


def test_long_warmup_gives_a_warning(tiny: dict[str, Any]) -> None:
    long = create_run(make_config(tiny | {"warmup_steps": 2000, "max_steps": 150}), Path("long"))
    [note] = [note for note in run_notices(long) if "warmup" in note]
    assert "rises for most of it, to 7% of learning_rate" in note
    assert "use about 8" in note
    short = create_run(make_config(tiny | {"warmup_steps": 10, "max_steps": 150}), Path("short"))
    assert not any("warmup" in note for note in run_notices(short))
