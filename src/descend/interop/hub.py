"""Uploading a model to the Hugging Face hub, with the `huggingface_hub` package."""

from __future__ import annotations

from pathlib import Path

import msgspec

from descend.errors import DescendError, MissingDependencyError, RunFolderError
from descend.runs.run_files import MODEL_FILES, is_run_folder

RUN_PATTERNS = ("README.md", "generation_config.json", "tokenizer_config.json", *MODEL_FILES)
"""Of a run folder only these: events and samples quote the text of the user."""

EXPORT_PATTERNS = (*RUN_PATTERNS, "*.gguf", "*.onnx", "model.pt")


class HubError(DescendError):
    """The hub did not take the model."""


class PushedModel(msgspec.Struct, frozen=True):
    """`push --json`."""

    repository: str
    url: str
    """Of the commit."""
    files: list[str]
    private: bool


def push_model(folder: Path, repository: str, *, private: bool = True) -> PushedModel:
    """Upload the model in `folder`, a run or an export, to `repository` (`NAME/MODEL`).

    Makes the repository if there is none; one that is there keeps its visibility. The token is
    that of `hf auth login` or HF_TOKEN. Raises `MissingDependencyError`, `RunFolderError` for a
    folder without a model, and `HubError` with the words of the hub.
    """
    try:
        from huggingface_hub import HfApi
    except ImportError:
        raise MissingDependencyError(
            "push", "no package `huggingface_hub`", "the package of the extra `hub`",
            "run `pip install 'descend[hub]'`",
        ) from None  # fmt: skip
    files = model_files(folder)
    api = HfApi(library_name="descend")
    try:
        made = api.create_repo(repository, private=private, exist_ok=True)
        commit = api.upload_folder(
            repo_id=made.repo_id, folder_path=folder, allow_patterns=files,
            commit_message="Upload a model trained with descend",
        )  # fmt: skip
    except Exception as problem:  # the errors of its HTTP client have several bases
        raise _hub_error(repository, problem) from None
    return PushedModel(made.repo_id, str(commit.commit_url), files, private)


def model_files(folder: Path) -> list[str]:
    """Return the names of the files that are uploaded; `RunFolderError` if there is no model."""
    patterns = RUN_PATTERNS if is_run_folder(folder) else EXPORT_PATTERNS
    files = sorted({file.name for pattern in patterns for file in folder.glob(pattern)})
    if not any(name.endswith((".safetensors", ".gguf", ".onnx", ".pt")) for name in files):
        raise RunFolderError(
            str(folder), "no model", "a run folder or an exported model",
            "name a folder with model.safetensors, model.pt, a .gguf or an .onnx file",
        )  # fmt: skip
    return files


def _hub_error(repository: str, problem: Exception) -> HubError:
    reason = " ".join(str(problem).split())[:300] or type(problem).__name__
    # Of httpx or requests, by the version of the package.
    if {"ConnectionError", "TransportError"} & {kind.__name__ for kind in type(problem).__mro__}:
        return HubError(
            repository, f"no connection ({reason})", "a connection to the hub",
            "check the network and HF_ENDPOINT, and run the command again",
        )  # fmt: skip
    return HubError(
        repository, f"a hub that refuses ({reason})", "an upload that the hub takes",
        "log in with `hf auth login` or set HF_TOKEN, and check the name",
    )  # fmt: skip
