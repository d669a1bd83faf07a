"""What the choice of tokens is worth on texts of symbols: each text with characters and with BPE.

    python benchmarks/plan/symbols.py FOLDER [--minutes 0.8] [--text FILE …]

The texts are the generated ones of the diagnosis benchmark, sums, and the files named (DNA, music,
prose). FOLDER gets the texts. Each is trained by `descend train TEXT --minutes M --tokenizer KIND`
on one core. What stands in the results is not run again.
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(ROOT / "src"), str(HERE.parent), str(HERE.parent / "diagnosis")]

from corpora import CORPORA, NOISE  # noqa: E402
from result_files import append_row  # noqa: E402

from descend.data.text_shape import has_words  # noqa: E402

RESULTS = ROOT / "benchmarks/results/plan/symbols.csv"
GENERATED = ("echo", "recall", "markov", "brackets", "ladders", "words")
KINDS = ("bpe", "char")
COLUMNS = ("text", "bytes", "minutes", *KINDS, "chosen")
LOSS = re.compile(r"([\d.]+) bits per byte \((?:predicted|expected)")
SUMS = 15_000
CHARACTERS = 36_000


def write_texts(folder: Path) -> list[Path]:
    """Write the generated texts and sums to `folder`."""
    texts = {}
    for corpus in CORPORA:
        if corpus.name in GENERATED:
            texts[corpus.name] = corpus.text(NOISE.get(corpus.name, 0.0), folder)[:CHARACTERS]
    generator = random.Random(3)
    numbers = ((generator.randrange(1000), generator.randrange(1000)) for _ in range(SUMS))
    texts["sums"] = "\n".join(f"{a}+{b}={a + b}" for a, b in numbers)
    for name, text in texts.items():
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")
    return [folder / f"{name}.txt" for name in texts]


def train(text: Path, kind: str, minutes: float) -> float:
    """Train on `text` with the tokens of `kind`; bits per byte on its validation text."""
    with tempfile.TemporaryDirectory() as scratch:
        command = [
            sys.executable, "-m", "descend", "train", str(text), "--minutes", str(minutes),
            "--tokenizer", kind, "--save-dir", str(Path(scratch, "run")),
        ]  # fmt: skip
        path = {"PYTHONPATH": str(ROOT / "src"), "COLUMNS": "200"}
        done = subprocess.run(command, capture_output=True, text=True, env=os.environ | path)
    losses = LOSS.findall(done.stdout + done.stderr)
    if done.returncode or not losses:
        raise SystemExit(f"{text}, {kind}: {done.stderr[-500:]}")
    return float(losses[-1])


def main() -> None:
    """Train what is missing."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--minutes", type=float, default=0.8)
    parser.add_argument("--text", type=Path, nargs="*", default=[])
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    known = set()
    if RESULTS.exists():
        with RESULTS.open(encoding="utf-8") as file:
            known = {row["text"] for row in csv.DictReader(file)}
    for text in [*options.text, *write_texts(options.folder)]:
        if text.stem in known:
            continue
        content = text.read_text(encoding="utf-8")
        row = {"text": text.stem, "bytes": text.stat().st_size, "minutes": options.minutes}
        row |= {kind: train(text, kind, options.minutes) for kind in KINDS}
        row["chosen"] = "bpe" if has_words(content) else "char"
        append_row(RESULTS, COLUMNS, row)
        print(row, flush=True)


if __name__ == "__main__":
    main()
