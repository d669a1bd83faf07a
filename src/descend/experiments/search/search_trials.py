"""The best configuration within ranges, by trials that learn from each other, and an honest test.

The best of many trials is best by luck as well: what it would gain is not what it showed when it
was chosen. So the best one and the base are trained again with seeds that had no part in the choice
(and another split of the text with each), and only that difference is claimed.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from descend.config import RunConfig
from descend.data.corpus import resolve_corpus
from descend.data.readers.options import read_options
from descend.errors import ConfigError, UserError
from descend.experiments.command_line import format_train_command
from descend.experiments.compare.arms import ComparisonArm
from descend.experiments.compare.comparison_trials import (
    BudgetUnit,
    ComparisonPlan,
    plan_comparison,
    run_comparison_trials,
)
from descend.experiments.search import study as studies
from descend.experiments.search.search_loop import (
    HARDLY_MORE,
    SearchCallback,
    ignore_progress,
    run_search_loop,
)
from descend.experiments.search.search_plan import SearchBudget, SearchPlan
from descend.experiments.search.search_result import (
    SearchKey,
    SearchResult,
    SearchTrial,
    make_run_config,
)
from descend.experiments.search.space import Param, complete_config
from descend.planner.candidates import MIN_STEPS
from descend.runs.run_folder import ensure_writable
from descend.trials.executor import TrialCallback, workers_for_devices
from descend.trials.executor import ignore_progress as silent_of_runs
from descend.trials.trial_spec import TrialSpec, make_trial_spec
from descend.units import format_duration

MIN_RUNS = 24
"""Whole runs that the time is divided into where no budget is given: what confirms the best one is
taken from them, and about twice as many trials as are left can be made, since half are ended early.
Fewer than Optuna's sampler wants to learn from would be a search at random."""

MIN_TRIALS = 2
"""Trials that must fit in beside the confirmation: the base and another."""


def plan_search(
    base: RunConfig, space: list[Param], terms: SearchBudget, folder: Path | None = None
) -> SearchPlan:
    """Return the search over `space` around `base`, stored in `folder`.

    `ConfigError` for bounds that cannot be or time for fewer than two trials; `RunFolderError` for
    a folder that holds something else.
    """
    from descend.training.assembly import fit_to_text

    terms.check(space)
    base = fit_to_text(base)
    question = SearchKey(
        fingerprint=resolve_corpus(base.corpus_dir, options=read_options(base)).fingerprint,
        base=base.model_dump(mode="json"), space=space, budget_unit=terms.budget_unit,
        evaluation_tokens=terms.evaluation_tokens,
    )  # fmt: skip
    file = (folder or _folder_of(question)) / studies.STUDY_FILE
    known = studies.load_progress(file, question)
    budget = terms.budget
    if known is not None:
        if budget not in (None, known.budget):
            raise ConfigError(
                "budget", f"{budget:g}, where the study in {file.parent} has {known.budget:g}",
                "the budget it began with", "leave it out, or choose another save_dir",
            )  # fmt: skip
        budget = known.budget
    else:
        ensure_writable(file.parent)
    workers = workers_for_devices({base.device}) if terms.workers is None else max(1, terms.workers)
    plan = SearchPlan(base, space, terms, budget, workers, file, question)
    return _costed(plan, begun=known is not None)


def _folder_of(question: SearchKey) -> Path:
    """Return the folder: the same for the same question, so that the command finds it again."""
    named = Path(question.base["corpus_dir"] or "python")
    return Path("searches") / f"{named.stem or 'text'}_{question.key[:8]}"


def _costed(plan: SearchPlan, begun: bool) -> SearchPlan:
    """Return `plan` with a budget, and with what a run of the base costs."""
    from descend.trials.cost_estimate import (
        evaluation_seconds,
        measure_step_time,
        training_seconds,
    )
    from descend.trials.prepared_trial import prepare_trial

    spec = make_trial_spec(plan.base, evaluation_tokens=plan.terms.evaluation_tokens)
    ready, speed = prepare_trial(spec), measure_step_time(spec)
    judging = studies.EVALUATIONS_PER_TRIAL * evaluation_seconds(ready, speed)
    per_step = training_seconds(ready, speed, 1)
    min_training_seconds = MIN_STEPS * per_step
    if plan.terms.budget_unit == "epoch":
        training = ready.steps * per_step
    elif plan.budget is None:
        training = plan.for_runs * plan.workers / MIN_RUNS - judging
        if training < min_training_seconds:
            needed = (
                (min_training_seconds + judging) * MIN_RUNS / plan.workers + 2 * plan.starting
            ) / 60
            raise ConfigError(
                "minutes", f"{plan.terms.minutes:g}, less than a sensible trial needs",
                f"at least {needed:.2g}: {MIN_RUNS} runs of {MIN_STEPS} steps",
                "use more minutes or a smaller model",
            )  # fmt: skip
        plan = replace(
            plan, budget=_budget(plan.terms.budget_unit, training, per_step, ready.config)
        )
    else:
        training = plan.budget
        if plan.terms.budget_unit != "seconds":
            training *= per_step / _of_a_step(plan.terms.budget_unit, ready.config)
        if training < per_step:
            raise ConfigError(
                "budget",
                f"{plan.budget:g} {plan.terms.budget_unit}, less than a step of the base needs",
                f"at least {_budget(plan.terms.budget_unit, per_step, per_step, ready.config):g}",
                "give a larger budget",
            )
    plan = replace(plan, trial_seconds=training + judging, training_seconds=training)
    trials = MIN_TRIALS * plan.trial_seconds / min(plan.workers, MIN_TRIALS)
    needed = 2 * plan.starting + plan.confirmation_seconds + trials
    if not begun and needed > plan.seconds * HARDLY_MORE:
        raise ConfigError(
            "minutes", f"{plan.terms.minutes:g}, too few for two trials and the confirmation",
            f"at least {needed / 60:.2g} with {format_duration(training)} of training each",
            "use more minutes, a smaller budget or fewer seeds",
        )  # fmt: skip
    return plan


