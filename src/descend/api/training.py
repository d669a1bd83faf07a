"""What a person does with one model: `run`, `run_on_model`, `load`, `resume`, `diagnose`."""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from rich.console import Console

from descend.api.call_options import Config, default_console, resolve_call_config, select_console
from descend.artifacts import PLAN, RUN_FILE
from descend.config import RunConfig
from descend.config_sources import ResolvedConfig, explicit_keys
from descend.data.corpus_stats import CorpusStats, compute_corpus_stats
from descend.data.corpus_warnings import log_warnings
from descend.data.prepare import prepare_documents
from descend.data.token_store import encode_corpus
from descend.data.tokenizer import Tokenizer
from descend.diagnosis.diagnosis_result import DEFAULT_BUDGET, Diagnosis
from descend.diagnosis.run_diagnosis import diagnose_run, save_diagnosis
from descend.diagnosis.trial_reports import TrialReport, TrialReporter
from descend.errors import RunFolderError, shorten
from descend.interop.trackers.track_run import check_trackers, track_run
from descend.launch_environment import is_follower
from descend.metrics.evaluation import Evaluation, evaluate
from descend.model.generation import Completion, TextChunk, collect_completions, generate_text
from descend.model.sampling import make_sampling_options
from descend.model.transformer import Transformer
from descend.planner.make_plan import CorpusPlan, make_corpus_plan, plan_config
from descend.planner.plan import TextTooShortError
from descend.progress import ProgressCallback, ignore_progress
from descend.report.notebook.cards import minimal_model_card, notebook_model_card
from descend.report.run_progress import show_progress
from descend.report.text.live_progress import (
    show_line,
    show_prepared,
    show_run_header,
    stage_progress,
)
from descend.report.text.metrics_line import with_metrics_lines
from descend.report.text.plan_summary import (
    compare_with_prediction,
    time_plan_lines,
    time_used_line,
)
from descend.report.text.run_summary import summarize_run, trained_on_warning
from descend.runs.atomic_write import write_file_atomic
from descend.runs.event_log import read_events
from descend.runs.events import Event
from descend.runs.model_files import load_model
from descend.runs.run_files import RunMetadata, RunSummary, has_summary, is_run_folder, read_info
from descend.runs.run_folder import check_model_folder, create_run_folder, read_summary
from descend.training.assembly import tokenize_corpus
from descend.training.continuation import continuation_config
from descend.training.follower import follow_run
from descend.training.foreign_model import read_parent_info
from descend.training.num_processes import find_lost_run
from descend.training.process_settings import limit_threads_to_idle_cores
from descend.training.trainer import run_training
from descend.training.training_run import (
    TrainingRun,
    create_run,
    resume_run,
)

if TYPE_CHECKING:
    from os import PathLike


