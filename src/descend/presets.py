"""Named configurations to start from: what each sets beside the defaults of `RunConfig`."""

from __future__ import annotations

from typing import Any

PRESETS: dict[str, dict[str, Any]] = {
    # The default: the values of RunConfig itself.
    "fast": {},
    # The guide's improved values, taken literally.
    "guide": {
        "embed_dim": 256, "num_heads": 8, "num_layers": 4, "ff_dim": 1024, "max_seq_len": 256,
        "batch_size": 16, "seq_len": 128, "epoch": 10, "learning_rate": 0.001, "vocab_size": 4096,
        "architecture": "gpt", "optimizer": "adamw", "schedule": "constant", "warmup_steps": 0,
        "weight_decay": 0.01, "gradient_clip": 0.0, "dropout_rate": 0.1, "token_dropout": 0.0,
        "bpe_dropout": 0.0, "precision": "float32",
    },
    # What the student had before reading the guide.
    "old": {
        "embed_dim": 128, "num_heads": 4, "num_layers": 2, "ff_dim": 512, "max_seq_len": 256,
        "batch_size": 4, "seq_len": 32, "epoch": 3, "learning_rate": 0.0003, "vocab_size": 4096,
        "architecture": "gpt", "optimizer": "adamw", "schedule": "constant", "warmup_steps": 0,
        "weight_decay": 0.01, "gradient_clip": 0.0, "dropout_rate": 0.1, "token_dropout": 0.0,
        "bpe_dropout": 0.0, "precision": "float32",
    },
}  # fmt: skip
