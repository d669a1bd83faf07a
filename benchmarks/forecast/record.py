"""Records the curves that `descend forecast` is fitted to and scored on.

    python benchmarks/forecast/record.py TEXTS OUT [COUNT [SECONDS]]

TEXTS is a folder of plain text files; the two embedded corpora are taken as well. COUNT runs are
drawn by seed: corpus, how much of it, network, batch, rate, schedule, epochs. Each finished run is
kept as OUT/<number>.json, so a stopped recording is taken up again; with SECONDS it stops
by itself after the run in which these are over. About four runs in ten are then trained further, as
`descend continue` does.
"""

from __future__ import annotations

import json
import os
import random
import sys
import tempfile
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch

from descend.config import RunConfig, make_config
from descend.data.builtin_corpora import read_builtin_corpus
from descend.data.token_store import TokenStore
from descend.model.cost import parameter_count, training_flops_per_token
from descend.model.shape import shape_from_run_config
from descend.runs.events import Epoch, Step
from descend.training.assembly import (
    RunAssembly,
    choose_shape,
    gather_step_inputs,
    tokenize_corpus,
)
from descend.training.loop import train
from descend.training.train_plan import TrainPlan
from descend.training.train_state import TrainState, load_weights
from descend.training.training_run import initial_train_state, make_train_plan
from descend.trials.prepared_trial import trial_execution

MAX_BINS = 256
"""Training losses are kept as means over so many equal spans of the run."""

MAX_FLOPS = 8e10
"""Operations of a run: a few seconds of one core."""

BYTES_PER_TOKEN = {300: 1.3, 512: 1.8, 1024: 2.3, 2048: 2.8}
"""About what a vocabulary of each size reaches on little text."""

VALIDATION = 0.1
FAR = 1.6

FIRST_SMALL, SMALL_FLOPS = 25, 1.2e10
"""The first runs were recorded with more time to do so; from this one on they are smaller."""

FURTHER = 0.4
"""Fraction of the runs that are trained further."""

MAX_STEPS, MIN_STEPS = 1200, 80


def main() -> None:
    texts, out = Path(sys.argv[1]), Path(sys.argv[2])
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 120
    until = time.monotonic() + (float(sys.argv[4]) if len(sys.argv) > 4 else float("inf"))
    out.mkdir(parents=True, exist_ok=True)
    sources = {p.stem: p.read_bytes() for p in sorted(texts.glob("*.txt"))}
    for name in ("python", "stories"):
        sources[name] = "\n".join(d.text for d in read_builtin_corpus(name)).encode()
    with tempfile.TemporaryDirectory() as scratch:
        for number in range(count):
            file = out / f"{number}.json"
            if file.exists() or time.monotonic() > until:
                continue
            began = time.perf_counter()
            record = one(number, sources, Path(scratch))
            aside = file.with_suffix(f".{os.getpid()}")
            aside.write_text(json.dumps(record, separators=(",", ":")))
            aside.replace(file)
            run, end = record["runs"][0], record["runs"][-1]["epochs"][-1]
            print(
                f"{number} {record['corpus']} {record['bytes']:,} bytes, {run['steps']} steps, "
                f"{time.perf_counter() - began:.1f} s, {time.process_time():.1f} s of processor "
                f"in all, ended at {end['validation_loss']:.3f}",
                flush=True,
            )


def one(number: int, sources: dict[str, bytes], scratch: Path) -> dict[str, Any]:
    """Draw run `number` and train it; and further, for some."""
    rng = random.Random(f"forecast-{number}")
    corpus = sorted(sources)[number % len(sources)]
    small = number >= FIRST_SMALL
    while True:
        drawn = draw(rng, small)
        size = int(drawn.pop("bytes"))
        text = slice_of(sources[corpus], size, rng)
        if is_too_large(drawn, len(text), small):
            continue
        path = scratch / f"{corpus}-{number}.txt"
        path.write_bytes(text)
        drawn_config = make_config(drawn | {"corpus_dir": str(path)})
        run = ready(drawn_config)
        steps = run.plan.total_steps
        flops = steps * run.plan.batches.tokens_per_step * training_flops_per_token(
            run.state.model.shape, drawn_config.seq_len
        )  # fmt: skip
        if MIN_STEPS <= steps <= MAX_STEPS and flops <= (SMALL_FLOPS if small else MAX_FLOPS):
            break
    runs = [curve(run)]
    if rng.random() < FURTHER:
        best = run.state.best
        assert best is not None
        assert drawn_config.epoch is not None
        more = rng.randint(1, max(1, drawn_config.epoch))
        again = ready(make_config(drawn_config.model_dump() | {"epoch": more}))
        load_weights(again.state.model, best.weights)
        runs.append(curve(again))
    info, resolved = run.store.info, run.plan.config.model_dump(mode="json")
    return {
        "corpus": corpus,
        "bytes": len(text),
        "config": {k: v for k, v in resolved.items() if not k.endswith("_dir")},
        "train_tokens": info.train_tokens,
        "validation_tokens": info.validation_tokens,
        "train_bytes": info.train_bytes,
        "validation_bytes": info.validation_bytes,
        "ngram_baselines": {
            k: round(getattr(info.ngram_baselines, k), 4) for k in ("uniform", "unigram", "bigram")
        },
        "parameters": parameter_count(run.state.model.shape),
        "runs": runs,
    }


