"""The experiments: planned, announced, carried out while they are shown, and kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from rich.console import Console

from descend.api.asked import Config, console_of_calls, folder_of, settings_of, unless_quiet
from descend.lab.arms import checked_vary, contestants
from descend.lab.attribute import Attribution, Design, config_pair, design
from descend.lab.attribute import attribute as share_out
from descend.lab.command import call_of, changed_keys
from descend.lab.compare import Match, Plan, plan_comparison
from descend.lab.compare import compare as set_against
from descend.lab.comparison import Comparison
from descend.lab.folder import new_experiment_folder, write_record
from descend.lab.search import SearchPlan, Terms, plan_search
from descend.lab.search import search as find_best
from descend.lab.searched import Search
from descend.lab.sources import Named, named_config
from descend.lab.space import DEFAULT_OVER, parse_over, space_of
from descend.outputs import ATTRIBUTION, COMPARISON, SEARCH
from descend.report.live import print_line
from descend.report.series import PREPARING, series_shown, tell_search, trials_shown
from descend.settings import gather_settings
from descend.trials.arms import Arm
from descend.trials.executor import Told

if TYPE_CHECKING:
    from os import PathLike

Found = TypeVar("Found", Comparison, Attribution, Search)


def compare(
    config: Config = None,
    /,
    *,
    vary: Mapping[str, Sequence[Any]],
    match: Match = "tokens",
    budget: float | None = None,
    seeds: int = 3,
    workers: int | None = None,
    **keys: Any,
) -> Comparison:
    """Train `config` with each combination of the values in `vary`, paired by seed.

    `compare(corpus_dir="my/texts", vary={"embed_dim": [128, 256]})`. Each run has an equal number
    of what `match` says; see docs/compare.md. Runs made before come from the cache. Cost and
    progress go to standard error, as those of `run`; the result is kept in `save_dir`, or in
    `comparisons/<unix time>`, where `descend report` finds it.
    """
    folder = new_experiment_folder(folder_of(config, keys))
    base = settings_of(config, keys).config
    chosen = contestants([Named("base", base)], checked_vary(vary))
    plan = plan_comparison(chosen, match=match, budget=budget, seeds=seeds)
    again = call_of(
        "compare", changed_keys(base.model_dump(mode="json")), vary=dict(vary), match=match,
        budget=plan.budget, seeds=seeds,
    )  # fmt: skip
    console = unless_quiet(console_of_calls(), base)
    found = make_comparison(plan, folder, command=again, workers=workers, console=console)
    _tell(f"saved in {folder}", console)
    return found


def make_comparison(
    plan: Plan, folder: Path, *, command: str, workers: int | None, console: Console | None
) -> Comparison:
    """Carry `plan` out, shown on `console`; the result, which `command` repeats, is written into
    `folder`."""
    with series_shown(plan.all_arms, workers, console) as told:
        found = set_against(plan, workers=workers, told=told)
    return _kept(found, command, folder, COMPARISON)


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
    """Which change from `a` to `b` (presets, files of keys or run folders) brought how much.

    Told and kept as by `compare`; `DESCEND_LOG_LEVEL=warning` makes it quiet.
    """
    folder = new_experiment_folder(None if save_dir is None else Path(save_dir))
    text = None if corpus_dir is None else str(corpus_dir)
    plan = design(
        *config_pair(named_config(str(a)), named_config(str(b)), text), seeds=seeds, runs=runs
    )
    again = call_of("attribute", str(a), str(b), text, seeds=seeds, runs=runs)
    console = unless_quiet(console_of_calls(), gather_settings().config)
    found = make_attribution(plan, folder, command=again, workers=workers, console=console)
    _tell(f"saved in {folder}", console)
    return found


def make_attribution(
    plan: Design, folder: Path, *, command: str, workers: int | None, console: Console | None
) -> Attribution:
    """As `make_comparison`."""
    with series_shown(plan.arms(), workers, console) as told:
        found = share_out(plan, workers=workers, told=told)
    return _kept(found, command, folder, ATTRIBUTION)


def search(
    config: Config = None,
    /,
    *,
    minutes: float,
    over: Mapping[str, Any] | None = None,
    match: Match = "seconds",
    budget: float | None = None,
    seeds: int = 3,
    workers: int | None = None,
    **keys: Any,
) -> Search:
    """Search the best settings around `config` for a text, in so many minutes.

    `search(corpus_dir="my/texts", minutes=30, over={"learning_rate": (0.0003, 0.01), "embed_dim":
    [128, 256]})`: a tuple is a range, a list are values. The study is kept in `save_dir`, or in
    `searches/`; the same call goes on from there, and costs nothing once it is done. Told as by
    `compare`. Needs the extra `search`; see docs/search.md.
    """
    base = settings_of(config, keys).config
    folder = folder_of(config, keys)
    space = space_of(parse_over(DEFAULT_OVER) if over is None else over, base)
    again = call_of(
        "search", changed_keys(base.model_dump(mode="json")), minutes=minutes,
        over=None if over is None else dict(over), match=match, budget=budget, seeds=seeds,
        save_dir=None if folder is None else str(folder),
    )  # fmt: skip
    terms = Terms(minutes, match, budget, seeds, workers=workers)
    console = unless_quiet(console_of_calls(), base)
    _tell(PREPARING, console)
    plan = plan_search(base.model_copy(update={"save_dir": None}), space, terms, folder)
    found = make_search(plan, command=again, console=console)
    _tell(f"saved in {plan.file.parent}", console)
    return found


def make_search(plan: SearchPlan, *, command: str, console: Console | None) -> Search:
    """Carry `plan` out, shown on `console`; the result, which `command` repeats, is written beside
    its study."""
    tell_search(plan, console)
    with ExitStack() as trials:

        def confirming(arms: list[Arm]) -> AbstractContextManager[Told]:
            trials.close()  # the line of the trials gives way to that of the confirmation
            return series_shown(arms, plan.workers, console)

        told = trials.enter_context(trials_shown(console))
        found = find_best(plan, told=told, confirming=confirming)
    return _kept(found, command, plan.file.parent, SEARCH)


def _kept(found: Found, command: str, folder: Path, name: str) -> Found:
    found = msgspec.structs.replace(found, command=command)
    write_record(folder, name, found)
    return found


def _tell(line: str, console: Console | None) -> None:
    if console:
        print_line(line, console)