class Model:
    """A trained model with the folder it lives in.

    `summary` and `records` tell how its training went; they raise `RunFolderError` for a model
    that descend did not train.
    """

    def __init__(self, folder: Path, network: Transformer, tokenizer: Tokenizer) -> None:
        self.folder, self.network, self.tokenizer = folder, network, tokenizer

    def predict(self, prompt: str, max_length: int = 50, **sampling_options: Any) -> str:
        """`prompt` and what the model writes after it, at most `max_length` tokens more.

        `settings`: temperature, top_k, top_p, min_p, repetition_penalty, no_repeat_ngram_size,
        greedy, seed, stop; see `SamplingOptions`.
        """
        return prompt + self.complete([prompt], max_length, **sampling_options)[0].text

    def complete(
        self, prompts: list[str], max_length: int = 50, *, seed: int | None = None,
        stop: Sequence[str] = (), **sampling_options: Any,
    ) -> list[Completion]:  # fmt: skip
        """Continuations of several prompts at once, with their token ids."""
        with limit_threads_to_idle_cores():
            return collect_completions(
                self._stream_chunks(prompts, max_length, seed, stop, sampling_options), len(prompts)
            )

    def stream(
        self, prompt: str, max_length: int = 50, *, seed: int | None = None,
        stop: Sequence[str] = (), **sampling_options: Any,
    ) -> Iterator[str]:  # fmt: skip
        """The continuation of `prompt`, piece by piece as it is written."""
        chunks = self._stream_chunks([prompt], max_length, seed, stop, sampling_options)

        def written() -> Iterator[str]:
            with limit_threads_to_idle_cores():
                yield from (chunk.text for chunk in chunks)

        return written()

    def _stream_chunks(
        self, prompts: list[str], max_length: int, seed: int | None, stop: Sequence[str],
        sampling_options: dict[str, Any],
    ) -> Iterator[TextChunk]:  # fmt: skip
        return generate_text(
            self.network, self.tokenizer, prompts, make_sampling_options(sampling_options),
            max_new_tokens=max_length, stop_strings=stop, context=self.trained_context,
            seed=secrets.randbits(32) if seed is None else seed,
        )  # fmt: skip

    @property
    def trained_context(self) -> int:
        """Tokens of context that the model was trained with: it never saw later positions."""
        max_length = self.network.shape.max_seq_len
        length = self._run_setting("seq_len", max_length)
        if not isinstance(length, int) or not 1 <= length <= max_length:
            raise RunFolderError(
                str(self.folder / RUN_FILE), f"a seq_len of {shorten(str(length), 40)}",
                f"a whole number from 1 to {max_length}", "restore it from a copy or train again",
            )  # fmt: skip
        return length

    def _run_setting(self, key: str, otherwise: Any) -> Any:
        """What its run used for `key`; `otherwise` for a model that descend did not train."""
        if not is_run_folder(self.folder):
            return otherwise
        return self.info.resolved_config.get(key, otherwise)

    def evaluate(self, corpus_dir: str | PathLike[str] | None) -> Evaluation:
        """How well the model predicts all of a text; see `Evaluation`.

        Warns where it is the text that the model was trained on.
        """
        text = prepare_documents(RunConfig(
            corpus_dir=None if corpus_dir is None else str(corpus_dir),
            normalize=self._run_setting("normalize", "none"),
        ), anew=True)  # fmt: skip
        if (
            is_run_folder(self.folder)
            and self.info.corpus.get("corpus_sha256") == text.documents.sha256
        ):
            log_warnings([trained_on_warning(self.info.corpus)])
        ids, _ = encode_corpus(text, self.tokenizer)
        with limit_threads_to_idle_cores():
            evaluation = evaluate(
                self.network, ids, self.tokenizer.byte_lengths, self.trained_context
            )
        if not math.isfinite(evaluation.loss):
            raise RunFolderError(
                str(self.folder), f"weights that give a loss of {evaluation.loss}", "a finite loss",
                "restore the model from a copy or train again",
            )  # fmt: skip
        return evaluation

    @cached_property
    def info(self) -> RunMetadata:
        """What was requested and what followed from it."""
        return read_info(self.folder)

    @property
    def summary(self) -> RunSummary:
        """The result: epochs, best epoch, validation loss, what it had to beat."""
        return read_summary(self.folder)

    @property
    def records(self) -> list[Event]:
        """Everything that was written down while training, in order."""
        return read_events(self.folder)

    @property
    def train_bytes(self) -> int:
        """UTF-8 bytes of the text it was trained on."""
        return int(self.info.corpus["train_bytes"])

    def summarize(self) -> str:
        """How the training went, in a paragraph of plain words."""
        return summarize_run(self.summary)

    def _repr_html_(self) -> str:
        """What a notebook shows: how the training went, its curve and its epochs."""
        if not has_summary(self.folder):
            return minimal_model_card(repr(self))
        return notebook_model_card(repr(self), self.summary)

    def __repr__(self) -> str:
        shape = self.network.shape
        return (
            f"Model({str(self.folder)!r}: {shape.architecture}, {shape.num_layers} layers of "
            f"{shape.embed_dim}, vocabulary {shape.vocab_size})"
        )


