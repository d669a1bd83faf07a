"""What a run that goes on from a model of another program starts with."""

from __future__ import annotations

from pathlib import Path

from descend.config import RunConfig
from descend.runs.model_files import read_model_shape
from descend.runs.run_files import RunMetadata, is_run_folder, read_info
from descend.version import __version__

FINE_TUNING_RATE = 5e-5
"""Peak learning rate, that of `TrainingArguments` of transformers: higher ones forget."""


def read_parent_info(folder: Path) -> RunMetadata:
    """Return the record of the run in `folder`, or one that is made up from the model of another
    program.

    Such a model goes on with AdamW at `FINE_TUNING_RATE`, its own context of at most the default.
    Raises `RunFolderError` for a folder without a model that descend knows.
    """
    if is_run_folder(folder):
        return read_info(folder)
    shape = read_model_shape(folder)
    sizes = {
        "architecture": shape.architecture, "embed_dim": shape.embed_dim,
        "num_heads": shape.num_heads, "num_layers": shape.num_layers, "ff_dim": shape.ff_dim,
        "max_seq_len": shape.max_seq_len, "vocab_size": shape.vocab_size,
    }  # fmt: skip
    recipe = {
        "seq_len": min(shape.max_seq_len, RunConfig.model_fields["seq_len"].default),
        "optimizer": "adamw", "learning_rate": FINE_TUNING_RATE,
    }  # fmt: skip
    config = RunConfig().model_dump() | sizes | recipe
    return RunMetadata(
        version=__version__, saved_at="", preset="", requested_config=config,
        resolved_config=config, execution={}, corpus={}, hardware={},
        network=shape.details if shape.architecture == "llama" else None,
    )  # fmt: skip
