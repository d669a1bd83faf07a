"""One arm, one size: trains on random tokens and prints its tokens per second as JSON.

    python benchmarks/speed/compared_programs.py ARM SIZE SECONDS

Random tokens, since speed does not depend on what the text says. Warm-up (and compiling) is not
counted in tokens per second; it is printed apart.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

SIZES: dict[str, dict[str, int]] = {
    "guide": {"embed_dim": 256, "num_heads": 8, "num_layers": 4, "ff_dim": 1024,
              "max_seq_len": 256, "seq_len": 128, "batch_size": 16},
    "small": {"embed_dim": 128, "num_heads": 4, "num_layers": 2, "ff_dim": 512,
              "max_seq_len": 64, "seq_len": 64, "batch_size": 16},
    "wide": {"embed_dim": 512, "num_heads": 8, "num_layers": 4, "ff_dim": 2048,
             "max_seq_len": 256, "seq_len": 128, "batch_size": 16},
    "long": {"embed_dim": 256, "num_heads": 8, "num_layers": 4, "ff_dim": 1024,
             "max_seq_len": 512, "seq_len": 512, "batch_size": 4},
    "baby": {"embed_dim": 384, "num_heads": 6, "num_layers": 6, "ff_dim": 1536,
             "max_seq_len": 256, "seq_len": 256, "batch_size": 64},
    "gpt2": {"embed_dim": 768, "num_heads": 12, "num_layers": 12, "ff_dim": 3072,
             "max_seq_len": 1024, "seq_len": 1024, "batch_size": 16},
}  # fmt: skip
"""The last two for a GPU only: nanoGPT's `baby GPT` and GPT-2's smallest."""

VOCABULARY = 4096
WARM_UP_STEPS = 3
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def size_of(name: str) -> dict[str, int]:
    """A size by its name; `width N`: the guide's, N wide."""
    if name in SIZES:
        return SIZES[name]
    width = int(name.removeprefix("width "))
    return SIZES["guide"] | {"embed_dim": width, "ff_dim": 4 * width}


LONG_RUN = 5000
"""Steps of a run that is long enough for the engine to compile."""


def ours(size: dict[str, int], dropout: float = 0.0, steps: int = 0) -> Callable[[], object]:
    """A step of descend's own loop with the `fast` recipe, engine choice included."""
    from descend.config import make_config
    from descend.data.batches import BatchSampler
    from descend.model.initialization import initialize
    from descend.model.shape import shape_from_run_config
    from descend.model.transformer import Transformer
    from descend.training.execution.autotune import autotune_execution
    from descend.training.loop import train
    from descend.training.optimizers import make_optimizers
    from descend.training.precision import make_grad_scaler
    from descend.training.step_inputs import make_step_inputs
    from descend.training.train_plan import TrainPlan
    from descend.training.train_state import TrainState

    config = make_config(size | {"dropout_rate": dropout, "warmup_steps": 0})
    shape = shape_from_run_config(config, VOCABULARY)
    tokens = np.random.default_rng(0).integers(0, VOCABULARY, 5_000_000).astype(np.uint16)
    batches = BatchSampler(tokens, config.seq_len, config.batch_size, 0)
    execution = autotune_execution(make_step_inputs(config, shape, batches), steps).execution
    torch.set_num_threads(execution.threads)
    model = Transformer(shape, dropout, execution.attention)
    initialize(model, 0)
    model.to(execution.device)
    optimizers = make_optimizers(model, config, execution)
    state = TrainState(model, optimizers, make_grad_scaler(execution))
    plan = TrainPlan(config, execution, batches, 1, batches.steps(1), lambda _: 1e-5, None)
    records = train(state, plan)

    def step() -> object:
        before = state.step
        while state.step == before:
            next(records)
        return None

    return step


def textbook(size: dict[str, int], autocast: bool, compiled: bool) -> Callable[[], object]:
    """A step of the textbook loop."""
    from textbook import TextbookGPT

    model: Any = TextbookGPT(
        VOCABULARY, size["embed_dim"], size["num_heads"], size["num_layers"], size["ff_dim"],
        size["max_seq_len"],
    ).to(DEVICE)  # fmt: skip
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)
    forward = torch.compile(model) if compiled else model

    def step() -> object:
        ids = torch.randint(0, VOCABULARY, (size["batch_size"], size["seq_len"] + 1)).to(DEVICE)
        with torch.autocast(DEVICE, torch.bfloat16, enabled=autocast):
            logits = forward(ids[:, :-1])
            loss = F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return loss.item()

    return step


