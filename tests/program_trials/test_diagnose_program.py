"""Programs with a planted fault are told from their sound twins by paired trials of their flags."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

from descend.errors import ConfigError
from descend.program_trials.diagnose_program import ProgramDiagnosis, diagnose_program
from descend.program_trials.metric_output import read_metric
from descend.program_trials.program_flags import parse_program
from descend.program_trials.program_treatments import list_treatments
from descend.program_trials.run_program import run_program
from descend.report.text.program_diagnosis import format_program_diagnosis

from .programs import REGRESSION

MAPS = ["learning_rate=--lr=0.1", "batch_size=--batch-size=8", "dropout_rate=--dropout=0",
        "max_steps=--steps=300"]  # fmt: skip


@pytest.fixture(autouse=True)
def program_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "train.py").write_text(REGRESSION)
    monkeypatch.chdir(folder)
    return folder


def diagnose(arguments: str = "") -> ProgramDiagnosis:
    program = parse_program(f"python train.py {arguments}", MAPS)
    return diagnose_program(program, "val loss", timeout=120)


FAULTS = {
    "": "healthy",
    "--lr 6": "learning_rate_too_high",
    "--lr=0.0033": "learning_rate_too_low",
    "--dropout 0.95": "over_regularized",
}


@pytest.mark.parametrize("arguments", FAULTS)
def test_diagnose_program_names_the_planted_fault(arguments: str) -> None:
    diagnosis = diagnose(arguments)
    assert diagnosis.verdict == FAULTS[arguments], format_program_diagnosis(diagnosis)
    losses = [trial.loss for trial in diagnosis.controls]
    assert len(set(losses)) == 3  # the seeds of the program were shifted
    if FAULTS[arguments] == "healthy":
        assert diagnosis.recommended_command is None
    else:
        assert diagnosis.recommended_command is not None
        assert diagnosis.recommended_command in format_program_diagnosis(diagnosis)


def test_run_program_changes_no_file_of_the_program(program_folder: Path) -> None:
    loss, _, problem = run_program(["python", "train.py", "--steps=100"], "val loss", 60, seed=1)
    assert (problem, loss is not None) == (None, True)
    assert [path.name for path in program_folder.iterdir()] == ["train.py"]


def test_run_program_repeats_a_trial_with_the_same_seed() -> None:
    words = ["python", "train.py", "--steps=100"]
    results = [run_program(words, "val loss", 60, seed=seed)[0] for seed in (1, 1, 2)]
    assert results[0] == results[1] != results[2]


def test_run_program_stops_after_its_time(program_folder: Path) -> None:
    (program_folder / "slow.py").write_text("import time; time.sleep(60)")
    loss, seconds, problem = run_program(["python", "slow.py"], "loss", 2)
    assert loss is None
    assert seconds < 50
    assert problem == "it ran longer than 2 s"


@pytest.mark.parametrize(
    ("output", "name", "expected"),
    [
        ("step 250: train loss 2.1, val loss 2.34\n", "val_loss", 2.34),
        ("step 1: val loss 4.0\nstep 2: val loss 3.5", "val loss", 3.5),
        ("{'eval_loss': '1.25', 'epoch': '1'}", "eval_loss", 1.25),
        ('{"eval_loss": 1e-3}', "eval_loss", 1e-3),
        ("loss=nan", "loss", math.inf),
        ("train_loss: 3.0", "loss", None),
        ("\n".join(f"loss: {n}" for n in range(20)), "loss", 18.5),
    ],
)
def test_read_metric_reads_what_programs_print(
    output: str, name: str, expected: float | None
) -> None:
    assert read_metric(output, name) == expected


def test_command_replaces_flags_of_both_styles() -> None:
    program = parse_program(
        "python train.py --lr 0.3 -b 4 --steps=80",
        ["learning_rate=--lr", "batch_size=-b", "max_steps=--steps,--decay_steps"],
    )
    assert program.values == {"learning_rate": 0.3, "batch_size": 4, "max_steps": 80}
    changed = program.command({"learning_rate": 0.1, "batch_size": 32, "max_steps": 10})
    assert changed == [
        "python", "train.py", "--lr=0.1", "-b", "32", "--steps=10", "--decay_steps=10"
    ]  # fmt: skip


def test_larger_batch_reads_the_same_text() -> None:
    values = {"batch_size": 2.0, "max_steps": 400.0}
    (larger,) = list_treatments(values)
    assert larger.changes["batch_size"] * larger.changes["max_steps"] == 2 * 400
    assert list_treatments({"batch_size": 2.0, "max_steps": 100.0}) == []


@pytest.mark.parametrize(
    ("maps", "part"),
    [
        (["learning_rate=--lr=0.1"], "no max_steps"),
        (["max_steps=--steps=9"], "no setting to change"),
        (["learning_rate=--lr", "max_steps=--steps=9"], "without the value"),
        (["speed=--lr=1", "max_steps=--steps=9"], "speed=--lr=1"),
        (["learning_rate=--lr=fast", "max_steps=--steps=9"], "'fast'"),
    ],
)
def test_parse_program_refuses_incomplete_maps(maps: list[str], part: str) -> None:
    with pytest.raises(ConfigError, match="expected") as problem:
        parse_program("python train.py", maps)
    assert part in str(problem.value)


def test_command_refuses_a_program_without_the_metric() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "descend", "diagnose", "--program", "python train.py --steps=100",
         "--metric", "perplexity", "--map", "learning_rate=--lr=0.1", "--map", "max_steps=--steps"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "it printed no perplexity" in done.stderr
    assert done.stderr.count("Fix:") == 1


def test_command_prints_the_diagnosis_as_json() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "descend", "diagnose", "--program", "python train.py --lr 6",
         "--metric", "val loss", "--map", "learning_rate=--lr", "--map", "max_steps=--steps=300",
         "--json"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["verdict"] == "learning_rate_too_high"
