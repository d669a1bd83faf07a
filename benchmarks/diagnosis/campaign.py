"""Every treatment tried on every case: what is really wrong with each.

    python benchmarks/diagnosis/campaign.py RESULTS TEXTS [--split SPLIT] [--confirm] [--part I/N]
                                            [--only WORD,…] [--seconds N]

Appends to RESULTS/runs-SPLIT.jsonl. What is in the table already is not run again, so it may be
stopped at any time. `--confirm` then gives each case's best treatments two more
paired seeds. `--part 0/2` and `--part 1/2` share the work between two processes.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from cases import PlantedRun, cases, config_values
from corpora import sizes
from table import Trained, add_split_option, append, read
from treatments import TREATMENTS, Treatment, case_treatments
from truth import WORTH

from descend.config import make_config
from descend.errors import DescendError
from descend.trials.cached_trial import run_trial
from descend.trials.trial_spec import TrialResult, TrialSpec, make_trial_spec

JUDGMENTS = 3
"""On the way through a run: enough to see the minimum that early stopping would keep."""
BYTES_PER_PIECE = 2.0
"""About what a token of a small vocabulary stands for; only decides how often is judged."""
CONFIRMED = 3
"""Best treatments of a case that are given more seeds."""
NEAR = 0.7
"""Fraction of the best gain that a treatment must have shown to be given them."""
SEEDS = 3
DIVERGED_LOSS = 99.0
"""Bits per byte of a run that could not be made."""


def make_spec(case: PlantedRun, texts: Path, seed: int) -> TrialSpec:
    """The trial of a case; `seed` 0 is the case's own."""
    values = config_values(case, texts)
    values["seed"] += 7919 * seed
    config = make_config(values)
    per_token = 1.0 if values["tokenizer"] in ("char", "byte") else BYTES_PER_PIECE
    tokens = sizes(case.variant)[0] / per_token * values["epoch"]
    steps = tokens / (config.batch_size * config.seq_len)
    return make_trial_spec(config, evaluate_every=max(1, round(steps / JUDGMENTS)))


def row(case: PlantedRun, treatment: Treatment | None, seed: int, result: TrialResult) -> Trained:
    """What a result says, as a line of the table."""
    best = min(result.curve, key=lambda p: p.bits_per_byte, default=None)
    return Trained(
        case=case.name, treatment=treatment.label if treatment else "",
        cause=treatment.cause if treatment else "",
        seed=seed, best=best.bits_per_byte if best else result.bits_per_byte,
        end=result.bits_per_byte, best_at=best.step / max(result.steps, 1) if best else 0.0,
        nats_per_token=best.validation_loss if best else result.validation_loss,
        steps=result.steps, tokens=result.tokens, seconds=round(result.seconds, 2),
        diverged_step=result.diverged_step, key=result.key[:16],
    )  # fmt: skip


def refused(case: PlantedRun, treatment: Treatment | None, seed: int) -> Trained:
    """The line of a run whose settings do not go together: tried, and of no help."""
    return Trained(
        case=case.name, treatment=treatment.label if treatment else "",
        cause=treatment.cause if treatment else "",
        seed=seed, best=DIVERGED_LOSS, end=DIVERGED_LOSS, best_at=0.0,
        nats_per_token=DIVERGED_LOSS, steps=0, tokens=0, seconds=0.0, diverged_step=0, key="",
    )  # fmt: skip


def planned_runs(case: PlantedRun) -> Iterator[tuple[PlantedRun, Treatment | None]]:
    """The runs of a case at its own seed: as planted, its twin, every treatment."""
    yield case, None
    if case.planted:
        yield twin(case), TWIN
    for treatment, treated in case_treatments(case):
        yield treated, treatment


TWIN = Treatment("", "twin", lambda case: twin(case))


def twin(case: PlantedRun) -> PlantedRun:
    """The same run without what was planted."""
    kind = case.variant.kind if case.variant.kind.startswith(("noisy", "shifted")) else "plain"
    return replace(case, values=case.healthy, variant=replace(case.variant, share=1.0, kind=kind))


Work = tuple[PlantedRun, PlantedRun, Treatment | None, int]


