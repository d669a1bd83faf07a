"""A model as one ONNX file: token ids (batch, tokens) to logits (batch, tokens, vocabulary)."""

from __future__ import annotations

import copy
import importlib.util
import io
import logging
import warnings
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import torch

from descend.interop.export.exported_model import (
    ExportSource,
    example_ids,
    missing_export_extra,
)

OPSET = 18
"""The operator set of torch's exporter; onnxruntime reads it since 1.14 (2023)."""

INPUT, OUTPUT = "input_ids", "logits"


def write_onnx(source: ExportSource, path: Path) -> None:
    """Write the model to `path` in float32; both sizes of the input may vary.

    Raises `MissingDependencyError` without the packages `onnx` and `onnxscript`.
    """
    for package in ("onnx", "onnxscript"):
        if importlib.util.find_spec(package) is None:
            raise missing_export_extra(package)
    model = copy.deepcopy(source.model).float().cpu().eval().requires_grad_(False)
    quiet = io.StringIO()
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    try:
        logger.setLevel(logging.ERROR)
        with warnings.catch_warnings(), redirect_stdout(quiet), redirect_stderr(quiet):
            warnings.simplefilter("ignore")
            torch.onnx.export(
                model, (example_ids(model),), path, input_names=[INPUT], output_names=[OUTPUT],
                opset_version=OPSET, dynamo=True, dynamic_shapes=[{0: "batch", 1: "tokens"}],
                external_data=False, verbose=False,
            )  # fmt: skip
    finally:
        logger.setLevel(level)
