"""Rewrites the tables of runs, verdicts and signs so small that a repository can hold them.

    python benchmarks/diagnosis/compact_tables.py RESULTS [--split SPLIT]

One line a case, losses to five decimals, the first three causes of a verdict. What the published
rules say is left out: `score.py` computes it from the signs. The campaign goes on from a compact
table as from any other.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

import msgspec
from baselines import RULES
from signs import read_signs, rounded_signs
from table import Diagnosed, Trained, add_split_option, compact_runs, compact_verdicts, read


def write_lines(path: Path, lines: Iterable[msgspec.Struct]) -> None:
    """One JSON object a line, whole or not at all."""
    aside = path.with_suffix(".partial")
    aside.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
    aside.replace(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    add_split_option(parser)
    args = parser.parse_args()
    runs, verdicts, signs = (
        args.results / f"{name}-{args.split}.jsonl" for name in ("runs", "verdicts", "signs")
    )
    published = [rules.name for rules in RULES]
    write_lines(runs, compact_runs(read(runs, Trained)))
    write_lines(verdicts, compact_verdicts(read(verdicts, Diagnosed), published))
    write_lines(signs, map(rounded_signs, read_signs(signs).values()))


if __name__ == "__main__":
    main()
