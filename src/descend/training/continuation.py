"""The configuration of a run that trains the model of another one further."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from descend.config import FIXED_KEYS, RESTARTED_KEYS, RunConfig
from descend.config_sources import describe_source, resolve_config
from descend.data.builtin_corpora import BUILTIN_CORPORA
from descend.data.cache_dir import check_path
from descend.errors import ConfigError
from descend.runs.run_files import RunMetadata
from descend.training.foreign_model import read_parent_info


def continuation_config(
    parent: Path, changes: dict[str, Any], file: Path | None = None
) -> RunConfig:
    """Return the configuration of a run that trains `parent` further with `changes` and those of
    `file` and of the environment.

    What fixes the network or its vocabulary cannot change.
    """
    info = read_parent_info(parent)
    resolved = resolve_config(changes, file=file, run=(parent, inherited_config(info)))
    for key in FIXED_KEYS:
        # A small text may yield fewer tokens than were requested: either number means the same.
        same = (info.resolved_config[key], info.requested_config[key])
        value = getattr(resolved.config, key)
        if value not in same:
            raise ConfigError(
                describe_source(key, resolved.origins[key]), str(value),
                f"{info.resolved_config[key]} as in the model {parent}",
                "leave it out, or train a new model with `descend train`",
            )  # fmt: skip
    if resolved.origins["corpus_dir"].startswith("run "):
        check_path(resolved.config.corpus_dir, parent, BUILTIN_CORPORA)
    return resolved.config


def inherited_config(info: RunMetadata) -> dict[str, Any]:
    """Return the settings that a run which goes on from another starts with.

    `epoch` counts anew, and where the parent ended by `max_steps` does not matter any more.
    """
    inherited = {k: v for k, v in info.requested_config.items() if k not in RESTARTED_KEYS}
    return inherited | {"corpus_dir": info.resolved_config["corpus_dir"]}
