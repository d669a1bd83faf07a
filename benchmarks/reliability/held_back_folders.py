"""Hostile folders that were made without a look at the code that reads them.

Each changes a copy of a run folder in place, as a stranger or an accident could.
`hostile_verbs.py --held-back` puts them through its verbs.
"""

from __future__ import annotations

import gzip
import json
import os
import pickle

import torch
from folder_changes import (
    add_adapter,
    add_code,
    add_names,
    add_neighbors,
    add_shards,
    add_steps,
    bind_socket,
    change_content,
    change_events,
    change_keys,
    change_states,
    change_steps,
    change_tensors,
    change_tokenizer,
    change_weights,
    cut_header,
    cut_in_half,
    exchange_checkpoints,
    keep_only,
    lie_about_offsets,
    replace_content,
    replace_entry,
    swap_files,
)
from hostile_folders import ESCAPES, Change, directory, link_to, pipe

DEEP = "[" * 50_000 + "]" * 50_000
TOKEN = {"id": 0, "content": "", "single_word": False, "lstrip": False, "rstrip": False,
         "normalized": False, "special": True}  # fmt: skip

UNSEEN_FOLDERS: dict[str, Change] = {
    # weights
    "weights cut": change_content("model.safetensors", lambda raw: raw[:-1000]),
    "weights with a header of 9 EB": change_content("model.safetensors", cut_header),
    "weights in the same bytes": change_content("model.safetensors", lie_about_offsets),
    "weights NaN": change_tensors(lambda t: torch.full_like(t, float("nan"))),
    "weights of 1e30": change_tensors(lambda t: t.float() * 0 + 1e30),
    "weights whole numbers": change_tensors(lambda t: t.to(torch.int64)),
    "weights turned": change_tensors(lambda t: t.T if t.ndim == 2 else t),
    "weights without a shape": change_tensors(lambda t: t.flatten()[0].clone()),
    "weights empty": change_tensors(lambda t: t[:0]),
    "weights of another layer count": change_weights(
        lambda tensors: tensors | {"model.layers.7.mlp.up_proj.weight": torch.zeros(32, 16)}),
    "weights named as a path": change_weights(
        lambda tensors: tensors | {"../../own/mine.txt": torch.zeros(2), ESCAPES: torch.zeros(2)}),
    "weights of 300 GB": lambda folder, own: os.truncate(folder / "model.safetensors", 300 * 10**9),
    "weights are a pickle": replace_content("model.safetensors", pickle.dumps({"a": [1.0]})),
    "weights are zeros": change_content("model.safetensors", lambda raw: bytes(len(raw))),
    # configuration of the model
    "config of a huge vocabulary": change_keys("config.json", vocab_size=2**40),
    "config of no width": change_keys("config.json", hidden_size=0),
    "config of negative width": change_keys("config.json", hidden_size=-16, num_attention_heads=-2),
    "config of three heads": change_keys("config.json", num_attention_heads=3),
    "config of a million layers": change_keys("config.json", num_hidden_layers=10**6),
    "config of true layers": change_keys("config.json", num_hidden_layers=True, hidden_size=16.5),
    "config with a newline in its type": change_keys(
        "config.json", model_type="arcee\nimport os\x1b[2J"),
    "config of no base": change_keys(
        "config.json", rope_theta=float("nan"), rms_norm_eps=float("inf")),
    "config of odd rope": change_keys(
        "config.json", rope_parameters={"rope_type": "yarn", "factor": "x"}),
    "config of a long context": change_keys("config.json", max_position_embeddings=10**12),
    "config in UTF-16": change_content("config.json", lambda raw: raw.decode().encode("utf-16")),
    "config is a list": replace_content("config.json", "[1, 2, 3]"),
    "config is deep": replace_content("config.json", DEEP),
    "config with code": add_code,
    # run.json
    "run.json half": change_content("run.json", cut_in_half),
    "run.json with a mark": change_content("run.json", lambda raw: b"\xef\xbb\xbf" + raw),
    "run.json in Latin-1": change_keys("run.json", corpus__corpus="\xe9t\xe9"),
    "run.json not UTF-8": change_content(
        "run.json", lambda raw: raw.replace(b"text.txt", b"t\xe9xt.txt")),
    "run.json with a lone surrogate": change_keys(
        "run.json", corpus__corpus="\ud800", preset="\udfff"),
    "run.json reads the environment": change_keys("run.json", corpus__corpus="/proc/self/environ",
        resolved_config__corpus_dir="/proc/self/environ",
        requested_config__corpus_dir="/proc/self/environ"),
    "run.json of words for numbers": change_keys("run.json", resolved_config__embed_dim="16",
        requested_config__embed_dim="16", resolved_config__seed="x"),
    "run.json of huge batches": change_keys("run.json", resolved_config__batch_size=10**12,
        requested_config__batch_size=10**12),
    "run.json of many epochs": change_keys("run.json", resolved_config__epoch=10**18,
        requested_config__epoch=10**18),
    "run.json of huge numbers": change_keys("run.json", resolved_config__seed=2**70,
        corpus__train_tokens=-5, corpus__vocab_size=10**30, hardware__cores=-1),
    "run.json without a version": change_keys("run.json", version=None, saved_at="yesterday"),
    "run.json of bad baselines": change_keys("run.json", corpus__ngram_baselines={
        "uniform": float("nan"), "unigram": -1.0, "bigram": float("inf"), "trigram": 0.0}),
    "run.json of another machine": change_keys("run.json", execution__threads=10**6,
        execution__device="cuda:99", execution__torch=ESCAPES,
        hardware__versions={ESCAPES: ESCAPES}),
    "run.json with itself as its parent": lambda folder, own: change_keys(
        "run.json", parent=str(folder), parent_loss=float("nan"),
        parent_hash="0" * 64)(folder, own),
    "run.json with a NUL in a path": change_keys(
        "run.json", working_dir="a\x00b", corpus__corpus="a\x00b"),
    "run.json with a long string": change_keys("run.json", preset="x" * 20_000_000),
    "run.json and summary.json swapped": swap_files("run.json", "summary.json"),
    "run.json of lists": change_keys(
        "run.json", corpus=[], hardware=[], network=[1], execution="cpu"),
    # summary.json
    "summary without epochs": change_keys("summary.json", epochs=[], best_epoch=99),
    "summary of NaN": change_keys("summary.json", validation_loss=float("nan"),
        epochs__0__validation_loss=float("inf"), bits_per_byte=-1.0, tokens_per_second=0),
    "summary with escapes": change_keys("summary.json", samples__0__text=ESCAPES * 50_000,
        samples__1__prompt="<script>alert(1)</script>" * 1000),
    "summary with many epochs": change_content("summary.json", lambda raw: json.dumps(
        json.loads(raw) | {"epochs": json.loads(raw)["epochs"] * 20_000}).encode()),
    "summary of another run": change_keys(
        "summary.json", model_dir="/etc", best_epoch=-1, parameters=-1),
    # events
    "events empty": replace_content("events.jsonl", ""),
    "events of many steps": change_events(lambda events: [
        *events, *({**events[1], "step": 100 + n} for n in range(60_000))]),
    "events backwards": change_events(lambda events: events[::-1]),
    "events of negative steps": change_steps(step=-7, epoch=-7),
    "events of NaN": change_steps(loss=float("nan"), learning_rate=float("inf"), seconds=-1.0),
    "events of huge numbers": change_steps(loss=1e308, step=10**25, gradient_norm=1e308),
    "events of zero seconds": change_steps(
        seconds=0.0, loss=0.0, gradient_norm=0.0, learning_rate=0.0),
    "events of an unknown kind": change_events(
        lambda events: [{"kind": "__class__"}, [], 5, None, *events]),
    "events half, then NUL": change_content(
        "events.jsonl", lambda raw: cut_in_half(raw) + bytes(5000)),
    "events in one long line": change_content(
        "events.jsonl", lambda raw: raw + b'{"kind":"' + b"x" * 2**25),
    "events in UTF-16": change_content("events.jsonl", lambda raw: raw.decode().encode("utf-16")),
    "events packed": change_content("events.jsonl", gzip.compress),
    "events of many names": change_events(lambda events: [
        e | {"weight_rms": {f"{ESCAPES}{n}": "x" for n in range(50_000)}}
        if e["kind"] == "weight_updates" else e for e in events]),
    # tokenizer
    "tokenizer of a huge id": change_tokenizer(model__vocab={"a": 0, "b": 2**31}, model__merges=[]),
    "tokenizer of one id": change_tokenizer(
        model__vocab={"a": 0, "b": 0, "c": 0}, model__merges=[]),
    "tokenizer of no words": change_tokenizer(model__vocab={}, model__merges=[], added_tokens=[]),
    "tokenizer of odd merges": change_tokenizer(model__merges=[["zz", "yy"], ["a"], []]),
    "tokenizer of a slow pattern": change_tokenizer(pre_tokenizer={"type": "Split", "pattern": {
        "Regex": "(a+|[a-z ]+)+$"}, "behavior": "Isolated", "invert": False}),
    "tokenizer that grows": change_tokenizer(decoder={"type": "Sequence", "decoders": [
        {"type": "Replace", "pattern": {"String": "e"}, "content": "e" * 1000}] * 4}),
    "tokenizer of empty words": change_tokenizer(added_tokens=[
        TOKEN | {"id": n, "lstrip": True, "special": n % 2 == 0} for n in range(9)]),
    "tokenizer of one long word": change_tokenizer(added_tokens=[TOKEN | {"content": "x" * 2**22}]),
    "tokenizer larger than the model": change_tokenizer(
        model__vocab={chr(200 + n): n for n in range(900)},
        model__merges=[]),
    "tokenizer and config swapped": swap_files("tokenizer.json", "config.json"),
    "tokenizer of a language": change_tokenizer(normalizer={"type": "Sequence", "normalizers": [
        {"type": "Prepend", "prepend": "\x1b[2J" * 1000}, {"type": "NFKC"}]}),
    # settings of text
    "generation of NaN": change_keys(
        "generation_config.json", temperature=float("nan"), top_p="x", top_k=-5),
    "generation of nothing": change_keys("generation_config.json", temperature=0, top_p=0, top_k=0,
        repetition_penalty=0, no_repeat_ngram_size=-1),
    "generation that never ends": change_keys(
        "generation_config.json", eos_token_id=list(range(280)),
        pad_token_id=10**9, bos_token_id=-1),
    "generation half": change_content("generation_config.json", cut_in_half),
    # checkpoints
    "checkpoint linked to another": lambda folder, own: replace_entry(
        "checkpoints/step_8", lambda path: path.symlink_to(path.with_name("step_4")))(folder, own),
    "checkpoints of odd steps": add_steps,
    "checkpoints exchanged": exchange_checkpoints,
    "checkpoints are a file": replace_entry("checkpoints", lambda path: path.write_text("")),
    "checkpoint state of odd numbers": change_states(step=-1, skipped=10**18, seconds=float("nan")),
    "checkpoint state of other types": change_states(scaler={"scale": "x"}, tally=[], recent=None),
    "checkpoint state of NaN": change_states(recent__losses=[float("nan")] * 4, tally__steps=0,
        rollback_state__rate_factor=float("nan"), rollback_state__gradient_clip=-1),
    "checkpoint state far ahead": change_states(step=10**15),
    "optimizer of other shapes": change_tensors(lambda t: t.flatten()[:3], "optimizer_1"),
    "optimizer of NaN": change_tensors(lambda t: torch.full_like(t, float("nan")), "optimizer_*"),
    "optimizer of no tensors": change_weights(lambda _: {"a": torch.zeros(1)}, "optimizer_0"),
    "manifests of paths": lambda folder, own: [
        path.write_text(json.dumps({"../../../../own/mine.txt": "0" * 64, "/etc/passwd": 5}))
        for path in folder.rglob("manifest.json")],
    "manifests are gone": lambda folder, own: [p.unlink() for p in folder.rglob("manifest.json")],
    "manifests of null": lambda folder, own: [
        path.write_text("null") for path in folder.rglob("manifest.json")],
    # links and things that are no files
    "lock linked": link_to("{}/mine.txt")(".lock"),
    "lock is a pipe": pipe(".lock"),
    "lock is a folder": directory(".lock"),
    "texts linked": lambda folder, own: [
        link_to("{}/mine.txt")(name)(folder, own)
        for name in ("README.md", "tokenizer_config.json")],
    "snapshots linked": link_to("{}")("snapshots"),
    "snapshot is a pipe": pipe("snapshots/step_8/model.safetensors"),
    "summary is a socket": replace_entry("summary.json", bind_socket),
    "config is a folder": directory("config.json"),
    "events are a device": link_to("/dev/urandom")("events.jsonl"),
    "report linked": link_to("{}/mine.txt")("report.html"),
    "odd names": add_names,
    "many neighbors": add_neighbors,
    "only run.json": keep_only("run.json"),
    "only weights": keep_only("model.safetensors", "config.json"),
    "only events": keep_only("events.jsonl"),
    "nothing": keep_only(),
    "shards elsewhere": add_shards,
    "adapter of an address": add_adapter,
}  # fmt: skip
