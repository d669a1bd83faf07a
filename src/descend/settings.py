"""Where configuration values come from: flag > environment > file > preset > default."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from descend.config import PRESETS, RunConfig, make_config, nearest
from descend.errors import ConfigError

ENVIRONMENT_PREFIX = "DESCEND_"
DEFAULT_PRESET = "fast"


@dataclass(frozen=True)
class Settings:
    """A checked configuration and, for each key, the place its value came from."""

    config: RunConfig
    origins: dict[str, str]
    preset: str


def gather_settings(
    given: Mapping[str, Any] | None = None,
    *,
    given_origin: str = "flag",
    file: Path | None = None,
    preset: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> Settings:
    """Put the sources together; `ConfigError` names the first key or file that is wrong."""
    from_file = read_config_file(file) if file else {}
    from_environment = {
        name.removeprefix(ENVIRONMENT_PREFIX).lower(): value
        for name, value in (os.environ if environment is None else environment).items()
        if name.removeprefix(ENVIRONMENT_PREFIX).lower() in RunConfig.model_fields
        and name.startswith(ENVIRONMENT_PREFIX)
    }
    from_file_preset = from_file.pop("preset", None)
    name = preset or from_file_preset or DEFAULT_PRESET
    sources = (
        (f"preset {name}", _preset(name)),
        (f"file {file}", from_file),
        ("environment", from_environment),
        (given_origin, dict(given or {})),
    )
    values: dict[str, Any] = {}
    origins = dict.fromkeys(RunConfig.model_fields, "default")
    for origin, found in sources:
        for key, value in found.items():
            known = plain_name(key)
            values[known] = value
            origins[known] = origin
            if known == "learning_rate":
                _follow_rate(values, origins, origin, found)
    try:
        config = make_config(values)
    except ConfigError as problem:
        raise _placed(problem, origins) from None
    return Settings(config, {key: origins[key] for key in RunConfig.model_fields}, name)


def plain_name(key: str) -> str:
    """The name of a key that was written with dashes, or as `epochs`."""
    return "epoch" if key == "epochs" else key.replace("-", "_")


def is_per_epoch(rate: object) -> bool:
    """Whether a learning rate, as yet unchecked, names a rate per epoch."""
    return isinstance(rate, Mapping) or (isinstance(rate, str) and ":" in rate)


def _placed(problem: ConfigError, origins: Mapping[str, str]) -> ConfigError:
    """`problem` with the file or the environment variable that its key stands in."""
    where, origin = problem.where, origins.get(problem.where, "")
    if origin == "environment":
        where = ENVIRONMENT_PREFIX + where.upper()
    elif origin.startswith("file "):
        where = f"{where} in {origin.removeprefix('file ')}"
    return ConfigError(where, problem.found, problem.expected, problem.what_to_do)


def _follow_rate(
    values: dict[str, Any], origins: dict[str, str], origin: str, found: Mapping[str, Any]
) -> None:
    """A rate per epoch asks for the piecewise schedule, whatever a weaker source says of it."""
    rate = next(value for key, value in found.items() if plain_name(key) == "learning_rate")
    if is_per_epoch(rate) and "schedule" not in found:
        values["schedule"], origins["schedule"] = "piecewise", origin


def _preset(name: str) -> dict[str, Any]:
    if not isinstance(name, str) or name not in PRESETS:
        guess = nearest(str(name), list(PRESETS))
        raise ConfigError(
            "preset", str(name), " or ".join(PRESETS),
            f"did you mean {guess}" if guess else "choose one of those",
        )  # fmt: skip
    return PRESETS[name]


def read_config_file(file: Path) -> dict[str, Any]:
    """The keys of a TOML, YAML or JSON file; `ConfigError` if it cannot be read as one."""
    expected = "a TOML, YAML or JSON file of configuration keys"
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        reason = getattr(problem, "strerror", None) or "not UTF-8 text"
        raise ConfigError(
            str(file), f"a file that cannot be read ({reason})", expected, "check the path"
        ) from None
    try:
        values = _parse(file.suffix.lower(), text)
    except ValueError as problem:
        raise ConfigError(
            str(file), f"a syntax error ({str(problem).splitlines()[0]})", expected, "correct it"
        ) from None
    if not isinstance(values, dict):
        raise ConfigError(
            str(file), f"a {type(values).__name__} at the top", expected, "write key = value pairs"
        )
    return {str(key): value for key, value in values.items()}


def _parse(suffix: str, text: str) -> Any:
    if suffix == ".json":
        return json.loads(text)
    if suffix in (".yaml", ".yml"):
        import yaml

        try:
            return yaml.safe_load(text) or {}
        except yaml.YAMLError as problem:
            raise ValueError(" ".join(str(problem).split())) from None
    return tomllib.loads(text)
