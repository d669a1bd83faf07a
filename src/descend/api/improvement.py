"""`improve`: from a run or a text to the best model for the time, by plan, trials and training."""

from __future__ import annotations

import time
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

from descend.api.training import Model, resume, train_planned
from descend.config import RunConfig, make_config
from descend.config_sources import ResolvedConfig, resolve_config, with_changes
from descend.diagnosis.recommended_config import NOT_INHERITED, requested_run_config
from descend.diagnosis.run_context import load_run_context
from descend.diagnosis.treatment_search import MIN_STEPS, MIN_TRIALS, TreatmentSearch, moves_for
from descend.errors import ConfigError, RunFolderError, UserError
from descend.experiments.improvement import (
    Expectation,
    Improvement,
    Origin,
    TrainedModel,
    TreatmentTrial,
    add,
    contributions,
    open_improvement,
    save,
)
from descend.planner.axes import axes_for
from descend.planner.make_plan import CorpusPlan, make_corpus_plan, plan_config
from descend.planner.plan import MIN_MINUTES, choose_config
from descend.planner.scaling_law import load_scaling_law
from descend.runs.run_files import is_finished, is_run_folder, latest_checkpoint, read_info
from descend.runs.run_folder import read_summary

FIRST_FRACTION, SEARCH_FRACTION = 0.4, 0.5
"""Of the time, for the planned run; and of what is left then, for the trials. The rest is for
training what they found."""

WORTH_SEARCHING = 0.01
"""Share of the bits per byte that a shorter training may lose, by the plan, for a search to be
made: more than that a search seldom gains, and all the time goes into one training."""

EVALUATION_KEYS = ("validation_fraction", "seed", "sample_size", "normalize")
"""Keys that decide which text a model is evaluated on: those of the run stay."""

LATER_MINUTES, MORE_TEXT = 60.0, 10

OnModel = Callable[[TrainedModel], None]
OnTrial = Callable[[TreatmentTrial], None]


def improve(
    what: str | PathLike[str], minutes: float, *, save_dir: str | PathLike[str] | None = None,
    began: float | None = None, console: Console | None = None,
    on_model: OnModel = lambda model: None, on_trial: OnTrial = lambda trial: None,
) -> Improvement:  # fmt: skip
    """Make the best model for `what` in `minutes`: the folder of a run, or a text.

    The planned recipe is trained first. Where its time is not what limits it, treatments of the
    likely causes are tried in short trials, and what gains is trained. All is kept in `save_dir`,
    or in `improvements/<unix time>`: a call with the same `save_dir` goes on from there.
    """
    began = time.perf_counter() if began is None else began
    if minutes <= 0:
        raise ConfigError("--minutes", f"{minutes:g}", "more than 0", "give it some time")
    run = Path(what) if is_run_folder(Path(what)) else None
    if run is not None and not is_finished(run):
        raise RunFolderError(
            str(run), "a run that is not finished", "one that is",
            f"finish it with `descend resume {run}`",
        )  # fmt: skip
    keys = {"corpus_dir": str(what)} if run is None else _keys_of(run)
    folder = _new_folder() if save_dir is None else Path(save_dir)
    improvement = open_improvement(folder, str(what), str(keys["corpus_dir"]))
    work = _Work(folder, improvement, keys, began + 60 * minutes, console, on_model, on_trial)
    if run is not None and not improvement.candidates:
        work.keep(_model_of(run, "your run", {}, None))
    work.resume_interrupted()
    return work.carry_out(began)


def _keys_of(run: Path) -> dict[str, Any]:
    """The text of `run`, and what decides which part of it is the validation set."""
    settings = requested_run_config(run)
    inherited_keys = ("corpus_dir", *EVALUATION_KEYS)
    return {k: settings[k] for k in inherited_keys if settings.get(k) is not None}


def _new_folder() -> Path:
    moment = int(time.time())
    while (folder := Path("improvements") / str(moment)).exists():
        moment += 1
    return folder


