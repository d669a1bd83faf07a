"""Folders of a stranger, made by code: each function makes a good run folder hostile in one way."""

from __future__ import annotations

import json
import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import torch
from safetensors.torch import load_file, save_file

from descend.runs.checksums import seal_json

Change = Callable[[Path, Path], None]
"""Changes a run folder; the second path is a folder of the user's own, which holds `mine.txt`."""

RECORDS = ("run.json", "summary.json", "events.jsonl")
MODEL = ("config.json", "model.safetensors", "tokenizer.json", "manifest.json")
JSON_FILES = (*RECORDS, "config.json", "tokenizer.json", "manifest.json")
ESCAPES = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202egnp.exe\r<script>alert(1)</script>"


def link_to(target: str) -> Callable[[str], Change]:
    """A link in the place of a file; `{}` stands for the user's own folder."""

    def make(name: str) -> Change:
        def change(folder: Path, own: Path) -> None:
            remove(folder / name)
            (folder / name).symlink_to(target.format(own))

        return change

    return make


def pipe(name: str) -> Change:
    """A named pipe in the place of a file: who opens it waits for ever."""

    def change(folder: Path, own: Path) -> None:
        remove(folder / name)
        os.mkfifo(folder / name)

    return change


def directory(name: str) -> Change:
    """A folder in the place of a file."""

    def change(folder: Path, own: Path) -> None:
        remove(folder / name)
        (folder / name).mkdir()

    return change


def huge(name: str) -> Change:
    """64 GB of zeros behind what is in a file."""

    def change(folder: Path, own: Path) -> None:
        os.truncate(folder / name, 2**36)

    return change


def content(name: str, value: bytes) -> Change:
    """Other bytes in a file; the manifest of the model goes, so that they are read."""

    def change(folder: Path, own: Path) -> None:
        if name != "manifest.json":
            remove(folder / "manifest.json")
        remove(folder / name)
        (folder / name).write_bytes(value)

    return change