def trainer(size: dict[str, int], bf16: bool, compiled: bool, seconds: float) -> dict[str, float]:
    """GPT-2 of `transformers` under its own Trainer; times itself by callbacks."""
    import tempfile

    from transformers import (
        GPT2Config,
        GPT2LMHeadModel,
        Trainer,
        TrainerCallback,
        TrainingArguments,
    )

    model = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=VOCABULARY, n_embd=size["embed_dim"], n_head=size["num_heads"],
            n_layer=size["num_layers"], n_inner=size["ff_dim"], n_positions=size["max_seq_len"],
            attn_pdrop=0.0, embd_pdrop=0.0, resid_pdrop=0.0, bos_token_id=0, eos_token_id=0,
        )
    )  # fmt: skip
    rows = np.random.default_rng(0).integers(0, VOCABULARY, (20_000, size["seq_len"]))
    data = [{"input_ids": row, "labels": row} for row in rows]
    marks: list[float] = []

    class Clock(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
            marks.append(time.perf_counter())
            if len(marks) > WARM_UP_STEPS and marks[-1] - marks[WARM_UP_STEPS - 1] > seconds:
                control.should_training_stop = True
            return control

    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder, per_device_train_batch_size=size["batch_size"], num_train_epochs=1,
            learning_rate=1e-5, bf16=bf16, use_cpu=DEVICE == "cpu", torch_compile=compiled,
            report_to=[], save_strategy="no", logging_strategy="no", disable_tqdm=True,
        )  # fmt: skip
        Trainer(model, arguments, train_dataset=data, callbacks=[Clock()]).train()
    counted = len(marks) - WARM_UP_STEPS
    return {
        "steps": counted,
        "seconds": marks[-1] - marks[WARM_UP_STEPS - 1],
        "warm_up": marks[WARM_UP_STEPS - 1] - began,
    }


def timed(step: Callable[[], object], seconds: float) -> dict[str, float]:
    """Steps in about `seconds`, after the warm-up."""
    began = time.perf_counter()
    for _ in range(WARM_UP_STEPS):
        step()
    start, count = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        step()
        count += 1
    return {
        "steps": count, "seconds": time.perf_counter() - start, "warm_up": start - began
    }  # fmt: skip


def peak() -> float:
    """Megabytes: of the GPU, or of the process."""
    if DEVICE == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(program: str, size: dict[str, int], seconds: float) -> dict[str, float]:
    """Steps and seconds of one arm."""
    match program:
        case "descend":
            return timed(ours(size), seconds)
        case "descend, long run":
            return timed(ours(size, steps=LONG_RUN), seconds)
        case "descend, four heads":
            return timed(ours(size | {"num_heads": 4}, steps=LONG_RUN), seconds)
        case "descend, dropout 0.1":
            return timed(ours(size, dropout=0.1), seconds)
        case "textbook, float32":
            return timed(textbook(size, autocast=False, compiled=False), seconds)
        case "textbook, float32, compiled":
            return timed(textbook(size, autocast=False, compiled=True), seconds)
        case "textbook, bfloat16":
            return timed(textbook(size, autocast=True, compiled=False), seconds)
        case "textbook, bfloat16, compiled":
            return timed(textbook(size, autocast=True, compiled=True), seconds)
        case "Trainer, float32":
            return trainer(size, bf16=False, compiled=False, seconds=seconds)
        case "Trainer, float32, compiled":
            return trainer(size, bf16=False, compiled=True, seconds=seconds)
        case "Trainer, bfloat16":
            return trainer(size, bf16=True, compiled=False, seconds=seconds)
        case "Trainer, bfloat16, compiled":
            return trainer(size, bf16=True, compiled=True, seconds=seconds)
    raise SystemExit(f"unknown arm {program}")


def main() -> None:
    program, size_name, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
    size = size_of(size_name)
    result = measure(program, size, seconds)
    tokens = result["steps"] * size["batch_size"] * size["seq_len"]
    result["tokens_per_second"] = tokens / result["seconds"]
    result["peak_megabytes"] = peak()
    print(json.dumps(result))


if __name__ == "__main__":
    main()
