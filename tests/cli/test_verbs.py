"""Every verb from the command line to its result, with real models of a second's training."""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Descend = Callable[..., Any]

EPOCH_KEYS = {
    "epoch", "loss_start", "loss_end", "accuracy_start", "accuracy_end", "validation_loss",
    "validation_accuracy", "bits_per_byte", "seconds",
}  # fmt: skip


def check_training_result(result: dict[str, Any], epochs: int) -> None:
    """What the issue promises of `train --json`."""
    assert [e["epoch"] for e in result["epochs"]] == list(range(1, epochs + 1))
    for epoch in result["epochs"]:
        assert set(epoch) >= EPOCH_KEYS
        assert all(math.isfinite(epoch[key]) for key in EPOCH_KEYS)
    assert result["parameters"] > 0
    assert result["seconds"] > 0
    assert result["tokens_per_second"] > 0
    assert set(result["ngram_baselines"]) == {"uniform", "unigram", "bigram"}
    best = min(result["epochs"], key=lambda e: e["validation_loss"])
    assert (result["best_epoch"], result["validation_loss"]) == (
        best["epoch"], best["validation_loss"],
    )  # fmt: skip
    for name in ("config.json", "model.safetensors", "tokenizer.json", "run.json"):
        assert (Path(result["model_dir"]) / name).is_file()


def test_train_command_prints_json_and_logs_to_stderr(
    descend: Descend, tiny_file: Path, text_file: Path
) -> None:
    done = descend("train", text_file, "--config", tiny_file, "--sample-size", "99", "--json")
    result = done.json
    check_training_result(result, epochs=2)
    assert result["epochs"][-1]["loss_end"] < result["epochs"][0]["loss_start"]
    assert result["model_dir"].startswith("models/transformer_")
    for fragment in ("parameters", "of memory", "epoch 2/2", "accuracy", "validation loss"):
        assert fragment in done.err
    # Before the first step: what it needs and how long it takes.
    assert done.err.index("of memory") < done.err.index("82 steps") < done.err.index("epoch 1/2")


def test_train_command_accepts_folder_and_stdin(
    descend: Descend, tiny_file: Path, text_file: Path, own_folder: Path
) -> None:
    folder = own_folder / "texts"
    folder.mkdir()
    text = text_file.read_text()
    for number in range(4):
        (folder / f"{number}.md").write_text(text[number * 2000 : number * 2000 + 2500])
    tiny = ("--config", tiny_file, "--epoch", "1", "--json")
    check_training_result(descend("train", folder, *tiny).json, epochs=1)
    check_training_result(descend("train", "-", *tiny, stdin=text).json, epochs=1)


def test_train_command_ignores_earlier_run_folder_in_corpus(
    descend: Descend, tiny_file: Path, text_file: Path, own_folder: Path
) -> None:
    (own_folder / "text.txt").write_text(text_file.read_text())
    (own_folder / "old.doc").write_text("not read")
    tiny = ("--config", tiny_file, "--max-steps", "4", "--json")
    first, second = descend("train", ".", *tiny), descend("train", ".", *tiny)
    corpora = [json.loads((Path(d.json["model_dir"]) / "run.json").read_text())["corpus"]
               for d in (first, second)]  # fmt: skip
    assert corpora[0] == corpora[1]
    folder = first.json["model_dir"]
    assert first.err.splitlines()[0] == "not read: 1 .doc (under 1 % of the bytes)"
    assert second.err.splitlines()[:2] == [
        f"not read: 1 folder that descend wrote ({folder})",
        "not read: 1 .doc (under 1 % of the bytes)",
    ]  # fmt: skip
    refused = descend("train", folder)
    assert refused.code == 2
    assert f"descend continue {folder}" in refused.err


@pytest.mark.slow
def test_train_command_accepts_builtin_corpus(descend: Descend, tiny_file: Path) -> None:
    result = descend("train", "stories", "--config", tiny_file, "--epoch", "1",
                    "--batch-size", "256", "--json").json  # fmt: skip
    check_training_result(result, epochs=1)


def test_corpus_dir_is_the_same_as_corpus(
    descend: Descend, tiny_file: Path, text_file: Path
) -> None:
    tiny = ("--config", tiny_file, "--max-steps", "4", "--json")
    one = descend("train", text_file, *tiny).json
    other = descend("train", "--corpus-dir", text_file, *tiny).json
    third = descend("train", text_file, "--seed", "7", *tiny).json
    assert one["model_dir"] != other["model_dir"]
    assert one["validation_loss"] == other["validation_loss"] != third["validation_loss"]


@pytest.mark.slow
def test_module_entry_point_trains_like_the_python_function(
    shell: Descend, tiny_file: Path, text_file: Path, trained: Path
) -> None:
    done = shell("train", text_file, "--config", tiny_file, "--json")
    assert done.json["validation_loss"] == json.loads(
        (trained / "summary.json").read_text()
    )["validation_loss"]  # fmt: skip


