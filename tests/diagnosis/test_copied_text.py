"""A run on a text that is one passage many times over: its validation loss is worthless."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import msgspec
import pytest

from descend import run
from descend.data.corpus_builder import build_corpus
from descend.diagnosis.recommended_config import load_diagnosis, recommended_run_config
from descend.diagnosis.run_diagnosis import diagnose_run, save_diagnosis
from descend.diagnosis.sentences import NO_TRIALS_ON_COPIES
from descend.errors import RunFolderError
from descend.report.text.diagnosis_summary import format_diagnosis

from .test_limitations import TRIAL


@pytest.fixture
def copied_text(tmp_path: Path) -> Path:
    chance = random.Random(11)
    words = ["".join(chance.choices("aeioubdglmnrst", k=chance.randint(2, 7))) for _ in range(300)]
    passage = "".join(" ".join(chance.choices(words, k=8)) + ".\n" for _ in range(35))
    path = tmp_path / "copies.txt"
    path.write_text(passage[:-20] * 24)
    return path


def test_no_change_is_recommended_by_memorized_validation_text(
    tiny: dict[str, Any], copied_text: Path
) -> None:
    run(tiny | {"corpus_dir": str(copied_text), "save_dir": "run", "max_steps": 150})
    diagnosis = diagnose_run(Path("run"))
    assert [f.cause for f in diagnosis.causes] == ["duplicate_data", "data_leakage"]
    assert diagnosis.untested_reason == NO_TRIALS_ON_COPIES
    text = format_diagnosis(diagnosis)
    assert "Ruled out" not in text
    assert "exact contamination" in text
    # An earlier diagnosis was judged by the same copies, and its recommendation goes.
    finding = msgspec.structs.replace(
        diagnosis.causes[0], trial=TRIAL, recommended_config={"vocab_size": 700}
    )
    save_diagnosis(msgspec.structs.replace(diagnosis, causes=[finding], untested_reason=None))
    assert recommended_run_config(Path("run"))[1] == {"vocab_size": 700}
    save_diagnosis(diagnosis)
    assert load_diagnosis(Path("run")).untested_reason == NO_TRIALS_ON_COPIES
    with pytest.raises(RunFolderError, match="--deduplicate near"):
        recommended_run_config(Path("run"))


def test_the_printed_fix_removes_the_copies(copied_text: Path, tmp_path: Path) -> None:
    done = build_corpus(copied_text, tmp_path / "clean", deduplicate="near")
    assert done.copied_fraction > 0.9
