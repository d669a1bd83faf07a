"""The text that a run trained on, opened again."""

from __future__ import annotations

from pathlib import Path

from descend.data.builtin_corpora import BUILTIN_CORPORA
from descend.data.cache_dir import check_path
from descend.data.prepare import prepare_documents, prepare_tokens
from descend.data.token_store import TokenStore
from descend.data.tokenizer import load_tokenizer
from descend.errors import TextChangedError
from descend.progress import ProgressCallback, ignore_progress
from descend.runs.recorded_run import read_config
from descend.runs.run_files import TOKENIZER, RunMetadata
from descend.runs.suggestions import lacks_model
from descend.units import quoted


def open_run_text(
    folder: Path, info: RunMetadata, progress: ProgressCallback = ignore_progress
) -> TokenStore:
    """Open the text that the run in `folder` trained on, as tokens of its own tokenizer.

    Raises `TextChangedError` if the text is not what it was, and `CorpusError` if it cannot be
    read or the user has never named it.
    """
    config = read_config(folder, info)
    check_path(config.corpus_dir, folder, BUILTIN_CORPORA)
    text = prepare_documents(config, progress)
    if text.documents.sha256 != info.corpus["corpus_sha256"]:
        raise TextChangedError(
            str(config.corpus_dir or "corpus_dir"), "a text that changed since the run began",
            "the same text, to go on exactly where it stopped",
            "restore the text, or "
            + (
                f"train again with `descend train --from-run {quoted(folder)}`"
                if lacks_model(folder)
                else f"train the model further with `descend continue {quoted(folder)}`"
            ),
        )  # fmt: skip
    return prepare_tokens(text, load_tokenizer(folder / TOKENIZER), progress)
