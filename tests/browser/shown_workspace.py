"""A workspace with real runs to look at: those of a sweep, a bad one, its diagnosis, a better
model, and a comparison. Nothing in it is made up.

    python tests/browser/shown_workspace.py FOLDER

makes the one of the documentation's pictures, from the built-in stories: about twenty minutes on
two idle cores. The tests make a tiny one.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import descend
from descend.runs.annotation import RunAnnotation, write_annotation

LOW_RATE = 0.00003
"""A learning rate with which such short runs learn nearly nothing."""
HIGH_RATE = 3.0
"""One with which they fail."""
RATES = (0.0003, 0.001, 0.002, 0.004, 0.008)
BATCH_SIZES = (4, 8)
COMPARED_RATES = (0.001, 0.0003, 0.004, 0.02)


@dataclass(frozen=True)
class Workspace:
    """What is trained: a text, and how long."""

    name: str
    """Begins the names of the runs."""
    corpus: str
    large: Mapping[str, Any]
    """Settings of the runs that are shown large."""
    small: Mapping[str, Any]
    """Settings of the sweep."""
    num_small: int
    minutes: float
    """Of the improvement."""


def made_text() -> bytes:
    """60 kB of sentences that a network learns, but not at once."""
    pick = random.Random(5)
    nouns = ["".join(pick.choices("bdklmnrst", k=2)) + pick.choice(["ana", "ori", "ule"])
             for _ in range(60)]  # fmt: skip
    verbs = {noun: pick.choice(["sees", "finds", "likes", "calls", "fears"]) for noun in nouns}
    lines = []
    for _ in range(1500):
        first, second = pick.choice(nouns), pick.choice(nouns)
        lines.append(f"The {first} {verbs[first]} the {second}. Then it {verbs[second]} a cat.")
    return "\n".join(lines).encode()


def train(work: Workspace, folder: Path, name: str, settings: Mapping[str, Any]) -> Path:
    """Train a run in the workspace `folder`; its folder. One that diverges leaves a run too."""
    target = folder / "models" / name
    try:
        descend.run({"corpus_dir": work.corpus, **settings, "save_dir": str(target)})
    except descend.DescendError as problem:
        print(name, problem, file=sys.stderr)
    return target


def make_workspace(folder: Path, work: Workspace) -> None:
    """Train all of `work` below `folder`, as the studio names and places it."""
    for number in range(1, work.num_small + 1):
        keys = {"learning_rate": RATES[number % len(RATES)],
                "batch_size": BATCH_SIZES[number % len(BATCH_SIZES)]}  # fmt: skip
        if number == work.num_small // 2:
            keys["learning_rate"] = HIGH_RATE
        train(work, folder, f"sweep-{number}", work.small | keys)
    slow = train(work, folder, f"{work.name}-1", {**work.large, "learning_rate": LOW_RATE})
    good = train(work, folder, f"{work.name}-2", work.large)
    write_annotation(slow, RunAnnotation(["class 9b"], "Our first. Why is it so bad?"))
    write_annotation(good, RunAnnotation(["class 9b"], "With the fix.", slow.name))
    descend.compare(
        {"corpus_dir": work.corpus, **work.small}, vary={"learning_rate": list(COMPARED_RATES)},
        match="steps", budget=work.small["max_steps"],
        save_dir=str(folder / "experiments" / "compare-1"),
    )  # fmt: skip
    descend.diagnose(slow)
    descend.improve(slow, work.minutes, save_dir=folder / "improvements" / slow.name)


PLAIN = {"precision": "float32", "attention": "matmul", "threads": 1, "compile": "off"}
"""How the runs compute: nothing has to be measured first."""

STORIES = Workspace(
    name="stories", corpus="stories", num_small=24, minutes=10,
    large=PLAIN | {
        "embed_dim": 64, "num_heads": 4, "num_layers": 4, "ff_dim": 256, "max_seq_len": 64,
        "seq_len": 64, "batch_size": 8, "vocab_size": 512, "sample_size": 200, "epoch": 5,
        "learning_rate": 0.003,
    },
    small=PLAIN | {
        "embed_dim": 32, "num_heads": 2, "num_layers": 2, "ff_dim": 64, "max_seq_len": 32,
        "seq_len": 32, "vocab_size": 300, "sample_size": 60, "max_steps": 80,
    },
)  # fmt: skip


if __name__ == "__main__":
    make_workspace(Path(sys.argv[1]), STORIES)
