"""How many passages of honest and of slightly changed text are taken for copies.

    python benchmarks/ranges/near_copies.py RESULTS TEXT...

The last tenth of each TEXT (of its first 1.2 MB) is held out. It is looked for in the rest, as it
is, and once more after it was added to the rest itself with one word in 20, 10, 6 or 4 changed:
left out, misspelled, or followed by another. Writes RESULTS/near_copies.json; also for the embedded
corpora `python` and `stories`.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from descend.config import make_config
from descend.data import builtin_corpora
from descend.data.contamination.duplicate_documents import normalize_words
from descend.data.contamination.fuzzy_overlap import SHINGLE_SIZE, find_fuzzy_overlap, hash_shingles
from descend.data.prepare import prepare_documents, prepare_tokenizer

BYTES = 1_200_000
VALIDATION_FRACTION = 0.1
ONE_IN = (20, 10, 6, 4)
VOCABULARY = 2048


def changed(text: str, one_in: int) -> str:
    """`text` with one word in so many changed."""
    rng = random.Random(one_in)
    output = []
    for word in re.findall(r"\s*\S+", text):
        other = rng.choice(["", word[:-1] + "x" + word[-1], word + " indeed"])
        output.append(other if rng.random() < 1 / one_in else word)
    return "".join(output)


def row(name: str, text: str, folder: Path) -> dict[str, Any]:
    """Shares of passages of one text."""
    (folder / "text.txt").write_text(text, encoding="utf-8")
    config = make_config({"corpus_dir": str(folder / "text.txt"), "vocab_size": VOCABULARY})
    tokenizer = prepare_tokenizer(prepare_documents(config), "bpe", VOCABULARY)
    cut = round(len(text) * (1 - VALIDATION_FRACTION))
    rest, validation = text[:cut], text[cut:]

    def overlap(train: str) -> dict[str, float]:
        ids = [np.array(tokenizer.encode(part)) for part in (train, validation)]
        copies = find_fuzzy_overlap(*ids, tokenizer.decode)
        assert copies is not None
        shares = {
            "share": copies.share,
            "duplicate_train_fraction": copies.repeats,
            "beyond": copies.beyond,
        }
        return {key: round(value, 3) for key, value in shares.items()}

    def runs(part: str, numbers: dict[str, int]) -> Any:
        return hash_shingles([numbers.setdefault(w, len(numbers)) for w in normalize_words(part)])

    numbers: dict[str, int] = {}
    known = np.isin(runs(validation, numbers), runs(rest, numbers)).mean()
    return {
        "text": name,
        f"runs of {SHINGLE_SIZE} words that stand in the rest": round(float(known), 3),
        "as it is": overlap(rest),
        **{
            f"one word in {n} changed": overlap(rest + "\n" + changed(validation, n))
            for n in ONE_IN
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("results", type=Path)
    parser.add_argument("texts", type=Path, nargs="+")
    args = parser.parse_args()
    texts = {p.stem: p.read_text(encoding="utf-8")[:BYTES] for p in args.texts}
    for name in ("python", "stories"):
        texts[name] = "\n".join(d.text for d in builtin_corpora.read_builtin_corpus(name))[:BYTES]
    rows = []
    for name, text in texts.items():
        with tempfile.TemporaryDirectory() as folder:
            rows.append(row(name, text, Path(folder)))
        print(rows[-1], file=sys.stderr, flush=True)
    names = " ".join(p.name for p in args.texts)
    command = f"python benchmarks/ranges/near_copies.py RESULTS {names}"
    overlap = {"command": command, "rows": rows}
    (args.results / "near_copies.json").write_text(json.dumps(overlap, indent=1) + "\n")


if __name__ == "__main__":
    main()
