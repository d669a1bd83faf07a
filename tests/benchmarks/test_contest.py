"""The contest of improve and its rivals: its parts, its table, and its one judge."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks" / "improve"


@pytest.fixture
def contest(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(FOLDER))
    import contest  # type: ignore[import-not-found]

    return contest


def line(arm: str, bits: float, wall: float, **changes: Any) -> dict[str, Any]:
    part = {"arm": arm, "text": "t", "bytes": None, "seconds": 60.0, "cores": 2, "seed": 1}
    return part | {"set": [], "bits_per_byte": bits, "wall_seconds": wall} | changes


def test_table_takes_the_best_setting_and_tells_what_was_late(contest: Any) -> None:
    lines = [
        line("train", 2.1, 125.0, seconds=120.0),
        line("train_minutes", 2.2, 59.0), line("train_minutes", 2.3, 59.0, seed=2),
        line("gpt2_trainer", 2.6, 60.0, set=["learning_rate=0.001"]),
        line("gpt2_trainer", 2.5, 66.0, set=["learning_rate=0.003"]),
    ]  # fmt: skip
    rows = contest.format_table(lines).splitlines()
    assert rows[0] == "| text, seconds, cores | train | train_minutes | gpt2_trainer |"
    assert rows[2] == "| t, 60, 2 | 2.100 in 125 s | 2.250 (2) | 2.500 in 66 s |"


@pytest.mark.parametrize(("wall", "late"), [(62.9, False), (63.1, True)])
def test_more_than_a_twentieth_over_is_late(contest: Any, wall: float, late: bool) -> None:
    assert contest.is_too_late(line("improve", 2.0, wall)) is late


def test_every_arm_has_a_command(contest: Any, tmp_path: Path) -> None:
    for name in contest.ARMS:
        part = line(name, 0.0, 0.0) | {"set": ["learning_rate=0.001"]}
        command = contest.child_command(part, Path("text.txt"), tmp_path)
        assert "text.txt" in command
        assert str(tmp_path / "model") in command
        assert any("0.001" in word for word in command)


def test_all_models_are_scored_on_the_same_bytes(
    contest: Any, trained: Path, text_file: Path, tmp_path: Path
) -> None:
    transformers = pytest.importorskip("transformers")
    from contest_score import score_folder  # type: ignore[import-not-found]

    from descend.runs.run_files import read_info
    from descend.runs.run_folder import read_summary

    seed = int(read_info(trained).resolved_config["seed"])
    own = score_folder(trained, text_file, seed=seed)
    assert own.bits_per_byte == pytest.approx(read_summary(trained).bits_per_byte, rel=0.05)
    vocab_size = int(read_info(trained).resolved_config["vocab_size"])
    network = transformers.GPT2LMHeadModel(transformers.GPT2Config(
        vocab_size=vocab_size, n_positions=16, n_embd=16, n_layer=1, n_head=2,
    ))  # fmt: skip
    network.save_pretrained(tmp_path)
    (tmp_path / "tokenizer.json").write_bytes((trained / "tokenizer.json").read_bytes())
    (tmp_path / "arm.json").write_text(json.dumps({"context": 16}))
    other = score_folder(tmp_path, text_file, seed=seed)
    assert (other.sha256, other.num_bytes) == (own.sha256, own.num_bytes)
    untrained = math.log2(vocab_size)
    assert 0.2 * untrained < other.bits_per_byte < untrained  # a token has more than a byte
