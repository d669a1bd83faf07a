"""The contest: bits per byte against seconds from key press, for `descend` and its rivals.

    cd benchmarks/improve
    python contest.py --arm train_minutes --text PATH --seconds 120 --seed 1
    python contest.py --table

A part is one arm on one text for so many seconds with one seed. It starts singly and adds
one line to `--results` (benchmarks/results/improve/contest.csv); a part that stands there is not
run again. The seconds are those of a child process from its start to its end, with an empty cache.
Afterwards every model is evaluated by one function on the same validation bytes of the text.

    train          `descend train TEXT`; it takes its own time, whatever `--seconds` says
    train_minutes  `descend train TEXT --minutes M`
    improve        `descend improve TEXT --minutes M`
    search         `descend search TEXT` for half of the time, its best trained in the rest
    random_search  random search in the space of `improve`, its best trained in the rest
    tpe            the same with Optuna's TPE and its median pruner
    nanogpt        nanoGPT's recipe for a CPU, written anew from its published hyperparameters
    gpt2_trainer   GPT-2 under the Trainer of `transformers` (needs `accelerate`);
                   `--set learning_rate=0.003` and so on are its grid
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
RESULTS = ROOT / "benchmarks/results/improve/contest.csv"
DESCEND_ARMS = ("train", "train_minutes", "improve")
SEARCH_ARMS = ("search", "random_search", "tpe")
GPT_ARMS = ("nanogpt", "gpt2_trainer")
ARMS = (*DESCEND_ARMS, *SEARCH_ARMS, *GPT_ARMS)
PART_KEYS = ("arm", "text", "bytes", "seconds", "cores", "seed", "set")
COLUMNS = (*PART_KEYS, "bits_per_byte", "wall_seconds", "validation_sha256", "text_sha256",
           "commit", "processor", "torch", "load")  # fmt: skip
OVERTIME_FRACTION, OVERTIME_SECONDS = 0.05, 10.0
"""Over the time requested: more than 5 %, or 10 s, is too late."""
MAX_TIMES = 4
"""Times the seconds requested, and two minutes more, after which a part is ended."""


def child_command(part: dict[str, Any], text: Path, folder: Path) -> list[str]:
    """What is run, and timed, for a part; its model goes to `folder`."""
    minutes, seed = f"{part['seconds'] / 60:.6g}", str(part["seed"])
    model = str(folder / "model")
    settings = [word for pair in part["set"] for word in ("--set", pair)]
    name = part["arm"]
    if name in DESCEND_ARMS:
        verb = "improve" if name == "improve" else "train"
        words = [verb, str(text), "--save-dir", model, "--json"]
        if name != "train":
            words += ["--minutes", minutes]
        if verb == "train":
            words += ["--seed", seed]
        for pair in part["set"]:
            key, _, value = pair.partition("=")
            words += [f"--{key.replace('_', '-')}", value]
        return [sys.executable, "-m", "descend", *words]
    script = "contest_search.py" if name in SEARCH_ARMS else "contest_gpt.py"
    return [
        sys.executable, str(HERE / script), name, str(text), str(part["seconds"]), seed, model,
        *settings,
    ]  # fmt: skip


def train_in_child(command: list[str], folder: Path, part: dict[str, Any]) -> float:
    """Run `command` with an empty cache in `folder`; the seconds that it took."""
    environment = os.environ | {
        "DESCEND_CACHE_DIR": str(folder / "cache"),
        "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]),
        "DESCEND_SEED": str(part["seed"]),
    }  # fmt: skip
    began = time.perf_counter()
    child = subprocess.run(
        command, capture_output=True, text=True, env=environment, check=False,
        timeout=MAX_TIMES * part["seconds"] + 120,
    )  # fmt: skip
    wall = time.perf_counter() - began
    if child.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{child.stderr[-3000:]}")
    return wall


def run_part(part: dict[str, Any], text: Path) -> dict[str, Any]:
    """Train a part in a child process, judge its model; the line that is stored."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        command = child_command(part, text, folder)
        load = os.getloadavg()[0]
        wall = train_in_child(command, folder, part)
        from contest_score import score_folder

        score = score_folder(best_folder(folder / "model"), text, seed=part["seed"])
    return part | {
        "bits_per_byte": round(score.bits_per_byte, 5), "wall_seconds": round(wall, 1),
        "validation_sha256": score.sha256[:16], "commit": commit(), "load": round(load, 1),
        **machine_facts(),
    }  # fmt: skip


def best_folder(folder: Path) -> Path:
    """The model of a part: of an improvement the best one."""
    record = folder / "improvement.json"
    if not record.exists():
        return folder
    candidates = json.loads(record.read_text("utf-8"))["candidates"]
    return Path(min(candidates, key=lambda c: c["bits_per_byte"])["run"])


