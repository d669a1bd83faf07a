"""Programs with a planted fault are told from their sound twins by paired trials of their flags."""

from __future__ import annotations

import json
import math
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from descend.errors import ConfigError
from descend.program_trials.diagnose_program import (
    ProgramDiagnosis,
    TrialOptions,
    diagnose_program,
)
from descend.program_trials.metric_output import read_metric, read_metric_table
from descend.program_trials.program_executor import run_programs
from descend.program_trials.program_flags import parse_program
from descend.program_trials.program_treatments import list_treatments
from descend.program_trials.run_program import ProgramResult, TrialRequest, run_program
from descend.report.text.program_diagnosis import format_program_diagnosis

from .programs import NOISY, REGRESSION, WRITES_FILES

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
    return diagnose_program(program, TrialOptions("val loss", timeout=600, workers=2))


def run_words(*words: str, timeout: float = 60, **fields: Any) -> ProgramResult:
    return run_program(TrialRequest(list(words), "val loss", timeout=timeout, **fields))


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


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [("", "the seeds differ too much to say"), ("--strict", "no treatment could be run")],
)
def test_diagnose_program_cannot_tell_when_trials_are_too_noisy_or_all_fail(
    arguments: str, reason: str, program_folder: Path
) -> None:
    (program_folder / "noisy.py").write_text(NOISY)
    maps = ["learning_rate=--lr=0.1", "max_steps=--steps=9"]
    program = parse_program(f"python noisy.py {arguments}", maps)
    diagnosis = diagnose_program(program, TrialOptions("val loss", timeout=600, workers=2))
    assert diagnosis.verdict == "unknown"
    assert reason in diagnosis.reason
    assert format_program_diagnosis(diagnosis).startswith("Cannot tell")


def test_diagnose_program_tries_no_stronger_change_after_one_that_is_clearly_worse() -> None:
    diagnosis = diagnose("--lr=0.0033")
    trials = {e.treatment.description: len(e.trials) for e in diagnosis.effects}
    assert trials["1/3 of the learning rate"] == 1
    assert trials["1/10 of the learning rate"] == trials["1/30 of the learning rate"] == 0
    assert trials["30 times the learning rate"] == 3
    text = format_program_diagnosis(diagnosis)
    assert text.count("not tried, since a smaller change was clearly worse") == 2


def test_run_program_changes_no_file_of_the_program(program_folder: Path) -> None:
    result = run_words("python", "train.py", "--steps=100", shift=1)
    assert (result.problem, result.loss is not None) == (None, True)
    assert [path.name for path in program_folder.iterdir()] == ["train.py"]


def test_run_program_repeats_a_trial_with_the_same_seed() -> None:
    words = ["python", "train.py", "--steps=100"]
    results = [run_words(*words, shift=seed).loss for seed in (1, 1, 2)]
    assert results[0] == results[1] != results[2]


def test_run_program_stops_after_its_time(program_folder: Path) -> None:
    (program_folder / "slow.py").write_text("import time; time.sleep(60)")
    result = run_words("python", "slow.py", timeout=2)
    assert result.loss is None
    assert result.seconds < 50
    assert result.problem == "it ran longer than 2 s"


