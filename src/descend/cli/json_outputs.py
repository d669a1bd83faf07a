"""What each command prints with `--json`: the version of its schema, and objects of its own.

`tools/make_json_schemas.py` writes a JSON Schema of each command into docs/schemas/ from these
descriptions. docs/json.md says when a version changes.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

SCHEMA_VERSIONS = {
    "attribute": 1,
    "chat": 1,
    "check": 1,
    "checklist": 1,
    "compare": 1,
    "config presets": 1,
    "config show": 1,
    "corpus add": 1,
    "corpus stats": 1,
    "diagnose": 1,
    "env": 1,
    "error": 1,
    "evaluate": 1,
    "explain": 1,
    "export": 1,
    "forecast": 1,
    "generate": 1,
    "improve": 1,
    "learn": 1,
    "list": 1,
    "plan": 1,
    "push": 1,
    "report": 1,
    "search": 1,
    "show": 1,
    "tokenizer train": 1,
    "train": 1,
}
"""By command. A field that is removed, renamed, or of another type raises the version."""

SAME_OUTPUT = {"continue": "train", "resume": "train"}
"""Commands that print the object of another one."""


class ChatTurn(msgspec.Struct, frozen=True):
    """A prompt and its answer."""

    prompt: str
    text: str


class ChatTurns(msgspec.Struct, frozen=True):
    """`chat --json`."""

    turns: list[ChatTurn]


class GeneratedText(msgspec.Struct, frozen=True):
    """`generate --json` with one prompt."""

    prompt: str
    text: str
    """The prompt and its continuation."""
    new_text: str
    """The continuation only."""
    token_ids: list[int]
    new_token_ids: list[int]
    finish: Literal["end", "length", "stop"]
    """Why the text ends."""


class GeneratedTexts(msgspec.Struct, frozen=True):
    """`generate --json` with several prompts."""

    texts: list[GeneratedText]


class ConfigValue(msgspec.Struct, frozen=True):
    """A configuration key."""

    value: Any
    origin: str
    """Where the value comes from: a flag, the environment, a file, a preset, or the default."""


class ConfigValues(msgspec.Struct, frozen=True):
    """`config show --json`."""

    config: dict[str, ConfigValue]
    """By key."""


class PresetValues(msgspec.Struct, frozen=True):
    """`config presets --json`."""

    presets: dict[str, dict[str, Any]]
    """The configuration of each preset, by name."""


class TokenizerFile(msgspec.Struct, frozen=True):
    """`tokenizer train --json`."""

    path: str
    vocab_size: int
    bytes_per_token: float


class ErrorContent(msgspec.Struct, frozen=True, omit_defaults=True):
    """A failure. The fields after `exit_code` are missing for a wrong flag."""

    kind: str
    """The class of the error, such as `ConfigError`."""
    message: str
    exit_code: int
    where: str | None = None
    """The file, key, or flag."""
    actual: str | None = msgspec.field(default=None, name="found")
    expected: str | None = None
    fix: str | None = None
    """What to do."""
    next: str | None = None
    """A command that helps."""


class ErrorOutput(msgspec.Struct, frozen=True):
    """What any command prints with `--json` if it fails."""

    error: ErrorContent


class Device(msgspec.Struct, frozen=True):
    """A device that torch can use."""

    id: str
    """As `--device` takes it."""
    name: str | None
    memory_bytes: int | None


class EnvironmentFacts(msgspec.Struct, frozen=True):
    """`env --json`."""

    descend: str
    """The version of descend."""
    python: str
    system: str
    processor: str
    cores: int
    """Cores that this process may use."""
    memory_available_bytes: int | None
    devices: list[Device]
    has_cpp_compiler: bool
    """Needed to compile a network on a CPU."""
    cache_folder: str
    """From `~` on."""
    cache_is_writable: bool
    packages: dict[str, str | None]
    """Versions by name; null if a package is not installed."""
    variables: list[str]
    """Names of the environment variables that begin with `DESCEND_`, without their values."""
