"""What an export reads and what it leaves behind."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec
import torch
from torch import Tensor

from descend.data.tokenizer import Tokenizer
from descend.errors import MissingDependencyError
from descend.model.transformer import Transformer
from descend.runs.run_files import RunMetadata, RunSummary

ExportFormat = Literal["gguf", "onnx", "torchscript", "safetensors"]
WeightType = Literal["float32", "float16", "bfloat16", "q8_0", "q4_0"]


@dataclass(frozen=True)
class ExportSource:
    """A model with what is known of its training."""

    folder: Path
    model: Transformer
    tokenizer: Tokenizer
    info: RunMetadata | None
    """None for a model that descend did not train."""
    summary: RunSummary | None
    max_context: int | None = None
    """Most tokens of context that the format can state; None: any number."""

    @property
    def name(self) -> str:
        """The name of the model, from its folder."""
        return self.folder.resolve().name

    @property
    def context(self) -> int:
        """Tokens of context that the model was trained with; at most `max_seq_len`."""
        limits = [self.model.shape.max_seq_len]
        if self.info is not None:
            limits.append(int(self.info.resolved_config["seq_len"]))
        if self.max_context is not None:
            limits.append(self.max_context)
        return min(limits)


class ExportedFile(msgspec.Struct, frozen=True):
    """One file of an export."""

    path: str
    size_bytes: int


class ExportedModel(msgspec.Struct, frozen=True):
    """What an export wrote."""

    folder: str
    format: ExportFormat
    type: WeightType
    """The type of the weights."""
    files: list[ExportedFile]
    context: int
    """Tokens of context that the exported model states."""
    float16_tensors: list[str]
    """Weight matrices stored as float16, because their rows do not divide into blocks of 32."""


def example_ids(model: Transformer) -> Tensor:
    """Return token ids (2, T) with which a trace of `model` takes the path of longer texts too.

    A size of 1 would be taken for a constant. A sliding window counts only beyond its length.
    """
    shape = model.shape
    num_tokens = max(4, max(shape.details.windows, default=0) + 2)
    return torch.zeros((2, min(num_tokens, shape.max_seq_len)), dtype=torch.long)


def missing_export_extra(package: str) -> MissingDependencyError:
    """Return the error for a `package` of the extra `export` that is not installed."""
    return MissingDependencyError(
        "export", f"no package `{package}`", "the packages of the extra `export`",
        "run `pip install 'descend[export]'`",
    )  # fmt: skip