def run(config: Config = None, /, **keys: Any) -> Model:
    """Train a model: `run()`, `run({"epoch": 20})`, `run(epoch=20)`, `run(RunConfig(...))`.

    `preset` may be given among the keys. Progress goes to standard error; raises `ConfigError`,
    `CorpusError` and the other errors of `descend.errors`.
    """
    began = time.perf_counter()
    return train_with_config(resolve_call_config(config, keys), default_console(), began=began)


def run_on_model(path: str | PathLike[str], config: Config = None, /, **keys: Any) -> Model:
    """Train the model in folder `path` further, into a new folder; its shape cannot change."""
    return continue_run(Path(path), explicit_keys(config) | keys, default_console())


def load(path: str | PathLike[str], device: str = "cpu") -> Model:
    """The model in folder `path`; `RunFolderError` names what is missing or damaged."""
    folder = Path(path)
    loaded = load_model(folder, device)
    return Model(folder, loaded.model, loaded.tokenizer)


def measure_corpus(config: RunConfig) -> CorpusStats:
    """The corpus of `config` in numbers."""
    return compute_corpus_stats(tokenize_corpus(config, begin=True))


def train_with_config(
    resolved: ResolvedConfig, console: Console | None = None, *, watch: bool = False,
    began: float | None = None, track: Sequence[str] = (),
) -> Model:  # fmt: skip
    """Train as `resolved` says, drawing on `console`; `watch`: the diagnostic metrics too.

    With `minutes` what is not set is planned for them; they count from `began` (by
    `time.perf_counter`), or from now. `track`: names of `TRACKERS` that the metrics go to.
    """
    check_trackers(track)
    if is_follower():
        return load(follow_run())
    console = select_console(console, resolved.config)
    if lost_run := find_lost_run(resolved.config.save_dir):
        return resume(lost_run, console)
    if resolved.config.minutes is not None:
        return _train_within(resolved, console, began or time.perf_counter(), watch, track)
    folder = create_run_folder(resolved.config.save_dir)
    progress = stage_progress(console) if console else ignore_progress
    training_run = create_run(
        resolved.config, folder, preset=resolved.preset, progress=progress,
        on_prepared=show_prepared(console) if console else None,
    )  # fmt: skip
    return _run_and_load(training_run, console, watch=watch, has_prepared_lines=True, track=track)


def _train_within(
    settings: ResolvedConfig, console: Console | None, began: float, watch: bool,
    track: Sequence[str],
) -> Model:  # fmt: skip
    """Plan what `settings` leave open for their minutes, and train it."""
    config = settings.config
    assert config.minutes is not None
    create_run_folder(config.save_dir)  # what cannot be written is refused before the plan is made
    try:
        if console:
            show_line(console)("planning …")
        planned = make_corpus_plan(
            config.corpus_dir, config.minutes, settings=settings, began=began
        )
    except TextTooShortError:
        if console:
            show_line(console)("the text is too short to plan for: this is the default recipe")
        return train_planned(
            None, config, settings.preset, console, began, watch=watch, track=track
        )
    if console:
        for line in time_plan_lines(planned):
            show_line(console)(line)
    chosen = plan_config(planned)
    return train_planned(planned, chosen, settings.preset, console, began, watch=watch, track=track)


