"""A model as one TorchScript file: token ids (batch, tokens) to logits (batch, tokens, vocabulary).

`torch.jit.load` of Python and of libtorch run it without descend.
"""

from __future__ import annotations

import copy
import warnings
from pathlib import Path

import torch

from descend.interop.export.exported_model import ExportSource, example_ids


def write_torchscript(source: ExportSource, path: Path) -> None:
    """Write the model to `path` in float32; both sizes of the input may vary."""
    model = copy.deepcopy(source.model).float().cpu().eval().requires_grad_(False)
    with warnings.catch_warnings():
        # torch calls TorchScript deprecated, and warns of the constants of the network.
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(model, (example_ids(model),), check_trace=False)  # type: ignore[no-untyped-call]
        torch.jit.save(traced, path)
