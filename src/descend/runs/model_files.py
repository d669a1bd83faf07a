"""The model within a run folder: written so that `transformers` loads it, read back with care.

Each file is replaced in one step, the manifest with their SHA-256 last. It is taken away first:
a crash between two files leaves a folder whose files are each whole and that loads, unverified.
The other files of the folder are not touched. Imports torch only where weights are handled.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from descend.data.model_tokenizer import load_model_tokenizer
from descend.data.readers.chats import CHAT_TEMPLATE
from descend.data.tokenizer import Tokenizer
from descend.data.tokenizer_check import MAX_BYTES as TOKENIZER_BYTES
from descend.errors import RunFolderError, TokenizerError
from descend.guard import decode_json, read_regular
from descend.machine import resolve_device
from descend.runs.atomic_write import MANIFEST_FILE, disk_error, write_file_atomic
from descend.runs.folder_errors import unread_file_error
from descend.runs.model_card import model_card
from descend.runs.run_files import (
    MODEL_FILES,
    TOKENIZER,
    WEIGHTS,
    RunMetadata,
    RunSummary,
    weights_path,
)
from descend.runs.run_folder import check_model_folder
from descend.runs.weight_files import read_shards

if TYPE_CHECKING:
    import torch

    from descend.model.shape import ModelShape
    from descend.model.transformer import Transformer


CONFIG_BYTES = 2**20
"""Largest config.json: 1 MiB; descend writes under 2 kB."""


@dataclass(frozen=True)
class LoadedModel:
    """A network in evaluation mode and the tokenizer it was trained with."""

    model: Transformer
    tokenizer: Tokenizer


def save_model(
    folder: Path,
    model: Transformer,
    tokenizer: Tokenizer,
    info: RunMetadata | None = None,
    summary: RunSummary | None = None,
) -> None:
    """Write the model into `folder`; `DiskWriteError` if the disk refuses.

    `info` and `summary` go into the model card.
    """
    files = render_model_files(model, tokenizer, info, summary)
    manifest = folder / MANIFEST_FILE
    try:
        manifest.unlink(missing_ok=True)  # durable with the first file below
    except OSError as problem:
        raise disk_error(manifest, problem) from None
    for name, content in files.items():
        write_file_atomic(folder / name, content)
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    write_file_atomic(manifest, _pretty(hashes))


def render_model_files(
    model: Transformer,
    tokenizer: Tokenizer,
    info: RunMetadata | None = None,
    summary: RunSummary | None = None,
) -> dict[str, bytes]:
    """Return the name and content of each file that `transformers` reads, and of the model card."""
    from descend.model.huggingface import (
        generation_config,
        to_huggingface,
        tokenizer_config,
        weights_to_bytes,
    )

    shape, end_id = model.shape, tokenizer.eos_token_id
    template = CHAT_TEMPLATE if tokenizer.knows_roles else None
    _check_vocabulary("model", shape.vocab_size, tokenizer)
    config, state = to_huggingface(model, end_id)
    parameters = sum(p.numel() for p in model.parameters())
    return {
        "config.json": _pretty(config),
        "generation_config.json": _pretty(generation_config(tokenizer)),
        "tokenizer_config.json": _pretty(tokenizer_config(tokenizer, shape.max_seq_len, template)),
        TOKENIZER: tokenizer.to_bytes(),
        "README.md": model_card(shape, parameters, info, summary).encode(),
        WEIGHTS: weights_to_bytes(state),
    }


def load_model(folder: Path, device: str = "cpu") -> LoadedModel:
    """Return the model in `folder`, on `device` (as in the configuration), in float32.

    `ConfigError` for a device that is not here, `RunFolderError` for a file that is missing,
    damaged or does not fit, `TokenizerError` for a tokenizer that is damaged or of another
    vocabulary.
    """
    check_model_folder(folder)
    hashes = _manifest(folder)
    content = _read(folder / "config.json", hashes.get("config.json"), CONFIG_BYTES)
    with _add_folder_to_errors(folder):
        config = _json_object("config.json", content)
    state = _read_weights(folder, hashes, _max_weight_bytes(folder, config))
    _read(folder / TOKENIZER, hashes.get(TOKENIZER), TOKENIZER_BYTES)
    tokenizer = load_model_tokenizer(folder, config)
    from descend.model.huggingface import from_huggingface

    with _add_folder_to_errors(folder):
        model = from_huggingface(config, state)
    _check_vocabulary(str(folder), model.shape.vocab_size, tokenizer)
    return LoadedModel(model.to(resolve_device(device)), tokenizer)


def read_model_shape(folder: Path) -> ModelShape:
    """Return the shape that config.json of `folder` gives; `RunFolderError` for no network of
    ours."""
    from descend.model.huggingface import shape_from_config

    check_model_folder(folder)
    content = _read(folder / "config.json", None, CONFIG_BYTES)
    with _add_folder_to_errors(folder):
        return shape_from_config(_json_object("config.json", content))


def _read_weights(
    folder: Path, hashes: Mapping[str, str], max_bytes: int
) -> dict[str, torch.Tensor]:
    """Return all weights in `folder` by the names of `transformers`, of one file or of shards."""
    from descend.model.huggingface import weights_from_bytes

    is_sharded = weights_path(folder).name != WEIGHTS
    content = b"" if is_sharded else _read(folder / WEIGHTS, hashes.get(WEIGHTS), max_bytes)
    with _add_folder_to_errors(folder):
        return read_shards(folder, max_bytes) if is_sharded else weights_from_bytes(content)


def _max_weight_bytes(folder: Path, config: Mapping[str, Any]) -> int:
    """Return most bytes that the weights of `config` can take: each number eight, and a header."""
    from descend.model.cost import parameter_count
    from descend.model.header import MAX_HEADER
    from descend.model.huggingface import shape_from_config

    with _add_folder_to_errors(folder):
        shape = shape_from_config(config)
    if shape.architecture == "llama":
        return 8 * (parameter_count(shape) + shape.vocab_size * shape.embed_dim) + MAX_HEADER + 8
    width = shape.embed_dim
    block = 4 * width * width + 3 * width * shape.ff_dim + 16 * (width + shape.ff_dim)
    outer = (2 * shape.vocab_size + shape.max_seq_len + 4) * width
    return 8 * (outer + shape.num_layers * block) + MAX_HEADER + 8


def _manifest(folder: Path) -> dict[str, str]:
    """SHA-256 of each file by name; empty where there is no manifest (a model from elsewhere)."""
    path = folder / MANIFEST_FILE
    if not os.path.lexists(path):
        return {}
    try:
        hashes = decode_json(read_regular(path), dict[str, str])
        if lacking := sorted(MODEL_FILES.keys() - hashes.keys()):
            raise msgspec.DecodeError(f"it does not name {lacking[0]}")
        return hashes
    except (OSError, msgspec.DecodeError) as problem:
        raise unread_file_error(
            str(path), problem, "the SHA-256 of each file of the model",
            "restore it from a copy, or remove it to load the model unverified",
        ) from None  # fmt: skip


def _read(path: Path, expected: str | None, max_bytes: int) -> bytes:
    try:
        content = read_regular(path, max_bytes)
    except OSError as problem:
        raise RunFolderError(
            str(path), f"a file that cannot be read ({problem.strerror or problem})",
            MODEL_FILES[path.name], "check its permissions or restore it from a copy",
        ) from None  # fmt: skip
    if expected is not None and hashlib.sha256(content).hexdigest() != expected:
        raise RunFolderError(
            str(path), "a damaged file (its SHA-256 is not the one in manifest.json)",
            MODEL_FILES[path.name],
            "restore it from a copy or train again; if you changed it on purpose, remove "
            "manifest.json",
        ) from None  # fmt: skip
    return content


def _json_object(name: str, content: bytes) -> dict[str, Any]:
    try:
        return decode_json(content, dict[str, Any])
    except msgspec.DecodeError as problem:
        raise RunFolderError(
            name, f"a damaged file ({problem})", MODEL_FILES[name],
            "restore it from a copy or train again",
        ) from None  # fmt: skip


@contextmanager
def _add_folder_to_errors(folder: Path) -> Iterator[None]:
    """Errors that name a file of the model name its folder too."""
    try:
        yield
    except RunFolderError as e:
        raise RunFolderError(str(folder / e.location), e.actual, e.expected, e.fix) from None


def _check_vocabulary(where: str, vocab_size: int, tokenizer: Tokenizer) -> None:
    if tokenizer.vocab_size != vocab_size:
        raise TokenizerError(
            where, f"a tokenizer of {tokenizer.vocab_size} tokens",
            f"the {vocab_size} tokens of the model",
            "use the tokenizer.json that was saved with the model",
        )  # fmt: skip


def _pretty(values: Mapping[str, Any]) -> bytes:
    return (json.dumps(values, indent=2) + "\n").encode()