def test_module_entry_point_matches_python_function(
    shell: Descend, descend: Descend, trained: Path
) -> None:
    words = ("generate", trained, "The old", "--greedy", "--json")
    assert shell(*words).json == descend(*words).json


def test_evaluate_gives_its_numbers(descend: Descend, trained: Path, text_file: Path) -> None:
    evaluation = descend("evaluate", trained, text_file, "--json").json
    assert set(evaluation) >= {"loss", "accuracy", "perplexity", "bits_per_byte", "tokens", "bytes"}
    assert evaluation["bytes"] == text_file.stat().st_size
    assert evaluation["perplexity"] == pytest.approx(math.exp(evaluation["loss"]))
    nats = evaluation["loss"] * evaluation["tokens"]
    assert evaluation["bits_per_byte"] == pytest.approx(nats / math.log(2) / evaluation["bytes"])
    assert f"Loss {evaluation['loss']:.4f} nats" in descend("evaluate", trained, text_file).out


def test_evaluate_says_where_a_text_was_trained_on(
    descend: Descend, trained: Path, text_file: Path, own_folder: Path
) -> None:
    own = descend("evaluate", trained, text_file)
    assert own.err.startswith(
        "The model was trained on 90% of this text, so this loss is optimistic."
    )
    other = own_folder / "other.txt"
    other.write_text("The cow " + text_file.read_text())
    assert descend("evaluate", trained, other).err == ""


def test_generate_command_is_deterministic_when_greedy(descend: Descend, trained: Path) -> None:
    words = ("generate", trained, "The old", "--greedy", "--max-new-tokens", "12")
    first = descend(*words, "--json").json
    assert first["text"].startswith("The old")
    assert set(first) >= {"text", "token_ids"}
    assert 12 < len(first["token_ids"]) <= 12 + len("The old")
    assert descend(*words, "--json").json == first
    assert descend(*words).out == first["text"] + "\n"


def test_generate_command_depends_only_on_seed(descend: Descend, trained: Path) -> None:
    def write(seed: int) -> str:
        return str(descend("generate", trained, "A dog", "--seed", seed, "--json").json["text"])

    assert write(1) == write(1) != write(2)


def test_generate_command_accepts_several_and_overlong_prompts(
    descend: Descend, trained: Path
) -> None:
    long = "The old owl sleeps up the tree. " * 20
    generation = descend("generate", trained, "A", long, "--max-new-tokens", "5", "--json").json
    assert [t["prompt"] for t in generation["texts"]] == ["A", long]
    assert all(len(t["new_token_ids"]) <= 5 for t in generation["texts"])
    assert descend("generate", trained, "-", "--max_new_tokens", "0", stdin="The").out == "The\n"


def test_generate_stops_before_a_stop_string(descend: Descend, trained: Path) -> None:
    words = ("generate", trained, "The old", "--greedy", "--json", "--max-new-tokens", "30")
    whole = descend(*words).json["new_text"]
    stop = whole[6:9]
    cut = descend(*words, "--stop", stop).json
    assert cut["new_text"] == whole[: whole.index(stop)]
    assert cut["finish"] == "stop"


def test_continue_trains_the_same_network_further(
    descend: Descend, trained: Path, text_file: Path
) -> None:
    before = descend("evaluate", trained, text_file, "--json").json["loss"]
    result = descend("continue", trained, "--epoch", "1", "--embed-dim", "16",
                    "--learning-rate", "0.002", "--save_dir", "further", "--json").json  # fmt: skip
    check_training_result(result, epochs=1)
    assert result["model_dir"] == "further"
    assert descend("evaluate", "further", text_file, "--json").json["loss"] < before
    assert (Path("further") / "tokenizer.json").read_bytes() == (
        trained / "tokenizer.json"
    ).read_bytes()
    assert json.loads(Path("further/run.json").read_text())["parent"] == str(trained)
    began = json.loads((trained / "summary.json").read_text())["validation_loss"]
    assert result["parent_validation_loss"] == began > result["validation_loss"]
    again = descend("train", "--from-run", "further", "--save-dir", "again", "--json").json
    assert again["parent_validation_loss"] == began
    assert again["validation_loss"] == result["validation_loss"]


def test_continue_command_reports_worse_loss_and_inherited_settings(
    descend: Descend, tiny_file: Path, text_file: Path, own_folder: Path
) -> None:
    open_vocabulary = own_folder / "open.toml"
    open_vocabulary.write_text(tiny_file.read_text().replace("vocab_size = 300\n", ""))
    first = descend("train", text_file, "--config", open_vocabulary, "--save-dir", "first")
    assert "kB of training text: vocab_size = " in first.err
    # A rate that ruins it.
    further = descend("continue", "first", "--learning-rate", "0.5", "--gradient-clip", "0",
                      "--max-steps", "1", "--verbose")  # fmt: skip
    assert further.code == 0, further.err
    assert " epochs, 1 step of" in further.err
    assert "0.0 epochs" not in further.err
    assert "vocab_size" not in further.err
    assert "No improvement: the parent model is still better." in further.out
    assert "guide" not in further.out


