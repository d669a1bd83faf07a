"""`descend improve`: never worse than what it is given, and it says what it did."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from descend.api import Model, improve, load
from descend.api import improvement as improvement_module
from descend.api import run as library_run
from descend.cli.main import run as cli
from descend.config import RunConfig
from descend.errors import DivergedError
from descend.experiments.improvement import (
    Improvement,
    TextNotes,
    add,
    open_improvement,
    save,
)
from descend.planner.make_plan import CorpusPlan
from descend.report.text.improvement_summary import (
    TRAINING_DIVERGED,
    improvement_text,
    text_lines,
)
from descend.runs.run_files import is_finished, read_info, write_summary
from descend.runs.run_folder import read_summary


def test_mistakes_get_a_line(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli(["improve", str(trained), "--minutes", "0"]) == 2
    assert cli(["improve", "no/such/text"]) == 2
    shutil.copytree(trained, "half")
    write_summary(Path("half"), msgspec.structs.replace(read_summary(trained), finished=False))
    assert cli(["improve", "half"]) == 2
    output = capsys.readouterr().err
    assert "but found a run that is not finished" in output
    assert "descend resume half" in output
    assert "Traceback" not in output


def test_improve_names_the_allowed_minutes_when_they_are_too_few(
    varied_text: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli(["improve", str(varied_text), "--minutes", "0.001"]) == 2
    assert "but found 0.001. Fix: Give more minutes." in capsys.readouterr().err


def test_without_time_the_run_itself_is_the_best(trained: Path) -> None:
    shutil.copytree(trained, "own")
    improvement = improve("own", 0.001, save_dir="better")
    assert improvement.best is not None
    assert improvement.best.run == "own"
    assert improvement.stopped == "the time is up"
    assert Path("better/improvement.json").exists()


@pytest.mark.slow
def test_text_ends_with_a_model_in_time(varied_text: Path) -> None:
    improvement = improve(str(varied_text), 1.0, save_dir="better")
    assert improvement.best is not None
    assert is_finished(Path(improvement.best.run))
    assert improvement.seconds <= 66
    assert improvement.expectations


@pytest.mark.slow
def test_later_models_learn_from_earlier_ones_where_the_text_is_the_limit(
    varied_text: Path,
) -> None:
    improvement = improve(str(varied_text), 2.0, save_dir="better")
    planned, *later = improvement.candidates
    assert planned.origin == "planned"
    assert later
    assert {c.origin for c in later} == {"distilled"}
    configs = [read_info(Path(c.run)).resolved_config for c in (planned, *later)]
    assert configs[1]["teachers"] == planned.run
    assert len({c["seed"] for c in configs}) == len(configs)
    assert improvement.best is not None
    assert improvement.best.bits_per_byte < planned.bits_per_byte
    assert improvement.contributions[-1].ci95 is not None
    assert improvement.seconds <= 2.1 * 60


@pytest.mark.slow
def test_improve_repairs_a_short_run_when_its_settings_are_at_fault(varied_text: Path) -> None:
    sizes = {"embed_dim": 32, "num_heads": 2, "num_layers": 1, "ff_dim": 64, "seq_len": 32}
    keys = sizes | {"corpus_dir": str(varied_text), "tokenizer": "char", "learning_rate": 3e-5}
    library_run(keys | {"epoch": 1, "save_dir": "own", "log_level": "error"})
    improvement = improve("own", 1.0, save_dir="better")
    models = {c.origin: c for c in improvement.candidates}
    assert "learning_rate" in models["repaired"].changes
    assert models["repaired"].bits_per_byte < models["your run"].bits_per_byte
    assert all(t.is_of_your_run for t in improvement.trials)
    assert any(t.accepted for t in improvement.trials)


@pytest.mark.slow
def test_improve_ends_with_the_model_before_a_later_training_that_diverges(
    varied_text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_first = improvement_module.train_planned

    def diverge_later(planned: CorpusPlan | None, config: RunConfig, *rest: Any) -> Model:
        if str(config.save_dir).endswith("model_1"):
            return train_first(planned, config, *rest)
        raise DivergedError("step 3", "a loss of nan", "a finite number", "lower learning_rate")

    monkeypatch.setattr(improvement_module, "train_planned", diverge_later)
    improvement = improve(str(varied_text), 2.0, save_dir="better")
    assert improvement.stopped == TRAINING_DIVERGED
    assert improvement.best is not None
    assert improvement.best.run.endswith("model_1")


def test_given_run_stays_the_best_where_it_is_better(trained: Path) -> None:
    """A model is only replaced by one that is better on the same validation bytes."""
    shutil.copytree(trained, "own")
    own_model = improve("own", 0.001, save_dir="better").candidates[0]
    corpus_dir = read_info(trained).requested_config["corpus_dir"]
    worse = msgspec.structs.replace(
        own_model, run="model_1", origin="planned", bits_per_byte=own_model.bits_per_byte + 0.1
    )
    record = open_improvement(Path("better"), "own", corpus_dir)
    save(add(record, candidate=worse), Path("better"))
    again = improve("own", 0.001, save_dir="better")
    assert again.best is not None
    assert again.best.run == "own"
    assert [c.reason for c in again.contributions] == []


def test_report_names_text_findings() -> None:
    notes = TextNotes(
        duplicate_fraction=0.25, duplicates_removed=True, contaminated_fraction=0.1,
        contamination_removed=True, shift_nats=0.9,
    )  # fmt: skip
    text = improvement_text(Improvement(source="a", corpus="t", text_notes=notes, stopped="x"))
    assert "25% of it is duplicate documents" in text
    assert "10% of the validation text also occurs in the training text" in text
    assert "(0.90 nats per token harder)" in text
    assert "changed since your run" not in text
    changed = msgspec.structs.replace(notes, text_changed=True)
    assert "changed since your run" in text_lines(changed)[0]
    plain = TextNotes(
        duplicate_fraction=0.0, duplicates_removed=False, contaminated_fraction=0.01,
        contamination_removed=False, shift_nats=0.1,
    )  # fmt: skip
    assert text_lines(plain) == []


@pytest.mark.slow
def test_interruption_of_the_first_training_leaves_a_model(varied_text: Path) -> None:
    """Ctrl-C in the first training: a model that predicts, and the same command goes on."""
    command = [sys.executable, "-m", "descend", "improve", str(varied_text), "--minutes", "3",
               "--save-dir", "better"]  # fmt: skip
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("epoch"):
                process.send_signal(signal.SIGINT)
                break
        process.stderr.read()
    assert process.returncode == 130
    assert load("better/best_so_far").predict("a", 5, seed=1)
    improvement = improve(str(varied_text), 0.4, save_dir="better")
    assert improvement.best is not None
    assert is_finished(Path(improvement.best.run))
    assert all(c.origin != "interrupted" for c in improvement.candidates)
