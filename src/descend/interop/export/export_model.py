"""Exporting a model folder: what is asked for is checked, written aside, and put in its place."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import torch

from descend.errors import ConfigError
from descend.guard import name_writer
from descend.interop.export.export_cards import gguf_usage, onnx_usage, torchscript_usage
from descend.interop.export.exported_model import (
    ExportedFile,
    ExportedModel,
    ExportFormat,
    ExportSource,
    WeightType,
)
from descend.interop.export.gguf_file import max_gguf_context, write_gguf
from descend.interop.export.onnx_file import write_onnx
from descend.interop.export.torchscript_file import write_torchscript
from descend.runs.atomic_write import disk_error, make_folder, sync_folder, write_file_atomic
from descend.runs.model_card import CardUsage, model_card
from descend.runs.model_files import load_model, render_model_files
from descend.runs.run_files import WEIGHTS, has_summary, is_run_folder, read_info
from descend.runs.run_folder import read_summary

Result = TypeVar("Result")

TYPES: dict[ExportFormat, tuple[WeightType, ...]] = {
    "gguf": ("float16", "float32", "q8_0", "q4_0"),
    "onnx": ("float32",),
    "torchscript": ("float32",),
    "safetensors": ("float32", "float16", "bfloat16"),
}
"""The types of weights of each format, the default first."""

NETWORK_FILES: dict[
    ExportFormat,
    tuple[str, Callable[[ExportSource, Path], None], Callable[[ExportSource], CardUsage]],
] = {
    "onnx": ("model.onnx", write_onnx, onnx_usage),
    "torchscript": ("model.pt", write_torchscript, torchscript_usage),
}
"""The formats of one file without the tokenizer: its name, what writes it, and its card."""


def export_model(
    folder: Path,
    export_format: ExportFormat,
    weight_type: WeightType | None = None,
    output: Path | None = None,
) -> ExportedModel:
    """Write the model in `folder` as `export_format` into the folder `output`.

    Left out, `output` is a folder beside `folder`. Other files in it stay. Raises `ConfigError`
    for a type that the format has not, `MissingDependencyError` without the extra `export`,
    `RunFolderError`, `TokenizerError` for a tokenizer that the format cannot express, and
    `DiskWriteError`.
    """
    kind = _check_type(export_format, weight_type)
    source = _open_source(folder)
    base = folder.resolve()
    target = output or base.with_name(f"{base.name}-{export_format}")
    float16_tensors: list[str] = []
    if export_format == "gguf":
        source = replace(source, max_context=max_gguf_context(source.model.shape))
    if export_format == "safetensors":
        files = _write_safetensors(source, target, kind)
    elif export_format == "gguf":
        name = f"{source.name}-{kind}.gguf"
        float16_tensors = _write_aside(target / name, lambda path: write_gguf(source, path, kind))
        files = [name, *_write_card(source, target, gguf_usage(source, name))]
    else:
        name, write, usage = NETWORK_FILES[export_format]
        _write_aside(target / name, lambda path: write(source, path))
        files = [name, *_write_card(source, target, usage(source))]
        write_file_atomic(target / "tokenizer.json", source.tokenizer.to_bytes())
        files.append("tokenizer.json")
    sizes = [ExportedFile(str(target / f), (target / f).stat().st_size) for f in files]
    return ExportedModel(str(target), export_format, kind, sizes, source.context, float16_tensors)


def _check_type(export_format: ExportFormat, weight_type: WeightType | None) -> WeightType:
    if export_format not in TYPES:
        raise ConfigError("--to", export_format, " or ".join(TYPES), "choose one of them")
    types = TYPES[export_format]
    if weight_type is not None and weight_type not in types:
        raise ConfigError(
            "--type", weight_type, f"{' or '.join(types)} for {export_format}", "choose one of them"
        )
    return weight_type or types[0]


def _open_source(folder: Path) -> ExportSource:
    loaded = load_model(folder)
    info = read_info(folder) if is_run_folder(folder) else None
    summary = read_summary(folder) if has_summary(folder) else None
    return ExportSource(folder, loaded.model, loaded.tokenizer, info, summary)


def _write_aside(path: Path, write: Callable[[Path], Result]) -> Result:
    """Have `write` make a file beside `path`, sync it, and put it in the place of `path`."""
    aside = path.with_name(f".{path.name}.{name_writer()}.partial")
    try:
        make_folder(path.parent)
        result = write(aside)
        with open(aside, "rb+") as file:
            os.fsync(file.fileno())
        aside.replace(path)
        sync_folder(path.parent)
        return result
    except OSError as problem:
        raise disk_error(path, problem) from None
    finally:
        aside.unlink(missing_ok=True)


def _write_card(source: ExportSource, target: Path, usage: CardUsage) -> list[str]:
    parameters = sum(p.numel() for p in source.model.parameters())
    card = model_card(source.model.shape, parameters, source.info, source.summary, usage)
    write_file_atomic(target / "README.md", card.encode())
    return ["README.md"]


def _write_safetensors(source: ExportSource, target: Path, kind: WeightType) -> list[str]:
    """Return the files that `transformers` reads, without those of the run; the weights come
    last."""
    model = source.model.to(getattr(torch, kind))
    files = render_model_files(model, source.tokenizer, source.info, source.summary)
    for name in sorted(files, key=lambda name: name == WEIGHTS):
        write_file_atomic(target / name, files[name])
    return list(files)
