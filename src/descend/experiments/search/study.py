"""The study of a search: Optuna chooses what is tried next, ends what is unpromising, and keeps it
all in one SQLite file, which other tools of Optuna read as well.

Sampler: the tree-structured Parzen estimator (Bergstra et al. 2011, NeurIPS), over all keys
together. What is ended early is decided by `pruning`; Hyperband (Li et al. 2018) divides its
trials among brackets, which is more than a search of twenty trials can fill.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from descend.errors import MissingDependencyError, RunFolderError
from descend.experiments.search.search_result import (
    FULL_BUDGET,
    KeyImportance,
    SearchKey,
    SearchTrial,
)
from descend.experiments.search.space import ChoiceParam, Param
from descend.trials.trial_spec import EvalPoint, TrialResult

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial, Trial

STUDY_FILE = "study.db"
NAME = "descend search"

FIRST_AT_RANDOM = 8
"""Trials before the sampler begins to learn from them: Optuna's 10, less two, since the whole is
about twenty."""

EVALUATIONS_PER_TRIAL = 6
"""Judgments along each trial."""

TOP_FRACTION, MIN_TOP = 0.25, 5
"""Importance is that for being among so many of the best; PED-ANOVA wants five of them at least
(Optuna's own note)."""

MIN_FOR_IMPORTANCE = 12
"""Trials below which the keys are not weighed: half of them would be the best five."""


class StudyProgress(msgspec.Struct, frozen=True, kw_only=True):
    """What a study has used and decided so far; kept in it."""

    question: SearchKey
    key: str
    budget: float | None
    seconds_used: float


def open_study(file: Path, question: SearchKey, budget: float | None) -> Study:
    """Return the study in `file`, made if there is none; one that was interrupted is made ready
    again.

    Raises `RunFolderError` for a file that is not such a study, or one of another question.
    """
    optuna = import_optuna()
    from descend.experiments.search.pruning import MaxGainPruner

    study = _load(file, optuna)
    if study is None:
        file.parent.mkdir(parents=True, exist_ok=True)
        study = optuna.create_study(storage=_address(file), study_name=NAME)
        save_progress(
            study,
            StudyProgress(question=question, key=question.key, budget=budget, seconds_used=0.0),
        )
        first = {s.key: question.base[s.key] for s in question.space}
        if all(s.holds(first[s.key]) for s in question.space):
            study.enqueue_trial(first)
    else:
        _check_same(study, file, question)
    _put_back(study, optuna)
    # Another seed each time it is taken up: the sampler would else draw what it drew before.
    study.sampler = optuna.samplers.TPESampler(
        seed=int(question.base["seed"]) % 2**32 + len(study.trials),
        n_startup_trials=FIRST_AT_RANDOM, multivariate=True,
    )  # fmt: skip
    study.pruner = MaxGainPruner()
    return study


def load_progress(file: Path, question: SearchKey) -> StudyProgress | None:
    """Return how far the study in `file` is; None if there is none yet.

    `RunFolderError` as in `open_study`.
    """
    study = _load(file, import_optuna())
    if study is None:
        return None
    _check_same(study, file, question)
    return progress_of(study, file)


def _check_same(study: Study, file: Path, question: SearchKey) -> None:
    if progress_of(study, file).key != question.key:
        raise RunFolderError(
            str(file), "a search for something else (text, ranges, base or what is equal)",
            "one of the same question", "choose another save_dir, or repeat its command",
        )  # fmt: skip


def progress_of(study: Study, file: Path) -> StudyProgress:
    """Return what it has used so far; `RunFolderError` if descend did not make it."""
    stored = study.user_attrs.get("descend")
    with suppress(msgspec.ValidationError):
        return msgspec.convert(stored, type=StudyProgress)
    raise _invalid_study_error(file, "a study of Optuna that `descend search` did not make")


def save_progress(study: Study, progress: StudyProgress) -> None:
    """Write `progress` into the study."""
    study.set_user_attr("descend", msgspec.to_builtins(progress))


def next_trial(study: Study, space: list[Param]) -> Trial:
    """Return the next trial."""
    return study.ask({span.key: _distribution(span) for span in space})


def values_of(trial: Trial | FrozenTrial, space: list[Param]) -> dict[str, Any]:
    """Return what is tried in it: what was drawn, made readable."""
    return {span.key: span.readable(trial.params[span.key]) for span in space}


def report_and_check_pruning(trial: Trial, steps: int, point: EvalPoint) -> bool:
    """Tell a judgment of `trial`, which is to make `steps`; whether it should be pruned."""
    trial.report(point.bits_per_byte, _budget_step(point, steps))
    return trial.should_prune()


def _budget_step(point: EvalPoint, steps: int) -> int:
    """Return the part of its budget that a trial had used, in thousandths."""
    return round(FULL_BUDGET * point.step / steps)


def record_result(
    study: Study, trial: Trial, steps: int, result: TrialResult, stopped: bool
) -> None:
    """Tell what came of `trial`, which was to make `steps`."""
    from optuna.trial import TrialState

    reported_values = study.get_trials(deepcopy=False)[trial.number].intermediate_values
    for point in result.curve:
        budget_step = _budget_step(point, steps)
        if budget_step not in reported_values:  # all of them, when the result came from the cache
            trial.report(point.bits_per_byte, budget_step)
    field_names = ("bits_per_byte", "validation_loss", "accuracy", "bigram_accuracy", "seconds",
            "steps", "parameters", "diverged_step", "key")  # fmt: skip
    trial.set_user_attr("result", {name: getattr(result, name) for name in field_names})
    if stopped:
        study.tell(trial, state=TrialState.PRUNED)
    else:
        study.tell(trial, result.bits_per_byte)


def record_failure(study: Study, trial: Trial, failure_reason: str) -> None:
    """Tell that `trial` cannot be trained."""
    from optuna.trial import TrialState

    trial.set_user_attr("failure_reason", failure_reason)
    study.tell(trial, state=TrialState.FAIL)


def reuse_duplicate_result(study: Study, trial: Trial, space: list[Param]) -> bool:
    """Return whether the values of `trial` were tried already; it is then given what came of
    them."""
    from optuna.trial import TrialState

    for other in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED)):
        if values_of(other, space) != values_of(trial, space):
            continue
        trial.set_user_attr("duplicate_of", other.number)
        if other.state is TrialState.COMPLETE:  # the pruner has its curve already
            study.tell(trial, other.value)
            return True
        for number, value in other.intermediate_values.items():
            trial.report(value, number)
        study.tell(trial, state=TrialState.PRUNED)
        return True
    return False


