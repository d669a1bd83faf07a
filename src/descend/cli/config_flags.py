"""Command-line flags made once from `RunConfig`: each key of it is a flag.

Typer turns a function's signature into flags; `with_config_flags` writes the keys of the
configuration into the signature. All values pass as text or lists to the one place that checks
them (`config.make_config`), so a flag, a file and an environment variable fail with the same words.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import typer
from pydantic.fields import FieldInfo

from descend.cli.help_format import format_range, join_facts
from descend.config import FIXED_KEYS, RESTARTED_KEYS, RunConfig
from descend.config_sources import KEY_ALIASES, ResolvedConfig, resolve_config
from descend.presets import PRESETS


def named_run(name: Path | None) -> Path | None:
    """Find the run of a path, of `latest`, or of the beginning of a name."""
    from descend.runs.run_list import find_run

    return None if name is None else find_run(name)


CORPUS_HELP = (
    "A folder, a file, - (standard input), hf:NAME (a Hugging Face dataset), or a built-in corpus "
    "(python, stories)."
)
RunArgument = Annotated[
    Path,
    typer.Argument(
        metavar="RUN",
        help="A run folder, `latest`, or the beginning of a name.",
        callback=named_run,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")]
Verbose = Annotated[
    bool,
    typer.Option(
        "--verbose", rich_help_panel="Output", help="Print samples and all results at the end."
    ),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="TOML, YAML, or JSON configuration file."),
]
Preset = Annotated[
    str | None,
    typer.Option(
        "--preset",
        metavar="NAME",
        help=f"Start from a preset: {', '.join(PRESETS)}. Default: fast.",
    ),
]

NO_DATA_KEYS = tuple(
    name
    for name, field in RunConfig.model_fields.items()
    if (field.json_schema_extra or {}).get("group") != "Data"  # type: ignore[union-attr]
    and name not in ("seed", "log_level")
)
"""Keys that change neither the text, its split, nor its tokenizer."""

MAX_METAVAR = 16
"""Characters that the help's second column may take of a terminal of 80."""


def with_config_flags(
    verb: Callable[..., None],
    leave_out: tuple[str, ...] = (),
    common: tuple[str, ...] = (),
    continues_model: bool = False,
) -> Callable[..., None]:
    """Return `verb(values, …)` as a function whose signature has a flag for each key of
    `RunConfig`.

    `verb` receives the keys that were given as its keyword argument `values`. The keys in
    `common` stand first in the help, under "Common", the others under the heading of their group.
    With `continues_model` the help leaves out keys that a model fixes, and names MODEL as default.
    """
    hints = get_type_hints(verb, include_extras=True)
    own = [
        p.replace(annotation=hints[p.name], kind=inspect.Parameter.KEYWORD_ONLY)
        for p in inspect.signature(verb).parameters.values()
        if p.name != "values"
    ]
    others = [name for name in RunConfig.model_fields if name not in (*leave_out, *common)]
    names = [*common, *others]
    flags = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=_annotation(
                name,
                RunConfig.model_fields[name],
                panel="Common" if name in common else None,
                continues_model=continues_model,
            ),
        )
        for name in names
    ]

    @functools.wraps(verb)
    def flat(**arguments: Any) -> None:
        values = {name: arguments.pop(name) for name in names}
        verb(values={k: v for k, v in values.items() if v is not None}, **arguments)

    signature = inspect.Signature([*flags[: len(common)], *own, *flags[len(common) :]])
    del flat.__wrapped__  # typer would read its signature instead
    flat.__signature__ = signature  # type: ignore[attr-defined]
    flat.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()}
    return flat


def resolve_flags(
    values: dict[str, Any], config: Path | None, preset: str | None
) -> ResolvedConfig:
    """Return flags over environment over file over preset."""
    return resolve_config(values, file=config, preset=preset)


def _annotation(name: str, field: FieldInfo, *, panel: str | None, continues_model: bool) -> Any:
    dashed = name.replace("_", "-")
    group = (field.json_schema_extra or {}).get("group")  # type: ignore[union-attr]
    panel = panel or str(group)
    help_text = describe_key(field)
    if continues_model and name not in RESTARTED_KEYS:
        help_text = f"{help_text.partition(' Default: ')[0]} Default: as MODEL."
    hidden = continues_model and name in FIXED_KEYS
    if field.annotation is bool:
        switch = typer.Option(
            f"--{dashed}/--no-{dashed}", help=help_text, rich_help_panel=panel, hidden=hidden
        )
        return Annotated[bool | None, switch]
    flags = [f"--{dashed}", *(f"--{alias}" for alias, key in KEY_ALIASES.items() if key == name)]
    valued = typer.Option(
        *flags, help=help_text, metavar=_metavar(field), rich_help_panel=panel, hidden=hidden
    )
    return Annotated[str | None, valued]


def describe_key(field: FieldInfo) -> str:
    """Return what a key does, its range or choices, and its default."""
    default = ("off", "on")[field.default] if isinstance(field.default, bool) else field.default
    return join_facts(field.description or "", _choices(field) or _range(field), default)


def _choices(field: FieldInfo) -> str:
    """Return what may be given, where the column of the types is too narrow to say it."""
    for option in (field.annotation, *get_args(field.annotation)):
        if get_origin(option) is Literal and _metavar(field) == "NAME":
            return f"One of {', '.join(get_args(option))}."
    return ""


def _range(field: FieldInfo) -> str:
    bounds = {
        key: value
        for constraint in (*field.metadata, *_nested_constraints(field.annotation))
        for key in ("gt", "ge", "lt", "le")
        if (value := getattr(constraint, key, None)) is not None
    }
    low = bounds.get("ge", bounds.get("gt"))
    high = bounds.get("le", bounds.get("lt"))
    return format_range(low, high, above="gt" in bounds, below="lt" in bounds)


def _nested_constraints(annotation: Any) -> list[Any]:
    """Return the bounds of the first type, where a key may be of several."""
    for option in get_args(annotation):
        for info in getattr(option, "__metadata__", ()):
            return list(getattr(info, "metadata", [info]))
    return []


def _metavar(field: FieldInfo) -> str:
    annotation = field.annotation
    options = (
        get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    )
    for option in options:
        if get_origin(option) is Literal:
            choices = "|".join(get_args(option))
            return choices if len(choices) <= MAX_METAVAR else "NAME"
    if int in options:
        return "INT"
    return "TEXT" if str in options else "FLOAT"