def remove(path: Path) -> None:
    """Remove a file or folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def edit_json(name: str, edit: Callable[[dict[str, Any]], object]) -> Change:
    """Change a record, and seal it again as its writer would."""

    def change(folder: Path, own: Path) -> None:
        value = json.loads((folder / name).read_bytes())
        sealed = value.pop("sha256", None)
        edit(value)
        encoded = json.dumps(value).encode()
        remove(folder / "manifest.json")
        (folder / name).write_bytes(seal_json(msgspec.Raw(encoded)) if sealed else encoded)

    return change


def edit_weights(edit: Callable[[dict[str, torch.Tensor]], object]) -> Change:
    """Change the weights."""

    def change(folder: Path, own: Path) -> None:
        state = load_file(folder / "model.safetensors")
        edit(state)
        remove(folder / "manifest.json")
        save_file(state, folder / "model.safetensors", metadata={"format": "pt"})

    return change


def set_last(value: float) -> Callable[[dict[str, torch.Tensor]], None]:
    """One number of the last weight."""

    def edit(state: dict[str, torch.Tensor]) -> None:
        state[max(state)].view(-1)[-1] = value

    return edit


def header(text: bytes, data: bytes = b"") -> bytes:
    """A safetensors file."""
    return struct.pack("<Q", len(text)) + text + data


def many_names() -> bytes:
    """A header of 700,000 tensors."""
    entry = '{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'
    return header(("{" + ",".join(f'"w{n:07d}":{entry}' for n in range(700_000)) + "}").encode())


def corpus_path(path: Any) -> Change:
    """Another text in run.json."""

    def edit(value: dict[str, Any]) -> None:
        for config in ("requested_config", "resolved_config"):
            value[config]["corpus_dir"] = path

    return edit_json("run.json", edit)


def all_texts(value: Any) -> Any:
    """`value` with control codes in each text."""
    if isinstance(value, dict):
        return {k: all_texts(v) for k, v in value.items()}
    if isinstance(value, list):
        return [all_texts(v) for v in value]
    return value + ESCAPES if isinstance(value, str) and value else value


def escapes_in_run(folder: Path, own: Path) -> None:
    """Control codes in the facts of run.json that are shown."""

    def edit(value: dict[str, Any]) -> None:
        for key in ("preset", "hardware", "saved_at", "version"):
            value[key] = all_texts(value[key])
        value["parent"] = "a" + ESCAPES

    edit_json("run.json", edit)(folder, own)


def edit_events(edit: Callable[[str, Any], Any]) -> Change:
    """Change each value of each event; no checksum any more, as of an older descend."""

    def change(folder: Path, own: Path) -> None:
        lines = []
        for line in (folder / "events.jsonl").read_bytes().splitlines():
            record = json.loads(line)
            fields = {k: v for k, v in record.items() if k not in ("after", "crc32")}
            lines.append(json.dumps({k: edit(k, v) for k, v in fields.items()}).encode())
        (folder / "events.jsonl").write_bytes(b"\n".join(lines) + b"\n")

    return change


def escape_event(key: str, value: Any) -> Any:
    """Control codes in each text of an event."""
    return value if key in ("kind", "reason") else all_texts(value)


def set_event_number(number: float, *keys: str) -> Change:
    """Another number in each event: in `keys`, or in all but those of the order."""

    def edit(key: str, value: Any) -> Any:
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        chosen = key in keys if keys else key not in ("step", "epoch", "schema")
        return number if is_number and chosen else value

    return edit_events(edit)


def modules(folder: Path, own: Path) -> None:
    """Python modules of well-known names, and a compiled cache: none may be imported."""
    for name in (
        "json",
        "torch",
        "numpy",
        "tokenizers",
        "modeling_descend",
        "conftest",
        "sitecustomize",
    ):
        (folder / f"{name}.py").write_text("raise SystemExit('owned')\n")
    (folder / "pytorch_model.bin").write_bytes(PICKLE)


def odd_names(folder: Path, own: Path) -> None:
    """Files whose names hold control codes, and 5,000 of others."""
    (folder / "line\nbreak\x1b[31m").write_text("x")
    for number in range(5000):
        (folder / f"extra_{number}").touch()


def odd_steps(folder: Path, own: Path) -> None:
    """Checkpoints of steps that no run has."""
    (folder / "checkpoints").mkdir(exist_ok=True)
    for name in ("step_99999999999999999999999999", "step_0", "step_00", "step_-1", "step_٣"):
        (folder / "checkpoints" / name).mkdir(exist_ok=True)


def in_checkpoint(kind: str) -> Change:
    """Something else in the place of the newest checkpoint, or of a file in it."""

    def change(folder: Path, own: Path) -> None:
        steps = sorted((folder / "checkpoints").iterdir(), key=lambda p: int(p.name[5:]))
        newest = steps[-1]
        if kind == "link":
            newest.rename(own / "elsewhere")
            newest.symlink_to(own / "elsewhere")
        elif kind == "pipe":
            remove(newest / "state.json")
            os.mkfifo(newest / "state.json")
        elif kind == "manifest":
            (newest / "manifest.json").write_bytes(b'{"../../../mine.txt": "0"}')
        else:
            (newest / "state.json").write_bytes(b"[" * 100_000)
            (newest / "manifest.json").unlink()

    return change


def tokenizer(edit: Callable[[dict[str, Any]], object]) -> Change:
    """Change tokenizer.json."""
    return edit_json("tokenizer.json", edit)


def replace(pattern: str, text: str) -> dict[str, Any]:
    """A normalizer that replaces a text."""
    return {"type": "Replace", "pattern": {"String": pattern}, "content": text}


PADDING = {"strategy": {"Fixed": 10**10}, "direction": "Right", "pad_to_multiple_of": None,
           "pad_id": 0, "pad_type_id": 0, "pad_token": "x"}  # fmt: skip
DEEP = {"lists": b"[" * 200_000, "objects": b'{"a":' * 200_000}
SIZES = {"n_layer": 10**9, "num_hidden_layers": 10**9}

PICKLE = b"\x80\x04cos\nsystem\n\x8c\x05owned\x85R."
CONFIGS = ("requested_config", "resolved_config")

FOLDERS: dict[str, Change] = {
    **{f"{n} is a link to a file of the user": link_to("{}/mine.txt")(n) for n in RECORDS + MODEL},
    **{f"{n} is a link to /dev/zero": link_to("/dev/zero")(n) for n in RECORDS + MODEL},
    **{f"{n} is a pipe": pipe(n) for n in RECORDS + MODEL},
    **{f"{n} is a folder": directory(n) for n in RECORDS + MODEL},
    **{f"{n} has 64 GB": huge(n) for n in RECORDS + MODEL},
    **{f"{n} of deep {kind}": content(n, deep) for n in JSON_FILES for kind, deep in DEEP.items()},
    "report.html is a link to a file of the user": link_to("{}/mine.txt")("report.html"),
    "report.html is a pipe": pipe("report.html"),
    "diagnosis.json is a link to a file of the user": link_to("{}/mine.txt")("diagnosis.json"),
    "diagnosis.json of deep lists": content("diagnosis.json", DEEP["lists"]),
    "README.md is a link to a file of the user": link_to("{}/mine.txt")("README.md"),
    "checkpoints is a link to a folder of the user": link_to("{}")("checkpoints"),
    "checkpoints is a file": content("checkpoints", b"x"),
    ".lock is a link to a file of the user": link_to("{}/mine.txt")(".lock"),
    ".lock is a pipe": pipe(".lock"),
    ".lock is a folder": directory(".lock"),
    **{f"a checkpoint with another {kind}": in_checkpoint(kind)
       for kind in ("link", "pipe", "manifest", "state")},
    "checkpoints of odd steps": odd_steps,
    "a weight that is not a number": edit_weights(set_last(float("nan"))),
    "an infinite weight": edit_weights(set_last(float("inf"))),
    "a weight too large for the logits": edit_weights(set_last(3e38)),
    "a weight of another shape": edit_weights(lambda s: s.update({max(s): torch.zeros(3, 3)})),
    "a weight too few": edit_weights(lambda s: s.pop(max(s))),
    "a weight too many": edit_weights(lambda s: s.update({ESCAPES: torch.zeros(1)})),
    "weights of whole numbers": edit_weights(lambda s: s.update({max(s): s[max(s)].int()})),
    "700,000 weights": content("model.safetensors", many_names()),
    "a header of 2^63 bytes": content("model.safetensors", struct.pack("<Q", 2**63) + b"{}"),
    "an empty weight": content("model.safetensors", header(
        b'{"a":{"dtype":"F32","shape":[0,4611686018427387904],"data_offsets":[0,0]}}')),
    "a weight named twice": content("model.safetensors", header(
        b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},'
        b'"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', bytes(4))),
    "a pickle for weights": content("model.safetensors", PICKLE),
    "10^9 blocks": edit_json("config.json", lambda c: c.update(
        {k: v for k, v in SIZES.items() if k in c})),
    "a width of 2^31": edit_json("config.json", lambda c: c.update(
        {k: 2**31 for k in ("n_embd", "hidden_size") if k in c})),
    "no head": edit_json("config.json", lambda c: c.update(
        {k: 0 for k in ("n_head", "num_attention_heads") if k in c})),
    "a size that is true": edit_json("config.json", lambda c: c.update(vocab_size=True)),
    "code named by config.json": edit_json("config.json", lambda c: c.update(
        auto_map={"AutoModelForCausalLM": "modeling_descend.Model"}, trust_remote_code=True)),
    "an unknown kind of model": edit_json("config.json", lambda c: c.update(model_type=ESCAPES)),
    "modules beside the model": modules,
    "a padding of 10^10 tokens": tokenizer(lambda t: t.update(padding=PADDING)),
    "four normalizers that repeat": tokenizer(lambda t: t.update(normalizer={
        "type": "Sequence", "normalizers": [replace("a", "a" * 300)] * 4})),
    "a damaged table of characters": tokenizer(lambda t: t.update(normalizer={
        "type": "Precompiled", "precompiled_charsmap": "////fw=="})),
    "a prefix of 10 kB": tokenizer(lambda t: t.update(normalizer={
        "type": "Prepend", "prepend": "x" * 10_000})),
    "a pattern of nested repeats": tokenizer(lambda t: t.update(normalizer={
        "type": "Replace", "pattern": {"Regex": "(a|a?)+" * 999}, "content": ""})),
    "ids beyond the vocabulary": tokenizer(lambda t: t["model"]["vocab"].update(
        {"zz": 4_294_967_295})),
    "an empty vocabulary": tokenizer(lambda t: t["model"].update(vocab={}, merges=[])),
    "merges of unknown tokens": tokenizer(lambda t: t["model"].update(merges=[["qq", "xx"]])),
    "another kind of tokenizer": tokenizer(lambda t: t["model"].update(type=ESCAPES)),
    "200,000 added tokens": tokenizer(lambda t: t.update(added_tokens=[
        {"id": n, "content": f"t{n}", "special": True, "normalized": False, "lstrip": False,
         "rstrip": False, "single_word": False} for n in range(200_000)])),
    "a text at /dev/zero": corpus_path("/dev/zero"),
    "a text at a URL": corpus_path("https://example.invalid/text"),
    "a text of the user": corpus_path("../own/mine.txt"),
    "a text from standard input": corpus_path("-"),
    "a vocabulary of the user": edit_json("run.json", lambda r: [
        r[config].update(vocab_path="../own/mine.txt") for config in CONFIGS]),
    "a working folder above": edit_json("run.json", lambda r: r.update(
        working_dir="../" * 40 + "etc", parent="passwd")),
    "a configuration out of range": edit_json("run.json", lambda r: r["resolved_config"].update(
        learning_rate=1e300, batch_size=10**12, seq_len=-1)),
    "an execution out of range": edit_json("run.json", lambda r: r["execution"].update(
        threads=10**9, device="../../x", precision="float8")),
    "losses that are null": edit_json("summary.json", lambda s: s.update(
        validation_loss=None, bits_per_byte=None)),
    "losses of 10^999": content("summary.json", b'{"validation_loss": 1e999}'),
    "control codes in run.json": escapes_in_run,
    "control codes in the events": edit_events(escape_event),
    "events of 10^308": set_event_number(1e308),
    "events below zero": set_event_number(-1),
    "events of nothing": set_event_number(0),
    "events of one step": set_event_number(1, "step"),
    "events of step 2^52": set_event_number(2**52, "step", "end_step"),
    "no facts of the text": edit_json("run.json", lambda r: r.update(corpus={})),
    "facts of another kind": edit_json("run.json", lambda r: r["corpus"].update(
        train_tokens="many", ngram_baselines={"unigram": "x"})),
    "no configuration": edit_json("run.json", lambda r: r.update(
        resolved_config={}, execution={}, hardware={})),
    "a text that is a number": corpus_path(5),
    "a text with NUL": corpus_path("a\0b"),
    "a text at the home of nobody": corpus_path("~nobody_of_this_name/text"),
    "a text whose name no disk holds": corpus_path("a" * 5000),
    "control codes in the names of files": odd_names,
}  # fmt: skip