def discard_trial(study: Study, trial: Trial) -> None:
    """Leave `trial` as if it had not been requested."""
    from optuna.trial import TrialState

    study.tell(trial, state=TrialState.FAIL)


def finished_trials(study: Study, space: list[Param]) -> list[SearchTrial]:
    """Return every trial that has come to an end; repetitions, and those that we left, are left
    out."""
    states = {"COMPLETE": "finished", "PRUNED": "stopped", "FAIL": "failed"}
    trials = []
    for trial in study.get_trials(deepcopy=False):
        is_discarded = trial.state.name == "FAIL" and "failure_reason" not in trial.user_attrs
        if trial.state.name not in states or is_discarded or "duplicate_of" in trial.user_attrs:
            continue
        result_values = trial.user_attrs.get("result", {})
        numbers = {k: result_values.get(k) for k in SearchTrial.__struct_fields__[3:-2]}
        trials.append(
            SearchTrial(
                number=trial.number,
                values=values_of(trial, space),
                state=states[trial.state.name],  # type: ignore[arg-type]
                failure_reason=trial.user_attrs.get("failure_reason"),
                evaluations=[
                    (p / FULL_BUDGET, v) for p, v in sorted(trial.intermediate_values.items())
                ],
                **numbers,
            )
        )
    return trials


def importance(study: Study) -> list[KeyImportance]:
    """Return how much each key decided about being among the best: PED-ANOVA (Watanabe, Bansal and
    Hutter 2023, IJCAI), which needs the order of the trials only, so that ended ones count as
    well."""
    optuna = import_optuna()
    ended = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
    all_ended = study.get_trials(deepcopy=False, states=ended)
    trials = [t for t in all_ended if "duplicate_of" not in t.user_attrs]
    varied = {k for t in trials for k in t.params if len({u.params[k] for u in trials}) > 1}
    if len(trials) < MIN_FOR_IMPORTANCE or len(varied) < 2:
        return []
    last = 1 + max(t.value for t in trials if t.value is not None)
    copy = optuna.create_study()
    for trial in trials:
        copy.add_trial(_as_finished(optuna, trial, last))
    top_fraction = max(TOP_FRACTION, MIN_TOP / len(trials))
    evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=top_fraction)
    importances: Mapping[str, float] = optuna.importance.get_param_importances(
        copy, evaluator=evaluator, params=sorted(varied)
    )
    return [KeyImportance(k, v) for k, v in importances.items() if math.isfinite(v)]


def _as_finished(optuna: Any, trial: FrozenTrial, last: float) -> FrozenTrial:
    finished_trial: FrozenTrial = optuna.trial.create_trial(
        params=trial.params, distributions=trial.distributions,
        value=trial.value if trial.state.name == "COMPLETE" else last,
    )  # fmt: skip
    return finished_trial


def _distribution(span: Param) -> BaseDistribution:
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    if isinstance(span, ChoiceParam):
        return CategoricalDistribution(span.values)
    if span.whole:
        return IntDistribution(int(span.low), int(span.high), log=span.log, step=span.step)
    return FloatDistribution(span.low, span.high, log=span.log)


def _put_back(study: Study, optuna: Any) -> None:
    """Put back the trials under way when the search was stopped, as what they are."""
    running = optuna.trial.TrialState.RUNNING
    for trial in study.get_trials(deepcopy=False, states=(running,)):
        if trial.params:
            study.enqueue_trial(trial.params)
        study.tell(trial.number, state=optuna.trial.TrialState.FAIL)


def _load(file: Path, optuna: Any) -> Study | None:
    if not file.exists():
        return None
    from sqlalchemy.exc import SQLAlchemyError

    try:
        study: Study = optuna.load_study(storage=_address(file), study_name=NAME)
    except KeyError:
        raise _invalid_study_error(file, "a file without a study of descend") from None
    except (SQLAlchemyError, RuntimeError, OSError):
        raise _invalid_study_error(file, "a file that is no study of Optuna") from None
    return study


def _address(file: Path) -> str:
    return f"sqlite:///{file.absolute()}"


def _invalid_study_error(file: Path, what: str) -> RunFolderError:
    return RunFolderError(
        str(file), what, f"a {STUDY_FILE} that `descend search` wrote", "choose another save_dir"
    )


def import_optuna() -> Any:
    """Return the module `optuna`; `MissingDependencyError` without the extra `search`."""
    try:
        import optuna
    except ImportError:
        raise MissingDependencyError(
            "search", "no package optuna", "the extra `search`",
            "install it (pip install 'descend[search]')",
        ) from None  # fmt: skip
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
