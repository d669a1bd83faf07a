"""A resume is exact to the last bit, whatever the settings: all pairs of them, 1, 2, and 7 stops.

    python benchmarks/reliability/exact_resume.py [--short] [--compile] [--out FILE]

Every two values of two settings occur together in one of the rows. Each row is trained without a
stop and with them. Weights, losses, and the records of steps and epochs must be equal bit for bit.
The short form takes no compiled row, and one number of stops a row. The exit code is 1 otherwise.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import signal
import sys
from pathlib import Path
from typing import Any

from campaign_options import begin_within, make_parser
from stored import scratch_folder, store

FACTORS: dict[str, tuple[Any, ...]] = {
    "optimizer": ("adamw", "muon"),
    "schedule": ("constant", "linear", "cosine", "wsd"),
    "gradient_accumulation_steps": (1, 2, 3),
    "dropout_rate": (0.0, 0.1),
    "token_dropout": (0.0, 0.1),
    "precision": ("float32", "bfloat16", "float16"),
    "compile": ("off", "on"),
    "source": ("file", "folder", "stories"),
    "architecture": ("gpt", "modern"),
}
STOPS = (1, 2, 7)


def covering_rows(factors: dict[str, tuple[Any, ...]]) -> list[dict[str, Any]]:
    """Rows in which each pair of values of two factors occurs; chosen greedily, always the same."""
    names = list(factors)
    left = {((a, x), (b, y)) for a, b in itertools.combinations(names, 2)
            for x in factors[a] for y in factors[b]}  # fmt: skip
    rows = []
    while left:
        first = min(left, key=repr)
        row = dict(first)
        for name in names:
            if name in row:
                continue
            row[name] = max(
                factors[name],
                key=lambda value: sum(_pair(names, name, value, n, v) in left
                                      for n, v in row.items()),
            )  # fmt: skip
        rows.append({name: row[name] for name in names})
        left -= set(itertools.combinations(rows[-1].items(), 2))
    return rows


def _pair(names: list[str], a: str, x: Any, b: str, y: Any) -> tuple[Any, Any]:
    pair = [(a, x), (b, y)]
    return tuple(sorted(pair, key=lambda item: names.index(item[0])))  # type: ignore[return-value]


def make_sources(place: Path) -> dict[str, dict[str, Any]]:
    """A file, a folder of several documents, and a built-in corpus."""
    import saves

    saves.write_text(place / "text.txt")
    folder = place / "texts"
    folder.mkdir()
    lines = (place / "text.txt").read_text().splitlines(keepends=True)
    for number in range(5):
        (folder / f"{number}.txt").write_text("".join(lines[number::5]))
    return {
        "file": {"corpus_dir": str(place / "text.txt")},
        "folder": {"corpus_dir": str(folder)},
        "stories": {"corpus_dir": "stories", "sample_size": 40},
    }


def make_config_of(row: dict[str, Any], sources: dict[str, dict[str, Any]]) -> Any:
    """The configuration of a row."""
    import saves

    from descend.config import make_config

    values = saves.TINY | {"epoch": 2, "batch_size": 12} | sources[row["source"]]
    return make_config(values | {k: v for k, v in row.items() if k != "source"})


def finish(run: Any) -> tuple[str, list[Any]]:
    """Train to the end; the hash of the model, and what was recorded of steps and epochs."""
    from descend.runs.event_log import read_events
    from descend.runs.events import Epoch, Step
    from descend.training.trainer import run_training

    for _ in run_training(run):
        pass
    weights = hashlib.sha256((run.folder / "model.safetensors").read_bytes()).hexdigest()
    recorded: list[Any] = []
    for record in read_events(run.folder):
        if isinstance(record, Step):
            recorded.append((record.step, record.loss, record.gradient_norm, record.learning_rate))
        elif isinstance(record, Epoch):
            recorded.append((record.epoch, record.loss_end, record.validation_loss))
    return weights, recorded


def interrupt(run: Any, step: int) -> None:
    """Press Ctrl-C in `step`; it is saved, and ends."""
    from descend.runs.events import Step
    from descend.training.stop_signals import TrainingInterrupted
    from descend.training.trainer import run_training

    try:
        for record in run_training(run):
            if isinstance(record, Step) and record.step == step:
                signal.raise_signal(signal.SIGINT)
    except TrainingInterrupted as stopped:
        if stopped.step == step:
            return
    raise AssertionError(f"the run was not interrupted in step {step}")


def choose_stops(count: int, total: int, epoch_steps: int) -> list[int]:
    """Steps to stop after: the first, around the end of an epoch, the last but one, and between."""
    edge = min(max(epoch_steps, 2), total - 2)
    every = [edge + 1, 1, edge, total - 1, max(2, edge // 2), (edge + total) // 2, 2]
    chosen = list(dict.fromkeys(s for s in every if 0 < s < total))[:count]
    more = (s for s in range(1, total) if s not in chosen)
    while len(chosen) < count:
        chosen.append(next(more))
    return sorted(chosen)


def check_row(
    row: dict[str, Any], place: Path, sources: dict[str, Any], counts: tuple[int, ...]
) -> list[str]:
    """What differs in one row."""
    from descend.training.training_run import create_run, resume_run

    config = make_config_of(row, sources)
    whole = create_run(config, place / "whole")
    total, epoch_steps = whole.plan.total_steps, whole.plan.batches.steps(1)
    expected = finish(whole)
    problems = []
    for count in counts:
        folder = place / f"stopped_{count}"
        run = create_run(config, folder)
        for step in choose_stops(count, total, epoch_steps):
            interrupt(run, step)
            run = resume_run(folder)
            if run.plan.execution != whole.plan.execution:
                problems.append(f"{count} stops: another execution")
        weights, recorded = finish(run)
        if weights != expected[0]:
            problems.append(f"{count} stops: other weights")
        if recorded != expected[1]:
            problems.append(f"{count} stops: other records")
    return problems


def main() -> None:
    parser = make_parser(__doc__, short="one number of stops for each row")
    parser.add_argument("--compile", action="store_true", help="the compiled rows only")
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    rows = covering_rows(FACTORS)
    if arguments.compile:
        rows = [row for row in rows if row["compile"] == "on"]
    elif arguments.short:  # compiling takes a minute a row: the pairs without it
        rows = covering_rows({k: v for k, v in FACTORS.items() if k != "compile"})
        rows = [row | {"compile": "off"} for row in rows]
    planned, problems, resumes = len(rows), [], 0
    with scratch_folder() as place:
        sources = make_sources(place)
        tried = []
        for number, row in enumerate(begin_within(arguments.minutes, rows)):
            tried.append(row)
            counts = (STOPS[number % 3],) if arguments.short else STOPS
            folder = place / str(number)
            folder.mkdir()
            name = ", ".join(map(str, row.values()))
            wrong = check_row(row, folder, sources, counts)
            print(f"{name}: {wrong or 'exact'}", file=sys.stderr, flush=True)
            problems += [f"{name}: {p}" for p in wrong]
            resumes += sum(counts)
    name = "exact_resume_compiled" if arguments.compile else "exact_resume"
    store(name, {
        "rows": len(tried), "planned": planned, "factors": {k: len(v) for k, v in FACTORS.items()},
        "compiled_rows": sum(row["compile"] == "on" for row in tried), "resumes": resumes,
        "failures": len(problems), "problems": problems,
    }, arguments.out)  # fmt: skip
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
