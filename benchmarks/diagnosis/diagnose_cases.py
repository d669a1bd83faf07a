"""Each case really trained into a run folder, and every reader's verdict on it.

    python benchmarks/diagnosis/diagnose_cases.py RESULTS TEXTS FOLDERS [--split SPLIT]
        [--only WORD] [--proof SECONDS] [--seconds N]

Appends to RESULTS/verdicts-SPLIT.jsonl. The diagnosis reads signals alone, or
with `--proof` runs trials for so many seconds a case; both are readers. The advice of the diagnosis
with proof is followed (all that `descend train --from-run RUN --apply-fix` would change), and the
result goes into the table of runs as the treatment `advice`. Trials that are stored from before
cost it no time: ask with DESCEND_CACHE_DIR at an empty folder.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from campaign import complete, in_turn, make_spec, named, row
from cases import PlantedRun, cases, config_values
from record import read_record
from table import Diagnosed, Trained, add_split_option, append, read
from treatments import Treatment

from descend import run
from descend.diagnosis import run_diagnosis as consultation
from descend.diagnosis import trial_budget, trial_series
from descend.diagnosis.diagnosis_result import Diagnosis
from descend.diagnosis.recommended_config import merge_recommendations
from descend.errors import DescendError, DivergedError
from descend.loss_logs.diagnose_log import diagnose_log
from descend.trials.cached_trial import run_trial

ADVICE = "advice"
SIGNALS, PROOF, CURVE = "diagnosis without trials", "diagnosis", "curve alone"


def run_folder(case: PlantedRun, texts: Path, folders: Path) -> Path:
    """The run folder of a case, trained if it is not there."""
    folder = folders / case.name
    if not (folder / "run.json").is_file() or not _ended(folder):
        with suppress(DivergedError):  # what was planted
            overrides = {
                "save_dir": str(folder),
                "log_level": "error",
                "divergence_rollback": "off",
            }
            run(config_values(case, texts) | overrides)
    return folder


def _ended(folder: Path) -> bool:
    events = (folder / "events.jsonl").read_text(encoding="utf-8")
    return '"kind":"stopped"' in events


def baselines(case: PlantedRun, folder: Path) -> Iterator[Diagnosed]:
    """The verdict that costs nothing: by the curve alone."""
    record = read_record(folder)
    try:
        advice = diagnose_log(folder / "events.jsonl", vocab_size=record.vocab_size)
    except DescendError:
        yield _make_diagnosed(case, CURVE, "unknown", [], [])
    else:
        yield _make_diagnosed(case, CURVE, advice.verdict, [f.cause for f in advice.causes],
                    [advice.probability])  # fmt: skip


class _OwnTime:
    monotonic = staticmethod(time.process_time)


def diagnose_case(case: PlantedRun, folder: Path, proof: float) -> tuple[Diagnosed, Diagnosis]:
    """The diagnosis's verdict; `proof`: seconds of trials, 0 for none."""
    # Of this process: a machine that pauses must not cost the diagnosis its trials.
    # They run in this process where it may use one core only.
    for module in (consultation, trial_budget, trial_series):
        module.time = _OwnTime  # type: ignore[attr-defined]
    advice = consultation.diagnose_run(folder, budget=0.0, min_seconds=proof, proof=proof > 0)
    diagnosed = Diagnosed(
        case=case.name, reader=PROOF if proof else SIGNALS, verdict=advice.verdict,
        ranked=[f.cause for f in advice.causes],
        probabilities=[advice.probability, *(f.probability for f in advice.causes)],
        recommended_config=merge_recommendations(advice),
        seconds=advice.cost.seconds,
        run_seconds=advice.cost.seconds / max(advice.cost.fraction_of_run, 1e-9),
    )  # fmt: skip
    return diagnosed, advice


def _make_diagnosed(
    case: PlantedRun, reader: str, verdict: str, ranked: list[str], sure: list[float]
) -> Diagnosed:
    return Diagnosed(
        case=case.name, reader=reader, verdict=verdict, ranked=ranked, probabilities=sure,
        recommended_config={}, seconds=0.0, run_seconds=0.0,
    )  # fmt: skip


def follow(case: PlantedRun, recommended_config: dict[str, Any], texts: Path) -> Trained | None:
    """The case trained once more as advised, at its own seed; None if it cannot be set."""
    if not recommended_config:
        return None
    treated = replace(case, values=case.values | recommended_config)
    try:
        trial_result = run_trial(make_spec(treated, texts, 0))
    except DescendError as problem:
        print(f"{case.name}: the advice {recommended_config} fails: {problem}", file=sys.stderr)
        return None
    return row(case, Treatment("", ADVICE, lambda c: c), 0, trial_result)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("texts", type=Path)
    parser.add_argument("folders", type=Path)
    add_split_option(parser)
    parser.add_argument("--only", default="")
    parser.add_argument("--proof", type=float, default=0.0)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    overrides = parser.parse_args()
    half = overrides.split
    table = overrides.results / f"verdicts-{half}.jsonl"
    done = {(d.case, d.reader) for d in read(table, Diagnosed)}
    rows = read(overrides.results / f"runs-{half}.jsonl", Trained)
    began = time.monotonic()
    for case in in_turn([c for c in cases(half) if named(c, overrides.only)]):
        if time.monotonic() - began > overrides.seconds:
            break
        if not complete(case, rows):
            continue  # without its label a verdict is worth nothing yet
        reader = PROOF if overrides.proof else SIGNALS
        if (case.name, reader) in done:
            continue
        folder = run_folder(case, overrides.texts, overrides.folders)
        if (case.name, CURVE) not in done:
            for diagnosed in baselines(case, folder):
                append(table, diagnosed)
        diagnosed, _ = diagnose_case(case, folder, overrides.proof)
        append(table, diagnosed)
        print(
            f"{case.name}: {diagnosed.verdict} {diagnosed.ranked[:3]}", file=sys.stderr, flush=True
        )
        if overrides.proof and (
            advised := follow(case, diagnosed.recommended_config, overrides.texts)
        ):
            append(overrides.results / f"runs-{half}.jsonl", advised)


if __name__ == "__main__":
    main()
