"""The weights of a model folder: one file, or the shards that an index names.

`save_pretrained` of `transformers` splits models above its `max_shard_size`. Then
`model.safetensors.index.json` maps the name of each weight to the file that holds it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from descend.errors import RunFolderError, shorten
from descend.guard import decode_json, read_regular
from descend.runs.folder_errors import unread_file_error
from descend.runs.run_files import WEIGHT_INDEX

if TYPE_CHECKING:
    from torch import Tensor

MAX_INDEX_BYTES = 2**24
"""Largest index: 16 MiB; that of a model of 1,000 weights has about 80 kB."""

_FIX = "copy or download the whole folder again"


class _Index(msgspec.Struct):
    weight_map: dict[str, str]


def read_shards(folder: Path, max_bytes: int) -> dict[str, Tensor]:
    """Return all weights of the shards in `folder`, of at most `max_bytes` together.

    `RunFolderError` for a damaged index, a shard that is missing, damaged, or outside of the
    folder, and a weight that is missing or stored twice.
    """
    from descend.model.huggingface import weights_from_bytes

    weights: dict[str, Tensor] = {}
    for name, expected in names_by_shard(folder).items():
        content = _read_shard(folder / name, max_bytes)
        max_bytes -= len(content)
        try:
            shard = weights_from_bytes(content)
        except RunFolderError as problem:
            raise RunFolderError(name, problem.actual, problem.expected, _FIX) from None
        if wrong := sorted((expected - shard.keys()) | (weights.keys() & shard.keys())):
            raise RunFolderError(
                name, f"{'a second' if wrong[0] in shard else 'no'} weight {shorten(wrong[0], 60)}",
                f"each weight once, in the file that {WEIGHT_INDEX} names", _FIX,
            )  # fmt: skip
        weights |= shard
    return weights


def names_by_shard(folder: Path) -> Mapping[str, set[str]]:
    """Return the names of the weights of each shard, by the name of its file.

    `RunFolderError` for an index that is damaged or names files outside of `folder`.
    """
    try:
        index = decode_json(read_regular(folder / WEIGHT_INDEX, MAX_INDEX_BYTES), _Index)
    except (OSError, msgspec.DecodeError) as problem:
        raise unread_file_error(WEIGHT_INDEX, problem, "the file of each weight", _FIX) from None
    shards: dict[str, set[str]] = {}
    for weight, file in index.weight_map.items():
        shards.setdefault(file, set()).add(weight)
    for file in shards:
        # The index may come from a stranger: no other folder is read.
        if Path(file).name != file or not file.endswith(".safetensors") or "\0" in file:
            raise RunFolderError(
                WEIGHT_INDEX, f"the file {shorten(repr(file), 80)}",
                "names of .safetensors files in its folder", _FIX,
            )  # fmt: skip
    return shards


def _read_shard(path: Path, max_bytes: int) -> bytes:
    try:
        return read_regular(path, max_bytes)
    except OSError as problem:
        raise RunFolderError(
            path.name, f"a file that cannot be read ({problem.strerror or problem})",
            f"a part of the weights, as {WEIGHT_INDEX} says", _FIX,
        ) from None  # fmt: skip
