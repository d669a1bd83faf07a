"""Where configuration values come from: flag > environment > file > preset > default.

Where a run is gone on from, its settings stand between preset and default.
"""

from __future__ import annotations

import errno
import json
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from descend.config import RunConfig, make_config
from descend.config_errors import closest_match
from descend.errors import ConfigError
from descend.presets import PRESETS

ENVIRONMENT_PREFIX = "DESCEND_"
# What else is read from the environment, by `text.cache` and the command line.
_OTHER_VARIABLES = ("API_KEY", "CACHE_DIR", "DEBUG", "STUDIO_PASSWORD")
DEFAULT_PRESET = "fast"
KEY_ALIASES = {"epochs": "epoch", "processes": "num_processes"}
"""Other names of a key, and its own."""
LENGTH_KEYS = ("epoch", "max_steps")
"""Keys that say how long a run is, each in its own unit."""

# Possessive, and only from the start of a word: a text without dots is read once.
_DOTTED = re.compile(r"""(?<![\w"'-])(?:[\w"'-]++\s*+\.\s*+){65}""")

MAX_YAML_DEPTH = 8
"""Levels of lists and mappings in a YAML file."""
MAX_CONFIG_BYTES = 100_000
"""Largest configuration file: fifty times one with every key and a remark on each."""


@dataclass(frozen=True)
class ResolvedConfig:
    """A checked configuration and, for each key, the place its value came from."""

    config: RunConfig
    origins: dict[str, str]
    preset: str

    @property
    def requested_config(self) -> dict[str, Any]:
        """The keys that any source set, with their checked values."""
        values = self.config.model_dump()
        return {k: values[k] for k, origin in self.origins.items() if origin != "default"}


def resolve_config(
    requested_config: Mapping[str, Any] | None = None,
    *,
    requested_origin: str = "flag",
    file: Path | None = None,
    preset: str | None = None,
    environment: Mapping[str, str] | None = None,
    run: tuple[Path, Mapping[str, Any]] | None = None,
) -> ResolvedConfig:
    """Put the sources together; `ConfigError` names the first key or file that is wrong.

    `run`: the folder of a run, and the settings that it gives.
    """
    from_file = load_config_file(file) if file else {}
    from_environment = _read_environment(os.environ if environment is None else environment)
    from_file_preset = from_file.pop("preset", None)
    name = preset or from_file_preset or DEFAULT_PRESET
    sources = (
        *([(f"run {run[0]}", run[1])] if run else []),
        (f"preset {name}", _preset(name)),
        (f"file {file}", from_file),
        ("environment", from_environment),
        (requested_origin, dict(requested_config or {})),
    )
    values, origins = _merge_sources(_drop_weaker_lengths(sources))
    try:
        config = make_config(values)
    except ConfigError as problem:
        raise _with_source(problem, origins) from None
    return ResolvedConfig(
        config, {k: origins.get(k, "default") for k in RunConfig.model_fields}, name
    )


def _drop_weaker_lengths(
    sources: Iterable[tuple[str, Mapping[str, Any]]],
) -> list[tuple[str, dict[str, Any]]]:
    """Return the sources, weakest first, without a length where a stronger one gives the other
    length.

    `max_steps` overrides `epoch` only within a source: `--epoch 2` is meant, even if the run that
    `--from-run` names had `max_steps`.
    """
    result, stronger = [], set[str]()
    for origin, source_values in reversed(list(sources)):
        named = {normalize_key(key): value for key, value in source_values.items()}
        weaker = set(LENGTH_KEYS) - stronger if stronger else set()
        result.append((origin, {k: v for k, v in named.items() if k not in weaker}))
        if not stronger:
            stronger = {key for key in LENGTH_KEYS if named.get(key) is not None}
    return result[::-1]


def with_changes(config: RunConfig, changes: Mapping[str, Any]) -> RunConfig:
    """Return `config` with `changes`, and with the schedule that a changed learning rate asks for.

    `ConfigError` where the two do not go together.
    """
    values, _ = _merge_sources([("before", config.model_dump()), ("change", changes)])
    return make_config(values)


