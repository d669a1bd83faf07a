"""Why a program does not learn better, by paired trials through its own flags.

The program is run as it is with several seeds, and with each treatment and the same seeds. The
effect of a treatment is the mean difference of the metric within a pair. Its interval is that of
the moderated t (Smyth 2004), with the spread of all treatments pooled. A cause holds when the
corrected p-value is below 0.05 (Holm) and the effect is worth a word, as in `trials.paired_stats`.
"""

from __future__ import annotations

import math
import shlex
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import msgspec
import numpy as np

from descend.errors import ConfigError
from descend.program_trials.program_executor import run_programs
from descend.program_trials.program_flags import ProgramFlags
from descend.program_trials.program_treatments import ProgramTreatment, list_treatments
from descend.program_trials.run_program import ProgramResult, ProgramTrial, TrialRequest
from descend.trials.paired_stats import (
    ALPHA,
    Interval,
    holm_adjust,
    is_significant,
    moderated_t,
    one_sided_p_value,
    paired_interval,
    sample_std,
)

NUM_SEEDS = 3
TIMEOUT_SECONDS = 3600.0

MAX_RATIO = 2.0
"""Times the lowest loss of all arms that a loss counts as at most."""

MIN_VERDICT_EFFECT = {"batch_too_small": 0.02, "model_too_small": 0.05}
"""Fraction of the loss that a change must save, where it costs computation: more layers save a
little of a sound program too. First guesses."""

MIN_OTHER_EFFECT = 0.02
"""The same for all others: a sound program gains a percent or so by another rate. First guess."""

MAX_UNSEEN = 0.05
"""Fraction of the loss up to which the interval of a treatment may reach where a program is called
healthy. Where it reaches further, the trials are too noisy to tell. First guess."""

TrialCallback = Callable[[str], None]


class ProgramEffect(msgspec.Struct, frozen=True):
    """What a treatment does to the metric; a positive effect is a lower loss."""

    treatment: ProgramTreatment
    trials: list[ProgramTrial]
    loss_reduction: Interval | None
    """None where the treatment could not be run."""
    p_holm: float | None
    may_help: bool
    """Whether the effect is as large as a verdict asks for, or the interval too wide to exclude it
    (`MAX_UNSEEN`)."""
    is_effective: bool
    """Whether such an effect is proved."""
    problem: str | None = None


class ProgramDiagnosis(msgspec.Struct, frozen=True):
    """The result: `verdict` is a cause, `healthy`, or `unknown`."""

    program: str
    metric: str
    controls: list[ProgramTrial]
    loss: float | None
    effects: list[ProgramEffect]
    verdict: str
    recommended_command: str | None
    reason: str
    seconds: float


@dataclass(frozen=True)
class TrialOptions:
    """How the trials are made.

    `metric`: the loss that is judged. `metric_file`: a pattern of the file that holds it; None:
    it is printed. `workers`: trials at a time, see `run_programs`.
    """

    metric: str
    metric_file: str | None = None
    num_seeds: int = NUM_SEEDS
    timeout: float = TIMEOUT_SECONDS
    workers: int | None = None


def diagnose_program(
    program: ProgramFlags, options: TrialOptions, on_trial: TrialCallback = lambda line: None
) -> ProgramDiagnosis:
    """Run the trials of `program`, and judge them by a loss.

    `ConfigError` where the program itself fails or gives no loss.
    """
    if options.num_seeds < 2:
        raise ConfigError("--seeds", f"{options.num_seeds}", "at least 2", "raise it")
    control = ProgramTreatment("", "as it is", {})
    seeds = range(1, options.num_seeds + 1)
    run = partial(_run_trials, program, options, on_trial)
    controls = run([(control, seeds[0])])
    if controls[0].loss is not None:  # a program that fails is not run again
        controls += run([(control, seed) for seed in seeds[1:]])
    failed = next((trial for trial in controls if trial.loss is None), None)
    if failed is not None:
        raise ConfigError(
            "--program", f"a trial that failed ({failed.problem})",
            f"a program that ends and gives {options.metric}",
            "run the command by hand, or name another --metric or --metric-file",
        )  # fmt: skip
    treatments = list_treatments(program.values)
    effects = _judge(treatments, _try_treatments(treatments, controls, run), controls)
    return _conclude(program, options.metric, controls, effects)


