"""Obvious faults and real runs, each trained and diagnosed by the commands a person would type.

    python benchmarks/ranges/real_cases.py RESULTS TEXTS FOLDERS [NAME …]

TEXTS holds tinyshakespeare.txt; run folders and made texts go to FOLDERS. Writes RESULTS/NAME.json:
the commands, what the run reached, the diagnosis as printed, and the measurements to six digits. A
case whose file is there is left out, so the series can be stopped and taken up.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from near_copies import changed

SMALL = {
    "embed-dim": 48, "num-heads": 2, "num-layers": 1, "ff-dim": 144, "seq-len": 32,
    "batch-size": 16, "epoch": 4, "learning-rate": 0.001,
    "precision": "float32",
}  # fmt: skip
"""A few seconds on one core; 0.001 is near the best rate of the default recipe, which chooses the
vocabulary too."""

TEN = """The lighthouse keeper counts the ships that pass before dawn.
Every morning the baker opens her shop while the street still sleeps.
A red kite was caught in the branches of the old chestnut tree.
My grandfather repaired clocks and never once arrived on time.
The river freezes in January, and children skate to school on it.
Nobody in the village remembers who planted the orchard by the church.
She writes her letters in green ink and forgets to post them.
The train stopped between two stations and the lights went out.
In summer the cats sleep on the warm roof of the fire station.
He learned to play the violin because the piano would not fit through the door.
"""

BUDGET = "1"
"""Of the run's own time: the machine was shared, and a run's recorded seconds too high."""

DIGITS = 6
"""Significant ones of a measurement."""

Text = Callable[[str], str]


def whole(text: str) -> str:
    return text


def part(text: str) -> str:
    return text[:200_000]


def first(count: int) -> Text:
    return lambda text: text[:count]


def four_times(text: str) -> str:
    return text[:50_000] * 4


def leaking(text: str) -> str:
    """What will be held out (the last tenth) stands at the beginning too."""
    some = part(text)
    return some[-22_000:] + some


def other_edition(text: str) -> str:
    """The same with one word in eight of the beginning changed."""
    some = part(text)
    return changed(some[-22_000:], 8) + some


CASES: dict[str, tuple[Text, dict[str, object]]] = {
    "healthy": (part, SMALL),
    "rate_over_30": (part, SMALL | {"learning-rate": 0.001 / 30}),
    "rate_times_30": (part, SMALL | {"learning-rate": 0.03}),
    "exploded": (
        part,
        {"preset": "old", "epoch": 1, "learning-rate": 5, "divergence_rollback": "off"},
    ),
    "width_8": (part, SMALL | {"embed-dim": 8, "ff-dim": 32}),
    "dropout_07": (part, SMALL | {"dropout-rate": 0.7}),
    "batch_256": (part, SMALL | {"batch-size": 256}),
    "context_4": (part, SMALL | {"seq-len": 4, "batch-size": 128}),
    "20_epochs_of_20_kB": (first(20_000), SMALL | {"epoch": 20}),
    "vocabulary_8000_on_200_kB": (first(200_000), SMALL | {"vocab-size": 8000}),
    "text_four_times": (four_times, SMALL),
    "held_out_text_in_training": (leaking, SMALL),
    "another_edition_of_it_in_training": (other_edition, SMALL),
    "ten_sentences": (lambda _: TEN, {"seq-len": 32}),
    "old": (whole, {"preset": "old"}),
    "fast": (whole, {}),
}


def descend(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "descend", *words], stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout


def carry_out(name: str, results: Path, texts: Path, folders: Path) -> None:
    make, flags = CASES[name]
    text = folders / f"{name}.txt"
    text.write_text(make((texts / "tinyshakespeare.txt").read_text(encoding="utf-8")))
    words = [w for key, value in flags.items() for w in (f"--{key}", str(value))]
    run = folders / name
    if not (run / "summary.json").exists():
        descend("train", str(text), *words, "--save-dir", str(run), "--json")
    summary = json.loads((run / "summary.json").read_text())
    output = descend("diagnose", str(run), "--verbose", "--trial-budget", BUDGET)
    diagnosis = json.loads((run / "diagnosis.json").read_text())
    record = {
        "commands": [
            " ".join(["descend train", text.name, *words, "--save-dir", name]),
            f"descend diagnose {name} --verbose --trial-budget {BUDGET}",
        ],
        "reached": {
            k: summary[k]
            for k in ("validation_loss", "validation_accuracy", "bits_per_byte", "seconds")
        },
        "verdict": diagnosis["verdict"],
        "shown": output.replace(str(folders) + "/", ""),
        "probability": diagnosis["probability"],
        "measurements": {
            m["metric"]: float(f"{m['value']:.{DIGITS}g}") for m in diagnosis["measurements"]
        },
    }
    results.mkdir(parents=True, exist_ok=True)
    (results / f"{name}.json").write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")


def main() -> None:
    results, texts, folders = (Path(a) for a in sys.argv[1:4])
    folders.mkdir(parents=True, exist_ok=True)
    for name in sys.argv[4:] or CASES:
        if not (results / f"{name}.json").exists():
            carry_out(name, results, texts, folders)
            print(f"{name} done", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