def commit() -> str:
    """The commit that is measured, with a mark where the tree differs from it."""
    words = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--exclude=*"]
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()


def machine_facts() -> dict[str, Any]:
    """Processor and the version of torch."""
    from descend.machine import cpu_name, package_versions

    return {"processor": cpu_name(), "torch": package_versions()["torch"]}


def read_lines(results: Path) -> list[dict[str, Any]]:
    """The parts measured so far."""
    if not results.exists():
        return []
    with results.open(encoding="utf-8", newline="") as file:
        return [
            line
            | {
                "bytes": int(line["bytes"]) if line["bytes"] else None,
                "seconds": float(line["seconds"]), "cores": int(line["cores"]),
                "seed": int(line["seed"]), "set": line["set"].split(),
                "bits_per_byte": float(line["bits_per_byte"]),
                "wall_seconds": float(line["wall_seconds"]),
            }
            for line in csv.DictReader(file)
        ]  # fmt: skip


def append_line(results: Path, line: dict[str, Any]) -> None:
    """Add a part to the results."""
    results.parent.mkdir(parents=True, exist_ok=True)
    is_new = not results.exists()
    with results.open("a", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        if is_new:
            writer.writeheader()
        writer.writerow(line | {"set": " ".join(line["set"])})


def is_too_late(line: dict[str, Any]) -> bool:
    """Whether a part took more than it was given."""
    over = line["wall_seconds"] - line["seconds"]
    return bool(over > min(OVERTIME_FRACTION * line["seconds"], OVERTIME_SECONDS))


def format_table(lines: Sequence[dict[str, Any]]) -> str:
    """Markdown: a row for each text, time, and cores, a column for each arm; mean over seeds.

    Of `gpt2_trainer` the best of its grid. Parts that took too long are marked with their seconds.
    """
    columns = [c for c in ARMS if any(line["arm"] == c for line in lines)]
    head = ["text, seconds, cores", *columns]
    rows = []
    keys = {(line["text"], line["seconds"], line["cores"]) for line in lines}
    for text, seconds, cores in sorted(keys):
        cells = []
        for arm in columns:
            here = [
                line for line in lines
                if (line["arm"], line["text"], line["cores"]) == (arm, text, cores)
                and (line["seconds"] == seconds or arm == "train")
            ]  # fmt: skip
            cells.append(_cell(here))
        rows.append([f"{text}, {seconds:g}, {cores}", *cells])
    table = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(table + ["| " + " | ".join(row) + " |" for row in rows])


def _cell(lines: Sequence[dict[str, Any]]) -> str:
    """The best setting's mean over seeds."""
    settings: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for line in lines:
        settings.setdefault(tuple(line["set"]), []).append(line)
    if not settings:
        return "–"
    best = min(settings.values(), key=lambda g: statistics.mean(x["bits_per_byte"] for x in g))
    value = statistics.mean(x["bits_per_byte"] for x in best)
    seeds = f" ({len(best)})" if len(best) > 1 else ""
    late = any(is_too_late(x) or x["arm"] == "train" for x in best)
    took = f" in {max(x['wall_seconds'] for x in best):.0f} s" if late else ""
    return f"{value:.3f}{seeds}{took}"


def main() -> None:
    """Run one part, or print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--arm", choices=ARMS)
    parser.add_argument("--text", type=Path)
    parser.add_argument("--bytes", type=int, help="only the first so many bytes of the text")
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    if options.table:
        print(format_table(read_lines(options.results)))
        return
    if None in (options.arm, options.text, options.seconds):
        parser.error("name --arm, --text and --seconds, or --table")
    part = {
        "arm": options.arm, "text": options.text.stem, "bytes": options.bytes,
        "seconds": options.seconds, "cores": len(os.sched_getaffinity(0)), "seed": options.seed,
        "set": options.set,
    }  # fmt: skip
    if any(all(line[k] == part[k] for k in PART_KEYS) for line in read_lines(options.results)):
        print("this part was measured before")
        return
    with tempfile.TemporaryDirectory() as scratch:
        text = options.text.resolve()
        if options.bytes:
            beginning = text.read_bytes()[: options.bytes].decode("utf-8", "ignore")
            text = Path(scratch) / text.name
            text.write_text(beginning, encoding="utf-8")
        line = run_part(part, text) | {
            "text_sha256": hashlib.sha256(text.read_bytes()).hexdigest()[:16]
        }
    append_line(options.results, line)
    print(f"{line['bits_per_byte']:.4f} bits per byte in {line['wall_seconds']:.1f} s")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "src"))
    main()
