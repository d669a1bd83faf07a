"""What a new user meets: the end of a run, the list of runs, names, comparisons, errors."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from descend.errors import RunFolderError
from descend.runs.run_list import find_run

Descend = Callable[..., Any]


@pytest.fixture
def models(trained: Path, own_folder: Path) -> Path:
    """Three finished runs under `models/`, of which `transformer_20` is the newest."""
    base = own_folder / "models"
    for age, name in enumerate(("transformer_20", "transformer_11", "transformer_10")):
        shutil.copytree(trained, base / name)
        when = 1_700_000_000 - 100 * age
        os.utime(base / name / "run.json", (when, when))
    return Path("models")


def test_train_ends_in_three_lines(descend: Descend, tiny_file: Path, text_file: Path) -> None:
    done = descend("train", text_file, "--config", tiny_file, "--save-dir", "run")
    good, means = done.out.splitlines()
    assert good.startswith("The model predicts ")
    assert "random guess 5.70" in good
    assert means.endswith(
        ("It was still improving at the end.", "The validation loss had leveled off.")
    )
    assert done.err.splitlines()[-1].startswith("next: descend generate run ")
    assert "guide" not in done.out + done.err


def test_verbose_adds_samples_and_details(
    descend: Descend, tiny_file: Path, text_file: Path
) -> None:
    done = descend("train", text_file, "--config", tiny_file, "--epoch", "1", "--verbose")
    assert done.out.count("--- sample") == 3
    assert "After 1 epoch " in done.out
    assert "saved in models/transformer_" in done.out
    assert done.out.splitlines()[-2].startswith("The model predicts ")
    # Counting pairs predicts these sentences better than one epoch.
    assert "next: descend diagnose" in done.err


def test_list_shows_every_run_with_its_state(descend: Descend, models: Path) -> None:
    (models / "transformer_10/model.safetensors").unlink()
    shutil.copytree(models / "transformer_11", models / "broken")
    (models / "broken/run.json").write_text("{")
    lines = descend("list").out.splitlines()
    named = {line.split()[0]: line for line in lines[2:] if line}
    assert list(named)[:3] == ["transformer_10", "transformer_11", "transformer_20"]
    assert "model lost" in named["transformer_10"]
    assert "finished" in named["transformer_20"]
    assert "unreadable" in named["broken"]
    assert "`descend show broken`" in lines[-1]
    shutil.copytree(models / "transformer_11", "my runs/one")
    assert "`descend show 'my runs/one'`" in descend("list", "my runs").out
    assert descend("show", "my runs/one").code == 0
    assert max(map(len, lines[:-2])) <= 80
    runs = descend("list", "--json").json["runs"]
    assert [r["state"] for r in runs] == ["model lost", "finished", "finished", "unreadable"]
    Path("empty").mkdir()
    assert "no run in empty" in descend("list", "empty").out
    assert descend("list", "nowhere").code == 2


def test_show_draws_the_curve_and_says_what_to_do(descend: Descend, models: Path) -> None:
    done = descend("show", "latest")
    assert done.code == 0
    lines = done.out.splitlines()
    assert lines[0].startswith("models/transformer_20: finished, text animals.txt, 13,")
    assert lines[1] == "loss in nats per token (· training  ● validation)"
    assert lines[-2].startswith("The model predicts ")
    assert max(map(len, lines[1:9])) <= 80
    assert done.err.startswith("next: descend generate models/transformer_20 ")
    facts = descend("show", "latest", "--json").json
    assert facts["run"]["state"] == "finished"
    assert len(facts["epochs"]) == 2
    assert facts["next"].startswith("descend generate ")
    assert descend("show", "nowhere").code == 2


@pytest.mark.parametrize("verb", [
    ("checklist",), ("show",), ("forecast",), ("diagnose", "--no-trials"), ("report",),
    ("generate", "A cat"),
])  # fmt: skip
def test_a_run_is_named_by_latest_or_the_beginning_of_its_name(
    descend: Descend, models: Path, verb: tuple[str, ...]
) -> None:
    name, *more = verb
    for short in ("latest", "transformer_2", "2", "models/transformer_2"):
        extra = ["--seed", "1"] if name == "generate" else []
        done = descend(name, short, *more, *extra)
        assert done.code == 0, done.err
    ambiguous = descend(name, "transformer_1", *more)
    assert ambiguous.code == 2
    assert "the beginning of 2 names" in ambiguous.err
    assert "models/transformer_10, models/transformer_11" in ambiguous.err


def test_find_run_prefers_the_whole_name_when_others_begin_with_it(own_folder: Path) -> None:
    for name in ("java", "java2"):
        Path("models", name).mkdir(parents=True)
        Path("models", name, "run.json").write_text("{}")
    assert find_run(Path("java")) == Path("models/java")
    assert find_run(Path("java2")) == Path("models/java2")
    with pytest.raises(RunFolderError, match="the beginning of 2 names"):
        find_run(Path("jav"))


def test_latest_without_a_run_says_so(descend: Descend) -> None:
    done = descend("checklist", "latest")
    assert done.code == 2
    assert "no run in models/" in done.err


def test_finished_runs_are_compared_without_training(
    descend: Descend, models: Path, tiny_file: Path, text_file: Path
) -> None:
    for name, more in (("wide", ["--embed-dim", "32"]), ("other", ["--seed", "7"])):
        words = ("train", text_file, "--config", tiny_file, "--epoch", "1", "--save-dir", name)
        assert descend(*words, *more).code == 0
    before = sorted(Path().rglob("*"))
    comparison = descend("compare", "latest", "wide", "--json").json
    assert sorted(Path().rglob("*")) == before
    assert comparison["same_validation"]
    first, second = comparison["runs"]
    assert first["gain"] is None
    assert second["gain"] == pytest.approx(first["bits_per_byte"] - second["bits_per_byte"])
    assert comparison["differences"]["embed_dim"] == ["16", "32"]
    text = descend("compare", "latest", "wide").out
    assert "bits/byte" in text
    assert f"{second['gain']:+.3f}" in text
    other = descend("compare", "wide", "other", "--json").json
    assert not other["same_validation"]
    assert other["runs"][1]["gain"] is None
    assert "cannot be compared" in other["sentence"]
    assert descend("compare", "wide", "other", "--arm", "old").code == 2


@pytest.mark.parametrize(("words", "kind", "code"), [
    (("train", "no/such/text"), "CorpusError", 2),
    (("report", "nowhere"), "RunFolderError", 2),
    (("train", "--no-such-flag"), "UsageError", 2),
])  # fmt: skip
def test_json_prints_an_object_for_an_error(
    descend: Descend, words: tuple[str, ...], kind: str, code: int
) -> None:
    done = descend(*words, "--json")
    assert done.code == code
    assert done.out.count("\n") == 1
    error = json.loads(done.out)["error"]
    assert (error["kind"], error["exit_code"]) == (kind, code)
    assert error["message"] in done.err
    if kind != "UsageError":
        assert {"where", "found", "expected", "fix", "next"} <= set(error)


@pytest.mark.parametrize(("words", "said", "not_said"), [
    (("train", "--device", "gpu"), "expected auto, cpu, mps, cuda or cuda:0", "pattern"),
    (("train", "--epoch", "0"), "expected 1 or more", "greater than"),
    (("train", "--learning-rate", "99"), "expected 10 or less", "less than or equal"),
    (("generate", "run", "a", "--top-k", "abc"), "expected a whole number", "parse string"),
    (("train", "--learning-rate", "x"), "expected a number, but found", "piecewise"),
])  # fmt: skip
def test_messages_of_libraries_are_in_our_words(
    descend: Descend, words: tuple[str, ...], said: str, not_said: str
) -> None:
    done = descend(*words)
    assert done.code == 2
    assert said in done.err
    assert not_said not in done.err


def test_generate_names_the_bytes_when_the_prompt_is_not_utf8(
    descend: Descend, trained: Path
) -> None:
    done = descend("generate", trained, "caf\udce9")
    assert done.code == 2
    assert "bytes that are not UTF-8 at character 4" in done.err
    assert "TextEncodeInput" not in done.err