def to_do(chosen: list[PlantedRun], rows: list[Trained], confirm: bool) -> Iterator[Work]:
    """Case, what is run, the treatment that made it, seed: all that `rows` lacks, in order.

    `rows` may grow meanwhile: a stronger treatment is requested once the weaker one has gained.
    """
    for case in chosen:
        for seed in range(1, SEEDS) if confirm else (0,):
            for treated, treatment in planned_runs(case):
                label = treatment.label if treatment else ""
                gains = gains_of(case, rows)
                if (case.name, label, seed) in {(r.case, r.treatment, r.seed) for r in rows}:
                    continue
                if confirm and label not in doubtful(gains):
                    continue
                if treatment and treatment.after and gains.get(treatment.after, 0.0) <= WORTH:
                    continue
                yield case, treated, treatment, seed


def complete(case: PlantedRun, rows: list[Trained]) -> bool:
    """Whether every treatment of `case` was tried that is requested."""
    return next(to_do([case], rows, confirm=False), None) is None


def gains_of(case: PlantedRun, rows: list[Trained]) -> dict[str, float]:
    """Fraction of the control's loss that each treatment of `case` gained with the case's own
    seed."""
    own = {r.treatment: r.best for r in rows if r.case == case.name and r.seed == 0}
    control = own.pop("", None)
    if control is None:
        return {}
    tried = {r.label for r in TREATMENTS}
    return {label: (control - best) / control for label, best in own.items() if label in tried}


def doubtful(gains: dict[str, float]) -> set[str]:
    """The treatments that may be in the truth set, and the control: worth more seeds. Where one
    seed gains nothing another may, so the best are tried there too."""
    best = sorted(gains, key=lambda label: -gains[label])[:CONFIRMED]
    min_gain = NEAR * max([0.0, *gains.values()])
    selection = {label for label in best if gains[label] >= min_gain or min_gain < WORTH}
    return selection | {""} if selection else set()


def named(case: PlantedRun, words: str) -> bool:
    """Whether the name of `case` holds one of `words` (separated by commas)."""
    return any(word in case.name for word in words.split(","))


def in_turn(chosen: list[PlantedRun]) -> list[PlantedRun]:
    """In random order, but one case of each kind before a second of any: a campaign cut short is
    still a fair sample."""
    mixed = random.Random(0).sample(chosen, len(chosen))
    counts: dict[str, int] = defaultdict(int)
    rank = {}
    for case in mixed:
        kind = "+".join(case.planted) or case.alarming or f"healthy {case.severity}"
        counts[kind] += 1
        rank[case.name] = counts[kind]
    return sorted(mixed, key=lambda case: rank[case.name])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("texts", type=Path)
    add_split_option(parser)
    parser.add_argument("--confirm", action="store_true")
    parser.add_argument("--part", default="0/1")
    parser.add_argument("--only", default="", help="cases whose name holds one of these words")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after so many")
    chosen = parser.parse_args()
    table = chosen.results / f"runs-{chosen.split}.jsonl"
    selection = [c for c in cases(chosen.split) if named(c, chosen.only)]
    selection = in_turn(selection)
    number, of = (int(x) for x in chosen.part.split("/"))
    rows = read(table, Trained)
    mine = selection[number::of]
    num_runs = sum(1 for _ in to_do(mine, rows, chosen.confirm))
    began = time.monotonic()
    for done, (case, treated, treatment, seed) in enumerate(to_do(mine, rows, chosen.confirm), 1):
        if time.monotonic() - began > chosen.seconds:
            break
        try:
            result = run_trial(make_spec(treated, chosen.texts, seed))
        except DescendError as problem:
            print(f"{case.name}, {treatment}: {problem}", file=sys.stderr, flush=True)
            rows.append(refused(case, treatment, seed))
        else:
            rows.append(row(case, treatment, seed, result))
        append(table, rows[-1])
        left = (time.monotonic() - began) / done * max(num_runs - done, 0)
        print(f"{done}/{num_runs} {case.name} [{treatment.label if treatment else ''}] "
              f"{rows[-1].end:.3f} bits/byte, {left / 60:.0f} min left",
              file=sys.stderr, flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