def _model_of(
    run: Path, origin: Origin, changes: dict[str, Any], predicted: float | None
) -> TrainedModel:
    summary = read_summary(run)
    return TrainedModel(
        run=str(run), origin=origin, changes=changes, bits_per_byte=summary.bits_per_byte,
        predicted=predicted, seconds=summary.seconds,
    )  # fmt: skip


class _Work:
    """An improvement under way."""

    def __init__(
        self, folder: Path, improvement: Improvement, keys: dict[str, Any], ends: float,
        console: Console | None, on_model: OnModel, on_trial: OnTrial,
    ) -> None:  # fmt: skip
        self.folder, self.improvement, self.keys, self.ends = folder, improvement, keys, ends
        self.console, self.on_model, self.on_trial = console, on_model, on_trial
        self._planned_at = time.perf_counter()

    def carry_out(self, began: float) -> Improvement:
        """Plan, train, search and train again, as far as the time goes."""
        settings = resolve_config(self.keys)
        planned = self._plan(settings)
        if planned is None:
            return self._end("the time is up", None, began)
        first = self._first_part(planned)
        model = self._train(first, "planned", {})
        if first is planned:
            why = "the time is up; by the plan it was worth more in one training than in a search"
            return self._end(why, planned, began)
        changes = self._search(model.folder, planned)
        final = self._plan(settings)
        if final is None:
            return self._end("the time is up", planned, began)
        gain = model.summary.bits_per_byte - final.plan.predicted.bits_per_byte
        if not changes and gain <= 0:
            tried = (
                "nothing that was tried gains" if self.improvement.trials else "no trial fits in"
            )
            return self._end(f"{tried}, and more training would not gain", planned, began)
        self._train(
            final, "treated", changes, read_info(model.folder).requested_config if changes else None
        )
        return self._end("the time is up", planned, began)

    def keep(self, model: TrainedModel) -> None:
        """Add a model, and write down what was found so far."""
        self.improvement = add(self.improvement, candidate=model)
        save(self.improvement, self.folder)
        self.on_model(model)

    def resume_interrupted(self) -> None:
        """Finish the training that an interruption left."""
        known = {c.run for c in self.improvement.candidates}
        for path in sorted(self.folder.glob("model_*")):
            if str(path) in known or not is_run_folder(path):
                continue
            if not is_finished(path) and latest_checkpoint(path) is not None:
                resume(path, self.console)
            if is_finished(path):
                self.keep(_model_of(path, "planned", {}, None))

    def _minutes_left(self) -> float:
        return (self.ends - time.perf_counter()) / 60

    def _plan(self, settings: ResolvedConfig) -> CorpusPlan | None:
        """The plan for the time left; None where there is a model and too little time."""
        left = self._minutes_left()
        if left <= MIN_ROUND_MINUTES and self.improvement.candidates:
            return None
        self._planned_at = time.perf_counter()
        corpus = settings.config.corpus_dir
        try:
            return make_corpus_plan(
                corpus, max(left, 1e-6), settings=settings, began=self._planned_at
            )
        except UserError:
            if not self.improvement.candidates:
                raise
            return None

    def _first_part(self, planned: CorpusPlan) -> CorpusPlan:
        """The plan for the first training: for all the time, where a shorter one would lose more
        than a search can gain."""
        plan, axes = planned.plan, axes_for(planned.fixed)
        assert planned.minutes is not None
        spent = planned.minutes - plan.minutes
        minutes = FIRST_FRACTION * planned.minutes
        if minutes - spent < MIN_MINUTES:
            return planned
        shorter = choose_config(
            plan.sample, plan.rates, load_scaling_law(), minutes - spent, None, axes
        )
        lost = shorter.predicted.bits_per_byte / plan.predicted.bits_per_byte - 1
        if lost > WORTH_SEARCHING:
            return planned
        return msgspec.structs.replace(planned, plan=shorter, minutes=minutes)

    def _train(
        self, planned: CorpusPlan, origin: Origin, changes: dict[str, Any],
        base: dict[str, Any] | None = None,
    ) -> Model:  # fmt: skip
        """Train the plan, or with `base` that configuration with `changes`, for the plan's time."""
        number = len(list(self.folder.glob("model_*"))) + 1
        where = {"save_dir": str(self.folder / f"model_{number}")}
        config = plan_config(planned)
        if base is not None:
            config = _as_long_as(with_changes(make_config(base), changes), config, planned)
        config = make_config(config.model_dump() | where)
        model = train_planned(planned, config, "fast", self.console, self._planned_at)
        predicted = planned.plan.predicted.bits_per_byte if base is None else None
        self.keep(_model_of(model.folder, origin, changes, predicted))
        return model

    def _search(self, run: Path, planned: CorpusPlan) -> dict[str, Any]:
        """The changes that gain in trials on the settings of `run`."""
        ends = time.perf_counter() + SEARCH_FRACTION * 60 * self._minutes_left()
        case = load_run_context(run)
        seconds = max(case.seconds_per_step, 1e-6) * case.execution.threads  # a trial has one
        left = (ends - time.perf_counter()) / seconds
        steps = min(case.total_steps, max(MIN_STEPS, int(left / MIN_TRIALS)))
        if left < MIN_SEARCH_TRIALS * steps:
            return {}
        moves = moves_for(case)
        info = read_info(run)
        requested = {k: v for k, v in info.requested_config.items() if k not in NOT_INHERITED}
        base = make_config(requested | {"epoch": None, "max_steps": None, "minutes": None})

        def on_trial(trial: TreatmentTrial) -> None:
            if trial.accepted:
                earlier_trials = [t for t in self.improvement.trials if t.changes != trial.changes]
                self.improvement = msgspec.structs.replace(self.improvement, trials=earlier_trials)
            self.improvement = add(self.improvement, trial=trial)
            save(self.improvement, self.folder)
            self.on_trial(trial)

        vocab = int(info.resolved_config["vocab_size"])
        search = TreatmentSearch(base, vocab, planned.plan.rates, steps, ends, on_trial)
        return search.run(moves).changes

    def _end(self, why: str, planned: CorpusPlan | None, began: float) -> Improvement:
        improvement = msgspec.structs.replace(
            self.improvement, stopped=why, contributions=contributions(self.improvement),
            expectations=[] if planned is None else expectations(self.improvement, planned),
            seconds=round(self.improvement.seconds + time.perf_counter() - began, 1),
        )  # fmt: skip
        save(improvement, self.folder)
        return improvement


