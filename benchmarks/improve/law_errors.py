"""Measure how far `train --minutes` ends from its prediction, and which part of it is to blame.

    python benchmarks/improve/law_errors.py RESULTS TEXT BYTES MINUTES [--arms | --run FOLDER]

The clock of the package is replaced by the CPU time of this process, which has one thread. So a
machine that is shared does not decide the result. A line of RESULTS (law_errors.jsonl) is a run on
the first BYTES of TEXT: what was predicted, what the law expects for the steps that were made, what
was reached. With `--arms` the same configuration is trained twice more, for as many steps: with its
schedule by steps instead of by the clock, and so without token dropout. The law was fitted to runs
like the last.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec

os.environ["OMP_NUM_THREADS"] = "1"
time.perf_counter = time.process_time  # before the package takes hold of it

from descend import run  # noqa: E402
from descend.config import make_config  # noqa: E402
from descend.model.cost import block_matrix_parameters  # noqa: E402
from descend.model.shape import shape_from_run_config  # noqa: E402
from descend.planner.corpus_profile import CorpusProfile  # noqa: E402
from descend.planner.scaling_law import ScalingLawInput, load_scaling_law  # noqa: E402
from descend.runs.planned_models import find_models  # noqa: E402
from descend.runs.run_files import read_info  # noqa: E402
from descend.runs.run_folder import read_summary  # noqa: E402

SIZES = ("vocab_size", "embed_dim", "num_layers", "batch_size", "seq_len", "token_dropout",
         "learning_rate")  # fmt: skip
PLANNED_KEYS = (
    *SIZES, "num_heads", "ff_dim", "max_seq_len", "schedule", "optimizer", "architecture", "seed",
)  # fmt: skip


def expect_for_steps(plan: dict[str, Any], resolved: dict[str, Any], steps: int) -> float:
    """Bits per byte that the law expects of the planned network after `steps`."""
    config = make_config({k: resolved[k] for k in PLANNED_KEYS})
    sample, vocab = plan["sample"], resolved["vocab_size"]
    shape = shape_from_run_config(config, vocab)
    # A tokenizer can end with fewer tokens than were planned.
    ratio = sample["train_bytes_per_token"][str(plan["config"]["vocab_size"])]
    batch_tokens = config.batch_size * config.seq_len

    profile = msgspec.convert(sample, CorpusProfile, strict=False)
    return load_scaling_law().bits_per_byte(ScalingLawInput(
        text_difficulty=profile.difficulty, regularity=profile.regularity,
        block_parameters=config.num_layers * block_matrix_parameters(shape),
        width=config.embed_dim, vocab_size=vocab, bytes_per_token=ratio,
        train_tokens=sample["train_bytes"] / ratio, tokens=steps * batch_tokens,
        batch_tokens=batch_tokens, context=config.seq_len,
    ))  # fmt: skip


def read_error(folder: Path, text: str, num_bytes: int, minutes: float) -> dict[str, Any]:
    """The same of a finished run, as it was made by the clock on the wall.

    Of several models the first counts: the plan is in its folder, and the law is of it.
    """
    models = find_models(folder)
    folder = models.teachers[0] if models else folder
    plan = json.loads((folder / "plan.json").read_text())
    profile = plan["sample"]
    resolved, summary = read_info(folder).resolved_config, read_summary(folder)
    steps = summary.epochs[-1].step
    return {
        "text": text, "bytes": num_bytes, "minutes": minutes,
        "predicted": plan["predicted"]["bits_per_byte"],
        "interval": plan["predicted"]["bits_per_byte_interval"],
        "steps_planned": plan["predicted"]["steps"], "steps_made": steps,
        "expected_for_steps_made": expect_for_steps(plan, resolved, steps),
        "reached": summary.bits_per_byte,
        **{k: profile[k] for k in ("unigram", "trigram", "five_gram", "five_gram_bytes")},
        "difficulty": msgspec.convert(profile, CorpusProfile, strict=False).difficulty,
        **{k: resolved[k] for k in SIZES},
    }  # fmt: skip


def measure_error(text: Path, num_bytes: int, minutes: float, arms: bool) -> dict[str, Any]:
    """Train for `minutes` of CPU time, and with `arms` the same by steps."""
    with tempfile.TemporaryDirectory() as scratch:
        part, folder = Path(scratch) / text.name, Path(scratch) / "run"
        part.write_text(text.read_bytes()[:num_bytes].decode("utf-8", "ignore"), "utf-8")
        shared = {"corpus_dir": str(part), "log_level": "error", "compile": "off", "threads": 1}
        model = run(shared | {"save_dir": str(folder), "minutes": minutes})
        line = read_error(folder, text.stem, num_bytes, minutes)
        if arms:
            resolved, steps = model.info.resolved_config, line["steps_made"]
            keys = shared | {k: resolved[k] for k in PLANNED_KEYS} | {"max_steps": steps}
            by_steps = run(keys | {"save_dir": str(Path(scratch) / "by_steps")})
            plain = run(keys | {"token_dropout": 0.0, "save_dir": str(Path(scratch) / "plain")})
            line |= {"reached_by_steps": by_steps.summary.bits_per_byte,
                     "reached_without_token_dropout": plain.summary.bits_per_byte}  # fmt: skip
    return line


def main() -> None:
    """Run what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("text", type=Path)
    parser.add_argument("bytes", type=int)
    parser.add_argument("minutes", type=float)
    parser.add_argument("--arms", action="store_true")
    parser.add_argument("--run", type=Path, help="a finished run of that text: it is only read")
    options = parser.parse_args()
    where = (options.text.stem, options.bytes, options.minutes)
    line = (
        measure_error(options.text, options.bytes, options.minutes, options.arms)
        if options.run is None
        else read_error(options.run, *where) | {"clock": "wall, busy machine"}
    )
    with options.results.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
    print(line, flush=True)


if __name__ == "__main__":
    main()