def train_planned(
    planned: CorpusPlan | None, config: RunConfig, preset: str, console: Console | None,
    began: float | None, *, watch: bool = False, track: Sequence[str] = (),
) -> Model:  # fmt: skip
    """Train `config`, which was `planned`; its minutes count from `began`."""
    folder = create_run_folder(config.save_dir)
    progress = stage_progress(console) if console else ignore_progress
    ends = None if began is None or config.minutes is None else began + 60 * config.minutes
    job = create_run(
        config, folder, preset=preset, progress=progress, ends=ends,
        on_prepared=show_prepared(console) if console else None,
    )  # fmt: skip
    model = _run_and_load(job, console, watch=watch, has_prepared_lines=True, track=track)
    if planned is not None:
        write_file_atomic(
            folder / PLAN, msgspec.json.format(msgspec.json.encode(planned.as_json()))
        )
    if console and began is not None:
        plan = None if planned is None else planned.plan
        line = time_used_line(plan, time.perf_counter() - began, config.minutes)
        if planned is not None:
            line += f"; {compare_with_prediction(planned.plan, model.summary)}"
        show_line(console)(line)
    return model


def continue_run(
    parent: Path, changes: dict[str, Any], console: Console | None = None,
    file: Path | None = None, *, track: Sequence[str] = (),
) -> Model:  # fmt: skip
    """Train the model in `parent` further with `changes`, and those in `file`, to its settings."""
    check_trackers(track)
    if is_follower():
        return load(follow_run())
    check_model_folder(parent)
    config = continuation_config(parent, changes, file)
    console = select_console(console, config)
    if lost_run := find_lost_run(config.save_dir):
        return resume(lost_run, console)
    folder = create_run_folder(config.save_dir)
    progress = stage_progress(console) if console else ignore_progress
    preset = read_parent_info(parent).preset
    run = create_run(
        config, folder, preset=preset, parent=parent, progress=progress,
        on_prepared=show_prepared(console) if console else None,
    )  # fmt: skip
    return _run_and_load(run, console, has_prepared_lines=True, track=track)


def resume(
    path: str | PathLike[str], console: Console | None = None, *, ends: float | None = None,
    num_processes: int | None = None,
    track: Sequence[str] = (),
) -> Model:  # fmt: skip
    """Take the interrupted run in folder `path` up where it stopped.

    `ends`: when a run with `minutes` has to be saved, by `time.perf_counter`, if sooner than those.
    `num_processes`: None, those of torchrun or as many as before.
    """
    check_trackers(track)
    if is_follower():
        return load(follow_run())
    progress = stage_progress(console) if console else ignore_progress
    run = resume_run(Path(path), progress, ends, num_processes)
    return _run_and_load(run, console, track=track)


def diagnose(
    path: str | PathLike[str],
    *,
    budget: float = DEFAULT_BUDGET,
    min_seconds: float | None = None,
    proof: bool = True,
    on_trial: Callable[[TrialReport], None] | None = None,
    console: Console | None = None,
) -> Diagnosis:
    """Why the run in folder `path` does not learn better, proved by trial; kept in its folder.

    Trials take at most `budget` of the run's own time, but always `min_seconds`. Without it the
    diagnosis may take one to three minutes in all: one for a run under 15 seconds. `on_trial` is
    called with each treatment whose trial ended, and its effect so far.
    """
    progress: ProgressCallback = stage_progress(console) if console else ignore_progress
    if on_trial is not None:
        progress = TrialReporter(progress, on_trial)
    diagnosis = diagnose_run(
        Path(path), budget=budget, min_seconds=min_seconds, proof=proof, on_progress=progress
    )
    return save_diagnosis(diagnosis)


def _run_and_load(
    training_run: TrainingRun, console: Console | None, *, watch: bool = False,
    has_prepared_lines: bool = False, track: Sequence[str] = (),
) -> Model:  # fmt: skip
    if console:
        show_run_header(training_run, console, has_prepared_lines=has_prepared_lines)
    records = run_training(training_run)
    if console and watch:
        steps = training_run.plan.batches.steps(1)
        records = with_metrics_lines(
            records,
            steps,
            training_run.shape.vocab_size,
            show_line(console),
            training_run.plan.config.optimizer,
        )
    with track_run(training_run.folder, track):
        for _ in show_progress(records, training_run, console) if console else records:
            pass
    training_run.state.model.eval()
    return Model(training_run.folder, training_run.state.model, training_run.store.tokenizer)