@pytest.mark.slow
def test_continue_command_accepts_per_epoch_learning_rate(
    descend: Descend, trained: Path, own_folder: Path, text_file: Path
) -> None:
    other = own_folder / "other.txt"
    other.write_text(text_file.read_text()[::-1])
    result = descend("continue", trained, other, "--epochs", "2",
                    "--learning-rate", "1:1e-3,2:1e-4", "--json").json  # fmt: skip
    check_training_result(result, epochs=2)
    assert result["parent_validation_loss"] is None, "it was not judged on that text"
    changed = descend("train", "--from-run", result["model_dir"], "--learning-rate", "0.001",
                    "--max-steps", "5", "--json").json  # fmt: skip
    assert (
        json.loads((Path(changed["model_dir"]) / "run.json").read_text())["requested_config"][
            "schedule"
        ]
        == "wsd"
    )
    again = descend("continue", result["model_dir"], "--learning-rate", "0.001", "--epochs", "1",
                    "--json").json  # fmt: skip
    check_training_result(again, epochs=1)
    assert json.loads((Path(again["model_dir"]) / "run.json").read_text())["requested_config"][
        "corpus_dir"
    ] == str(other)


def test_continue_command_applies_config_file_and_environment(
    descend: Descend, trained: Path, tiny_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = Path("again.toml")
    file.write_text('preset = "fast"\nbatch_size = 8\n' + tiny_file.read_text().replace(
        "batch_size = 4\n", ""))  # fmt: skip
    monkeypatch.setenv("DESCEND_MAX_STEPS", "3")
    result = descend("continue", trained, "--config", file, "--json").json
    config = json.loads((Path(result["model_dir"]) / "run.json").read_text())["requested_config"]
    assert (config["batch_size"], config["max_steps"]) == (8, 3)
    monkeypatch.setenv("DESCEND_NUM_LAYERS", "3")
    refused = descend("continue", trained)
    assert refused.code == 2
    assert refused.err.startswith("error: DESCEND_NUM_LAYERS: expected 2 as in the model")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_resume_command_finishes_run_after_termination(
    descend: Descend, tiny_file: Path, text_file: Path, number: signal.Signals, code: int
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "descend", "train", "-", "--config", tiny_file,
         "--epoch", "300", "--save-dir", "stopped", "--json"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdin
    process.stdin.write(text_file.read_text())
    process.stdin.close()
    process.stdin = None
    deadline = time.monotonic() + 240
    while not list(Path("stopped").glob("checkpoints/step_*")) and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(number)
    out, err = process.communicate(timeout=240)
    assert process.returncode == code, err
    assert out == ""
    last = err.splitlines()[-1]
    assert last.startswith("stopped after step ")
    assert last.endswith("continue with `descend resume stopped`")
    assert "Traceback" not in err

    make_it_short(Path("stopped"))
    done = descend("resume", "stopped", "--json")
    assert "continuing from step" in done.err
    assert done.json["finished"]


def make_it_short(folder: Path) -> None:
    """Let a run of many epochs end with the epoch under way, so that the test ends too."""
    info = json.loads((folder / "run.json").read_text())
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    info["resolved_config"]["epoch"] = max(e["epoch"] for e in events if e["kind"] == "step")
    (folder / "run.json").write_text(json.dumps(info))


def test_chat_command_reads_turns_from_a_pipe(descend: Descend, trained: Path) -> None:
    words = ("chat", trained, "--seed", "3", "--max-new-tokens", "6")
    turns = descend(*words, "--json", stdin="The old\n/new\nA dog\n/quit\nno\n").json["turns"]
    assert [turn["prompt"] for turn in turns] == ["The old", "A dog"]
    plain = descend(*words, stdin="The old\n/new\nA dog\n")
    assert plain.out == "".join(turn["text"] + "\n" for turn in turns)


def test_corpus_add_gathers_and_stats_measures(
    descend: Descend, own_folder: Path, text_file: Path, tiny_file: Path
) -> None:
    source = own_folder / "notes"
    source.mkdir()
    text = text_file.read_text()
    for number in range(6):
        (source / f"{number}.md").write_text(text[number * 1500 : number * 1500 + 1500])
    (source / "copy.md").write_text((source / "0.md").read_text())
    (source / "left.py").write_text("print('not taken')\n" * 9)
    added = descend("corpus", "add", source, "mine", "--extensions", ".md,.txt", "--json").json
    assert added["documents"] == 6
    assert added["exact_duplicates"] == 1
    assert "6 documents" in descend("corpus", "add", source, "again", "--extensions", ".md").out
    one = source / "one.txt"
    one.write_text("A document alone. " * 60)
    output = descend("corpus", "add", one, "alone").out
    assert output.startswith("1 document (")
    assert "from 1 file is in alone/one.jsonl." in output
    assert ": 1 document, " in descend("corpus", "stats", "alone", "--vocab_size", "300").out
    one.unlink()

    words = ("corpus", "stats", "mine", "--vocab_size", "300")
    stats = descend(*words, "--json").json
    assert {"documents", "bytes", "characters", "tokens", "bytes_per_token", "duplicate_fraction",
            "ngram_baselines"} <= set(stats)  # fmt: skip
    assert stats["documents"] == 6
    baselines = stats["ngram_baselines"]
    assert baselines["bigram"] < baselines["unigram"] < baselines["uniform"]
    picture = descend(*words).out
    assert "6 documents" in picture
    assert "█" in picture
    check_training_result(
        descend("train", "mine", "--config", tiny_file, "--epoch", "1", "--json").json, 1
    )


def test_a_tokenizer_of_its_own_serves_several_runs(
    descend: Descend, text_file: Path, tiny_file: Path
) -> None:
    made = descend("tokenizer", "train", text_file, "tok.json", "--vocab-size", "280", "--json")
    assert made.json["vocab_size"] == 280
    assert made.json["bytes_per_token"] > 1
    words = ("tokenizer", "train", text_file, "chars.json", "--tokenizer", "char")
    assert "Use it with --vocab-path chars.json" in descend(*words).out
    from_file = Path("tiny.json")
    keys = {"vocab_path": "tok.json", "vocab_size": None, "epoch": 1}
    config = descend("config", "show", "--config", tiny_file, "--json").json["config"]
    tiny = {k: v["value"] for k, v in config.items() if v["origin"].startswith("file")}
    from_file.write_text(json.dumps(tiny | keys))
    result = descend("train", text_file, "--config", from_file, "--json").json
    used = Path(result["model_dir"]) / "tokenizer.json"
    assert json.loads(used.read_text()) == json.loads(Path("tok.json").read_text())


def test_config_show_says_where_a_value_comes_from(descend: Descend, own_folder: Path) -> None:
    file = own_folder / "run.yaml"
    file.write_text("batch_size: 5\nseq-len: 20\n")
    words = ("config", "show", "--config", file, "--preset", "old", "--batch-size", "7")
    config = descend(*words, "--json").json["config"]
    assert config["batch_size"] == {"value": 7, "origin": "flag"}
    assert config["seq_len"] == {"value": 20, "origin": f"file {file}"}
    assert config["embed_dim"] == {"value": 128, "origin": "preset old"}
    assert config["seed"] == {"value": 42, "origin": "default"}
    assert "embed_dim" in descend(*words).out
    presets = descend("config", "presets", "--json").json["presets"]
    assert set(presets) == {"old", "guide", "fast"}
    assert presets["old"]["embed_dim"] == 128
    assert "guide" in descend("config", "presets").out


@pytest.mark.parametrize(
    ("dashed", "plain", "key", "value"),
    [
        (("--embed-dim", "64"), ("--embed_dim", "64"), "embed_dim", 64),
        (("--epoch", "3"), ("--epochs", "3"), "epoch", 3),
        (("--activation-checkpointing",), ("--activation_checkpointing",),
         "activation_checkpointing", True),
        (("--no-activation-checkpointing",), ("--no_activation_checkpointing",),
         "activation_checkpointing", False),
    ],
)  # fmt: skip
def test_flags_have_both_spellings(
    descend: Descend, dashed: tuple[str, ...], plain: tuple[str, ...], key: str, value: object
) -> None:
    for spelled in (dashed, plain):
        config = descend("config", "show", *spelled, "--json").json["config"]
        assert config[key] == {"value": value, "origin": "flag"}


def test_help_and_version_answer(descend: Descend) -> None:
    for words in (("--help",), ("train", "-h"), ("corpus", "--help"), ("corpus", "add", "--help")):
        done = descend(*words)
        assert done.code == 0
        assert "descend" in done.out
    assert descend("--version").out.startswith("descend ")


def test_train_help_shows_defaults_and_flags_when_narrow(
    descend: Descend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    help_text = " ".join(descend("train", "--help").out.replace("│", " ").split())
    for flag in ("--validation-fraction", "--learning-rate", "--label-smoothing", "--max-seq-len"):
        assert f"{flag} " in help_text
    assert "Embedding width: numbers per token. Range: 8 to 16384. Default: 256." in help_text
    assert "Default: 0." in help_text  # a zero is a value
    assert "One of constant, linear, cosine, wsd, piecewise." in help_text