def _run_trials(
    program: ProgramFlags,
    options: TrialOptions,
    on_trial: TrialCallback,
    pairs: Sequence[tuple[ProgramTreatment, int]],
) -> list[ProgramTrial]:
    """Return a trial of each treatment and seed."""
    has_flag = "seed" in program.flags
    requests = [
        TrialRequest(
            program.command(
                program.limits | treatment.changes | ({"seed": seed} if has_flag else {})
            ),
            options.metric, options.metric_file, options.timeout, None if has_flag else seed,
        )
        for treatment, seed in pairs
    ]  # fmt: skip

    def on_program(index: int, result: ProgramResult) -> None:
        treatment, seed = pairs[index]
        answer = result.problem or f"{options.metric} {result.loss:.4f}"
        on_trial(f"{treatment.description}, seed {seed}: {answer} ({result.seconds:.0f} s)")

    results = run_programs(requests, options.workers, on_program)
    return [
        ProgramTrial(treatment.changes, seed, result.seconds, result.loss, result.problem)
        for (treatment, seed), result in zip(pairs, results, strict=True)
    ]


def _try_treatments(
    treatments: Sequence[ProgramTreatment],
    controls: Sequence[ProgramTrial],
    run: Callable[[list[tuple[ProgramTreatment, int]]], list[ProgramTrial]],
) -> list[list[ProgramTrial]]:
    """Return the trials of each treatment; none after one that failed or is clearly worse.

    Clearly: by more than the controls differ from each other and 2 % of their loss. Then stronger
    treatments of that cause are not tried either, since the loss has one minimum over a setting.
    """
    tried: list[list[ProgramTrial]] = [[] for _ in treatments]
    finite = _finite_losses(controls)
    spread = max(finite) - min(finite) if finite else 0.0

    def try_with(control: ProgramTrial, chosen: Sequence[int]) -> list[int]:
        """Return those of the `chosen` treatments that are not clearly worse."""
        before = control.loss if control.loss is not None else math.inf
        limit = before + spread + 0.02 * abs(before)
        trials = run([(treatments[index], control.seed) for index in chosen])
        for index, trial in zip(chosen, trials, strict=True):
            tried[index].append(trial)
        return [
            index
            for index, trial in zip(chosen, trials, strict=True)
            if trial.loss is not None and math.isfinite(trial.loss) and trial.loss <= limit
        ]

    remaining: list[int] = []
    given_up: set[str] = set()
    for wave in _by_strength(treatments):
        chosen = [index for index in wave if treatments[index].cause not in given_up]
        promising = try_with(controls[0], chosen)
        given_up |= {treatments[index].cause for index in chosen if index not in promising}
        remaining += promising
    for control in controls[1:]:
        remaining = try_with(control, sorted(remaining))
    return tried


def _by_strength(treatments: Sequence[ProgramTreatment]) -> list[list[int]]:
    """Return the first treatment of each cause, the second, and so on: the weakest comes first."""
    waves: list[list[int]] = []
    counts: Counter[str] = Counter()
    for index, treatment in enumerate(treatments):
        if counts[treatment.cause] == len(waves):
            waves.append([])
        waves[counts[treatment.cause]].append(index)
        counts[treatment.cause] += 1
    return waves


def _differences(
    trials: Sequence[ProgramTrial], controls: Sequence[ProgramTrial], ceiling: float
) -> list[float]:
    """Return the loss of the control minus loss of the treatment for each pair; none where a trial
    failed.

    Losses above `ceiling` count as that: how far a run diverged says nothing.
    """
    differences = []
    for treated, control in zip(trials, controls, strict=False):
        if treated.loss is None or control.loss is None:
            return []
        differences.append(min(control.loss, ceiling) - min(treated.loss, ceiling))
    return differences


def _ceiling(arms: Sequence[Sequence[ProgramTrial]]) -> float:
    """Return `MAX_RATIO` times the lowest mean loss of an arm of which all trials are finite."""
    losses = [[t.loss for t in arm if t.loss is not None] for arm in arms]
    whole = [values for values in losses if values and all(map(math.isfinite, values))]
    if not whole:
        return 0.0
    best = min(float(np.mean(values)) for values in whole)
    return best + (MAX_RATIO - 1) * abs(best)


