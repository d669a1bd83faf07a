"""From a real fault to a better model: diagnosed, proved, applied, trained again; all real."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from descend.diagnosis.treatment import treat

from descend import run
from descend.cli.main import run as cli
from descend.diagnosis.diagnose import diagnose_run, save_diagnosis
from descend.diagnosis.recommended_config import NOT_INHERITED, merge_recommendations
from descend.diagnosis.result import Diagnosis
from descend.runs.run_folder import read_info, read_summary

SMALL = {
    "embed_dim": 32, "num_heads": 2, "num_layers": 1, "ff_dim": 64, "seq_len": 16, "batch_size": 8,
    "max_seq_len": 64, "vocab_size": 300, "epoch": 1, "optimizer": "adamw", "precision": "float32",
}  # fmt: skip
WELL = 0.01
"""A rate that is near the best for it; a thirtieth of it is the fault."""
SECONDS = 30.0
"""For the trials of a diagnosis."""


def bits_of(folder: str) -> float:
    """Bits per byte held out: of another vocabulary, a token's loss is not the same thing."""
    return read_summary(Path(folder)).bits_per_byte


@pytest.mark.slow
def test_low_learning_rate_is_diagnosed_and_fixed(chain: str) -> None:
    for folder, rate in (("slow", WELL / 30), ("well", WELL)):
        run(SMALL | {"corpus_dir": chain, "learning_rate": rate, "save_dir": folder})
    diagnosis = diagnose_run(Path("slow"), min_seconds=SECONDS)
    assert diagnosis.verdict == "learning_rate_too_low"
    first = diagnosis.causes[0]
    assert first.trial is not None
    assert first.trial.ci95 is not None
    assert first.trial.ci95[0] > 0
    assert first.recommended_config["learning_rate"] > WELL / 10

    save_diagnosis(diagnosis)
    assert cli(["train", "--from-run", "slow", "--apply-fix", "--save-dir", "mended"]) == 0
    config = read_info(Path("mended")).requested_config
    given = merge_recommendations(diagnosis)  # the rate, and what came on top of it
    assert first.recommended_config.items() <= given.items()
    assert {key: config[key] for key in given} == given
    unchanged_keys = SMALL.keys() - given.keys() - set(NOT_INHERITED)
    assert all(config[key] == SMALL[key] for key in unchanged_keys)
    assert bits_of("slow") - bits_of("mended") > 0.8 * (bits_of("slow") - bits_of("well"))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_real_text_is_trained_on_and_cured(chain: str) -> None:
    made: list[Path] = []

    def train(settings: dict[str, Any]) -> Path:
        return run(settings | {"save_dir": f"turn{len(list(Path().glob('turn*')))}"}).folder

    def examine(folder: Path) -> Diagnosis:
        made.append(folder)
        return diagnose_run(folder, min_seconds=SECONDS)

    ill = SMALL | {"corpus_dir": chain, "learning_rate": WELL / 30}
    result = treat(ill, 400.0, train, examine, lambda took: 0.0, lambda turn: None)
    first, second = result.turns[:2]
    assert made[0] == Path(first.run) == Path("turn0")
    assert second.verdict_before == "learning_rate_too_low"
    assert second.gain is not None
    assert second.gain > 0.1
    best = min(result.turns, key=lambda turn: turn.bits_per_byte)
    assert result.best == best.run != first.run
    assert result.stopped
