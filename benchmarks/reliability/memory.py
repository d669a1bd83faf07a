"""Memory: the peak is foreseen, and neither many steps nor a large text make it grow.

    python benchmarks/reliability/memory.py --part peak|steps|text [--short] [--out FILE]

peak   what training takes at its peak, beside what `training_memory` says, in 40 configurations
steps  anonymous memory and page tables over 50,000 steps, with samples, evaluations and saves
text   the most that a text takes while it is prepared, from 10 MB to 4 GB

Each measurement is made in a forked process. The exit code is 1 if a peak is over 15 % above its
estimate, if memory grows by 1 MB or more in 10,000 steps (upper 95 % bound), or if a larger text
takes over 10 % and 16 bytes a document more than the smallest.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stored import scratch_folder, store

MB = 2**20
MAX_ABOVE = 0.15
MAX_GROWTH_MB = 1.0
"""In 10,000 steps."""
MAX_TEXT_SHARE, BYTES_PER_DOCUMENT = 0.1, 16

WIDTHS = ((256, 4, 1024), (384, 3, 1024), (512, 2, 2048), (256, 8, 512))
"""Width, layers, width of the feed-forward part: of 200 MB to 1 GB at the peak."""


def in_child(place: Path, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What `measure` returns in a forked process."""
    answer = place / "answer.json"
    answer.unlink(missing_ok=True)
    child = os.fork()
    if child == 0:
        try:
            answer.write_text(json.dumps(measure()))
        finally:
            os._exit(0 if answer.exists() else 1)
    os.waitpid(child, 0)
    result: dict[str, Any] = json.loads(answer.read_text())
    return result


def field_bytes(file: str, *names: str) -> int:
    """The sum of fields of /proc/self/`file`."""
    lines = Path(f"/proc/self/{file}").read_text().splitlines()
    return 1024 * sum(int(line.split()[1]) for line in lines if line.split(":")[0] in names)


def anonymous_bytes() -> int:
    """Memory that is no file's, and the page tables: mapped tokens are given back at need."""
    return field_bytes("smaps_rollup", "Anonymous") + field_bytes("status", "VmPTE")


def make_run(folder: Path, text: Path, **keys: object) -> Any:
    from descend.config import make_config
    from descend.training.training_run import create_run

    fixed = {"corpus_dir": str(text), "threads": 1, "compile": "off", "precision": "float32"}
    return create_run(make_config(fixed | keys), folder)


TINY: dict[str, Any] = {"embed_dim": 16, "num_heads": 2, "num_layers": 1, "ff_dim": 32,
                        "max_seq_len": 32, "seq_len": 16, "batch_size": 16,
                        "tokenizer": "byte"}  # fmt: skip


def train(run: Any, every: int, look: Callable[[], None]) -> None:
    """Train to the end, and `look` each `every` steps."""
    from descend.runs.events import Step
    from descend.training.trainer import run_training

    for event in run_training(run):
        if isinstance(event, Step) and event.step % every == 0:
            look()


# ---------------------------------------------------------------- the peak


def peak_of(place: Path, text: Path, keys: dict[str, Any]) -> dict[str, Any]:
    """The peak of a few steps over what the process held before, and the estimate."""
    from descend.model.cost import training_memory

    train(make_run(place / "warm", text, **TINY, max_steps=3), 10**9, lambda: None)
    before = anonymous_bytes()
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    files = field_bytes("status", "RssFile", "RssShmem")
    run = make_run(place / "run", text, **keys)
    train(run, 10**9, lambda: None)
    peak = field_bytes("status", "VmHWM") - files - before
    shape = run.state.model.shape
    return {"measured": peak, "estimate": training_memory(run.config, shape)}


def list_configs(short: bool) -> list[dict[str, Any]]:
    """Sizes, networks, optimizers, dropout and parts of a batch; 40 of them, or 10."""
    every = itertools.product(
        WIDTHS, ("gpt", "modern", "llama"), ("adamw", "muon"), (0.0, 0.1), (1, 4))  # fmt: skip
    chosen = list(every)[:: 10 if short else 2][:40]
    return [
        {"embed_dim": width, "num_layers": layers, "ff_dim": ff, "num_heads": 4, "seq_len": 128,
         "max_seq_len": 128, "batch_size": 16, "architecture": architecture, "optimizer": optimizer,
         "dropout_rate": dropout, "gradient_accumulation_steps": parts, "tokenizer": "byte",
         "max_steps": 4}
        for (width, layers, ff), architecture, optimizer, dropout, parts in chosen
    ]  # fmt: skip


