"""Tokens per second of writing: descend beside `transformers`, the same folder, the same settings.

    python benchmarks/speed/generation.py RESULTS [--rounds N] [--tokens N]

A model of the guide's sizes is trained for one pass over a little text (speed does not depend on
how well it writes) and loaded by both. One prompt, then sixteen at once; both sample with
temperature 0.9, top_k 40 and top_p 0.92, both keep keys and values; no penalties. Median
of the rounds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import torch

from descend import load, run
from descend.machine import available_cores, cpu_name, package_versions

PROMPT_TEXT = "def read(path):\n    return"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("results", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=100)
    args = parser.parse_args()
    raw = []
    with tempfile.TemporaryDirectory() as folder:
        model_folder = Path(folder) / "model"
        run({"sample_size": 10, "epoch": 1, "vocab_size": 1024, "save_dir": str(model_folder),
             "log_level": "error"})  # fmt: skip
        torch.set_num_threads(available_cores())
        arms = {"descend": ours(model_folder), "transformers": theirs(model_folder)}
        for write in arms.values():
            write(1, 5)
        for number in range(args.rounds):
            for prompts in (1, 16):
                for name, write in arms.items():
                    began = time.perf_counter()
                    written = write(prompts, args.tokens)
                    seconds = time.perf_counter() - began
                    raw.append({
                        "round": number, "prompts": prompts, "arm": name,
                        "tokens": written, "tokens_per_second": written / seconds,
                    })  # fmt: skip
    record = {
        "command": "python benchmarks/speed/generation.py RESULTS "
        f"--rounds {args.rounds} --tokens {args.tokens}",
        "machine": {
            "processor": cpu_name(),
            "cores": available_cores(),
            "versions": package_versions(),
        },
        "raw": raw,
        "summary": summary(raw),
    }
    args.results.mkdir(parents=True, exist_ok=True)
    (args.results / "generation.json").write_text(json.dumps(record, indent=1) + "\n")
    print(json.dumps(record["summary"], indent=1))


def ours(folder: Path):  # type: ignore[no-untyped-def]
    model = load(folder)

    def write(prompts: int, tokens: int) -> int:
        done = model.complete(
            [PROMPT_TEXT] * prompts, tokens, seed=0, temperature=0.9, top_k=40, top_p=0.92,
            repetition_penalty=1.0, no_repeat_ngram_size=0,
        )  # fmt: skip
        return sum(len(c.token_ids) for c in done)

    return write


def theirs(folder: Path):  # type: ignore[no-untyped-def]
    from transformers import AutoModelForCausalLM, AutoTokenizer, logging

    logging.set_verbosity_error()
    model, tokenizer = (
        kind.from_pretrained(folder) for kind in (AutoModelForCausalLM, AutoTokenizer)
    )

    def write(prompts: int, tokens: int) -> int:
        batch = tokenizer([PROMPT_TEXT] * prompts, return_tensors="pt")
        batch.pop("token_type_ids", None)
        ids = model.generate(
            **batch, max_new_tokens=tokens, min_new_tokens=tokens, do_sample=True,
            temperature=0.9, top_k=40, top_p=0.92, repetition_penalty=1.0, no_repeat_ngram_size=0,
            pad_token_id=0,
        )  # fmt: skip
        return int((ids.shape[1] - batch["input_ids"].shape[1]) * prompts)

    return write


def summary(raw: list[dict[str, object]]) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for prompts in (1, 16):
        speeds = {
            name: [float(str(r["tokens_per_second"])) for r in raw
                   if r["prompts"] == prompts and r["arm"] == name]
            for name in ("descend", "transformers")
        }  # fmt: skip
        ratios = [a / b for a, b in zip(speeds["descend"], speeds["transformers"], strict=True)]
        medians = {name: round(statistics.median(rates)) for name, rates in speeds.items()}
        rows.append(
            {"prompts": prompts}
            | medians
            | {"descend_is_times_as_fast": [round(min(ratios), 2),
                                            round(statistics.median(ratios), 2),
                                            round(max(ratios), 2)]}
        )  # fmt: skip
    return rows


if __name__ == "__main__":
    main()
