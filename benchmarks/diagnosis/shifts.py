"""How foreign the validation text of every development corpus reads, by pieces and by bytes.

    python benchmarks/diagnosis/shifts.py RESULTS TEXTS

Writes RESULTS/shifts.jsonl, a line a variant of a corpus and a size of vocabulary: what
`descend.diagnosis.causes.distribution_shift` draws its line by.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import msgspec
from cases import cases, config_values

from descend.config import make_config
from descend.diagnosis.corpus_metrics import validation_shift
from descend.metrics.corpus_distribution import distribution_shift_nats
from descend.training.assembly import tokenize_corpus


class Shift(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Of one text, in nats per token; in the file an array of these fields."""

    corpus: str
    kind: str
    share: float
    vocabulary: int
    planted: bool
    in_tokens: float | None
    measured: float | None
    """The metric `distribution_shift_nats`: in bytes too, where tokens seem foreign."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("texts", type=Path)
    args = parser.parse_args()
    shifts_by_key: dict[tuple[object, int], Shift] = {}
    for case in cases("development"):
        store = tokenize_corpus(make_config(config_values(case, args.texts)))
        key = (case.variant, store.tokenizer.vocab_size)
        if key not in shifts_by_key:
            variant = case.variant
            shifts_by_key[key] = Shift(
                corpus=variant.corpus, kind=variant.kind, share=variant.share, vocabulary=key[1],
                planted=variant.kind.startswith("shifted"),
                in_tokens=_rounded(distribution_shift_nats(store.train, store.validation, key[1])),
                measured=_rounded(validation_shift(store)),
            )  # fmt: skip
    lines = b"".join(msgspec.json.encode(row) + b"\n" for row in shifts_by_key.values())
    (args.results / "shifts.jsonl").write_bytes(lines)


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, 4)


if __name__ == "__main__":
    main()
