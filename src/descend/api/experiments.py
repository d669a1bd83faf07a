"""The experiments: planned, announced, carried out while they are shown, and kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from rich.console import Console

from descend.api.call_options import (
    Config,
    default_console,
    resolve_call_config,
    resolve_save_dir,
    select_console,
)
from descend.artifacts import ATTRIBUTION_FILE, COMPARISON_FILE, SEARCH_FILE
from descend.config_sources import resolve_config
from descend.experiments.attribute.attribution_result import Attribution
from descend.experiments.attribute.attribution_trials import (
    AttributionDesign,
    design_attribution,
    on_common_corpus,
)
from descend.experiments.attribute.attribution_trials import run_attribution_trials as share_out
from descend.experiments.command_line import format_python_call, non_default_keys
from descend.experiments.compare.arms import make_arms, validate_vary
from descend.experiments.compare.comparison_result import Comparison
from descend.experiments.compare.comparison_trials import (
    BudgetUnit,
    ComparisonPlan,
    plan_comparison,
)
from descend.experiments.compare.comparison_trials import run_comparison_trials as set_against
from descend.experiments.compare.finished_runs import FinishedComparison, compare_finished
from descend.experiments.ended_trials import (
    OnEndedTrial,
    ended_search_trial,
    name_attribution_trials,
    name_comparison_trials,
    report_trials,
)
from descend.experiments.experiment_folder import create_experiment_folder, write_record
from descend.experiments.named_config import NamedConfig, load_named_config
from descend.experiments.search.search_loop import TrialEnded, TrialsRunning
from descend.experiments.search.search_plan import SearchBudget, SearchPlan
from descend.experiments.search.search_result import SearchResult
from descend.experiments.search.search_trials import plan_search
from descend.experiments.search.search_trials import run_search_trials as find_best
from descend.experiments.search.space import DEFAULT_OVER, make_search_space, parse_over_flags
from descend.report.text.experiment_summary import (
    summarize_attribution,
    summarize_comparison,
    summarize_finished_runs,
    summarize_search,
)
from descend.report.text.live_progress import print_line
from descend.report.text.trial_progress import (
    PREPARING,
    print_search_cost,
    show_search_trials,
    show_trials,
)
from descend.trials.executor import TrialCallback, TrialProgress
from descend.trials.trial_spec import TrialSpec

if TYPE_CHECKING:
    from os import PathLike

ResultT = TypeVar("ResultT", Comparison, Attribution, SearchResult)


def compare(
    config: Config = None,
    /,
    *,
    vary: Mapping[str, Sequence[Any]],
    match: BudgetUnit = "tokens",
    budget: float | None = None,
    seeds: int = 3,
    workers: int | None = None,
    **keys: Any,
) -> Comparison:
    """Train `config` with each combination of the values in `vary`, paired by seed.

    `compare(corpus_dir="my/texts", vary={"embed_dim": [128, 256]})`. Each run gets the same budget
    in the unit `match`; see docs/compare.md. Earlier runs come from the cache. Cost and progress
    go to standard error, as those of `run`; the result is kept in `save_dir`, or in
    `comparisons/<unix time>`, where `descend report` finds it.
    """
    save_dir = resolve_save_dir(config, keys)
    base = resolve_call_config(config, keys).config
    arms = make_arms([NamedConfig("base", base)], validate_vary(vary))
    plan = plan_comparison(arms, budget_unit=match, budget=budget, seeds=seeds)
    folder = create_experiment_folder(save_dir)
    again = format_python_call(
        "compare", non_default_keys(base.model_dump(mode="json")), vary=dict(vary), match=match,
        budget=plan.budget, seeds=seeds,
    )  # fmt: skip
    console = select_console(default_console(), base)
    comparison = run_comparison(plan, folder, command=again, workers=workers, console=console)
    _print_to_console(f"saved in {folder}", console)
    return comparison


def run_comparison(
    plan: ComparisonPlan,
    folder: Path,
    *,
    command: str,
    workers: int | None,
    console: Console | None,
    on_trial: OnEndedTrial | None = None,
) -> Comparison:
    """Carry `plan` out, shown on `console`; the result, which `command` repeats, is written into
    `folder`. `on_trial` is given each trial that ended."""
    with show_trials(plan.all_specs, workers, console) as on_progress:
        if on_trial is not None:
            on_progress = _both(on_progress, report_trials(name_comparison_trials(plan), on_trial))
        comparison = set_against(plan, workers=workers, on_progress=on_progress)
    sentence = summarize_comparison(comparison)
    return _save_result(comparison, sentence, command, folder / COMPARISON_FILE)


def compare_finished_runs(folders: Sequence[Path]) -> FinishedComparison:
    """Compare the runs in `folders` as they are, without training; the first is the control."""
    comparison = compare_finished(folders)
    return msgspec.structs.replace(comparison, sentence=summarize_finished_runs(comparison))


def attribute(
    a: str | PathLike[str],
    b: str | PathLike[str],
    corpus_dir: str | PathLike[str] | None = None,
    *,
    seeds: int = 3,
    runs: int = 64,
    workers: int | None = None,
    save_dir: str | PathLike[str] | None = None,
) -> Attribution:
    """Measure how much each change from `a` to `b` (presets, files, or run folders) contributes.

    Reported and stored as by `compare`; `DESCEND_LOG_LEVEL=warning` makes it quiet.
    """
    text = None if corpus_dir is None else str(corpus_dir)
    plan = design_attribution(
        *on_common_corpus(load_named_config(str(a)), load_named_config(str(b)), text),
        seeds=seeds,
        runs=runs,
    )
    folder = create_experiment_folder(None if save_dir is None else Path(save_dir))
    again = format_python_call("attribute", str(a), str(b), text, seeds=seeds, runs=runs)
    console = select_console(default_console(), resolve_config().config)
    attribution = run_attribution(plan, folder, command=again, workers=workers, console=console)
    _print_to_console(f"saved in {folder}", console)
    return attribution


def run_attribution(
    plan: AttributionDesign,
    folder: Path,
    *,
    command: str,
    workers: int | None,
    console: Console | None,
    on_trial: OnEndedTrial | None = None,
) -> Attribution:
    """As `run_comparison`."""
    with show_trials(plan.specs(), workers, console) as on_progress:
        if on_trial is not None:
            on_progress = _both(on_progress, report_trials(name_attribution_trials(plan), on_trial))
        attribution = share_out(plan, workers=workers, on_progress=on_progress)
    sentence = summarize_attribution(attribution)
    return _save_result(attribution, sentence, command, folder / ATTRIBUTION_FILE)


def search(
    config: Config = None,
    /,
    *,
    minutes: float,
    over: Mapping[str, Any] | None = None,
    match: BudgetUnit = "seconds",
    budget: float | None = None,
    seeds: int = 3,
    workers: int | None = None,
    **keys: Any,
) -> SearchResult:
    """Search the best settings around `config` for a text, in so many minutes.

    `search(corpus_dir="my/texts", minutes=30, over={"learning_rate": (0.0003, 0.01), "embed_dim":
    [128, 256]})`: a tuple is a range, a list are values. The study is kept in `save_dir`, or in
    `searches/`; the same call goes on from there, and costs nothing once it is done. Reported as by
    `compare`. Needs the extra `search`; see docs/hyperparameter_search.md.
    """
    base = resolve_call_config(config, keys).config
    folder = resolve_save_dir(config, keys)
    space = make_search_space(parse_over_flags(DEFAULT_OVER) if over is None else over, base)
    again = format_python_call(
        "search", non_default_keys(base.model_dump(mode="json")), minutes=minutes,
        over=None if over is None else dict(over), match=match, budget=budget, seeds=seeds,
        save_dir=None if folder is None else str(folder),
    )  # fmt: skip
    terms = SearchBudget(minutes, match, budget, seeds, workers=workers)
    console = select_console(default_console(), base)
    _print_to_console(PREPARING, console)
    plan = plan_search(base.model_copy(update={"save_dir": None}), space, terms, folder)
    result = run_search(plan, command=again, console=console)
    _print_to_console(f"saved in {plan.file.parent}", console)
    return result


def run_search(
    plan: SearchPlan, *, command: str, console: Console | None, on_trial: OnEndedTrial | None = None
) -> SearchResult:
    """Carry `plan` out, shown on `console`; the result, which `command` repeats, is written beside
    its study. `on_trial` is given each trial that ended, but those of the confirmation."""
    print_search_cost(plan, console)
    with ExitStack() as trials:

        def confirming(specs: list[TrialSpec]) -> AbstractContextManager[TrialCallback]:
            trials.close()  # the line of the trials gives way to that of the confirmation
            return show_trials(specs, plan.workers, console)

        show = trials.enter_context(show_search_trials(console))

        def on_progress(progress: TrialEnded | TrialsRunning) -> None:
            show(progress)
            if on_trial is not None and isinstance(progress, TrialEnded):
                on_trial(ended_search_trial(progress))

        result = find_best(plan, on_progress=on_progress, confirming=confirming)
    return _save_result(result, summarize_search(result), command, plan.file.parent / SEARCH_FILE)


def _both(first: TrialCallback, second: TrialCallback) -> TrialCallback:
    def on_progress(progress: TrialProgress) -> None:
        first(progress)
        second(progress)

    return on_progress


def _save_result(result: ResultT, sentence: str, command: str, file: Path) -> ResultT:
    result = msgspec.structs.replace(result, sentence=sentence, command=command)
    write_record(file.parent, file.name, result)
    return result


def _print_to_console(line: str, console: Console | None) -> None:
    if console:
        print_line(line, console)