def _merge_sources(
    sources: Iterable[tuple[str, Mapping[str, Any]]],
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the values that named sources give together, and for each key the name of its
    source."""
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    priority: dict[str, int] = {}
    for number, (origin, source_values) in enumerate(sources):
        for key, value in drop_implied_schedule(source_values).items():
            values[key], origins[key], priority[key] = value, origin, number
    if _is_per_epoch(values.get("learning_rate")) and (
        priority.get("schedule", -1) < priority["learning_rate"]
    ):
        values["schedule"], origins["schedule"] = "piecewise", origins["learning_rate"]
    return values, origins


def explicit_keys(config: RunConfig | Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the keys that a caller set in `config`; `ConfigError` if it is none."""
    if isinstance(config, RunConfig):
        return config.model_dump(exclude_unset=True)
    if config is None or isinstance(config, Mapping):
        return dict(config or {})
    is_path = isinstance(config, str | os.PathLike)
    example = os.fspath(config) if is_path else "my/texts"
    raise ConfigError(
        "config", repr(config), "keys with their values",
        f"{'if that is the text, ' if is_path else ''}write {{'corpus_dir': {example!r}}}",
    )  # fmt: skip


def _read_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the keys that variables set; `ConfigError` for a variable of ours that means
    nothing."""
    values = {}
    for name, value in environment.items():
        word = name.removeprefix(ENVIRONMENT_PREFIX)
        if word == name or word in _OTHER_VARIABLES:
            continue
        if (key := normalize_key(word.lower())) not in RunConfig.model_fields:
            guess = closest_match(
                word, [*RunConfig.model_fields, *map(str.lower, _OTHER_VARIABLES)]
            )
            raise ConfigError(
                name, "an unknown variable",
                f"{ENVIRONMENT_PREFIX} and one of the keys that `descend config show` lists",
                f"did you mean {ENVIRONMENT_PREFIX}{guess.upper()}" if guess else "unset it",
            )  # fmt: skip
        values[key] = value
    return values


def normalize_key(key: str) -> str:
    """Return the name of a key that was written with dashes, as `epochs`, or as `processes`."""
    return KEY_ALIASES.get(key, key.replace("-", "_"))


def _is_per_epoch(rate: object) -> bool:
    """Return whether a learning rate, as yet unchecked, names a rate per epoch."""
    return isinstance(rate, Mapping) or (isinstance(rate, str) and ":" in rate)


def _with_source(problem: ConfigError, origins: Mapping[str, str]) -> ConfigError:
    """Return `problem` with the file or the environment variable that its key stands in."""
    where = describe_source(problem.location, origins.get(problem.location, ""))
    return ConfigError(where, problem.actual, problem.expected, problem.fix)


def describe_source(key: str, origin: str) -> str:
    """Return `key` with the file, the preset or the environment variable that it stands in."""
    if origin == "environment":
        return ENVIRONMENT_PREFIX + key.upper()
    if origin.startswith("file "):
        return f"{key} in {origin.removeprefix('file ')}"
    return f"{key} of {origin}" if origin.startswith("preset ") else key


def drop_implied_schedule(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys of a source by their plain names, without a schedule that its rates ask for
    anyway: a rate per epoch asks for the piecewise one, and a stronger rate takes both away."""
    named = {normalize_key(key): value for key, value in config.items()}
    if named.get("schedule") == "piecewise" and _is_per_epoch(named.get("learning_rate")):
        del named["schedule"]
    return named


def _preset(name: str) -> dict[str, Any]:
    if not isinstance(name, str) or name not in PRESETS:
        guess = closest_match(str(name), list(PRESETS))
        raise ConfigError(
            "preset", str(name), f"one of {', '.join(PRESETS)}",
            f"did you mean {guess}" if guess else "choose one of those",
        )  # fmt: skip
    return PRESETS[name]


def load_config_file(file: Path) -> dict[str, Any]:
    """Return the keys of a TOML, YAML or JSON file; `ConfigError` if it cannot be read as one."""
    expected = "a TOML, YAML or JSON file of configuration keys"
    try:
        text = _read_text(file)
    except (OSError, UnicodeDecodeError) as problem:
        reason = getattr(problem, "strerror", None) or "not UTF-8 text"
        actual = f"a file that cannot be read ({reason})"
        if isinstance(problem, FileNotFoundError):
            actual = "no such file"
        raise ConfigError(str(file), actual, expected, "check the path") from None
    try:
        values = _parse(file.suffix.lower(), text)
    except RecursionError:
        raise ConfigError(
            str(file), "values nested too deep", expected, "write key = value pairs"
        ) from None
    except ValueError as problem:
        raise ConfigError(
            str(file),
            f"a syntax error ({str(problem).splitlines()[0]})",
            expected,
            "correct the file",
        ) from None
    if not isinstance(values, dict):
        raise ConfigError(
            str(file), f"a {type(values).__name__} at the top", expected, "write key = value pairs"
        )
    return {str(key): value for key, value in values.items()}


def _read_text(file: Path) -> str:
    """Return the text of `file`, which may be a pipe; `OSError` beyond `MAX_CONFIG_BYTES`."""
    with file.open("rb") as opened:
        content = opened.read(MAX_CONFIG_BYTES + 1)
    if len(content) > MAX_CONFIG_BYTES:
        raise OSError(errno.EFBIG, f"more than {MAX_CONFIG_BYTES:,} bytes", str(file))
    return content.decode("utf-8-sig")  # some editors begin a file with a mark


def _parse(suffix: str, text: str) -> Any:
    if suffix == ".json":
        return json.loads(text, object_pairs_hook=_make_unique)
    if suffix in (".yaml", ".yml"):
        return _parse_yaml(text)
    if _DOTTED.search(text):
        raise ValueError("a dotted key of more than 64 parts")  # each part costs all before it
    return _make_unique(tomllib.loads(text).items())


def _make_unique(pairs: Iterable[tuple[Any, Any]]) -> dict[Any, Any]:
    """Return a dict of `pairs`; `ValueError` if two stand for the same key."""
    values, names = {}, set()
    for key, value in pairs:
        name = normalize_key(str(key))
        if name in names:
            raise ValueError(f"the key {name} stands twice")
        names.add(name)
        values[key] = value
    return values


def _parse_yaml(text: str) -> Any:
    """YAML without aliases, which can stand for billions of values, and of bounded depth."""
    import yaml

    class BoundedLoader(yaml.SafeLoader):
        depth = 0

        def compose_node(self, parent: Any, index: Any) -> Any:
            event = self.peek_event()  # type: ignore[no-untyped-call]
            if isinstance(event, yaml.AliasEvent):
                raise ValueError(f"an alias *{event.anchor}: write the value out")
            if isinstance(event, yaml.CollectionStartEvent) and self.depth == MAX_YAML_DEPTH:
                raise ValueError(f"values nested deeper than {MAX_YAML_DEPTH} levels")
            self.depth += 1
            node = super().compose_node(parent, index)
            self.depth -= 1
            return node

    try:
        loader = BoundedLoader(text)
        root = loader.get_single_node()
        if isinstance(root, yaml.MappingNode):
            _make_unique((key.value, None) for key, _ in root.value)
        return {} if root is None else loader.construct_document(root) or {}
    except yaml.YAMLError as problem:
        raise ValueError(" ".join(str(problem).split())) from None