@pytest.mark.parametrize(
    ("output", "name", "expected"),
    [
        ("step 250: train loss 2.1, val loss 2.34\n", "val_loss", 2.34),
        ("step 1: val loss 4.0\nstep 2: val loss 3.5", "val loss", 3.5),
        ("{'eval_loss': '1.25', 'epoch': '1'}", "eval_loss", 1.25),
        ('{"eval_loss": 1e-3}', "eval_loss", 1e-3),
        ("loss=nan", "loss", math.inf),
        ('{"validation_loss":null}', "validation loss", math.inf),
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
        "python", "train.py", "--lr", "0.1", "-b", "32", "--steps=10", "--decay_steps=10"
    ]  # fmt: skip


def test_command_keeps_the_ratio_of_flags_of_one_key() -> None:
    program = parse_program(
        "python train.py --lr=0.01 --min_lr=0.001 --iters 200 --warmup 20 --accumulate=1",
        ["learning_rate=--lr,--min_lr", "max_steps=--iters,--warmup,--decay_iters"],
    )
    assert program.command(program.limits | {"learning_rate": 0.0003}) == [
        "python", "train.py", "--lr=0.0003", "--min_lr=0.00003", "--iters", "200", "--warmup",
        "20", "--accumulate=1", "--decay_iters=200",
    ]  # fmt: skip
    assert "--warmup 5" in " ".join(program.command({"max_steps": 50}))


def test_command_changes_a_setting_within_a_word() -> None:
    program = parse_program(
        "python train.py --config_overrides n_layer=1,attn_pdrop=0.7,resid_pdrop=0.7 --steps=9",
        ["num_layers=n_layer", "dropout_rate=attn_pdrop,resid_pdrop", "max_steps=--steps"],
    )
    assert program.values == {"num_layers": 1, "dropout_rate": 0.7, "max_steps": 9}
    assert program.command({"num_layers": 4, "dropout_rate": 0})[3:] == [
        "n_layer=4,attn_pdrop=0.0,resid_pdrop=0.0", "--steps=9"
    ]  # fmt: skip


def test_command_changes_a_setting_within_json() -> None:
    program = parse_program(
        """litgpt pretrain --optimizer='{"class_path": "AdamW", "init_args": {"lr": 0.01}}' """
        "--train.min_lr=0.001 --train.max_tokens=99 --seed=1",
        ["learning_rate=lr,--train.min_lr", "max_tokens=--train.max_tokens", "seed=--seed"],
    )
    assert program.values["learning_rate"] == 0.01
    assert program.command({"learning_rate": 0.03})[2:4] == [
        '--optimizer={"class_path": "AdamW", "init_args": {"lr": 0.03}}', "--train.min_lr=0.003"
    ]  # fmt: skip
    line = program.command_line({"learning_rate": 0.03})
    assert shlex.split(line) == program.command({"learning_rate": 0.03})


@pytest.mark.parametrize(("value", "text"), [(0, "0.0"), (1, "1.0"), (1e-5, "0.00001")])
def test_command_writes_rates_that_every_parser_takes_for_numbers(value: float, text: str) -> None:
    program = parse_program("p --lr 0.1", ["learning_rate=--lr", "max_steps=-n=9", "seed=-s"])
    assert program.command({"learning_rate": value}) == ["p", "--lr", text]


def test_larger_batches_read_the_same_text() -> None:
    larger = list_treatments({"batch_size": 2.0, "max_steps": 400.0})
    products = {t.changes["batch_size"] * t.changes["max_steps"] for t in larger}
    assert (len(larger), products) == (2, {2 * 400})
    assert len(list_treatments({"batch_size": 2.0, "max_steps": 100.0})) == 1
    by_tokens = list_treatments({"batch_size": 2.0, "max_tokens": 100.0})
    assert [set(t.changes) for t in by_tokens] == [{"batch_size"}] * 2


@pytest.mark.parametrize(
    ("pattern", "loss", "problem"),
    [
        ("runs/*/events.jsonl", 1.5, None),
        ("metrics.csv", 1.25, None),
        ("other.json", None, "other.json has no val loss"),
    ],
)
def test_metric_file_is_read_after_the_program(
    program_folder: Path, pattern: str, loss: float | None, problem: str | None
) -> None:
    (program_folder / "write.py").write_text(WRITES_FILES)
    result = run_words("python", "write.py", metric_file=pattern)
    assert (result.loss, result.problem) == (loss, problem)
    assert not (program_folder / "metrics.csv").exists()


def test_read_metric_table_skips_empty_cells() -> None:
    table = "epoch,train_loss,val_loss\n0,2.0,\n0,,1.5\n1,1.0,\n1,,NaN\n"
    assert read_metric_table(table, "train loss") == 1.0
    assert read_metric_table(table, "val_loss") == math.inf
    assert read_metric_table("", "val_loss") is None


def test_run_programs_ends_all_programs_after_an_error(program_folder: Path) -> None:
    (program_folder / "slow.py").write_text("import time; time.sleep(300)")
    fast = TrialRequest(["python", "train.py", "--steps=100"], "val loss")
    slow = TrialRequest(["python", "slow.py"], "val loss")

    def fail(index: int, result: ProgramResult) -> None:
        raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_programs([slow, fast], 2, fail)
    assert time.monotonic() - began < 250


@pytest.mark.parametrize(
    ("maps", "part"),
    [
        (["learning_rate=--lr=0.1"], "none of max_steps"),
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


@pytest.mark.skipif(sys.platform == "win32", reason="has no SIGTERM")
def test_command_leaves_no_program_behind_when_terminated(
    program_folder: Path, tmp_path: Path
) -> None:
    script = "import os, pathlib, sys, time\npathlib.Path(sys.argv[1]).write_text(str(os.getpid()))"
    (program_folder / "slow.py").write_text(f"{script}\ntime.sleep(3000)\n")
    file = tmp_path / "pid"
    command = subprocess.Popen(
        [sys.executable, "-m", "descend", "diagnose", "--program", f"python slow.py {file}",
         "--metric", "loss", "--map", "learning_rate=--lr=0.1", "--map", "max_steps=--steps=9"],
        stderr=subprocess.PIPE,
    )  # fmt: skip
    while not (file.exists() and file.read_text()):
        time.sleep(0.1)
    command.terminate()
    command.communicate()
    assert command.returncode == 143
    with pytest.raises(ProcessLookupError):
        os.kill(int(file.read_text()), 0)
