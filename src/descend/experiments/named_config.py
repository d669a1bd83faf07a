"""What a person means by a configuration: a preset, a file of keys, or the folder of a run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from descend.config import NON_SEMANTIC_KEYS, RunConfig
from descend.config_errors import closest_match
from descend.config_sources import resolve_config
from descend.data.builtin_corpora import BUILTIN_CORPORA as EMBEDDED_CORPORA
from descend.data.cache_dir import check_path
from descend.errors import ConfigError, RunFolderError
from descend.presets import PRESETS
from descend.runs.run_files import is_run_folder, read_info
from descend.runs.run_list import find_run

KEYS_WITHOUT_EFFECT_ON_LOSS = (
    "seed", "device", "attention", "compile", "threads", "num_processes", "divergence_rollback",
    *NON_SEMANTIC_KEYS,
)  # fmt: skip
"""Keys of a run that an experiment sets itself, or that change a loss by rounding alone. No trial
is rolled back or compiled, and each takes a thread."""


@dataclass(frozen=True)
class NamedConfig:
    """A configuration and what it is called."""

    name: str
    config: RunConfig


def load_named_config(name: str, changes: dict[str, Any] | None = None) -> NamedConfig:
    """Return the configuration that `name` means, with `changes` on top.

    Of a run folder, what the run used: keys that it left open as they were chosen.
    """
    changes = changes or {}
    if name in PRESETS:
        return NamedConfig(name, resolve_config(changes, preset=name).config)
    path = find_run(Path(name))
    if path.is_dir():
        if not is_run_folder(path):
            raise RunFolderError(
                name, "no run.json", "a preset, a configuration file or the folder of a run",
                "check the path",
            )  # fmt: skip
        return NamedConfig(path.name, _of_run(path, changes))
    if path.is_file():
        return NamedConfig(path.stem, resolve_config(changes, file=path).config)
    guess = closest_match(name, list(PRESETS))
    raise ConfigError(
        name, "neither a preset nor a file nor a folder",
        "one of the presets " + ", ".join(PRESETS) + ", a configuration file or a run folder",
        f"did you mean {guess}" if guess else "check the path",
    )  # fmt: skip


def fit_named_config(named: NamedConfig) -> NamedConfig:
    """Return `named` with what `train` chooses for its text, which is read for it."""
    from descend.training.assembly import fit_to_text

    return replace(named, config=fit_to_text(named.config))


def _of_run(folder: Path, changes: dict[str, Any]) -> RunConfig:
    resolved = read_info(folder).resolved_config
    base = {k: v for k, v in resolved.items() if k not in KEYS_WITHOUT_EFFECT_ON_LOSS}
    settings = resolve_config(changes, run=(folder, base))
    if settings.origins["corpus_dir"].startswith("run "):
        check_path(settings.config.corpus_dir, folder, EMBEDDED_CORPORA)
    return settings.config
