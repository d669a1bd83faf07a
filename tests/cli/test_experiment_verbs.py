"""The verbs of the lab as typed, with their mistakes, and stopped half-way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from descend.artifacts import is_artifact_folder
from descend.runs.run_folder import read_summary

Descend = Callable[..., Any]


def test_forecast_as_text_and_as_json(descend: Descend, trained: Path) -> None:
    forecast = descend("forecast", trained, "--epochs", 2, "--json").json
    for key in (
        "validation_loss",
        "validation_loss_interval",
        "accuracy",
        "loss_reduction_per_minute",
        "overfitting_from_epoch",
        "sentence",
    ):
        assert key in forecast
    text = descend("forecast", trained, "--epochs", 2).out
    assert forecast["sentence"] in text
    assert text.count("\nepoch ") == 2


def test_plan_command_trains_the_planned_run(
    descend: Descend, text_file: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "planned"
    done = descend("plan", text_file, "--minutes", "0.4", "--run", "--save-dir", folder, "--json")
    assert f"saved in {folder}\nnext: descend generate {folder}" in done.err
    plan = done.json
    predicted, measured = plan["predicted"], plan["measured"]
    assert set(predicted) >= {"validation_loss", "interval", "bits_per_byte"}
    summary = read_summary(folder)
    assert summary.finished
    assert measured["bits_per_byte"] == summary.bits_per_byte
    assert 0 < summary.epochs[-1].step <= 1.3 * predicted["steps"] + 1
    assert "\ncompared " in done.err
    assert "measured" in done.err


def test_plan_command_prints_reasons_and_working_command(descend: Descend, text_file: Path) -> None:
    text = descend("plan", text_file, "--minutes", "1").out
    assert "100 kB counted" not in text  # there are 11
    assert "kB counted)" in text
    for word in ("machine", "tokens/s", "bytes per token", "trigram", "compared", "chosen"):
        assert word in text
    command = next(x for x in text.splitlines() if x.startswith("descend train")).split()
    assert command[:3] == ["descend", "train", str(text_file)]
    assert descend(*command[1:], "--max-steps", "5").code == 0


@pytest.mark.slow
def test_plan_command_estimates_time_for_target_loss(descend: Descend, varied_text: Path) -> None:
    free = descend("plan", varied_text, "--minutes", "1", "--json").json
    target = round(1.15 * free["predicted"]["bits_per_byte"], 3)
    plan = descend("plan", varied_text, "--target-bits-per-byte", target, "--json").json
    assert plan["predicted"]["bits_per_byte"] <= target
    # The shortest time for it, not the best that the time of the other plan allows.
    assert plan["predicted"]["bits_per_byte"] > free["predicted"]["bits_per_byte"]
    assert plan["minutes"] < free["minutes"]
    assert plan["predicted"]["seconds"] <= 60 * plan["minutes"] * 1.001
    refused = descend("plan", varied_text, "--target-bits-per-byte", "0.01")
    assert refused.code == 2
    assert "error: target_bits_per_byte: expected " in refused.err
    assert "the least expected on this text" in refused.err


@pytest.mark.slow
def test_plan_keeps_a_bound_on_memory(descend: Descend, varied_text: Path) -> None:
    free = descend("plan", varied_text, "--minutes", "1", "--json").json["predicted"]
    bound = round(0.7 * free["memory_bytes"] / 1e9, 6)
    plan = descend("plan", varied_text, "--minutes", "1", "--max-memory-gb", bound, "--json").json
    assert 0 < plan["predicted"]["memory_bytes"] <= 1e9 * bound < free["memory_bytes"]
    refused = descend("plan", varied_text, "--minutes", "1", "--max-memory-gb", "0.0001")
    assert refused.code == 2
    assert "error: max_memory: expected at least " in refused.err


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="no groups of processes to send a signal to")
@pytest.mark.parametrize("workers", [1, 2])
def test_compare_command_continues_from_finished_trials_after_interrupt(
    descend: Descend, tiny_file: Path, text_file: Path, own_folder: Path,
    monkeypatch: pytest.MonkeyPatch, workers: int,
) -> None:  # fmt: skip
    monkeypatch.setenv("DESCEND_CACHE_DIR", str(own_folder / "cache"))
    words = ["compare", text_file, "--config", tiny_file, "--vary", "dropout_rate=0,0.1",
             "--num-seeds", 3, "--budget-unit", "steps", "--budget", 150, "--eval-tokens", 256,
             "--workers", workers, "--save-dir", "kept", "--json"]  # fmt: skip
    # A terminal sends Ctrl-C to all processes of the command.
    process = subprocess.Popen(
        [sys.executable, "-m", "descend", *map(str, words)], start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip

    def trials() -> dict[Path, int]:
        named_by_key = (own_folder / "cache/trials").glob("?" * 64 + ".json")
        return {file: file.stat().st_mtime_ns for file in named_by_key}

    deadline = time.monotonic() + 240
    while not trials() and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=240)
    assert process.returncode == 130, err
    assert (out, err.splitlines()[-1]) == ("", "Stopped.")
    assert "Traceback" not in err
    before = trials()
    assert 1 <= len(before) < 6

    done = descend(*words)
    assert len(done.json["arms"]) == 2
    assert f"6 runs, {len(before)} already finished: about" in done.err
    after = trials()
    assert len(after) == 6
    assert before.items() <= after.items(), "none was made or written again"
    assert is_artifact_folder(Path("kept"))


QUICK = ["--eval-tokens", 256, "--workers", 1, "--save-dir", "here", "--json"]
TWO_STEPS = ["--budget-unit", "steps", "--budget", 2]


@pytest.mark.parametrize(
    "words",
    [
        ["compare", "-", "--config", "TINY", "--vary", "seq_len=8,16", *TWO_STEPS, *QUICK],
        ["search", "-", "--config", "TINY", "--space", "seq_len=8,16", *TWO_STEPS, *QUICK],
        ["attribute", "few.toml", "short.toml", "-", *QUICK],
        ["plan", "-", "--minutes", "0.4", "--json"],
    ],
    ids=lambda words: words[0],
)
def test_text_on_standard_input_is_enough(
    descend: Descend, text_file: Path, tiny_file: Path, words: list[str]
) -> None:
    few_steps = tiny_file.read_text() + "max_steps = 4\n"
    Path("few.toml").write_text(few_steps)
    Path("short.toml").write_text(few_steps.replace("\nseq_len = 16", "\nseq_len = 8"))
    named = [tiny_file if word == "TINY" else word for word in words]
    assert descend(*named, stdin=text_file.read_text()).json
    if words[0] in ("compare", "attribute", "search"):
        assert is_artifact_folder(Path("here")), (
            "else it would be trained on with the text beside it"
        )


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["forecast", "nowhere"], "nowhere"),
        (["forecast"], "RUN"),
        (["plan", "nowhere.txt"], "nowhere.txt"),
        (["plan", "--minutes", "0"], "minutes: expected a number above 0, but found 0"),
        (["plan", "--minutes", "soon"], "minutes"),
        (
            ["plan", "--target-bits-per-byte", "-1"],
            "target_bits_per_byte: expected a number above 0, but found -1",
        ),
        (["plan", "--minutes", "1", "--target-bits-per-byte", "2"], "one of the two"),
        (["plan", "--max-memory-gb", "0"], "max_memory: expected "),
    ],
)
def test_mistakes_get_one_line(descend: Descend, words: list[str], says: str) -> None:
    done = descend(*words)
    assert done.code == 2
    assert done.out == ""
    assert says in done.err
    assert done.err.strip().splitlines()[-1].startswith("error:")
