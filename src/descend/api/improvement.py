"""`improve`: from a run or a text to the best model for the time, by plan, trials and training."""

from __future__ import annotations

import time
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

from descend.api.generation_config import generation_config, measure_first_model
from descend.api.improvement_effects import measure_effects, reserved_seconds
from descend.api.improvement_models import (
    ModelJudge,
    as_long_as,
    has_tokenizer_of,
    model_folders,
    text_keys,
)
from descend.api.improvement_plans import WORTH_SEARCHING, find_another_plan, plan_first_part
from descend.api.improvement_search import search_changes
from descend.api.model import Model
from descend.api.run_training import train_planned
from descend.api.training import resume
from descend.config import RunConfig, make_config
from descend.config_sources import ResolvedConfig, resolve_config, with_changes
from descend.data.prepare import prepare_documents
from descend.diagnosis.measure import measure_run
from descend.diagnosis.recommended_config import make_changed_config
from descend.diagnosis.run_context import RunContext, load_run_context
from descend.diagnosis.treatment_search import Move, OnTrial, all_moves, cause_moves
from descend.errors import ConfigError, DivergedError, RunFolderError, UserError
from descend.experiments.expectations import expectations
from descend.experiments.improvement import (
    Improvement,
    Origin,
    TrainedModel,
    TreatmentTrial,
    add,
    contributions,
    find_origin,
    open_improvement,
    save,
    without_interrupted,
)
from descend.experiments.improvement_progress import forecast_over_time
from descend.experiments.text_treatment import treat_text
from descend.experiments.validation_text import validation_text
from descend.metrics.measurement import Measurements
from descend.planner.generations import MIN_LENGTH, ROUND_SECONDS, plan_later_models
from descend.planner.make_plan import CorpusPlan, make_corpus_plan, plan_config
from descend.report.text.improvement_summary import (
    LATER_MODELS_LEARNED,
    NOTHING_HELPS,
    ONE_TRAINING_IS_BEST,
    TIME_IS_UP,
    TRAINING_DIVERGED,
    describe_too_little_time,
)
from descend.runs.checkpoint_folders import latest_checkpoint
from descend.runs.run_files import is_finished, is_run_folder, read_info
from descend.runs.run_folder import claim_folder
from descend.training.stop_signals import TrainingInterrupted

REPAIR_FRACTION = 0.1
"""Fraction of the time left that the run may have taken, for changes to its own settings to be
tried. The search takes twice that."""

MIN_ROUND_MINUTES = 0.25
"""Minutes below which nothing more is planned and trained: planning alone takes half of it."""

OnModel = Callable[[TrainedModel], None]
FindMoves = Callable[[RunContext, Measurements], list[Move]]


def improve(
    what: str | PathLike[str], minutes: float, *, save_dir: str | PathLike[str] | None = None,
    began: float | None = None, console: Console | None = None,
    on_model: OnModel = lambda model: None, on_trial: OnTrial = lambda trial: None,
) -> Improvement:  # fmt: skip
    """Make the best model for `what` in `minutes`: the folder of a run, or a text.

    The planned recipe is trained first. Where its time is not what limits it, treatments of the
    likely causes are tried in short trials, and what gains is trained. The best of all models is
    named, that of the run with them: each is evaluated on the same validation bytes. All is stored
    in `save_dir`, or in `improvements/<unix time>`: a call with the same `save_dir` goes on from
    there.
    """
    began = time.perf_counter() if began is None else began
    if minutes <= 0:
        raise ConfigError(
            "--minutes", f"{minutes:g}", "more than 0", "use for example --minutes 10"
        )
    run = Path(what) if is_run_folder(Path(what)) else None
    if run is not None and not is_finished(run):
        raise RunFolderError(
            str(run), "a run that is not finished", "one that is",
            f"finish it with `descend resume {run}`",
        )  # fmt: skip
    keys = {"corpus_dir": str(what)} if run is None else text_keys(run)
    folder = claim_folder(Path("improvements")) if save_dir is None else Path(save_dir)
    improvement = open_improvement(folder, str(what), str(keys["corpus_dir"]))
    ends = began + 60 * minutes
    driver = _ImprovementRun(folder, improvement, keys, (began, ends), console, on_model, on_trial)
    driver.ends -= reserved_seconds(minutes)
    if run is not None and not improvement.candidates:
        driver.keep(run, "your run", {}, None)
    driver.resume_interrupted()
    return driver.carry_out()


