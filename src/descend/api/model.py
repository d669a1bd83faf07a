"""A trained model and its folder: generate text, evaluate, and read the records of its training."""

from __future__ import annotations

import math
import secrets
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from descend.artifacts import RUN_FILE
from descend.config import RunConfig
from descend.data.corpus_warnings import log_warnings
from descend.data.prepare import prepare_documents
from descend.data.token_store import encode_corpus
from descend.data.tokenizer import Tokenizer
from descend.errors import RunFolderError, shorten
from descend.metrics.evaluation import Evaluation, evaluate
from descend.model.generation import Completion, TextChunk, collect_completions, generate_text
from descend.model.sampling import make_sampling_options
from descend.model.transformer import Transformer
from descend.report.notebook.cards import notebook_model_card, result_card
from descend.report.text.run_summary import summarize_run, trained_on_warning
from descend.runs.event_log import read_events
from descend.runs.events import Event
from descend.runs.model_files import load_model
from descend.runs.run_files import RunMetadata, RunSummary, has_summary, is_run_folder, read_info
from descend.runs.run_folder import read_summary
from descend.training.process_settings import limit_threads_to_idle_cores

if TYPE_CHECKING:
    from os import PathLike


class Model:
    """A trained model and its folder.

    `summary` and `records` tell how its training went; they raise `RunFolderError` for a model
    that descend did not train.
    """

    def __init__(self, folder: Path, network: Transformer, tokenizer: Tokenizer) -> None:
        self.folder, self.network, self.tokenizer = folder, network, tokenizer

    def predict(self, prompt: str, max_length: int = 50, **sampling_options: Any) -> str:
        """Return `prompt` and what the model writes after it, at most `max_length` tokens more.

        `settings`: temperature, top_k, top_p, min_p, repetition_penalty, no_repeat_ngram_size,
        greedy, seed, stop; see `SamplingOptions`.
        """
        return prompt + self.complete([prompt], max_length, **sampling_options)[0].text

    def complete(
        self, prompts: list[str], max_length: int = 50, *, seed: int | None = None,
        stop: Sequence[str] = (), **sampling_options: Any,
    ) -> list[Completion]:  # fmt: skip
        """Continue several prompts at once; each continuation has its token ids."""
        with limit_threads_to_idle_cores():
            return collect_completions(
                self._stream_chunks(prompts, max_length, seed, stop, sampling_options), len(prompts)
            )

    def stream(
        self, prompt: str, max_length: int = 50, *, seed: int | None = None,
        stop: Sequence[str] = (), **sampling_options: Any,
    ) -> Iterator[str]:  # fmt: skip
        """Yield the continuation of `prompt`, piece by piece as it is generated."""
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
        """Context length of the training in tokens; the model never saw later positions."""
        max_length = self.network.shape.max_seq_len
        length = self._run_setting("seq_len", max_length)
        if not isinstance(length, int) or not 1 <= length <= max_length:
            raise RunFolderError(
                str(self.folder / RUN_FILE), f"a seq_len of {shorten(str(length), 40)}",
                f"a whole number from 1 to {max_length}", "restore it from a copy or train again",
            )  # fmt: skip
        return length

    def _run_setting(self, key: str, otherwise: Any) -> Any:
        """Return what its run used for `key`; `otherwise` for a model that descend did not
        train."""
        if not is_run_folder(self.folder):
            return otherwise
        return self.info.resolved_config.get(key, otherwise)

    def evaluate(self, corpus_dir: str | PathLike[str] | None) -> Evaluation:
        """Measure how well the model predicts all of a text; see `Evaluation`.

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
        unigram_accuracy = np.bincount(ids[1:]).max() / (len(ids) - 1)
        return msgspec.structs.replace(evaluation, unigram_accuracy=float(unigram_accuracy))

    @cached_property
    def info(self) -> RunMetadata:
        """What was requested and what followed from it."""
        return read_info(self.folder)

    @property
    def summary(self) -> RunSummary:
        """The result of its training: epochs, best epoch, validation loss, n-gram baselines."""
        return read_summary(self.folder)

    @property
    def records(self) -> list[Event]:
        """The recorded events of its training, in order."""
        return read_events(self.folder)

    @property
    def train_bytes(self) -> int:
        """UTF-8 bytes of the text it was trained on."""
        return int(self.info.corpus["train_bytes"])

    def summarize(self) -> str:
        """Describe how the training went, in a paragraph."""
        return summarize_run(self.summary)

    def _repr_html_(self) -> str:
        """Return what a notebook shows: how the training went, its curve and its epochs."""
        if not has_summary(self.folder):
            return result_card(repr(self), [])
        return notebook_model_card(repr(self), self.summary)

    def __repr__(self) -> str:
        shape = self.network.shape
        return (
            f"Model({str(self.folder)!r}: {shape.architecture}, {shape.num_layers} layers of "
            f"{shape.embed_dim}, vocabulary {shape.vocab_size})"
        )


def load(path: str | PathLike[str], device: str = "cpu") -> Model:
    """Load the model in folder `path`; `RunFolderError` names what is missing or damaged."""
    folder = Path(path)
    loaded = load_model(folder, device)
    return Model(folder, loaded.model, loaded.tokenizer)
