"""The textbook loop carried through, from the text to the validation loss.

    python benchmarks/speed/textbook_run.py TEXT
    python benchmarks/speed/textbook_run.py TEXT --pieces VOCABULARY --passes N [--bfloat16]

By characters: nanoGPT's README for `shakespeare_char` on a CPU: 4 layers of 128, context 64,
batch 12, 2,000 steps. In pieces: the guide's sizes (4 layers of 256, context 128, batch 16) and a
tokenizer learned from the training text. Both with AdamW 0.001 to 0.0001 by cosine, warmup 100,
betas 0.9 and 0.99, clip 1, no dropout, not compiled, as nanoGPT's recipe has them. Prints the
validation loss (last tenth), bits per byte and the seconds as JSON.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path

BEGAN = time.perf_counter()

import numpy as np  # noqa: E402
import torch  # noqa: E402
from textbook import TextbookGPT  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

WARM_UP = 100
RATE, MIN_RATE = 1e-3, 1e-4


@dataclass(frozen=True)
class Task:
    """Both sides of a text as ids, and what is trained on it."""

    train: Tensor
    validation: Tensor
    validation_bytes: int
    vocabulary: int
    width: int
    heads: int
    context: int
    batch: int
    steps: int


def by_characters(text: str) -> Task:
    """nanoGPT's own."""
    letters = sorted(set(text))
    place = {letter: number for number, letter in enumerate(letters)}
    ids = torch.tensor([place[letter] for letter in text])
    cut = int(0.9 * len(ids))
    validation = len("".join(letters[i] for i in ids[cut:].tolist()).encode())
    return Task(ids[:cut], ids[cut:], validation, len(letters), 128, 4, 64, 12, 2000)


def in_pieces(text: str, vocabulary: int, epochs: int) -> Task:
    """The guide's sizes, by the `tokenizers` library."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    cut = int(0.9 * len(text))
    train, validation = text[:cut], text[cut:]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        train.splitlines(keepends=True),
        trainers.BpeTrainer(vocab_size=vocabulary, initial_alphabet=alphabet, show_progress=False),
    )
    ids, others = (torch.tensor(tokenizer.encode(part).ids) for part in (train, validation))
    context, batch = 128, 16
    steps = epochs * len(ids) // (context * batch)
    return Task(ids, others, len(validation.encode()), vocabulary, 256, 8, context, batch, steps)


def trained(task: Task, bfloat16: bool) -> TextbookGPT:
    """The network after the task's steps."""
    torch.manual_seed(1337)
    model = TextbookGPT(
        task.vocabulary, task.width, task.heads, 4, 4 * task.width, task.context
    )  # fmt: skip
    decaying = [p for p in model.parameters() if p.ndim >= 2]
    rest = [p for p in model.parameters() if p.ndim < 2]
    optimizer = torch.optim.AdamW(
        [{"params": decaying, "weight_decay": 0.1}, {"params": rest, "weight_decay": 0.0}],
        lr=RATE, betas=(0.9, 0.99),
    )  # fmt: skip
    random = np.random.default_rng(1337)
    for step in range(task.steps):
        share = max(0.0, (step - WARM_UP) / (task.steps - WARM_UP))
        rate = MIN_RATE + 0.5 * (RATE - MIN_RATE) * (1 + math.cos(math.pi * share))
        for group in optimizer.param_groups:
            group["lr"] = RATE * (step + 1) / WARM_UP if step < WARM_UP else rate
        starts = random.integers(0, len(task.train) - task.context - 1, task.batch)
        batch = torch.stack([task.train[s : s + task.context + 1] for s in starts])
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            logits = model(batch[:, :-1])
            loss = F.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return model


@torch.no_grad()
def loss_on(model: nn.Module, task: Task) -> tuple[float, float]:
    """Nats a token over all windows of the validation side, and bits a byte; not timed."""
    model.eval()
    ids, context = task.validation, task.context
    count = (len(ids) - 1) // context
    inputs = ids[: count * context].view(count, context)
    targets = ids[1 : count * context + 1].view(count, context)
    total = 0.0
    for x, y in zip(inputs.split(64), targets.split(64), strict=True):
        total += F.cross_entropy(model(x).flatten(0, 1), y.flatten(), reduction="sum").item()
    loss = total / targets.numel()
    return loss, loss * len(ids) / task.validation_bytes / math.log(2)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("text", type=Path)
    parser.add_argument("--pieces", type=int, default=0)
    parser.add_argument("--passes", type=int, default=3)
    parser.add_argument("--bfloat16", action="store_true")
    args = parser.parse_args()
    text = args.text.read_text(encoding="utf-8")
    task = in_pieces(text, args.pieces, args.epochs) if args.pieces else by_characters(text)
    model = trained(task, args.bfloat16)
    seconds = time.perf_counter() - BEGAN
    loss, bits = loss_on(model, task)
    print(json.dumps({"loss": loss, "bits_per_byte": bits, "seconds": seconds}))


if __name__ == "__main__":
    main()