class _ImprovementRun:
    """Plans, searches, and trains until the time is up; stores each step of the improvement."""

    def __init__(
        self, folder: Path, improvement: Improvement, keys: dict[str, Any],
        period: tuple[float, float], console: Console | None, on_model: OnModel,
        on_trial: OnTrial,
    ) -> None:  # fmt: skip
        began, self.ends = period
        self.folder, self.last_moment = folder, self.ends  # of the trainings, and of all
        self.improvement = msgspec.structs.replace(improvement, stopped=None)
        self._began = began - improvement.seconds  # as if the earlier calls had just ended
        self.console, self.on_model, self.on_trial = console, on_model, on_trial
        self._planned_at = time.perf_counter()
        text = validation_text(prepare_documents(make_config(keys), anew=True))
        treatment = treat_text(keys, text, folder)
        self.keys = treatment.keys
        self.judge = ModelJudge(treatment)

    def _elapsed(self) -> float:
        """Return seconds of all calls together."""
        return round(time.perf_counter() - self._began, 1)

    def _save(self) -> None:
        self.improvement = msgspec.structs.replace(self.improvement, seconds=self._elapsed())
        save(self.improvement, self.folder)

    def carry_out(self) -> Improvement:
        """Plan, train, search and train again, as far as the time goes."""
        settings = resolve_config(self.keys)
        planned = self._plan(settings)
        if planned is None:
            return self._end(TIME_IS_UP, None)
        end = self.last_moment - self._began
        forecast = forecast_over_time(planned, self._planned_at - self._began, end)
        self.improvement = msgspec.structs.replace(self.improvement, forecast=forecast)
        self._save()
        base = self._first_training(planned)
        if base is None:
            return self._end(ONE_TRAINING_IS_BEST, planned)
        try:
            why = self._train_further(base, planned, settings)
        except DivergedError:
            why = TRAINING_DIVERGED
        return self._end(why, planned)

    def _train_further(
        self, base: TrainedModel, planned: CorpusPlan, settings: ResolvedConfig
    ) -> str:
        """Train better models than `base`, as far as the time goes; why it ended."""
        base = self._better_of_repaired(base, planned)
        if planned.plan.leaves_time and self._train_generations(base):
            return LATER_MODELS_LEARNED
        # As much time as the training of `base` took is left for the last one.
        last_seconds = 60 * self._minutes_left() - base.seconds - ROUND_SECONDS
        changes = self._search(base, planned, all_moves, time.perf_counter() + last_seconds)
        return self._last_training(base, changes, settings)

    def keep(
        self, run: Path, origin: Origin, changes: dict[str, Any], predicted: float | None
    ) -> TrainedModel:
        """Judge a model, add it, and write down what is known so far."""
        self._add(self.judge.judge(run, origin, changes, predicted))
        return self.improvement.candidates[-1]

    def _add(self, model: TrainedModel) -> None:
        model = msgspec.structs.replace(model, elapsed_seconds=self._elapsed())
        self.improvement = msgspec.structs.replace(
            add(self.improvement, candidate=model), text_notes=self.judge.notes
        )
        self._save()
        self.on_model(model)

    def resume_interrupted(self) -> None:
        """Finish the training that an interruption left, in the time there is."""
        known = {c.run for c in self.improvement.candidates}
        for path in model_folders(self.folder):
            if str(path) in known or not is_run_folder(path):
                continue
            if not is_finished(path) and latest_checkpoint(path) is not None:
                try:
                    resume(path, self.console, ends=self.ends - self.judge.seconds)
                except DivergedError:
                    continue
                except TrainingInterrupted:
                    self._keep_interrupted(path)
                    raise
            if is_finished(path):
                self.improvement = without_interrupted(self.improvement)
                settings = read_info(path).resolved_config
                self.keep(path, find_origin(self.improvement, settings), {}, None)

    def _minutes_left(self) -> float:
        return (self.ends - time.perf_counter() - self.judge.seconds) / 60

    def _plan(self, settings: ResolvedConfig) -> CorpusPlan | None:
        """Return the plan for the time left; None where there is a model and too little time."""
        left = self._minutes_left()
        if left <= MIN_ROUND_MINUTES and self.improvement.candidates:
            return None
        self._planned_at = time.perf_counter()
        corpus = settings.config.corpus_dir
        try:
            return make_corpus_plan(
                corpus, max(left, 1e-6), settings=settings, began=self._planned_at
            )
        except UserError as problem:
            if self.improvement.candidates:
                return None
            if problem.location != "minutes":
                raise
            allowed = (self.last_moment - self._began) / 60  # not what is left of them
            expected = "more, since planning and preparing the text take longer"
            raise UserError("minutes", f"{allowed:.3g}", expected, "give more minutes") from None

    def _first_training(self, planned: CorpusPlan) -> TrainedModel | None:
        """Return the model that the search starts from: of an earlier call, or trained now.

        None where all the time went into training it.
        """
        earlier = [c for c in self.improvement.candidates if c.origin == "planned"]
        if earlier:
            last = earlier[-1]
            expected = planned.plan.predicted.bits_per_byte
            if last.predicted is None or expected > (1 - WORTH_SEARCHING) * last.predicted:
                return last
        first = plan_first_part(planned)
        model = self._train(first, "planned")
        takes_all_time = first is planned and not planned.plan.leaves_time
        return None if takes_all_time else model

    def _train(
        self, planned: CorpusPlan, origin: Origin, changes: dict[str, Any] | None = None,
        base: dict[str, Any] | None = None,
    ) -> TrainedModel:  # fmt: skip
        """Train the plan, or with `base` that configuration with `changes`, for the plan's time."""
        path = self._next_folder()
        config = plan_config(planned)
        if base is not None:
            config = as_long_as(with_changes(make_config(base), changes or {}), config, planned)
        config = make_config(config.model_dump() | {"save_dir": str(path)})
        folder = self._train_config(config, planned, self._planned_at)
        predicted = planned.plan.predicted.bits_per_byte if base is None else None
        return self.keep(folder, origin, changes or {}, predicted)

    def _next_folder(self) -> Path:
        return self.folder / f"model_{len(model_folders(self.folder)) + 1}"

    def _train_config(self, config: RunConfig, planned: CorpusPlan | None, began: float) -> Path:
        """Train `config`, whose minutes count from `began`; its folder."""
        path = Path(str(config.save_dir))
        starts = self.improvement.trainings | {str(path): self._elapsed()}
        self.improvement = msgspec.structs.replace(self.improvement, trainings=starts)
        self._save()
        try:
            trained: Model = train_planned(planned, config, "fast", self.console, began)
        except TrainingInterrupted:
            self._keep_interrupted(path)
            raise
        return trained.folder

    def _train_generations(self, base: TrainedModel) -> bool:
        """Train the recipe of `base` again, learning from the models before, while that gains.

        False where the time is too short for one: nothing is trained then.
        """
        earlier = [
            c for c in self.improvement.candidates
            if c.origin == "distilled" and has_tokenizer_of(c, base)
        ]  # fmt: skip
        is_trained = False
        first = measure_first_model(Path(base.run))
        while later := plan_later_models(first, 60 * self._minutes_left(), 1 + len(earlier)):
            is_trained = True
            teachers = [c.run for c in (base, *earlier)][-later[0].num_teachers :]
            config = generation_config(
                Path(base.run), teachers, len(model_folders(self.folder)), later[0].length,
                self._minutes_left(), self._next_folder(),
            )  # fmt: skip
            run = self._train_config(config, None, time.perf_counter())
            earlier.append(self.keep(run, "distilled", {}, None))
            if earlier[-1] is not self.improvement.best:
                break
        return is_trained

    def _keep_interrupted(self, run: Path) -> None:
        """Make a model of the checkpoint that the interrupted `run` left."""
        self.improvement = without_interrupted(self.improvement)
        model = self.judge.judge_interrupted(run, self.folder / "best_so_far")
        if model is not None:
            self._add(model)

    def _better_of_repaired(self, base: TrainedModel, planned: CorpusPlan) -> TrainedModel:
        """Return `base`, or the run that the user named with changes that help it, if that is
        better. It is trained here if it is short."""
        repaired = self._find("repaired") or self._repair_run(planned)
        return min(base, repaired or base, key=lambda c: c.bits_per_byte)

    def _find(self, origin: Origin) -> TrainedModel | None:
        return next((c for c in self.improvement.candidates if c.origin == origin), None)

    def _repair_run(self, planned: CorpusPlan) -> TrainedModel | None:
        given, seconds = self._find("your run"), REPAIR_FRACTION * 60 * self._minutes_left()
        if given is None or given.seconds > seconds or read_info(Path(given.run)).parent:
            return None  # none, a long one, or one that begins with the weights of another
        changes = self._search(given, planned, cause_moves, time.perf_counter() + 2 * seconds)
        if not changes:
            return None
        limits = {"minutes": self._minutes_left(), "save_dir": str(self._next_folder())}
        config = make_config(make_changed_config(Path(given.run), changes) | limits)
        try:
            run = self._train_config(config, None, time.perf_counter())
        except DivergedError:
            return None
        return self.keep(run, "repaired", changes, None)

    def _search(
        self, base: TrainedModel, planned: CorpusPlan, find_moves: FindMoves, ends: float
    ) -> dict[str, Any]:
        """Return the changes that gain in trials on the settings of `base`, until `ends`."""
        is_of_your_run = base.origin == "your run"

        def on_trial(trial: TreatmentTrial) -> None:
            trial = msgspec.structs.replace(trial, is_of_your_run=is_of_your_run)
            if trial.accepted:
                earlier_trials = [t for t in self.improvement.trials if t.changes != trial.changes]
                self.improvement = msgspec.structs.replace(self.improvement, trials=earlier_trials)
            self.improvement = add(self.improvement, trial=trial)
            self._save()
            self.on_trial(trial)

        context = load_run_context(Path(base.run))
        return search_changes(
            context, planned.plan.rates, lambda: find_moves(context, self._measure(context)),
            ends, on_trial,
        )  # fmt: skip

    def _measure(self, context: RunContext) -> Measurements:
        """Return what the run's own numbers say, with what they say of the text kept."""
        measurements = measure_run(context)
        self.judge.add_measurements(measurements)
        return measurements

    def _last_training(
        self, base: TrainedModel, changes: dict[str, Any], settings: ResolvedConfig
    ) -> str:
        """Train what the search came to, or another plan, in the time left; why it ended."""
        left = 60 * self._minutes_left() - ROUND_SECONDS
        if left < MIN_LENGTH * base.seconds:
            return describe_too_little_time(base.seconds, left)
        final = self._plan(settings)
        if final is None:
            return TIME_IS_UP
        if changes:
            self._train(final, "treated", changes, read_info(Path(base.run)).requested_config)
            return TIME_IS_UP
        other = find_another_plan(final, base)
        if other is None:
            return NOTHING_HELPS
        self._train(other, "another plan")
        return TIME_IS_UP

    def _end(self, why: str, planned: CorpusPlan | None) -> Improvement:
        known = self.improvement
        if planned is not None:
            known = measure_effects(known, planned.plan.rates, self.last_moment)
        improvement = msgspec.structs.replace(
            known, stopped=why, contributions=contributions(known), text_notes=self.judge.notes,
            expectations=[] if planned is None else expectations(known, planned),
        )  # fmt: skip
        self.improvement = improvement
        self._save()
        return self.improvement