MIN_SEARCH_TRIALS = 3
"""Trials, the control with them, for which a search is worth beginning."""

MIN_ROUND_MINUTES = 0.25
"""Minutes below which nothing more is planned and trained: planning alone takes half of it."""


def _as_long_as(config: RunConfig, timed: RunConfig, planned: CorpusPlan) -> RunConfig:
    """`config` for the minutes of `timed`, with as many tokens as it may train on."""
    tokens = (timed.max_steps or planned.plan.predicted.steps) * timed.batch_size * timed.seq_len
    steps = max(1, round(tokens / (config.batch_size * config.seq_len)))
    keys = {"minutes": timed.minutes, "max_steps": steps, "epoch": None, "warmup_steps": None}
    return make_config(config.model_dump() | keys)


def expectations(improvement: Improvement, planned: CorpusPlan) -> list[Expectation]:
    """What an hour more, and more text, would bring to the best model, by the scaling law.

    The law's ratio is applied to what was reached. Where it expects no gain, that is told as 1.
    """
    plan, best = planned.plan, improvement.best
    if best is None:
        return []
    outlook = load_scaling_law()
    more_text = msgspec.structs.replace(
        plan.sample, train_bytes=MORE_TEXT * plan.sample.train_bytes
    )
    later = plan.minutes + LATER_MINUTES
    lines = []
    for more, sample, minutes in (
        ("an hour more", plan.sample, later),
        (f"{MORE_TEXT} times the text, in the same time", more_text, plan.minutes),
        (f"{MORE_TEXT} times the text, and an hour more", more_text, later),
    ):
        expected = choose_config(sample, plan.rates, outlook, minutes).predicted.bits_per_byte
        ratio = min(expected / plan.predicted.bits_per_byte, 1.0)
        lines.append(Expectation(more=more, bits_per_byte=ratio * best.bits_per_byte))
    return lines
