"""Other ways to write the value of a key, as flags and configuration files have them."""

from __future__ import annotations

from collections.abc import Mapping


def parse_learning_rate(value: object) -> object:
    """Accept `1:1e-4,2:1e-3` (a flag) and string keys or numbers (TOML, JSON, YAML)."""
    if isinstance(value, str) and ":" in value:
        try:
            return {int(k): float(v) for k, v in (part.split(":") for part in value.split(","))}
        except ValueError:
            return value
    if isinstance(value, Mapping):
        return {int(k) if isinstance(k, str) and k.isdecimal() else k: v for k, v in value.items()}
    return value


def parse_on_off(value: object) -> object:
    """Accept what YAML makes of the words `on` and `off`, and TOML's and JSON's own for them."""
    return ("off", "on")[value] if isinstance(value, bool) else value


def parse_teachers(value: object) -> object:
    """Accept a list of paths beside a text of them that commas separate."""
    if isinstance(value, list | tuple):
        return ",".join(str(part) for part in value)
    return value
