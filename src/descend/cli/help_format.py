"""How `--help` looks: panels of flags, each with type, range and default, then two examples.

Typer's own layout has a column each for short, long and negative flags, types and texts, which
leaves a third of 80 columns for the text. Here a panel has two columns.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Protocol

from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from descend.cli.examples import EXAMPLES
from descend.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console

PANELS = ("Common", "Program", "Model", "Data", "Optimization", "Hardware", "Output")
"""Headings of the flags, in this order. A flag without a heading stands under the first one."""

MAX_COMMON = 12
"""Most flags under "Common": as many as fit on a screen of 24 lines beside the usage."""

VERB_PANELS = ("Train", "Use", "Diagnose", "Experiment", "Learn")
"""Headings of the verbs in `descend --help`, in this order."""

TERM_WIDTH = 31
"""Most columns of a flag and its type: of 80 columns 43 are left for the text."""

VAST = 10**9
"""A bound from here on only guards the arithmetic and is left out of the help."""

MAX_WIDTH = 100
"""Maximum columns of a help text: longer lines are hard to read."""


class HelpCommand(TyperCommand):
    """A verb whose help has panels of two columns and ends with examples."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse `args`; refuse two presets, of which the parser would drop the first."""
        presets = [word for word in args if word.split("=")[0] == "--preset"]
        if len(presets) > 1:
            raise ConfigError("--preset", "two presets", "one preset", "leave one of them out")
        return super().parse_args(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help of the verb to `formatter`."""
        formatter.write(render_help(self, ctx))


class HelpGroup(TyperGroup):
    """The same for a group of verbs."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help of the group to `formatter`."""
        formatter.write(render_help(self, ctx))


class _Helpful(Protocol):
    help: str | None

    def get_usage(self, ctx: Any) -> str: ...

    def get_params(self, ctx: Any) -> list[Any]: ...


def render_help(command: _Helpful, ctx: Any) -> str:
    """Return the help of `command` as text, with colors only where standard output is a
    terminal."""
    from rich.console import Console

    console = Console(highlight=False)
    console.width = min(console.width, MAX_WIDTH)
    with console.capture() as captured:
        console.print(f" {clean_usage(command.get_usage(ctx))}\n", markup=False, soft_wrap=True)
        for paragraph in (command.help or "").strip().split("\n\n"):
            _print_indented(console, " ".join(paragraph.split()) + "\n")
        for title, rows in help_panels(command, ctx):
            _print_panel(console, title, rows)
        examples = EXAMPLES.get(" ".join(ctx.command_path.split()[1:]), ())
        if examples:
            console.print(" Examples:\n")
            for example in examples:
                console.print(f"   {example}", markup=False, soft_wrap=True)
            console.print()
    return captured.get()


def clean_usage(usage: str) -> str:
    """Typer's usage without doubled brackets: `MODEL [CORPUS]` for `{MODEL} [[CORPUS]]`."""
    usage = re.sub(r"\[\[([^\]]*)\]\](\.\.\.)?", r"[\1]", usage)
    return re.sub(r"\{([^}]*)\}(\.\.\.)?", r"\1", usage)


def help_panels(command: _Helpful, ctx: Any) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return the panels of `command`: a heading, and rows of a term and its text."""
    titles = (*VERB_PANELS, "Commands", "Arguments", *PANELS)
    panels: dict[str, list[tuple[str, str]]] = {title: [] for title in titles}
    for parameter in command.get_params(ctx):
        if parameter.hidden:
            continue
        if isinstance(parameter, TyperArgument):
            name = parameter.metavar or parameter.name.upper()
            panels["Arguments"].append((name.strip("[]"), parameter.help or ""))
        else:
            row = (_format_flags(parameter), describe_option(parameter))
            panels[parameter.rich_help_panel or PANELS[0]].append(row)
    if isinstance(command, TyperGroup):
        for name in command.list_commands(ctx):
            verb: Any = command.get_command(ctx, name)
            summary = " ".join((verb.help or "").strip().split("\n\n")[0].split())
            panels[verb.rich_help_panel or "Commands"].append((name, summary))
    return [(title, rows) for title, rows in panels.items() if rows]


def describe_option(option: TyperOption) -> str:
    """Return what `option` does, its range, and its default."""
    default = option.default if option.show_default else None
    return join_facts(option.help or "", format_range(option.min, option.max), default)


def join_facts(text: str, bounds: str, default: object) -> str:
    """Return `text`, then the bounds, then the default, which `text` may end with itself."""
    text, _, after = text.partition("Default: ")
    parts = [text.strip(), bounds, f"Default: {after}" * bool(after)]
    if default is not None and default is not False:
        word = "on" if default is True else _number(default)
        parts.append(f"Default: {word}.")
    return " ".join(part for part in parts if part)


def format_range(
    low: float | None, high: float | None, above: bool = False, below: bool = False
) -> str:
    """Return `Range: 1 to 100.` and its like, empty without bounds.

    `above` leaves out `low` itself, `below` leaves out `high` itself.
    """
    lower = "" if low is None else f"above {_number(low)}" if above else _number(low)
    if high is None or high >= VAST:
        return "" if low is None else f"Range: {lower}." if above else f"Range: {lower} or more."
    upper = f"below {_number(high)}" if below else _number(high)
    return f"Range: {lower} to {upper}." if lower else f"Range: up to {upper}."


def _number(value: object) -> str:
    """Return a number as it can be typed: 16384, 0.5, 10."""
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def _format_flags(option: TyperOption) -> str:
    """Return `-o, --output FILE`; a switch that can be turned off as `--[no-]name`."""
    names = sorted(option.opts, key=len)
    if option.secondary_opts:
        names = [f"--[no-]{option.opts[0].removeprefix('--')}"]
    return ", ".join(names) if option.is_flag else f"{', '.join(names)} {_format_type(option)}"


def _format_type(option: TyperOption) -> str:
    if option.metavar:
        return option.metavar
    annotation = option.type_descriptor.annotation
    return {int: "INT", float: "FLOAT"}.get(annotation, "TEXT")


def _print_panel(console: Console, title: str, rows: Iterable[tuple[str, str]]) -> None:
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    rows = list(rows)
    table = Table(box=None, show_header=False, expand=True, pad_edge=False, padding=(0, 2, 0, 0))
    max_term_width = max(len(term) for term, _ in rows)
    table.add_column(width=min(max_term_width, TERM_WIDTH), overflow="fold")
    table.add_column(ratio=1, overflow="fold")
    for term, text in rows:
        table.add_row(Text(term, style="bold cyan"), Text(text))
    console.print(Panel(table, title=title, title_align="left", border_style="dim"))


def _print_indented(console: Console, text: str) -> None:
    from rich.padding import Padding
    from rich.text import Text

    console.print(Padding(Text(text), (0, 1)))
