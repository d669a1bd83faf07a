"""Any configuration gives a run or a sentence.

    python benchmarks/reliability/configs.py [--short] [--minutes M] [--out FILE]

2,000 configurations with odd values are checked. A refusal must be a `ConfigError` that names one
of their keys. 120 rows of allowed values at their bounds, in which each two values of two keys
occur together, are trained for 3 steps. A run must finish, or end with a sentence. The exit code
is 1 otherwise.
"""

from __future__ import annotations

import os
import random
import shutil
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from campaign_options import begin_within, make_parser
from exact_resume import covering_rows
from stored import bound_of_zero, scratch_folder, store

ODD: tuple[Any, ...] = (
    None, True, False, "", " ", "x", "4", "1e999", "\x1b[31m", "\ud800", "a" * 10_000, 0, -1, 1,
    10**30, -(10**30), 10**400, 0.5, 1e-320, 1e30, float("nan"), float("inf"), -float("inf"), [],
    [1], {}, {"1": 0.1}, {1: float("nan")}, {1: {2: 3}}, b"4", (1, 2), object, 1j,
)  # fmt: skip
MAX_SENTENCE = 1000

ALLOWED: dict[str, tuple[Any, ...]] = {
    "embed_dim": (8, 16), "num_heads": (1, 2), "num_layers": (1, 3), "ff_dim": (8, 40),
    "max_seq_len": (32, 16), "seq_len": (2, 16), "batch_size": (1, 5),
    "dropout_rate": (0.0, 0.99), "token_dropout": (None, 0.99), "architecture": ("gpt", "modern"),
    "learning_rate": (1e-12, 0.01, 10.0), "optimizer": ("adamw", "muon"),
    "schedule": ("constant", "linear", "cosine", "wsd", "piecewise"),
    "warmup_steps": (None, 0, 10**6), "weight_decay": (0.0, 10.0), "gradient_clip": (0.0, 1e6),
    "label_smoothing": (0.0, 0.99), "gradient_accumulation_steps": (None, 1, 3),
    "activation_checkpointing": (False, True), "divergence_rollback": ("on", "off"),
    "seed": (0, 2**63 - 1), "split_seed": (None, 2**63 - 1),
    "precision": ("float32", "bfloat16", "float16"), "attention": ("matmul", "fused"),
    "normalize": ("none", "nfc"), "tokenizer": ("bpe", "char", "byte"),
    "vocab_size": (None, 257, 1_000_000), "bpe_dropout": (None, 0.99),
    "validation_fraction": (0.01, 0.5), "sample_size": (None, 1), "epoch": (None, 100_000),
    "minutes": (None, 0.001),
}  # fmt: skip


def check_odd(count: int) -> tuple[Counter[str], list[str]]:
    """Check `count` configurations of one to three odd values; endings, and what is wrong."""
    from descend.config import RunConfig, make_config
    from descend.errors import ConfigError

    draw = random.Random(0)
    names = [*RunConfig.model_fields, "no_such_key"]
    endings: Counter[str] = Counter()
    problems = []
    for _ in range(count):
        values = {name: draw.choice(ODD) for name in draw.sample(names, draw.randint(1, 3))}
        try:
            make_config(values)
            endings["accepted"] += 1
        except ConfigError as problem:
            endings["refused"] += 1
            said = str(problem)
            if not any(name in said for name in values) or len(said) > MAX_SENTENCE:
                problems.append(f"{values!r:.300}: {said[:300]}")
        except Exception as problem:
            problems.append(f"{values!r:.300}: {type(problem).__name__}: {problem!s:.200}")
    return endings, problems


def list_rows(count: int) -> list[dict[str, Any]]:
    """Covering rows of `ALLOWED`, with the keys in one order after another."""
    rows: list[dict[str, Any]] = []
    draw = random.Random(0)
    while len(rows) < count:
        names = list(ALLOWED)
        draw.shuffle(names)
        shuffled = {name: tuple(draw.sample(ALLOWED[name], len(ALLOWED[name]))) for name in names}
        rows += covering_rows(shuffled)
    return [consistent(row) for row in rows[:count]]


def consistent(row: dict[str, Any]) -> dict[str, Any]:
    """`row` without what is refused because of another key."""
    changes: dict[str, Any] = {}
    if row["schedule"] == "piecewise":
        changes["learning_rate"] = {1: row["learning_rate"]}
    if row["tokenizer"] != "bpe":
        changes |= {"bpe_dropout": None, "vocab_size": None}
    return row | changes


def train_rows(
    rows: list[dict[str, Any]], place: Path, minutes: float
) -> tuple[Counter[str], list[str]]:
    """Train each row for 3 steps; how they ended, and what is wrong."""
    import saves

    from descend.config import make_config
    from descend.errors import DescendError
    from descend.training.trainer import run_training
    from descend.training.training_run import create_run

    saves.write_text(place / "text.txt")
    fixed = {"corpus_dir": str(place / "text.txt"), "max_steps": 3, "threads": 1, "compile": "off"}
    endings: Counter[str] = Counter()
    problems = []
    for row in begin_within(minutes, rows):
        folder = place / "run"
        shutil.rmtree(folder, ignore_errors=True)
        try:
            for _ in run_training(create_run(make_config(row | fixed), folder)):
                pass
            endings["finished"] += 1
        except DescendError as problem:
            endings[type(problem).__name__] += 1
            print(f"{problem!s:.200}", file=sys.stderr, flush=True)
        except Exception as problem:
            problems.append(f"{row}: {type(problem).__name__}: {problem!s:.200}")
            print(problems[-1], file=sys.stderr, flush=True)
    return endings, problems


def main() -> None:
    parser = make_parser(__doc__, short="30 of the rows")
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    checked, problems = check_odd(2000)
    print(problems[:20], file=sys.stderr, flush=True)
    with scratch_folder() as place:
        rows = list_rows(30 if arguments.short else 120)
        trained, wrong = train_rows(rows, place, arguments.minutes)
    total = sum(checked.values()) + sum(trained.values())
    store("configs", {
        "checked": dict(checked), "trained": dict(trained), "rows": sum(trained.values()),
        "total": total, "bound": bound_of_zero(total),
        "failures": len(problems) + len(wrong), "problems": (problems + wrong)[:20],
    }, arguments.out)  # fmt: skip
    sys.exit(1 if problems or wrong else 0)


if __name__ == "__main__":
    main()
