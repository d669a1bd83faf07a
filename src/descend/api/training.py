"""What a person does with one model: `run`, `run_on_model`, `load`, `resume`, `diagnose`."""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from rich.console import Console

from descend.api.asked import Config, console_of_calls, settings_of, unless_quiet
from descend.config import RunConfig
from descend.doctor.consult import consult, keep
from descend.doctor.diagnosis import BUDGET, Diagnosis
from descend.errors import RunFolderError
from descend.lab.plan import TextTooShortError
from descend.lab.planning import Planned, config_of, plan_for
from descend.model.generate import Completion, Piece, complete, generate_text
from descend.model.sampling import make_settings
from descend.model.transformer import Transformer
from descend.outputs import PLAN
from descend.report.cards import model_card, plain_card
from descend.report.doctors_view import watched
from descend.report.live import show, show_before, show_line, show_stages
from descend.report.plans import beside, time_plan_lines
from descend.report.words import paragraph, trained_on
from descend.runs.durable import write_file
from descend.runs.folder import (
    RunInfo,
    Summary,
    check_model_folder,
    has_summary,
    is_run,
    new_folder,
    read_events,
    read_info,
    read_summary,
)
from descend.runs.model_files import load_model
from descend.runs.records import Record
from descend.settings import Settings, given_keys
from descend.signals.evaluate import Evaluation, evaluate
from descend.text.notes import warn_all
from descend.text.stats import CorpusStats, corpus_stats
from descend.text.store import encode_all, no_progress, prepare_text, prepare_tokens
from descend.text.tokenizer import Tokenizer
from descend.training.job import Job, continued_config, new_job, resumed_job, tokenizer_for
from descend.training.process import beside_others
from descend.training.work import work
from descend.units import duration

if TYPE_CHECKING:
    from os import PathLike
    from types import ModuleType

    from descend.doctor.preflight.check_result import Checked


