"""What others train on one text, for the contest: nanoGPT's recipe, and GPT-2 under the Trainer.

    python contest_gpt.py nanogpt|gpt2_trainer TEXT SECONDS SEED FOLDER [--set KEY=VALUE]

`nanogpt` is written anew from the hyperparameters that nanoGPT's README gives for a laptop: four
layers and heads of 128, context 64, batch 12, characters, AdamW with betas 0.9 and 0.99 and decay
0.1, a warmup of 100 steps, cosine from 0.001 to 0.0001, no dropout. The schedule ends with the
time. `gpt2_trainer` is a GPT-2 with BPE under `transformers.Trainer`, its rate linear. Both
first time some steps, and then make as many as fit.
"""

from __future__ import annotations

import json
import math
import sys
import time
from pathlib import Path
from typing import Any

BEGAN = time.perf_counter()

import numpy as np  # noqa: E402
import torch  # noqa: E402
from transformers import GPT2Config, GPT2LMHeadModel  # noqa: E402

from descend.config import make_config  # noqa: E402
from descend.data.prepare import (  # noqa: E402
    prepare_documents,
    prepare_tokenizer,
    prepare_tokens,
)
from descend.data.token_store import TokenStore  # noqa: E402

STARTUP_SECONDS = 2.0
"""From the key press to the first line above: Python is loaded."""
SAVE_SECONDS = 2.0
"""Kept for the saving of the model."""
TIMED_STEPS, UNTIMED_STEPS = 12, 3
EVALUATION_CHARACTERS = 20_000
"""Of the validation text, that is looked at now and then to keep the best weights."""
NANOGPT = {"layers": 4, "heads": 4, "width": 128, "context": 64, "batch": 12, "vocabulary": 0,
           "learning_rate": 1e-3, "dropout": 0.0}  # fmt: skip
GPT2_TRAINER = {"layers": 4, "heads": 4, "width": 128, "context": 128, "batch": 8,
                "vocabulary": 1024, "learning_rate": 1e-3, "dropout": 0.1}  # fmt: skip
MIN_RATE_FRACTION, WARMUP_STEPS = 0.1, 100


def read_tokens(text: str, seed: int, vocabulary: int) -> TokenStore:
    """The text as tokens: characters with `vocabulary` 0, else BPE."""
    corpus = prepare_documents(make_config({"corpus_dir": text, "seed": seed}))
    kind = "bpe" if vocabulary else "char"
    return prepare_tokens(corpus, prepare_tokenizer(corpus, kind, vocabulary))


def make_network(settings: dict[str, Any], vocab_size: int) -> GPT2LMHeadModel:
    """A GPT-2 of the sizes in `settings`."""
    rate = settings["dropout"]
    return GPT2LMHeadModel(GPT2Config(
        vocab_size=vocab_size, n_positions=settings["context"], n_embd=settings["width"],
        n_layer=settings["layers"], n_head=settings["heads"], resid_pdrop=rate, embd_pdrop=rate,
        attn_pdrop=rate, bos_token_id=0, eos_token_id=0, use_cache=False,
    ))  # fmt: skip


def draw_batch(tokens: np.ndarray, settings: dict[str, Any]) -> torch.Tensor:
    """Windows at random places, with repetition."""
    context = settings["context"]
    starts = np.random.randint(0, len(tokens) - context - 1, settings["batch"])
    return torch.from_numpy(
        np.stack([tokens[s : s + context + 1] for s in starts]).astype(np.int64)
    )


def step_seconds(network: GPT2LMHeadModel, tokens: np.ndarray, settings: dict[str, Any]) -> float:
    """Seconds of a training step, timed on some; the weights stay as they are."""
    times = []
    for _ in range(UNTIMED_STEPS + TIMED_STEPS):
        began = time.perf_counter()
        ids = draw_batch(tokens, settings)
        network(input_ids=ids[:, :-1], labels=ids[:, :-1]).loss.backward()
        network.zero_grad()
        times.append(time.perf_counter() - began)
    return float(np.median(times[UNTIMED_STEPS:]))


def nanogpt_rate(progress: float, warmup: float, peak: float) -> float:
    """The learning rate at a fraction of the run: linear warmup, then cosine to a tenth."""
    if progress < warmup:
        return peak * progress / warmup
    fallen = 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))
    return peak * (MIN_RATE_FRACTION + (1 - MIN_RATE_FRACTION) * fallen)


