"""What less text costs and more of it gains, at equal tokens, beside what the run itself shows.

    python benchmarks/diagnosis/more_text.py RESULTS TEXTS FOLDERS [--seconds N]

For development cases of plain text that is read at least twice: the run with a quarter, half and
three quarters of its text (bits per byte, as many steps), the treatment `more text` from the table
of runs, and the measurements of the run folder that may tell beforehand. Appends to
RESULTS/more_text.jsonl, and says of all that stands there how often the diagnosis's estimate tells
whether more text gains `WORTH_BUYING`, with its bound and without, and by the curve over
fractions of the text; and of the runs that turned far upwards how much of what more text gained it
foretells, by the least that these gain and without.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import time
from pathlib import Path

import msgspec
from campaign import make_spec
from cases import PlantedRun, cases
from diagnose_cases import run_folder
from table import Trained, read
from truth import WORTH_BUYING

from descend.diagnosis.causes.too_little_data import (
    adding_over_halving,
    max_inverse_effect_nats,
    min_inverse_effect_nats,
)
from descend.diagnosis.measure import measure_run
from descend.diagnosis.run_context import load_run_context
from descend.diagnosis.trial_series import best_validation_point
from descend.errors import DescendError
from descend.metrics.measurement import Measurement, Measurements, measurement_value
from descend.trials.cached_trial import run_trial

SHARES = (0.75, 0.5, 0.25)
MORE = "more text, as many tokens"
KINDS = {
    "real text": ("prose", "source", "novel", "spanish"),
    "tales": ("stories",),
    "letters and words": ("lexicon", "hidden", "words", "chain", "recall", "echo", "markov"),
}


class Texts(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One case, in the file as an array of these fields. Losses in bits per byte, measurements of
    the run in nats per token."""

    case: str
    epochs: float
    share: float
    """Of the corpus, that the run has."""
    control: float
    more: float
    """With as much more as the benchmark's treatment gives it."""
    less: list[float]
    """With each of `SHARES` of it."""
    measured_validation_loss: float
    generalization_gap_nats: float
    validation_loss_increase_after_best: float


def chosen(rows: list[Trained]) -> list[PlantedRun]:
    """Cases on which all of it can be measured, in random order."""
    ended = {r.case for r in rows if r.treatment == "" and r.seed == 0 and r.diverged_step is None}
    more = {r.case for r in rows if r.treatment == MORE and r.seed == 0}
    selection = [
        c for c in cases("development")
        if c.variant.kind == "plain" and c.values["epoch"] >= 2 and c.name in ended & more
    ]  # fmt: skip
    return random.Random(1).sample(selection, len(selection))


def measured(case: PlantedRun, rows: list[Trained], texts: Path, folders: Path) -> Texts:
    """All of one case."""
    own = {r.treatment: r for r in rows if r.case == case.name and r.seed == 0}
    as_it_is = make_spec(case, texts, 0)
    open_length = {"epoch": None, "max_steps": None}
    less = [
        best_validation_point(
            run_trial(
                msgspec.structs.replace(
                    as_it_is,
                    train_fraction=share,
                    steps=own[""].steps,
                    config=as_it_is.config | open_length,
                )
            )
        )[1]
        for share in SHARES
    ]
    measurements = measure_run(load_run_context(run_folder(case, texts, folders)))
    return Texts(
        case=case.name, epochs=case.values["epoch"], share=case.variant.share,
        control=own[""].best, more=own[MORE].best, less=less,
        measured_validation_loss=measurement_value(measurements, "measured_validation_loss"),
        generalization_gap_nats=measurement_value(measurements, "generalization_gap_nats"),
        validation_loss_increase_after_best=measurement_value(
            measurements, "validation_loss_increase_after_best"
        ),
    )  # fmt: skip


def predict_gain(row: Texts, *, bounded: bool) -> float:
    """Fraction of the loss that the diagnosis expects of more text, from the trial with half of
    it."""
    half = row.less[SHARES.index(0.5)] / row.control - 1
    max_gain = (
        max_inverse_effect_nats(_read_measurements(row)) or 0.0
    ) / row.measured_validation_loss
    expected = half * adding_over_halving(row.epochs)
    return min(expected, max_gain) if bounded else expected


def predict_gain_by_curve(row: Texts) -> float:
    """Fraction of the loss expected by the curve over a quarter, half, and all of the text: a
    doubling gains as much of the one before as that did."""
    quarter, half = row.less[SHARES.index(0.25)], row.less[SHARES.index(0.5)]
    last, before = half - row.control, quarter - half
    return last * min(max(last / before, 0.0), 1.0) / row.control if before > 0 else 0.0


def predict_min_gain(row: Texts) -> float:
    """Fraction of the loss that it expects at least."""
    return (
        min_inverse_effect_nats(row.epochs, _read_measurements(row)) / row.measured_validation_loss
    )


def _read_measurements(row: Texts) -> Measurements:
    names = (
        "generalization_gap_nats",
        "validation_loss_increase_after_best",
        "measured_validation_loss",
    )
    return {name: Measurement(name, getattr(row, name), "nats") for name in names}


def say(rows: list[Texts]) -> None:
    """How often that is right, by the kind of text."""
    for kind, corpora in KINDS.items():
        own = [row for row in rows if row.case.split("-")[0] in corpora]
        is_gain = [1 - row.more / row.control > WORTH_BUYING for row in own]
        for bounded in (False, True):
            predicted = [predict_gain(row, bounded=bounded) > WORTH_BUYING for row in own]
            right = sum(a == b for a, b in zip(predicted, is_gain, strict=True))
            print(f"{kind}, {'with' if bounded else 'without'} the bound: {right} of {len(own)}")
        predicted = [predict_gain_by_curve(row) > WORTH_BUYING for row in own]
        right = sum(a == b for a, b in zip(predicted, is_gain, strict=True))
        print(f"{kind}, by the curve: {right} of {len(own)}")
    turned = [row for row in rows if predict_min_gain(row) > 0]
    for name, foretold in (
        ("with", [max(predict_gain(row, bounded=True), predict_min_gain(row)) for row in turned]),
        ("without", [predict_gain(row, bounded=True) for row in turned]),
    ):
        of_it = [x / (1 - row.more / row.control) for x, row in zip(foretold, turned, strict=True)]
        print(
            f"{len(turned)} that turned, {name} the least: {statistics.median(of_it):.2f} of what "
            f"was gained ({min(of_it):.2f} to {max(of_it):.2f})"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("texts", type=Path)
    parser.add_argument("folders", type=Path)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    args = parser.parse_args()
    table = args.results / "more_text.jsonl"
    lines = table.read_bytes().splitlines() if table.is_file() else []
    done = {msgspec.json.decode(line, type=Texts).case for line in lines}
    rows = read(args.results / "runs-development.jsonl", Trained)
    began = time.monotonic()
    for case in chosen(rows):
        if time.monotonic() - began > args.seconds:
            break
        if case.name in done:
            continue
        try:
            selection = measured(case, rows, args.texts, args.folders)
        except DescendError as problem:
            print(f"{case.name}: {problem}", file=sys.stderr)
            continue
        with table.open("ab") as out:
            out.write(msgspec.json.encode(selection) + b"\n")
    say([msgspec.json.decode(line, type=Texts) for line in table.read_bytes().splitlines()])


if __name__ == "__main__":
    main()