class Model:
    """A trained model with the folder it lives in.

    `summary` and `records` tell how its training went; they raise `RunFolderError` for a model
    that descend did not train.
    """

    def __init__(self, folder: Path, network: Transformer, tokenizer: Tokenizer) -> None:
        self.folder, self.network, self.tokenizer = folder, network, tokenizer

    def predict(self, prompt: str, max_length: int = 50, **settings: Any) -> str:
        """`prompt` and what the model writes after it, at most `max_length` tokens more.

        `settings`: temperature, top_k, top_p, min_p, repetition_penalty, no_repeat_ngram_size,
        greedy, seed, stop; see `SamplingSettings`.
        """
        return prompt + self.complete([prompt], max_length, **settings)[0].text

    def complete(
        self, prompts: list[str], max_length: int = 50, *, seed: int | None = None,
        stop: Sequence[str] = (), **settings: Any,
    ) -> list[Completion]:  # fmt: skip
        """Continuations of several prompts at once, with their token ids."""
        with beside_others():
            return complete(self._pieces(prompts, max_length, seed, stop, settings), len(prompts))

    def stream(
        self, prompt: str, max_length: int = 50, *, seed: int | None = None,
        stop: Sequence[str] = (), **settings: Any,
    ) -> Iterator[str]:  # fmt: skip
        """The continuation of `prompt`, piece by piece as it is written."""
        pieces = self._pieces([prompt], max_length, seed, stop, settings)

        def written() -> Iterator[str]:
            with beside_others():
                yield from (piece.text for piece in pieces)

        return written()

    def _pieces(
        self, prompts: list[str], max_length: int, seed: int | None, stop: Sequence[str],
        settings: dict[str, Any],
    ) -> Iterator[Piece]:  # fmt: skip
        return generate_text(
            self.network, self.tokenizer, prompts, make_settings(settings),
            max_new_tokens=max_length, stop_strings=stop, context=self.trained_context,
            seed=secrets.randbits(32) if seed is None else seed,
        )  # fmt: skip

    @property
    def trained_context(self) -> int:
        """Tokens of context that the model was trained with: it never saw later positions."""
        return int(self._used("seq_len", self.network.shape.max_seq_len))

    def _used(self, key: str, otherwise: Any) -> Any:
        """What its run used for `key`; `otherwise` for a model that descend did not train."""
        return self.info.resolved[key] if is_run(self.folder) else otherwise

    def evaluate(self, corpus_dir: str | PathLike[str] | None) -> Evaluation:
        """How well the model predicts all of a text; see `Evaluation`.

        Warns where it is the text that the model was trained on.
        """
        text = prepare_text(RunConfig(
            corpus_dir=None if corpus_dir is None else str(corpus_dir),
            normalize=self._used("normalize", "none"),
        ), anew=True)  # fmt: skip
        if is_run(self.folder) and self.info.corpus["corpus_sha256"] == text.spool.sha256:
            warn_all([trained_on(self.info.corpus)])
        ids, _ = encode_all(text, self.tokenizer)
        with beside_others():
            judged = evaluate(self.network, ids, self.tokenizer.byte_lengths, self.trained_context)
        if not math.isfinite(judged.loss):
            raise RunFolderError(
                str(self.folder), f"weights that give a loss of {judged.loss}", "a finite loss",
                "restore the model from a copy or train again",
            )  # fmt: skip
        return judged

    @cached_property
    def info(self) -> RunInfo:
        """What was asked for and what followed from it."""
        return read_info(self.folder)

    @property
    def summary(self) -> Summary:
        """The outcome: epochs, best epoch, validation loss, what it had to beat."""
        return read_summary(self.folder)

    @property
    def records(self) -> list[Record]:
        """Everything that was written down while training, in order."""
        return read_events(self.folder)

    @property
    def train_bytes(self) -> int:
        """UTF-8 bytes of the text it was trained on."""
        return int(self.info.corpus["train_bytes"])

    def explain(self) -> str:
        """How the training went, in a paragraph of plain words."""
        return paragraph(self.summary)

    def _repr_html_(self) -> str:
        """What a notebook shows: how the training went, its curve and its epochs."""
        if not has_summary(self.folder):
            return plain_card(repr(self))
        return model_card(repr(self), self.summary)

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
    return train_settings(settings_of(config, keys), console_of_calls(), began=began)


def run_on_model(path: str | PathLike[str], config: Config = None, /, **keys: Any) -> Model:
    """Train the model in folder `path` further, into a new folder; its shape cannot change."""
    return train_further(Path(path), given_keys(config) | keys, console_of_calls())


def load(path: str | PathLike[str], device: str = "cpu") -> Model:
    """The model in folder `path`; `RunFolderError` names what is missing or damaged."""
    folder = Path(path)
    loaded = load_model(folder, device)
    return Model(folder, loaded.model, loaded.tokenizer)


def measure_corpus(config: RunConfig) -> CorpusStats:
    """The corpus of `config` in numbers."""
    text = prepare_text(config, anew=True)
    tokenizer = tokenizer_for(config, text)
    return corpus_stats(text, prepare_tokens(text, tokenizer))


def check(program: str | ModuleType | Mapping[str, Any]) -> Checked:
    """Look for bugs in a PyTorch training program: a module, its names, or where to import it.

    The conventions are those of docs/check.md. What is given as a module or a mapping is left as
    it was found. Raises `ProgramError` (a `UserError`) without a model or when an import fails.
    """
    from descend.doctor.preflight.check import check_file, check_namespace

    with beside_others():
        return check_file(program) if isinstance(program, str) else check_namespace(program)


