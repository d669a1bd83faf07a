"""`descend forecast` and `descend plan` as typed, with their mistakes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from descend.outputs import is_output
from descend.runs.folder import read_summary

Descend = Callable[..., Any]


def test_forecast_as_text_and_as_json(descend: Descend, trained: Path) -> None:
    found = descend("forecast", trained, "--epochs", 2, "--json").json
    for key in ("validation_loss", "validation_loss_interval", "accuracy", "gain_per_minute",
                "overfits_at_epoch", "sentence"):  # fmt: skip
        assert key in found
    text = descend("forecast", trained, "--epochs", 2).out
    assert found["sentence"] in text
    assert text.count("\nepoch ") == 2


def test_plan_trains_what_it_promised(descend: Descend, text_file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "planned"
    done = descend("plan", text_file, "--minutes", "0.06", "--run", "--save-dir", folder, "--json")
    assert f"saved in {folder}\nnext: descend generate {folder}" in done.err
    found = done.json
    predicted, measured = found["predicted"], found["measured"]
    assert set(predicted) >= {"validation_loss", "interval", "bits_per_byte"}
    summary = read_summary(folder)
    assert summary.finished
    assert measured["bits_per_byte"] == summary.bits_per_byte
    assert summary.epochs[-1].step == found["config"]["max_steps"] == predicted["steps"]
    assert "weighed" in done.err
    assert "measured" in done.err


def test_plan_shows_its_reasons_and_a_command_that_works(descend: Descend, text_file: Path) -> None:
    text = descend("plan", text_file, "--minutes", "1").out
    assert "100 kB counted" not in text  # there are 11
    assert "kB counted)" in text
    for word in ("machine", "tokens/s", "bytes per token", "triples", "weighed", "chosen"):
        assert word in text
    command = text.rsplit("`", 2)[1].split()
    assert command[:3] == ["descend", "train", str(text_file)]
    assert descend(*command[1:], "--max-steps", "5").code == 0


QUICK = ["--evaluation-tokens", 256, "--workers", 1, "--save-dir", "here", "--json"]
TWO_STEPS = ["--match", "steps", "--budget", 2]


@pytest.mark.parametrize(
    "words",
    [
        ["compare", "-", "--config", "TINY", "--vary", "seq_len=8,16", *TWO_STEPS, *QUICK],
        ["search", "-", "--config", "TINY", "--over", "seq_len=8,16", *TWO_STEPS, *QUICK],
        ["attribute", "TINY", "short.toml", "-", *QUICK],
        ["plan", "-", "--minutes", "0.02", "--run", "--json"],
    ],
    ids=lambda words: words[0],
)
def test_text_on_standard_input_is_enough(
    descend: Descend, text_file: Path, tiny_file: Path, words: list[str]
) -> None:
    tiny = tiny_file.read_text()
    Path("short.toml").write_text(tiny.replace("\nseq_len = 16", "\nseq_len = 8"))
    named = [tiny_file if word == "TINY" else word for word in words]
    assert descend(*named, stdin=text_file.read_text()).json
    if words[0] in ("compare", "attribute", "search"):
        assert is_output(Path("here")), "else it would be trained on with the text beside it"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["forecast", "nowhere"], "nowhere"),
        (["forecast"], "RUN"),
        (["plan", "nowhere.txt"], "nowhere.txt"),
        (["plan", "--minutes", "0"], "minutes: found 0, expected a number above 0"),
        (["plan", "--minutes", "soon"], "minutes"),
        (["plan", "--target-loss", "-1"], "target_loss: found -1"),
        (["plan", "--minutes", "1", "--target-loss", "2"], "one of the two"),
        (["plan", "--max-memory", "0"], "max_memory: found 0"),
    ],
)
def test_mistakes_get_one_line(descend: Descend, words: list[str], says: str) -> None:
    done = descend(*words)
    assert done.code == 2
    assert done.out == ""
    assert says in done.err
    assert done.err.strip().splitlines()[-1].startswith("error:")
