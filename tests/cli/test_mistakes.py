"""Every mistake of a user gets one clear sentence, exit code 2, and leaves nothing behind."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from descend.cli.main import run
from descend.data.cache_dir import remember_path

Descend = Callable[..., Any]


@pytest.fixture
def desk(own_folder: Path, text_file: Path, tiny_file: Path, trained: Path) -> Path:
    """A folder with a text, a model, and things that are wrong in one way each."""
    shutil.copy(text_file, "text.txt")
    shutil.copy(tiny_file, "tiny.toml")
    for name in ("model", "no_config", "no_tokenizer", "no_weights", "damaged", "other_tokenizer",
                 "bare", "half"):  # fmt: skip
        shutil.copytree(trained, name)
    Path("no_config/config.json").unlink()
    Path("no_tokenizer/tokenizer.json").unlink()
    Path("no_weights/model.safetensors").unlink()
    weights = bytearray(Path("damaged/model.safetensors").read_bytes())
    weights[-100] ^= 1
    Path("damaged/model.safetensors").write_bytes(weights)
    Path("other_tokenizer/manifest.json").unlink()
    assert run(["tokenizer", "train", "text.txt", "small.json", "--vocab-size", "270"]) == 0
    shutil.copy("small.json", "other_tokenizer/tokenizer.json")
    Path("bare/run.json").unlink()
    shutil.rmtree("half/checkpoints")
    Path("half/summary.json").unlink()
    Path("compared").mkdir()
    Path("compared/comparison.json").write_text("{}")
    Path("empty").mkdir()
    Path("pictures").mkdir()
    Path("pictures/a.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0")
    Path("empty.txt").touch()
    Path("blank.txt").write_text(" \n\n\t ")
    Path("short.txt").write_text("Hello, world.")
    Path("not_a_tokenizer.json").write_text('{"a": 1}')
    Path("broken.toml").write_text("embed_dim = = 3")
    Path("unknown.toml").write_text("embed_dmi = 3")
    Path("wrong.yaml").write_text("batch_size: many")
    Path("synonym.toml").write_text("n_layer = 2")
    return own_folder


TRAIN = ("train", "text.txt", "--config", "tiny.toml")

MISTAKES: list[tuple[tuple[str, ...], list[str]]] = [
    # Verbs and flags.
    (("trian",), ["'trian'. Did you mean 'train'? See `descend --help`"]),
    (("corpus", "ad"), ["'ad'", "add", "descend corpus --help"]),
    (("generate",), ["MODEL", "descend generate --help"]),
    (("generate", "model"), ["PROMPT", "descend generate --help"]),
    (("continue",), ["MODEL", "descend continue --help"]),
    (("resume",), ["MODEL"]),
    (("chat",), ["MODEL"]),
    (("evaluate", "model"), ["CORPUS"]),
    (("corpus", "add"), ["SRC"]),
    (("tokenizer", "train", "text.txt"), ["FILE"]),
    ((*TRAIN, "--embed-dmi", "8"), ["--embed-dmi", "--embed-dim"]),
    ((*TRAIN, "--embed-dim"),
     ["descend train: option '--embed-dim' requires an argument. See `descend train --help`."]),
    (("generate", "model", "hi", "--temperature", "x"),
     ["--temperature: expected a number, but found x. Fix: See `descend generate --help`."]),
    (("compare", "text.txt", "--num-seeds=0"), ["--num-seeds: expected 1 or more, but found 0."]),
    (("corpus", "add", "text.txt", "new", "--split", "page"),
     ["--split: expected one of 'document', 'line', 'chunk', but found page."]),
    (("diagnose", "train.log"),
     ["train.log: expected a run folder or a loss log, but found no such file or folder."]),
    (("corpus", "add", "--split"), ["descend corpus add: option", "`descend corpus add --help`"]),
    ((*TRAIN, "other.txt"), ["other.txt", "descend train --help"]),
    ((*TRAIN, "--corpus-dir", "short.txt"), ["corpus_dir", "short.txt", "text.txt", "one corpus"]),
    ((*TRAIN, "--lerning-rate", "1"),
     ["no such option: --lerning-rate. Did you mean --learning-rate? See `descend train --help`."]),
    *(
        ((*TRAIN, f"--{name}", "8"), [f"{name.replace('_', '-')}. Did you mean --{meant}? See"])
        for name, meant in (
            ("context-length", "seq-len"), ("block_size", "seq-len"), ("n_layer", "num-layers"),
            ("n-head", "num-heads"), ("n_embd", "embed-dim"), ("lr", "learning-rate"),
            ("hidden_size", "embed-dim"), ("num_epochs", "epoch"), ("d_model", "embed-dim"),
        )
    ),
    (("generate", "model", "Hi", "--lr", "1"), ["no such option: --lr", "descend generate --help"]),
    ((*TRAIN[:2], "--config", "synonym.toml"), ["Did you mean num_layers?"]),
    (("compare", "text.txt", "--vary", "n_embd=8,16"), ["Did you mean embed_dim?"]),
    # Configuration.
    ((*TRAIN, "--embed-dim", "wide"),
     ["embed_dim: expected a whole number, but found 'wide'. Fix: Choose another value; "
      "see `descend explain embed_dim`."]),
    ((*TRAIN, "--embed-dim", "4"), ["embed_dim", "'4'", "8 or more"]),
    ((*TRAIN, "--learning-rate", "-1"), ["learning_rate", "-1"]),
    ((*TRAIN, "--learning-rate", "fast"),
     ["learning_rate: expected a number, but found 'fast'. Fix: Choose another value; "
      "see `descend explain learning_rate`."]),
    ((*TRAIN, "--learning-rate", "0:0.1"), ["learning_rate", "0", "1 or more"]),
    ((*TRAIN, "--dropout-rate", "1"), ["dropout_rate", "less than 1"]),
    ((*TRAIN, "--architecture", "rnn"), ["architecture", "'rnn'", "'gpt', 'modern' or 'llama'"]),
    ((*TRAIN, "--num-heads", "3"), ["num_heads", "3", "divisor of embed_dim 16", "Set num_heads"]),
    ((*TRAIN, "--seq-len", "64"), ["seq_len", "64", "at most max_seq_len 32"]),
    ((*TRAIN, "--device", "gpu"), ["device", "'gpu'"]),
    ((*TRAIN, "--device", "cuda:9"), ["device", "cuda:9", "cpu"]),
    ((*TRAIN, "--threads", "0"), ["threads", "'0'", "1 or more"]),
    ((*TRAIN, "--attention", "flash"), ["attention", "'flash'", "'auto', 'matmul' or 'fused'"]),
    ((*TRAIN, "--compile", "on", "--activation-checkpointing"),
     ["compile", "on together with activation_checkpointing", "Set compile to auto"]),
    ((*TRAIN, "--schedule", "piecewise"), ["schedule", "a rate per epoch"]),
    ((*TRAIN, "--log-level", "loud"), ["log_level", "'loud'"]),
    (("train", "text.txt", "--preset", "guid"), ["preset", "guid", "Did you mean guide"]),
    (("train", "text.txt", "--preset", "old", "--preset", "guide"), ["--preset", "two presets"]),
    (("train", "text.txt", "--preset=old", "--preset=guide"), ["--preset", "two presets"]),
    (("train", "text.txt", "--config", "nowhere.toml"), ["nowhere.toml", "found no such file"]),
    (("train", "text.txt", "--config", "broken.toml"), ["broken.toml", "syntax error"]),
    (("train", "text.txt", "--config", "unknown.toml"),
     ["embed_dmi in unknown.toml", "Did you mean embed_dim"]),
    (("train", "text.txt", "--config", "wrong.yaml"), ["batch_size in wrong.yaml", "'many'"]),
    (("config", "show", "--epoch", "0"), ["epoch", "'0'", "1 or more"]),
    # Text.
    (("train", "nowhere.txt"), ["nowhere.txt", "no such file or folder"]),
    (("train", ""), ["corpus_dir", "an empty name", "`.` for this folder"]),
    (("evaluate", "model", " "), ["an empty name"]),
    (("train", "txt.txt"), ["txt.txt", "Did you mean text.txt"]),
    (("train", "empty"), ["empty", "an empty folder"]),
    (("train", "pictures"), ["pictures", ".png", "only 1 other file (.png)"]),
    (("train", "empty.txt"), ["empty.txt", "an empty file"]),
    (("train", "blank.txt"), ["blank.txt", "no readable text"]),
    (("train", "-"), ["standard input", "nothing"]),
    (("train", "short.txt"), ["tokens of training text", "seq_len 128"]),
    (("train", "text.txt", "--config", "tiny.toml", "--seq-len", "5000", "--max-seq-len", "5000"),
     ["tokens of training text", "seq_len 5000", "set seq_len to"]),
    (("evaluate", "model", "nowhere.txt"), ["nowhere.txt", "no such file or folder"]),
    (("corpus", "stats", "empty"), ["empty", "an empty folder"]),
    (("corpus", "add", "nowhere", "dest"), ["nowhere", "no such file or folder"]),
    (("corpus", "add", "text.txt", "dest", "--min-length", "-4"), ["min_length", "-4"]),
    (("corpus", "add", "text.txt", "dest", "--split", "page"), ["--split", "page"]),
    # Vocabularies.
    (("train", "text.txt", "--vocab-path", "nowhere.json"), ["nowhere.json", "no such file"]),
    (("train", "text.txt", "--vocab-path", "not_a_tokenizer.json"),
     ["not_a_tokenizer.json", "damaged"]),
    ((*TRAIN, "--vocab-path", "small.json"), ["vocab_size", "300", "270", "small.json"]),
    (("tokenizer", "train", "text.txt", "small.json"), ["small.json", "an existing file"]),
    (("generate", "other_tokenizer", "hi"), ["other_tokenizer", "270 tokens", "299 tokens"]),
    # Folders of models.
    (("generate", "nowhere", "hi"), ["nowhere", "no such folder"]),
    (("generate", "no_config", "hi"), ["no_config", "no config.json"]),
    (("generate", "no_tokenizer", "hi"), ["no_tokenizer", "no tokenizer.json"]),
    (("chat", "no_weights"), ["no_weights", "no model.safetensors"]),
    (("evaluate", "damaged", "text.txt"), ["damaged", "model.safetensors", "SHA-256"]),
    (("continue", "no_weights"), ["no_weights", "no model.safetensors"]),
    (("continue", "model", "--embed-dim", "32"), ["embed_dim", "32", "16 as in the model model"]),
    (("continue", "model", "--architecture", "gpt"), ["architecture", "gpt", "modern"]),
    (("continue", "model", "--vocab-size", "400"), ["vocab_size", "400", "as in the model model"]),
    ((*TRAIN, "--save-dir", "model"), ["save_dir", "model", "not empty", "Choose another"]),
    ((*TRAIN, "--save-dir", "text.txt"), ["save_dir", "text.txt", "a file"]),
    (("resume", "nowhere"),
     ["nowhere: expected ", "but found no such folder. Fix: Check the path"]),
    *(((*words, "empty"), ["but found no run.json. Fix: ", "older of a run; `descend list` shows"])
      for words in (("diagnose",), ("report",), ("forecast",), ("resume",))),
    *(((*words, "."), ["found no run.json", "Name one of the runs in it, such as other_tokenizer"])
      for words in (("diagnose",), ("report",))),
    *(((*words, "bare"), ["but found no run.json beside the model", "a model from elsewhere"])
      for words in (("diagnose",), ("report",), ("forecast",), ("resume",))),
    *(((*words, "compared"), ["because a comparison keeps no model",
                              "`descend report compared`"])
      for words in (("diagnose",), ("forecast",), ("chat",), ("continue",))),
    (("generate", "compared", "hi"), ["no config.json", "a comparison keeps no model"]),
    (("generate", "empty", "hi"),
     ["empty: expected the folder of a model, but found no config.json. "
                                   "Fix: Name the folder of a model"]),
    (("chat", "."), ["found no config.json", "Name one of the models in it, such as other_tok"]),
    (("resume", "model"), ["model", "finished", "descend continue model"]),
    (("resume", "half"), ["half", "no checkpoint", "descend train"]),
    # Experiments.
    (("compare", "text.txt"), ["compare", "one configuration", "--vary"]),
    (("compare", "text.txt", "--vary", "embed_dmi=8,16"), ["vary", "Did you mean embed_dim"]),
    (("compare", "nowhere.txt", "--vary", "ff_dim=8,16"), ["nowhere.txt", "no such file"]),
    (("compare", "text.txt", "--config", "tiny.toml", "--vary", "ff_dim=8,16", "--budget", "3"),
     ["budget", "less than a step"]),
    (("compare", "text.txt", "--config", "tiny.toml", "--vary", "ff_dim=8,16", "--budget", "nan"),
     ["budget: expected a finite number above 0, but found nan."]),
    (("compare", "text.txt", "--config", "tiny.toml", "--vary", "ff_dim=8,16", "--budget", "9",
      "--budget-unit", "epoch"),
     ["but found 9 beside --budget-unit epoch. Fix: Leave one of them out"]),
    # A file where a run is meant.
    *(((*words,), ["text.txt: expected the folder of a descend run, but found a file."])
      for words in (
        ("forecast", "text.txt"), ("checklist", "text.txt"), ("resume", "text.txt"),
        ("explain", "loss", "--run", "text.txt"), ("train", "--from-run", "text.txt"))),
    (("compare", "text.txt", "--arm", "old", "--preset", "guide"), ["arm", "--preset"]),
    (("attribute", "old", "old", "text.txt"), ["no difference"]),
    (("attribute", "old", "guied", "text.txt"), ["guied", "Did you mean guide"]),
    (("attribute", "old", "empty", "text.txt"), ["empty", "no run.json"]),
    (("attribute", "old", "guide", "text.txt", "--max-runs", "3"), ["runs", "at least 24"]),
    (("attribute", "old", "guide", "text.txt", "--train-fraction", "2"), ["train_fraction", "2.0"]),
    # Writing.
    (("generate", "model", "hi", "--temperature", "0"), ["temperature", "0.0", "greedy"]),
    (("generate", "model", "hi", "--top-p", "2"), ["top_p", "2.0"]),
    (("generate", "model", "hi", "--max-new-tokens", "-1"), ["--max-new-tokens", "0"]),
    (("generate", "model", "hi", "--seed", "x"), ["--seed", "whole number"]),
]  # fmt: skip


def files(folder: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_mistake_gets_one_sentence_and_leaves_nothing(descend: Descend, desk: Path) -> None:
    before = files(desk)
    wrong = []
    for words, parts in MISTAKES:
        done = descend(*words)
        lines = done.err.splitlines()
        text = lines[-1] if lines else ""
        problems = [
            *(["exit code"] if done.code != 2 else []),
            *(["standard output"] if done.out else []),
            *(["no error line"] if not text.startswith("error: ") else []),
            *(["several lines"] if sum(line.startswith("error") for line in lines) != 1 else []),
            *(["a traceback"] if "Traceback" in done.err else []),
            *[f"without {part!r}" for part in parts if part not in text],
        ]
        if problems:
            wrong.append((words, problems, done.code, done.out[:100], done.err[-300:]))
    assert not wrong, "\n".join(map(str, wrong))
    assert files(desk) == before
    assert not Path("models").exists()


def test_with_json_a_mistake_is_one_object_on_standard_output(descend: Descend, desk: Path) -> None:
    for words in (("train", "nowhere"), ("generate", "nowhere", "hi"), ("resume", "model"),
                  ("corpus", "stats", "empty"), ("evaluate", "damaged", "text.txt")):  # fmt: skip
        done = descend(*words, "--json")
        assert done.code == 2
        error = json.loads(done.out)["error"]
        assert error["message"] in done.err
        assert error["exit_code"] == 2


def test_an_environment_variable_is_named(
    descend: Descend, desk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DESCEND_BATCH_SIZE", "many")
    done = descend("config", "show")
    assert done.code == 2
    assert done.err.startswith(
        "error: DESCEND_BATCH_SIZE: expected a whole number, but found 'many'."
    )
    monkeypatch.delenv("DESCEND_BATCH_SIZE")
    monkeypatch.setenv("DESCEND_EPOHC", "3")
    done = descend("config", "show")
    assert done.code == 2
    assert done.err.startswith("error: DESCEND_EPOHC: expected ")
    assert "but found an unknown variable. " in done.err
    assert "Did you mean DESCEND_EPOCH?" in done.err


def test_train_command_warns_when_sample_size_exceeds_corpus(descend: Descend, desk: Path) -> None:
    Path("text.txt").write_text(Path("text.txt").read_text() + "A new line, not in the cache.\n")
    done = descend(*TRAIN, "--epoch", "1", "--sample-size", "99", "--json")
    assert done.json["finished"]
    message = [line for line in done.err.splitlines() if "sample_size" in line]
    assert message == ["sample_size: 99 documents requested, the corpus has 1; all are used"]


def test_debug_shows_where_it_happened_and_only_debug(shell: Descend, own_folder: Path) -> None:
    plain, debug = (
        shell("config", "show", "--epoch", "0"),
        shell("config", "show", "--epoch", "0", "--debug"),
    )
    assert plain.code == debug.code == 2
    assert "Traceback" not in plain.err
    assert len(plain.err.splitlines()) == 1
    assert "Traceback" in debug.err
    assert debug.err.splitlines()[-1] == plain.err.splitlines()[0]


def test_commands_reject_unwritable_save_dir_before_loading_corpus(
    descend: Descend, desk: Path
) -> None:
    for words in (("train",), ("continue", "model"), ("compare", "--vary", "ff_dim=8,16"),
                  ("search",)):  # fmt: skip
        done = descend(*words, "text.txt", "--save-dir", "text.txt/model")
        assert (done.code, done.out) == (2, "")
        assert done.err.splitlines()[-1] == (
            "error: save_dir: expected a folder that can be written in, but found text.txt/model, "
            "which cannot be made (Not a directory). Fix: Choose another save_dir."
        )
        assert "text:" not in done.err


def test_train_command_names_unwritable_cache_dir(
    descend: Descend, desk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DESCEND_CACHE_DIR", "text.txt")
    done = descend(*TRAIN)
    assert done.code == 1
    assert done.err.splitlines()[-1].startswith("error: text.txt/text/")
    assert "set DESCEND_CACHE_DIR to another folder" in done.err


def test_train_command_reports_insufficient_memory_before_first_step(
    descend: Descend, desk: Path
) -> None:
    done = descend(*TRAIN, "--batch-size", "60000", "--seq-len", "512", "--max-seq-len", "512",
                   "--embed-dim", "1024", "--num-layers", "64",
                   "--gradient-accumulation-steps", "1")  # fmt: skip
    assert done.code == 1
    message = done.err.splitlines()[-1]
    assert message.startswith("error: memory: expected ")
    assert "but found a need of about " in message
    assert "Set " in message
    assert not Path("models").exists()


def test_resume_command_rejects_changed_corpus(descend: Descend, desk: Path) -> None:
    summary = json.loads(Path("model/summary.json").read_text())
    Path("model/summary.json").write_text(json.dumps(summary | {"finished": False}))
    info = json.loads(Path("model/run.json").read_text())
    info["resolved_config"]["corpus_dir"] = "text.txt"
    remember_path("text.txt")
    Path("model/run.json").write_text(json.dumps(info))
    Path("text.txt").write_text("Something else. " * 500)
    done = descend("resume", "model")
    assert done.code == 2
    assert "a text that changed" in done.err.splitlines()[-1]
    assert "descend continue model" in done.err.splitlines()[-1]