def train_nanogpt(network: Any, store: TokenStore, settings: dict[str, Any], ends: float) -> None:
    """nanoGPT's loop, its schedule by the clock; the weights of the best evaluation stay."""
    began, each = time.perf_counter(), step_seconds(network, store.train, settings)
    warmup = min(0.1, WARMUP_STEPS * each / max(ends - began, 1e-6))
    decayed = [p for p in network.parameters() if p.dim() >= 2]
    others = [p for p in network.parameters() if p.dim() < 2]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}],
        lr=settings["learning_rate"], betas=(0.9, 0.99),
    )  # fmt: skip
    validation = store.validation[:EVALUATION_CHARACTERS].astype(np.int64)
    rows = len(validation) // (settings["context"] + 1)
    windows = torch.from_numpy(validation[: rows * (settings["context"] + 1)].reshape(rows, -1))
    best, weights, next_look = math.inf, None, 0.5
    while (now := time.perf_counter()) < ends:
        progress = (now - began) / (ends - began)
        for group in optimizer.param_groups:
            group["lr"] = nanogpt_rate(progress, warmup, settings["learning_rate"])
        ids = draw_batch(store.train, settings)
        logits = network(input_ids=ids[:, :-1]).logits
        torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten()).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if progress > next_look or now + 2 * each >= ends:
            next_look += 0.1
            loss = evaluate(network, windows)
            if loss < best:
                best = loss
                weights = {k: v.clone() for k, v in network.state_dict().items()}
    if weights is not None:
        network.load_state_dict(weights)


@torch.no_grad()
def evaluate(network: Any, windows: torch.Tensor) -> float:
    """Mean loss in nats on `windows` (N, T + 1)."""
    network.eval()
    losses = [
        torch.nn.functional.cross_entropy(
            network(input_ids=part[:, :-1]).logits.flatten(0, 1), part[:, 1:].flatten()
        ).item()
        for part in windows.split(32)
    ]
    network.train()
    return float(np.mean(losses))


class Windows(torch.utils.data.Dataset):  # type: ignore[type-arg]
    """The training text in windows that follow each other, as group_texts of the examples makes."""

    def __init__(self, tokens: np.ndarray, context: int) -> None:
        rows = len(tokens) // context
        self.rows = torch.from_numpy(tokens[: rows * context].reshape(rows, -1).astype(np.int64))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {"input_ids": self.rows[index], "labels": self.rows[index]}


def train_under_trainer(
    network: Any, store: TokenStore, settings: dict[str, Any], ends: float, seed: int, folder: Path
) -> None:  # fmt: skip
    """GPT-2 under `transformers.Trainer`, as many steps as fit, linear to zero."""
    from transformers import Trainer, TrainerCallback, TrainingArguments

    each = OPTIMIZER_FACTOR * step_seconds(network, store.train, settings)
    steps = max(1, int((ends - time.perf_counter()) / each))

    class StopInTime(TrainerCallback):
        """Ends the training when the time is up."""

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
            control.should_training_stop = time.perf_counter() > ends
            return control

    arguments = TrainingArguments(
        output_dir=str(folder), max_steps=steps, learning_rate=settings["learning_rate"],
        per_device_train_batch_size=settings["batch"], weight_decay=0.1,
        warmup_steps=min(WARMUP_STEPS, steps // 10), lr_scheduler_type="linear", seed=seed,
        save_strategy="no", logging_strategy="no", report_to=[], disable_tqdm=True, use_cpu=True,
    )  # fmt: skip
    Trainer(
        model=network, args=arguments, train_dataset=Windows(store.train, settings["context"]),
        callbacks=[StopInTime()],
    ).train()  # fmt: skip


OPTIMIZER_FACTOR = 1.15
"""A step with the optimizer and the Trainer's own work over one without."""


def main() -> None:
    """Train, and save what the judge needs."""
    name, text, seconds, seed, folder = sys.argv[1:6]
    ends = BEGAN - STARTUP_SECONDS + float(seconds) - SAVE_SECONDS
    settings: dict[str, Any] = dict(NANOGPT if name == "nanogpt" else GPT2_TRAINER)
    for pair in sys.argv[7::2]:
        key, _, value = pair.partition("=")
        if key not in settings:
            sys.exit(f"--set {key}: expected one of {', '.join(settings)}")
        settings[key] = type(settings[key])(value)
    torch.manual_seed(int(seed))
    np.random.seed(int(seed))
    store = read_tokens(text, int(seed), settings["vocabulary"])
    network = make_network(settings, store.tokenizer.vocab_size)
    target = Path(folder)
    target.mkdir(parents=True)
    if name == "nanogpt":
        train_nanogpt(network, store, settings, ends)
    else:
        train_under_trainer(network, store, settings, ends, int(seed), target)
    network.save_pretrained(target)
    (target / "tokenizer.json").write_bytes(store.tokenizer.to_bytes())
    (target / "arm.json").write_text(json.dumps({"context": settings["context"]}))


if __name__ == "__main__":
    main()