def train_settings(
    settings: Settings, console: Console | None = None, *, watch: bool = False,
    began: float | None = None,
) -> Model:  # fmt: skip
    """Train what `settings` ask for, drawing on `console`; `watch`: the doctor's signals too.

    With `minutes` what is not set is planned for them; they count from `began` (by
    `time.perf_counter`), or from now.
    """
    console = unless_quiet(console, settings.config)
    if settings.config.minutes is not None:
        return _train_within(settings, console, began or time.perf_counter(), watch)
    folder = new_folder(settings.config.save_dir)
    progress = show_stages(console) if console else no_progress
    job = new_job(settings.config, folder, preset=settings.preset, progress=progress)
    return _carry(job, console, watch=watch)


def _train_within(settings: Settings, console: Console | None, began: float, watch: bool) -> Model:
    """Plan what `settings` leave open for their minutes, and train it."""
    config = settings.config
    assert config.minutes is not None
    new_folder(config.save_dir)  # what cannot be written is refused before the plan is made
    try:
        if console:
            show_line(console)("planning …")
        planned = plan_for(config.corpus_dir, config.minutes, settings=settings, began=began)
    except TextTooShortError:
        if console:
            show_line(console)("the text is too short to plan for: this is the default recipe")
        return train_planned(None, config, settings.preset, console, began, watch=watch)
    if console:
        for line in time_plan_lines(planned):
            show_line(console)(line)
    chosen = config_of(planned)
    return train_planned(planned, chosen, settings.preset, console, began, watch=watch)


def train_planned(
    planned: Planned | None, config: RunConfig, preset: str, console: Console | None,
    began: float | None, *, watch: bool = False,
) -> Model:  # fmt: skip
    """Train `config`, which was `planned`; its minutes count from `began`."""
    folder = new_folder(config.save_dir)
    progress = show_stages(console) if console else no_progress
    ends = None if began is None or config.minutes is None else began + 60 * config.minutes
    job = new_job(config, folder, preset=preset, progress=progress, ends=ends)
    model = _carry(job, console, watch=watch)
    if planned is not None:
        write_file(folder / PLAN, msgspec.json.format(msgspec.json.encode(planned.as_json())))
    if console and planned is not None:
        show_line(console)(beside(planned.plan, model.summary))
    if console and began is not None:
        took = time.perf_counter() - began
        show_line(console)(f"{duration(took)} from the start to the saved model")
    return model


def train_further(
    parent: Path, changes: dict[str, Any], console: Console | None = None, file: Path | None = None
) -> Model:
    """Train the model in `parent` further with `changes`, and those in `file`, to its settings."""
    check_model_folder(parent)
    config = continued_config(parent, changes, file)
    folder = new_folder(config.save_dir)
    console = unless_quiet(console, config)
    progress = show_stages(console) if console else no_progress
    preset = read_info(parent).preset
    return _carry(new_job(config, folder, preset=preset, parent=parent, progress=progress), console)


def resume(path: str | PathLike[str], console: Console | None = None) -> Model:
    """Take the interrupted run in folder `path` up where it stopped."""
    progress = show_stages(console) if console else no_progress
    return _carry(resumed_job(Path(path), progress), console)


def diagnose(
    path: str | PathLike[str],
    *,
    budget: float = BUDGET,
    least_seconds: float | None = None,
    proof: bool = True,
    console: Console | None = None,
) -> Diagnosis:
    """Why the run in folder `path` does not learn better, proved by trial; kept in its folder.

    Trials take at most `budget` of the run's own time, but always `least_seconds`: without it
    one to three minutes, by the run's own time.
    """
    progress = show_stages(console) if console else no_progress
    found = consult(
        Path(path), budget=budget, least_seconds=least_seconds, proof=proof, told=progress
    )
    return keep(found)


def _carry(job: Job, console: Console | None, *, watch: bool = False) -> Model:
    if console:
        show_before(job, console)
    records = work(job)
    if console and watch:
        steps = job.course.batches.steps(1)
        records = watched(records, steps, job.shape.vocab_size, show_line(console))
    for _ in show(records, job, console) if console else records:
        pass
    job.state.model.eval()
    return Model(job.folder, job.state.model, job.store.tokenizer)
