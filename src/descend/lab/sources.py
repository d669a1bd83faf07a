"""What a person means by a configuration: a preset, a file of keys, or the folder of a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from descend.config import OF_NO_CONSEQUENCE, PRESETS, RunConfig, nearest
from descend.errors import ConfigError, RunFolderError
from descend.runs.folder import is_run, read_info
from descend.runs.listing import find_run
from descend.settings import gather_settings
from descend.text.cache import check_path
from descend.text.embedded import NAMES as EMBEDDED_CORPORA

DECIDES_NO_LOSS = (
    "seed", "device", "attention", "compile", "threads", "rescue", *OF_NO_CONSEQUENCE,
)  # fmt: skip
"""Keys of a run that an experiment sets itself, or that change a loss by rounding alone. No trial
is rescued or compiled, and each takes a thread."""


@dataclass(frozen=True)
class Named:
    """A configuration and what it is called."""

    name: str
    config: RunConfig


def named_config(name: str, changes: dict[str, Any] | None = None) -> Named:
    """The configuration that `name` means, with `changes` on top.

    Of a run folder, what the run used: keys that it left open as they were chosen.
    """
    changes = changes or {}
    if name in PRESETS:
        return Named(name, gather_settings(changes, preset=name).config)
    path = find_run(Path(name))
    if path.is_dir():
        if not is_run(path):
            raise RunFolderError(
                name, "no run.json", "a preset, a configuration file or the folder of a run",
                "check the path",
            )  # fmt: skip
        return Named(path.name, _of_run(path, changes))
    if path.is_file():
        return Named(path.stem, gather_settings(changes, file=path).config)
    guess = nearest(name, list(PRESETS))
    raise ConfigError(
        name, "neither a preset nor a file nor a folder",
        "one of the presets " + ", ".join(PRESETS) + ", a configuration file or a run folder",
        f"did you mean {guess}" if guess else "check the path",
    )  # fmt: skip


def _of_run(folder: Path, changes: dict[str, Any]) -> RunConfig:
    resolved = read_info(folder).resolved
    base = {k: v for k, v in resolved.items() if k not in DECIDES_NO_LOSS}
    settings = gather_settings(changes, run=(folder, base))
    if settings.origins["corpus_dir"].startswith("run "):
        check_path(settings.config.corpus_dir, folder, EMBEDDED_CORPORA)
    return settings.config
