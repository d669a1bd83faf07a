"""One training run of so many reference seconds, kept as a file: the coin of this benchmark.

Seconds on a shared machine measure its other users. So a limit is counted in reference seconds: the
time that each step of a configuration takes by `rates.json`, which was fitted to steps timed on one
quiet core. Every configuration gets as many steps as fit, however long they then take.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch

from descend.config import RunConfig, make_config
from descend.data.batches import BatchSampler
from descend.data.token_store import TokenStore
from descend.machine import Execution, cpu_name
from descend.metrics.evaluation import Evaluation, evaluate
from descend.model.initialization import initialize
from descend.model.shape import ModelShape, shape_from_run_config
from descend.model.transformer import Transformer
from descend.planner.step_time import StepTimeModel, StepWorkload
from descend.training.assembly import plan_batches, tokenize_corpus
from descend.training.loop import accumulate_gradients, gradient_norm, optimizer_step
from descend.training.loss import make_loss_fn
from descend.training.lr_schedule import make_lr_schedule
from descend.training.optimizers import make_optimizers, set_learning_rate
from descend.training.precision import make_grad_scaler
from descend.training.process_group import SINGLE_PROCESS
from descend.training.recipe import choose_warmup
from descend.training.train_state import TrainState

HERE = Path(__file__).parent
EVALUATED_BYTES = 100_000
"""Validation text that every trial on a corpus is evaluated on: the same bytes for each
vocabulary."""

SPREAD_FROM, NUM_SECTIONS = 4, 16
"""Times as many validation tokens as bytes that are evaluated, from which they are taken from so
many places."""

MAX_EVALUATIONS = 10
"""Times a run of several epochs is evaluated, evenly spread; the best counts, as its model is
saved."""


def seconds_per_step(config: RunConfig, vocab_size: int) -> float:
    """Reference seconds of one step."""
    rates = StepTimeModel(**json.loads((HERE / "rates.json").read_text())["rates"])
    shape = shape_from_run_config(config, vocab_size)
    muon = config.optimizer == "muon"
    return rates.seconds(StepWorkload(shape, config.batch_size, config.seq_len, muon))


def trial(folder: Path, corpus: str, text: Path, values: dict[str, Any], seconds: float) -> Any:
    """Train `values` on `text` for so many reference seconds; kept in `folder`."""
    name = hashlib.sha256(json.dumps([corpus, values, seconds], sort_keys=True).encode())
    file = folder / f"{corpus}_{seconds:g}_{name.hexdigest()[:12]}.json"
    if file.exists():
        return json.loads(file.read_text())
    config = make_config(values | {"corpus_dir": str(text)})
    store = tokenize_corpus(config)
    shape = shape_from_run_config(config, store.tokenizer.vocab_size)
    per_step = seconds_per_step(config, shape.vocab_size)
    steps = max(1, min(int(seconds / per_step), config.max_steps or sys.maxsize))
    evaluations = run(config, shape, store, steps)
    best = min(evaluations, key=lambda j: j["bits_per_byte"])
    result = {
        "corpus": corpus, "seconds": seconds, "values": values, "steps": steps,
        "seconds_per_step": per_step, "vocab_size": shape.vocab_size,
        "train_bytes": store.info.train_bytes, "train_tokens": store.info.train_tokens,
        "num_epochs": steps * config.batch_size * config.seq_len / store.info.train_tokens,
        "bits_per_byte": best["bits_per_byte"], "best_step": best["step"],
        "evaluations": evaluations,
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    aside = file.with_suffix(f".{os.getpid()}")
    aside.write_text(json.dumps(result))
    aside.replace(file)
    return result


def run(config: RunConfig, shape: ModelShape, store: TokenStore, steps: int) -> list[Any]:
    """Judgments of a run of `steps`; a diverged one ends where it was last finite."""
    batches = plan_batches(config, store)
    execution = Execution("cpu", "bfloat16" if config.precision == "auto" else "float32", "matmul",
                    torch.get_num_threads(), str(torch.__version__), cpu_name())  # fmt: skip
    model = Transformer(shape, config.dropout_rate, execution.attention)
    initialize(model, config.seed)
    model.token_dropout = config.token_dropout or 0.0
    model.train()
    state = TrainState(model, make_optimizers(model, config), make_grad_scaler(execution))
    rate = make_lr_schedule(config, choose_warmup(config, steps), steps, batches.epoch_at_step)
    inputs = StepInputs(config, execution, batches)
    ids = evaluation_tokens(store)
    epochs = batches.completed_epochs(steps)
    times = {steps} | {round(steps * (i + 1) / MAX_EVALUATIONS)
                       for i in range(MAX_EVALUATIONS) if epochs > 1 and i >= 2}  # fmt: skip
    evaluations: list[Any] = []
    for step in range(steps):
        set_learning_rate(state.optimizers, rate(step))
        torch.manual_seed((config.seed * 1_000_003 + step) % 2**63)
        loss, _ = accumulate_gradients(state, inputs, step)  # type: ignore[arg-type]
        gradient_norm(state, inputs)  # type: ignore[arg-type]
        if not np.isfinite(loss):
            break
        optimizer_step(state, True)
        if step + 1 in times:
            measured = judge(model, ids, store, config)
            evaluations.append({"step": step + 1, "train_loss": round(loss, 4),
                           "loss": round(measured.loss, 5),
                           "accuracy": round(measured.accuracy, 5),
                           "bits_per_byte": round(measured.bits_per_byte, 5)})  # fmt: skip
    return evaluations or [{"step": steps, "bits_per_byte": 8.0}]


class StepInputs:
    """What the steps of the training loop look at."""

    def __init__(self, config: RunConfig, execution: Execution, batches: BatchSampler) -> None:
        self.config, self.execution, self.batches = config, execution, batches
        self.loss_fn, self.group = make_loss_fn(execution), SINGLE_PROCESS

    def sync_gradients(self, model: Transformer, is_last: bool) -> AbstractContextManager[object]:
        """Nothing is exchanged: there is one process."""
        return nullcontext()


def judge(model: Transformer, ids: Any, store: TokenStore, config: RunConfig) -> Evaluation:
    """On the same text for all."""
    return evaluate(model, ids, store.tokenizer.byte_lengths, config.seq_len)


def evaluation_tokens(store: TokenStore) -> Any:
    """Validation tokens that make `JUDGED_BYTES`: the first ones, or, of much more text, segments
    evenly spread over it, since one place of twenty megabytes may be tables and the next prose."""
    validation_ids = store.validation
    if len(validation_ids) <= SPREAD_FROM * EVALUATED_BYTES:
        return _first(np.asarray(validation_ids[: EVALUATED_BYTES + 2]), store, EVALUATED_BYTES)
    starts = np.linspace(0, len(validation_ids) - EVALUATED_BYTES, NUM_SECTIONS).astype(np.int64)
    each = EVALUATED_BYTES // NUM_SECTIONS
    return np.concatenate(
        [_first(np.asarray(validation_ids[s : s + each]), store, each) for s in starts]
    )


def _first(ids: Any, store: TokenStore, nbytes: int) -> Any:
    lengths = np.cumsum(store.tokenizer.byte_lengths[ids])
    return ids[: int(np.searchsorted(lengths, nbytes)) + 1]
