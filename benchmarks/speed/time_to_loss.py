"""From the key press to a validation loss: start-up, compiling, judging and saving all counted.

    python benchmarks/speed/time_to_loss.py RESULTS TEXT [--rounds N]

By characters, against nanoGPT's recipe for a CPU (`textbook_run.py`) on the same text and sizes:
the seconds and the loss of both: `descend train` for about as many steps as reach nanoGPT's loss,
and for one pass. In pieces (BPE): as it comes, as the guide has it, and planned for a minute or
five; against the textbook loop and the Trainer of `transformers` at the guide's sizes. Each in a
process of its own, in turn; the cache of the corpus is warm.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from descend.machine import describe_hardware, resolve_device

NANOGPT_SIZES = ["--tokenizer", "char", "--num-layers", "4", "--embed-dim", "128", "--num-heads",
                 "4", "--ff-dim", "512", "--seq-len", "64", "--max-seq-len", "64"]  # fmt: skip
BABY = ["--embed-dim", "384", "--num-heads", "6", "--num-layers", "6", "--ff-dim", "1536",
        "--seq-len", "256", "--max-seq-len", "256"]  # fmt: skip
"""The sizes of nanoGPT's recipe for a GPU, of its `baby GPT`."""

RUNS: dict[str, list[str]] = {
    "characters, 230 steps": [*NANOGPT_SIZES, "--max-steps", "230"],
    "characters, one pass": [*NANOGPT_SIZES, "--epoch", "1"],
    "pieces, as it comes": [],
    "pieces, one pass": ["--epoch", "1"],
    "pieces, baby GPT": [*BABY, "--batch-size", "16", "--epoch", "8", "--dropout-rate", "0.3"],
    "characters, baby GPT": [
        *BABY,
        "--tokenizer",
        "char",
        "--batch-size",
        "16",
        "--epoch",
        "8",
        "--dropout-rate",
        "0.2",
        "--token-dropout",
        "0",
    ],
    "pieces, preset guide": ["--preset", "guide"],
    "pieces, planned for forty seconds": ["--minutes", "0.667", "--run"],
    "pieces, planned for a minute": ["--minutes", "1", "--run"],
    "pieces, planned for five": ["--minutes", "5", "--run"],
}
PEERS: dict[str, list[str]] = {
    "nanoGPT": ["textbook_run.py"],
    "textbook, pieces, 3 passes": ["textbook_run.py", "--pieces", "2048", "--passes", "3"],
    "textbook, pieces, 6 passes": ["textbook_run.py", "--pieces", "2048", "--passes", "6"],
    "Trainer, pieces, 3 passes": ["trainer_run.py", "--pieces", "2048", "--passes", "3"],
    "Trainer, compiled, pieces, 3 passes": [
        "trainer_run.py", "--pieces", "2048", "--passes", "3", "--compiled",
    ],
}  # fmt: skip
"""Script and flags."""


def ours(text: str, flags: list[str], seed: int) -> dict[str, Any]:
    """One `descend train`, or `descend plan --run`, timed from outside."""
    words = ["plan", text] if "--run" in flags else ["train", text, "--seed", str(seed)]
    with tempfile.TemporaryDirectory() as folder:
        model, message = Path(folder) / "model", Path(folder) / "said"
        command = [
            sys.executable, "-m", "descend", *words, *flags, "--save-dir", str(model), "--json",
        ]  # fmt: skip
        clock = time.perf_counter()
        with message.open("w") as aside:
            running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=aside, text=True)
            first_step = _wait_for_a_step(model / "events.jsonl", running) - clock
            printed, _ = running.communicate()
        seconds = time.perf_counter() - clock
        if running.returncode:
            raise SystemExit(message.read_text())
        output = json.loads(printed)
        output = output.get("measured", output)
        chosen = [line for line in message.read_text().splitlines() if "computing in" in line]
    return {
        "seconds": seconds,
        "first_step_after": first_step,
        "training_seconds": output["seconds"],
        "tokens_per_second": output["tokens_per_second"],
        "loss": output["validation_loss"],
        "bits_per_byte": output["bits_per_byte"],
        "best_epoch": output["best_epoch"],
        "said": chosen,
    }


def _wait_for_a_step(events: Path, running: subprocess.Popen[str]) -> float:
    """The moment when the first step is on record."""
    while running.poll() is None:
        if events.exists() and b'"kind":"step"' in events.read_bytes():
            break
        time.sleep(0.02)
    return time.perf_counter()


def theirs(text: str, flags: list[str]) -> dict[str, Any]:
    """A peer; its own clock starts before torch is imported."""
    script, *others = flags
    done = subprocess.run(
        [sys.executable, script, text, *others],
        cwd=Path(__file__).parent, check=True, capture_output=True, text=True,
    )  # fmt: skip
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("results", type=Path)
    parser.add_argument("text")
    parser.add_argument("--rounds", type=int, default=1)
    usual = [name for name in [*PEERS, *RUNS] if "baby GPT" not in name]  # those are for a GPU
    parser.add_argument("--runs", default=";".join(usual))
    args = parser.parse_args()
    text = str(Path(args.text).resolve())
    file = args.results / f"time_to_loss_{Path(text).stem}.json"
    args.results.mkdir(parents=True, exist_ok=True)
    # What is there was measured on the machine that it names: only there is it gone on with.
    record: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {
        "command": f"python benchmarks/speed/time_to_loss.py RESULTS {Path(text).name}",
        "machine": describe_hardware(resolve_device("auto")),
        "raw": [],
    }  # fmt: skip
    here, there = describe_hardware(resolve_device("auto")), record["machine"]
    if here["processor"] != there["processor"]:
        raise SystemExit(
            f"{file}: measured on {there['processor']}, and this is {here['processor']}"
        )
    for number, name in itertools.product(range(args.rounds), args.runs.split(";")):
        flags = (PEERS | RUNS)[name]
        result = theirs(text, flags) if name in PEERS else ours(text, flags, number + 1)
        record["raw"].append({"round": number, "run": name, "flags": flags} | result)
        print(f"{name:24} {result['seconds']:6.1f} s  {result['loss']:.4f}", flush=True)
        file.write_text(json.dumps(record, indent=1) + "\n")  # what was measured is kept at once


if __name__ == "__main__":
    main()
