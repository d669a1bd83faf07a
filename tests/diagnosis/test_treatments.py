"""From a real fault to a better model: diagnosed, proved, applied, trained again; all real."""

from __future__ import annotations

from pathlib import Path

import pytest

from descend import run
from descend.cli.main import run as cli
from descend.diagnosis.recommended_config import NOT_INHERITED, merge_recommendations
from descend.diagnosis.run_diagnosis import diagnose_run, save_diagnosis
from descend.runs.run_files import read_info
from descend.runs.run_folder import read_summary

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
