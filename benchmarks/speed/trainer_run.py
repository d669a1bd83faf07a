"""GPT-2 of `transformers` under its own Trainer, from the text to the validation loss.

    python benchmarks/speed/trainer_run.py TEXT --pieces VOCABULARY [--passes N] [--bfloat16]
                                           [--compiled]

The task of `textbook_run.py` (the guide's sizes, no dropout) as the Trainer takes it: the text cut
into blocks of the context, shuffled; AdamW 0.001 by cosine, warmup 100, betas 0.9 and 0.99, weight
decay 0.1, clip 1. Prints the validation loss (last tenth), bits per byte and the seconds as JSON.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

BEGAN = time.perf_counter()

import torch  # noqa: E402
from textbook_run import RATE, WARM_UP, Task, in_pieces, loss_on  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments  # noqa: E402


class Logits(nn.Module):
    """The trained network as `loss_on` asks it: ids to logits."""

    def __init__(self, model: GPT2LMHeadModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor) -> Tensor:
        logits: Tensor = self.model(ids).logits
        return logits


def trained(task: Task, epochs: int, bfloat16: bool, compiled: bool) -> Logits:
    """The network after so many passes."""
    torch.manual_seed(1337)
    model = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=task.vocabulary, n_embd=task.width, n_head=task.heads, n_layer=4,
            n_positions=task.context, attn_pdrop=0.0, embd_pdrop=0.0, resid_pdrop=0.0,
            bos_token_id=0, eos_token_id=0,
        )
    )  # fmt: skip
    count = len(task.train) // task.context
    blocks = task.train[: count * task.context].view(count, task.context)
    data: Any = [{"input_ids": block, "labels": block} for block in blocks]
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder, per_device_train_batch_size=task.batch, num_train_epochs=epochs,
            learning_rate=RATE, lr_scheduler_type="cosine", warmup_steps=WARM_UP,
            adam_beta1=0.9, adam_beta2=0.99, weight_decay=0.1, max_grad_norm=1.0,
            bf16=bfloat16, torch_compile=compiled, use_cpu=True, report_to=[],
            save_strategy="no", logging_strategy="no", disable_tqdm=True,
        )  # fmt: skip
        Trainer(model, arguments, train_dataset=data).train()
    return Logits(model)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("text", type=Path)
    parser.add_argument("--pieces", type=int, required=True)
    parser.add_argument("--passes", type=int, default=3)
    parser.add_argument("--bfloat16", action="store_true")
    parser.add_argument("--compiled", action="store_true")
    args = parser.parse_args()
    task = in_pieces(args.text.read_text(encoding="utf-8"), args.pieces, args.epochs)
    model = trained(task, args.epochs, args.bfloat16, args.compiled)
    seconds = time.perf_counter() - BEGAN
    loss, bits = loss_on(model, task)
    print(json.dumps({"loss": loss, "bits_per_byte": bits, "seconds": seconds}))


if __name__ == "__main__":
    main()