def _judge(
    treatments: Sequence[ProgramTreatment],
    tried: Sequence[list[ProgramTrial]],
    controls: Sequence[ProgramTrial],
) -> list[ProgramEffect]:
    """Return the effect of each treatment, with the spread of all of them pooled."""
    complete = [trials for trials in tried if len(trials) == len(controls)]
    ceiling = _ceiling([controls, *complete])
    pairs = [_differences(trials, controls, ceiling) for trials in tried]
    whole = [d for d in pairs if len(d) == len(controls)]
    df = sum(len(d) - 1 for d in whole)
    # The median of the variances: one treatment that spreads a lot says little of the others.
    pooled = math.sqrt(float(np.median([sample_std(d) ** 2 for d in whole]))) if whole else None
    p_values = [
        one_sided_p_value(*moderated_t(d, pooled, df)) if len(d) == len(controls) else 1.0
        for d in pairs
    ]
    loss = float(np.mean([min(c.loss, ceiling) for c in controls if c.loss is not None]))
    effects = []
    for treatment, trials, differences, p_holm in zip(
        treatments, tried, pairs, holm_adjust(p_values), strict=True
    ):
        interval, may_help, is_effective = None, False, False
        if differences:
            interval = paired_interval(differences, pooled_sd=pooled, pooled_df=df)
            worth = MIN_VERDICT_EFFECT.get(treatment.cause, MIN_OTHER_EFFECT) * abs(loss)
            is_complete = len(differences) == len(controls)
            is_large = is_complete and interval.value >= worth
            is_unseen = is_complete and interval.high >= max(worth, MAX_UNSEEN * abs(loss))
            may_help = is_large or is_unseen
            is_effective = is_large and is_significant(interval, abs(loss)) and p_holm < ALPHA
        problem = next((t.problem for t in trials if t.problem), None)
        effects.append(
            ProgramEffect(treatment, trials, interval, p_holm, may_help, is_effective, problem)
        )
    return effects


def _finite_losses(trials: Sequence[ProgramTrial]) -> list[float]:
    return [t.loss for t in trials if t.loss is not None and math.isfinite(t.loss)]


def _mean_loss(controls: Sequence[ProgramTrial]) -> float | None:
    finite = _finite_losses(controls)
    return float(np.mean(finite)) if finite else None


def _conclude(
    program: ProgramFlags,
    metric: str,
    controls: list[ProgramTrial],
    effects: list[ProgramEffect],
) -> ProgramDiagnosis:
    """Return the cause whose treatment saves most; none where no treatment helps."""
    best: dict[str, ProgramEffect] = {}
    for effect in effects:
        if effect.is_effective and effect.loss_reduction is not None:
            known = best.get(effect.treatment.cause)
            if known is None or _saved(effect) > _saved(known):
                best[effect.treatment.cause] = effect
    ranked = sorted(best.values(), key=_saved, reverse=True)
    seconds = sum(t.seconds for t in [*controls, *(t for e in effects for t in e.trials)])
    command, verdict = None, "healthy"
    if ranked:
        first = ranked[0].treatment
        verdict = first.cause
        command = program.command_line(program.limits | first.changes)
        reason = f"{first.description} saves {_saved(ranked[0]):.3f} of {metric}"
        if len(ranked) > 1 and _overlap(ranked[0], ranked[1]):
            reason += f", about as much as {ranked[1].treatment.description}"
    elif possible := [effect for effect in effects if effect.may_help]:
        first = max(possible, key=_saved).treatment
        verdict = "unknown"
        reason = (
            f"{first.description} may help, but the seeds differ too much to say: raise --seeds"
        )
    elif all(effect.loss_reduction is None for effect in effects):
        verdict, reason = "unknown", "no treatment could be run"
    else:
        reason = "no treatment that was tried lowers the metric by a difference worth a word"
    return ProgramDiagnosis(
        shlex.join(program.words), metric, controls, _mean_loss(controls), effects, verdict,
        command, reason, seconds,
    )  # fmt: skip


def _saved(effect: ProgramEffect) -> float:
    return effect.loss_reduction.value if effect.loss_reduction is not None else -math.inf


def _overlap(first: ProgramEffect, second: ProgramEffect) -> bool:
    assert first.loss_reduction is not None
    return _saved(second) > first.loss_reduction.low
