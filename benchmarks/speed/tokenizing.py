"""How fast a tokenizer learns and a text is encoded, beside the bare `tokenizers` library.

    python benchmarks/speed/tokenizing.py RESULTS TEXT... [--rounds N]

The same vocabulary of 4,096 pieces of bytes for both, all cores, in turn; the text is in memory.
The library is called as its own documentation does: `train_from_iterator` over the lines, then
`encode_batch` of them. Writes RESULTS/tokenizing.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from descend.data.cached_encoder import make_encoder
from descend.data.tokenizer import train_tokenizer
from descend.machine import available_cores, cpu_name, package_versions

VOCABULARY = 4096
Seconds = tuple[float, float]
"""Of learning and of encoding."""


def ours(text: str) -> Seconds:
    """As `descend train` does: one document."""
    clock = time.perf_counter()
    tokenizer = train_tokenizer("bpe", VOCABULARY, lambda: iter([text]))
    learned = time.perf_counter()
    make_encoder(tokenizer)([text])
    return learned - clock, time.perf_counter() - learned


def library(text: str) -> Seconds:
    """The library as it is."""
    lines = text.splitlines(keepends=True)
    clock = time.perf_counter()
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )  # fmt: skip
    tokenizer.train_from_iterator(lines, trainer)
    learned = time.perf_counter()
    tokenizer.encode_batch(lines)
    return learned - clock, time.perf_counter() - learned


WHO: dict[str, Callable[[str], Seconds]] = {"descend": ours, "tokenizers": library}


def spread(values: list[float]) -> list[float]:
    """Least, median and most."""
    return [round(f(values), 2) for f in (min, statistics.median, max)]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("results", type=Path)
    parser.add_argument("texts", type=Path, nargs="+")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    raw: list[dict[str, Any]] = []
    summary = []
    for path in args.texts:
        text = path.read_text(encoding="utf-8")
        size = len(text.encode()) / 1e6
        for number in range(args.rounds):
            for who, how in WHO.items():
                learning, encoding = how(text)
                raw.append({"round": number, "text": path.name, "who": who,
                            "learning": learning, "encoding": encoding})  # fmt: skip
        for who in WHO:
            own = [r for r in raw if (r["text"], r["who"]) == (path.name, who)]
            summary.append({
                "text": path.name, "megabytes": round(size, 3), "who": who,
                "training_megabytes_per_second": spread([size / r["learning"] for r in own]),
                "encoding_megabytes_per_second": spread([size / r["encoding"] for r in own]),
            })  # fmt: skip
            print(summary[-1], flush=True)
    record = {
        "command": "python benchmarks/speed/tokenizing.py RESULTS "
        + " ".join(path.name for path in args.texts),
        "machine": {
            "processor": cpu_name(),
            "cores": available_cores(),
            "versions": package_versions(),
        },
        "vocabulary": VOCABULARY,
        "summary": summary,
        "raw": raw,
    }
    args.results.mkdir(parents=True, exist_ok=True)
    (args.results / "tokenizing.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