def measure_peaks(place: Path, short: bool, until: float) -> tuple[dict[str, Any], bool]:
    """Estimate and peak of each configuration."""
    text = write_documents(place / "text.jsonl", 1)
    rows = []
    planned = list_configs(short)
    for number, keys in enumerate(planned):
        if time.monotonic() > until:
            break
        folder = place / str(number)
        folder.mkdir()
        result = in_child(place, lambda f=folder, k=keys: peak_of(f, text, k))  # type: ignore[misc]
        rows.append(result["measured"] / result["estimate"] - 1)
        print(keys, result, f"{rows[-1]:+.1%}", file=sys.stderr, flush=True)
    within = sum(abs(row) <= MAX_ABOVE for row in rows)
    return {
        "total": len(rows), "planned": len(planned), "within": within,
        "most_above": round(max(rows), 3), "most_below": round(min(rows), 3),
    }, max(rows) <= MAX_ABOVE  # fmt: skip


# ---------------------------------------------------------------- many steps


def measure_steps(place: Path, short: bool, until: float) -> tuple[dict[str, Any], bool]:
    """The slope of memory over the steps after the first tenth, and its upper 95 % bound."""
    import numpy as np

    steps = 10_000 if short else 50_000
    text = write_documents(place / "text.jsonl", 1)

    def count() -> dict[str, Any]:
        seen: list[int] = []
        run = make_run(place / "run", text, **TINY, max_steps=steps)
        train(run, steps // 500, lambda: seen.append(anonymous_bytes()))
        return {"bytes": seen}

    seen = np.array(in_child(place, count)["bytes"][50:]) / MB
    blocks = np.array([block.mean() for block in np.array_split(seen, 20)])
    x = np.linspace(0, 0.9 * steps / 10_000, len(blocks))
    (slope, _), covariance = np.polyfit(x, blocks, 1, cov=True)
    upper = float(slope + 1.734 * math.sqrt(covariance[0, 0]))  # one-sided t of 18 degrees
    return {
        "steps": steps, "samples": len(seen), "megabytes": round(float(seen.mean()), 1),
        "slope_mb_per_10000_steps": round(float(slope), 4), "upper_bound": round(upper, 4),
        "most_mb": round(float(seen.max()), 1), "least_mb": round(float(seen.min()), 1),
    }, upper < MAX_GROWTH_MB  # fmt: skip


# ---------------------------------------------------------------- large texts


def write_documents(path: Path, megabytes: int) -> Path:
    """JSON lines of about 1 kB, no two alike."""
    words = ("cat", "dog", "owl", "sleeps", "waits", "sings", "river", "stone", "house", "letter")
    with path.open("w") as file:
        n = 0
        while file.tell() <= megabytes * MB:
            n += 1
            text = " ".join(words[(n * 7 + i * (1 + n % 11)) % 10] for i in range(180))
            file.write(json.dumps({"text": f"{n} {text}"}) + "\n")
    return path


def most_while(work: Callable[[], object]) -> int:
    """The most anonymous memory while `work` is done, over that before it."""
    before, most, done = anonymous_bytes(), 0, threading.Event()

    def watch() -> None:
        nonlocal most
        while not done.wait(0.02):
            most = max(most, anonymous_bytes())

    thread = threading.Thread(target=watch)
    thread.start()
    work()
    done.set()
    thread.join()
    return most - before


def measure_texts(place: Path, short: bool, until: float) -> tuple[dict[str, Any], bool]:
    """The most memory that texts of several sizes take until the first step."""
    rows = []
    for megabytes in (5, 20, 80) if short else (10, 100, 1000, 4000):
        if time.monotonic() > until:
            break
        text = write_documents(place / f"{megabytes}.jsonl", megabytes)
        documents = sum(1 for _ in text.open("rb"))
        keys = TINY | {"tokenizer": "bpe", "vocab_size": 1024}
        folder = place / f"run-{megabytes}"

        def prepare(folder: Path = folder, text: Path = text, keys: Any = keys) -> dict[str, Any]:
            return {"most": most_while(lambda: make_run(folder, text, **keys))}

        most = in_child(place, prepare)["most"]
        rows.append(
            {"megabytes": megabytes, "documents": documents, "most_mb": round(most / MB, 1)}
        )
        print(rows[-1], file=sys.stderr, flush=True)
        text.unlink()
    first = rows[0]
    room = [
        first["most_mb"] * (1 + MAX_TEXT_SHARE)
        + (row["documents"] - first["documents"]) * BYTES_PER_DOCUMENT / MB - row["most_mb"]
        for row in rows
    ]  # fmt: skip
    return {"rows": rows, "least_room_mb": round(min(room), 1)}, min(room) >= 0


PARTS = {"peak": measure_peaks, "steps": measure_steps, "text": measure_texts}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=PARTS, required=True)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--minutes", type=float, default=60.0, help="begin no more after them")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    until = time.monotonic() + 60 * arguments.minutes
    with scratch_folder() as place:
        import torch

        import descend.training.trainer  # noqa: F401

        torch.set_num_threads(1)
        result, holds = PARTS[arguments.part](place, arguments.short, until)
    store(f"memory_{arguments.part}", result | {"holds": holds}, arguments.out)
    sys.exit(0 if holds else 1)


if __name__ == "__main__":
    if not sys.platform.startswith("linux"):
        sys.exit("not run: it needs Linux")
    main()