@dataclass(frozen=True)
class Ready:
    """A run before its first step."""

    store: TokenStore
    plan: TrainPlan
    state: TrainState


def ready(drawn_config: RunConfig) -> Ready:
    """As `training.run.new_job`, in one fixed execution: nothing is tried out."""
    store = tokenize_corpus(drawn_config)
    inputs = gather_step_inputs(drawn_config, store, choose_shape(drawn_config, store, None))
    execution = trial_execution(drawn_config)
    torch.set_num_threads(execution.threads)
    assembly = RunAssembly(
        inputs.config, inputs.shape, inputs.batches, inputs.build_model,
        requested=drawn_config, store=store, execution=execution,
    )  # fmt: skip
    return Ready(store, make_train_plan(assembly), initial_train_state(inputs, execution))


def is_too_large(drawn: dict[str, Any], nbytes: int, small: bool) -> bool:
    """Whether a run is far outside the bounds, seen without tokenizing: saves preparing it."""
    tokens = nbytes * (1 - VALIDATION) / BYTES_PER_TOKEN[drawn["vocab_size"]]
    steps = drawn["epoch"] * tokens / (drawn["batch_size"] * drawn["seq_len"])
    shape = shape_from_run_config(make_config(drawn), drawn["vocab_size"])
    flops = drawn["epoch"] * tokens * training_flops_per_token(shape, drawn["seq_len"])
    max_flops = SMALL_FLOPS if small else MAX_FLOPS
    return not (MIN_STEPS / FAR <= steps <= MAX_STEPS * FAR and flops <= max_flops * FAR)


def draw(pick: random.Random, small: bool) -> dict[str, Any]:
    """A configuration that may or may not be sensible, and `bytes` of text."""
    gpt = pick.random() < 0.2
    heads = pick.choice([2, 3, 4, 6, 8])
    if small:
        heads = min(heads, 4)
    width = heads * 16
    seq_len = pick.choice([32, 64, 64, 128])
    max_bytes = 150_000 if small else 500_000
    return {
        "bytes": round(25_000 * (max_bytes / 25_000) ** pick.random()),
        "architecture": "gpt" if gpt else "modern",
        "optimizer": "adamw" if gpt or pick.random() < 0.2 else "muon",
        "embed_dim": width, "num_heads": heads, "ff_dim": 4 * width,
        "num_layers": pick.choice([1, 2, 2, 3, 4]),
        "vocab_size": pick.choice([300, 512, 512, 1024, 1024, 2048]),
        "seq_len": seq_len, "max_seq_len": seq_len,
        "batch_size": pick.choice([4, 8, 8, 16, 32]),
        "learning_rate": round(3e-4 * (4e-3 / 3e-4) ** pick.random(), 6),
        "schedule": pick.choice(["wsd"] * 6 + ["constant", "constant", "cosine", "linear"]),
        "dropout_rate": pick.choice([0.0, 0.0, 0.0, 0.1]),
        "token_dropout": pick.choice([None, 0.0]) if small else 0.0,
        "epoch": pick.choice([1, 2, 2, 3, 3, 4, 4, 5, 6, 8, 10, 12]),
        "seed": pick.randint(1, 10**6), "precision": "float32", "device": "cpu",
    }  # fmt: skip


def slice_of(text: bytes, size: int, pick: random.Random) -> bytes:
    """`size` bytes from somewhere in `text`, cut at line ends."""
    start = pick.randint(0, max(0, len(text) - size))
    piece = text[start : start + size]
    return piece[piece.find(b"\n") + 1 : piece.rfind(b"\n") + 1]


def curve(run: Ready) -> dict[str, Any]:
    """Train `run` and keep what a forecast may look at."""
    losses: list[float] = []
    epochs: list[dict[str, Any]] = []
    seconds = 0.0
    for records in train(run.state, run.plan):
        for record in records:
            if isinstance(record, Step):
                losses.append(record.loss)
                seconds += record.seconds
            elif isinstance(record, Epoch):
                epochs.append({
                    "step": record.step,
                    "validation_loss": round(record.validation_loss, 5),
                    "validation_accuracy": round(record.validation_accuracy, 5),
                    "bits_per_byte": round(record.bits_per_byte, 5),
                })  # fmt: skip
    edges = np.unique(np.linspace(0, len(losses), min(MAX_BINS, len(losses)) + 1).round())
    bins = [round(float(np.mean(losses[int(a) : int(b)])), 4) for a, b in pairwise(edges)]
    return {
        "steps": len(losses),
        "tokens_per_step": run.plan.batches.tokens_per_step,
        "epochs_planned": run.plan.epochs,
        "warmup_steps": run.plan.config.warmup_steps,
        "bins": bins,
        "epochs": epochs,
        "seconds": round(seconds, 2),
    }


if __name__ == "__main__":
    main()
