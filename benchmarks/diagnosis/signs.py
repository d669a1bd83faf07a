"""What the baselines look at of a run, in a few numbers: kept, so that they can be tuned and scored
without any training.

    python benchmarks/diagnosis/signs.py RESULTS FOLDERS [--split SPLIT]

Writes RESULTS/signs-SPLIT.jsonl, a line for each case whose run folder is in
FOLDERS (`diagnose_cases.py` puts it there).
"""

from __future__ import annotations

import argparse
import itertools
import math
import statistics
from pathlib import Path

import msgspec
from cases import cases
from record import RunRecord, read_record
from table import add_split_option

PARTS = 10
"""Of a curve, whose means are compared."""
NEVER = 0.0
DIGITS = 5
"""Significant ones of a sign in the committed file."""


class Signs(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Losses in nats per token. What a run does not tell reads as nothing unusual. In the file a
    run is an array of these fields."""

    case: str
    diverged: bool
    last_fall: float
    """Share by which the loss falls from the first to the second half of the last tenth."""
    uphill: int
    """Of the tenths of the curve, how many lie above the one before."""
    progress: float
    """Fraction of the way from guessing to nought that the validation loss has come at its end."""
    over_training: float
    """Validation loss over training loss at the end."""
    rise: float
    """Validation loss at the end above its lowest, as a fraction of it."""
    turned: bool
    """In the last epoch validation loss rose while training loss fell."""
    over_unigram: float
    """Validation loss at the end over what token frequencies reach."""
    jitter: float
    """Spread of the loss around the means of the tenths, as a fraction of it."""
    norm: float
    """Median norm of the gradient."""
    highest_norm: float
    update_to_weight_ratio: float
    """Largest update over weight of any matrix."""


def signs_of(case: str, record: RunRecord) -> Signs:
    """The signs of a run."""
    losses = [x for x in record.losses if math.isfinite(x)]
    last = losses[-max(2, len(losses) // PARTS) :]
    half = len(last) // 2
    parts = _parts(losses, PARTS)
    v, t = record.validation, record.training
    end = v[-1] if v else record.uniform
    smooth = [m for m in parts for _ in range(max(1, len(losses) // PARTS))]
    spread = [abs(a - b) for a, b in zip(losses, smooth, strict=False)]
    return Signs(
        case=case,
        diverged=record.diverged or len(losses) < len(record.losses),
        last_fall=1 - statistics.mean(last[half:]) / statistics.mean(last[:half]) if half else 1.0,
        uphill=sum(b > a for a, b in itertools.pairwise(parts)),
        progress=1 - end / record.uniform,
        over_training=v[-1] / t[-1] if v and t else 1.0,
        rise=v[-1] / min(v) - 1 if v else NEVER,
        turned=len(v) > 1 and v[-1] > v[-2] and t[-1] < t[-2],
        over_unigram=end / record.unigram,
        jitter=statistics.mean(spread) / max(end, 1e-9) if spread else NEVER,
        norm=statistics.median(record.norms) if record.norms else 1.0,
        highest_norm=max(record.norms, default=1.0),
        update_to_weight_ratio=max(record.update_ratios, default=NEVER),
    )


def _parts(values: list[float], count: int) -> list[float]:
    size = max(1, len(values) // count)
    return [statistics.mean(values[i : i + size]) for i in range(0, len(values) - size + 1, size)]


def rounded_signs(signs: Signs) -> Signs:
    """The same to `DIGITS` significant digits."""
    values = {
        name: float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value
        for name, value in msgspec.structs.asdict(signs).items()
    }
    return Signs(**values)


def read_signs(path: Path) -> dict[str, Signs]:
    """By case; empty where there is no file."""
    lines = path.read_bytes().splitlines() if path.is_file() else []
    return {s.case: s for s in (msgspec.json.decode(line, type=Signs) for line in lines)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("folders", type=Path)
    add_split_option(parser)
    args = parser.parse_args()
    there = [c for c in cases(args.split) if (args.folders / c.name / "run.json").exists()]
    rows = [signs_of(c.name, read_record(args.folders / c.name)) for c in there]
    path = args.results / f"signs-{args.split}.jsonl"
    path.write_bytes(b"".join(msgspec.json.encode(s) + b"\n" for s in rows))


if __name__ == "__main__":
    main()
