"""`descend config show` and `descend config presets`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import typer

from descend.cli.config_flags import (
    ConfigFile,
    JsonOption,
    Preset,
    resolve_flags,
    with_config_flags,
)
from descend.cli.help_format import HelpCommand, HelpGroup
from descend.cli.json_outputs import ConfigValue, ConfigValues, PresetValues
from descend.cli.output import TERMINAL_WIDTH_OF_FILES, print_json
from descend.config import RunConfig, make_config
from descend.guard import make_visible
from descend.presets import PRESETS

config_app = typer.Typer(
    cls=HelpGroup,
    help="Show configuration keys, their values, and the presets.",
    no_args_is_help=True,
)


def show(
    values: dict[str, Any],
    config: ConfigFile = None,
    preset: Preset = None,
    as_json: JsonOption = False,
) -> None:
    """Show each key with its value and where the value comes from."""
    resolved = resolve_flags(values, config, preset)
    config_values = resolved.config.model_dump(mode="json")
    if as_json:
        values_by_key = {
            key: ConfigValue(value, resolved.origins[key]) for key, value in config_values.items()
        }
        print_json("config show", ConfigValues(values_by_key))
        return
    rows = [
        (key, _format_value(config_values[key]), resolved.origins[key], _sentence(key))
        for key in config_values
    ]
    _print_table(("key", "value", "from", "meaning"), rows)


def presets(as_json: JsonOption = False) -> None:
    """Show the presets side by side."""
    preset_values = {
        name: make_config(values).model_dump(mode="json") for name, values in PRESETS.items()
    }
    if as_json:
        print_json("config presets", PresetValues(preset_values))
        return
    rows = [
        (key, *(_format_value(preset_values[name][key]) for name in preset_values))
        for key in RunConfig.model_fields
    ]
    _print_table(("key", *preset_values), rows)


config_app.command("show", cls=HelpCommand)(with_config_flags(show))
config_app.command("presets", cls=HelpCommand)(presets)


def _format_value(value: object) -> str:
    return "not set" if value is None else str(value)


def _sentence(key: str) -> str:
    return RunConfig.model_fields[key].description or ""


def _print_table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    table = Table(*head, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(Text(make_visible(cell)) for cell in row))
    if not console.is_terminal:
        console.width = TERMINAL_WIDTH_OF_FILES
    console.print(table)
