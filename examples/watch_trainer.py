"""A Trainer of `transformers` that descend watches: one line more.

pip install accelerate transformers
python examples/watch_trainer.py
descend diagnose trainer_output/descend
"""

from __future__ import annotations

import torch
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments

from descend.interop.transformers_callback import WatchCallback

CONTEXT, VOCABULARY = 16, 64

if __name__ == "__main__":
    torch.manual_seed(0)
    text = torch.randint(VOCABULARY, (2000,)).cumsum(0) % VOCABULARY
    windows = [text[start : start + CONTEXT] for start in range(0, len(text) - CONTEXT, 4)]
    trainer = Trainer(
        model=GPT2LMHeadModel(
            GPT2Config(vocab_size=VOCABULARY, n_positions=CONTEXT, n_embd=32, n_layer=1, n_head=2)
        ),
        args=TrainingArguments(
            output_dir="trainer_output", max_steps=100, logging_steps=1, learning_rate=3e-3,
            report_to=[], save_strategy="no", use_cpu=True,
        ),
        train_dataset=[{"input_ids": window, "labels": window} for window in windows],
        callbacks=[WatchCallback()],
    )  # fmt: skip
    trainer.train()
    print("Next: descend diagnose trainer_output/descend")
