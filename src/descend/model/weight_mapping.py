"""Names of weights in `transformers` and here, and the errors of what does not fit."""

from __future__ import annotations

from typing import NamedTuple

from descend.errors import RunFolderError

OURS_BLOCK = "blocks.{}."

RESTORE_HINT = "restore it from a copy or train again"


class WeightMapping(NamedTuple):
    """A weight of `transformers` and the weights of descend that it corresponds to.

    Several names of ours: theirs is ours, one below the other. `transposed`: GPT-2 keeps its
    matrices as (inputs, outputs), torch's Linear as (outputs, inputs).
    """

    local_names: tuple[str, ...]
    hf_name: str
    transposed: bool = False


def config_error(actual: str, expected: str, fix: str) -> RunFolderError:
    """Return the error of a config.json."""
    return RunFolderError("config.json", actual, expected, fix)


def weights_error(actual: str, expected: str) -> RunFolderError:
    """Return the error of a model.safetensors."""
    return RunFolderError("model.safetensors", actual, expected, RESTORE_HINT)