def _of_a_step(match: BudgetUnit, config: RunConfig) -> float:
    return float(config.batch_size * config.seq_len) if match == "tokens" else 1.0


def _budget(match: BudgetUnit, seconds: float, per_step: float, config: RunConfig) -> float:
    """Return what the base does in so many seconds, in the unit of `match`."""
    if match == "seconds":
        return float(f"{seconds:.3g}")
    return float(round(seconds / per_step * _of_a_step(match, config)))


def run_search_trials(
    plan: SearchPlan, *, on_progress: SearchCallback = ignore_progress,
    confirming: Callable[[list[TrialSpec]], AbstractContextManager[TrialCallback]] = (
        lambda specs: nullcontext(silent_of_runs)
    ),
) -> SearchResult:  # fmt: skip
    """Carry `plan` out: the trials that time allows, then the confirmation.

    `on_progress` hears of each trial; `confirming` is given the runs of the confirmation, and gives
    the callback for them. `UserError` if no trial came to its end.
    """
    study, used = run_search_loop(plan, on_progress)
    tried = studies.finished_trials(study, plan.space)
    finished = [t for t in tried if t.state == "finished"]
    if not finished:
        why = next((t.failure_reason for t in reversed(tried) if t.failure_reason), None)
        raise UserError(
            "search", f"no trial that was finished{f' ({why})' if why else ''}",
            "at least one", "give it more minutes or other ranges",
        )  # fmt: skip
    best = min(finished, key=lambda t: t.bits_per_byte or float("inf"))
    own = {s.key: _own(s, plan.search_key.base[s.key]) for s in plan.space}
    base = next((t for t in tried if t.values == own), None)
    config = complete_config(plan.base, best.values)
    confirmation = None
    if best.values != own:
        runs = _confirmation(plan, config)
        with confirming(runs.all_specs) as on_trial_progress:
            confirmation = run_comparison_trials(
                runs, workers=plan.workers, on_progress=on_trial_progress
            )
    return SearchResult(
        corpus=str(plan.base.corpus_dir or "python"),
        budget_unit=plan.terms.budget_unit,
        budget=plan.budget,
        minutes=plan.terms.minutes,
        minutes_used=used / 60,
        space=plan.space,
        seed=plan.base.seed,
        evaluation_tokens=plan.terms.evaluation_tokens,
        base=plan.search_key.base,
        trials=tried,
        base_number=None if base is None else base.number,
        best_number=best.number,
        best=config.model_dump(mode="json"),
        importance=studies.importance(study),
        confirmation=confirmation,
        train_command=_train(plan, config, best),
        command="",
        study=str(plan.file),
    )


def _own(span: Param, value: Any) -> Any:
    """Return the base's value as trials are given theirs; as it is where `span` does not hold it,
    such as one that was left open: the nearest of `span` would be another run."""
    return span.readable(value) if span.holds(value) else value


def _confirmation(plan: SearchPlan, best: RunConfig) -> ComparisonPlan:
    """Return the base and best with the seeds after that of the trials."""
    fresh = {"seed": plan.base.seed + 1}
    two = [
        ComparisonArm("base", plan.base.model_copy(update=fresh), ()),
        ComparisonArm("best", best.model_copy(update=fresh), tuple(s.key for s in plan.space)),
    ]
    terms = plan.terms
    return plan_comparison(
        two,
        budget_unit=terms.budget_unit,
        budget=plan.budget,
        seeds=terms.seeds,
        points=studies.EVALUATIONS_PER_TRIAL,
        evaluation_tokens=terms.evaluation_tokens,
    )


def _train(plan: SearchPlan, config: RunConfig, best: SearchTrial) -> str:
    values = make_run_config(config.model_dump(mode="json"), plan.terms.budget_unit, best)
    return format_train_command(values, str(plan.base.corpus_dir or "python"))
