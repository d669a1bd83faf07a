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

from descend.config import RunConfig
from descend.config_sources import ResolvedConfig, resolve_config
from descend.presets import PRESETS


def named_run(name: Path | None) -> Path | None:
    """The run that is meant by a path, `latest` or the beginning of a name."""
    from descend.runs.run_list import find_run

    return None if name is None else find_run(name)


JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on standard output, nothing else.")
]
Verbose = Annotated[
    bool, typer.Option("--verbose", help="At the end: samples, and all that is known of the run.")
]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="A TOML, YAML or JSON file of keys.")
]
Preset = Annotated[
    str | None, typer.Option("--preset", metavar="NAME", help=" or ".join(PRESETS) + ".")
]

MAX_METAVAR = 16
"""Characters that the help's second column may take of a terminal of 80."""


def with_config_flags(
    verb: Callable[..., None], leave_out: tuple[str, ...] = ()
) -> Callable[..., None]:
    """`verb(values, …)` as a function whose signature has a flag for each key of `RunConfig`.

    `verb` receives the keys that were given as its keyword argument `values`.
    """
    hints = get_type_hints(verb, include_extras=True)
    own = [
        p.replace(annotation=hints[p.name], kind=inspect.Parameter.KEYWORD_ONLY)
        for p in inspect.signature(verb).parameters.values()
        if p.name != "values"
    ]
    names = [name for name in RunConfig.model_fields if name not in leave_out]
    flags = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=_annotation(name, RunConfig.model_fields[name]),
        )
        for name in names
    ]

    @functools.wraps(verb)
    def flat(**arguments: Any) -> None:
        values = {name: arguments.pop(name) for name in names}
        verb(values={k: v for k, v in values.items() if v is not None}, **arguments)

    signature = inspect.Signature([*own, *flags])
    del flat.__wrapped__  # typer would read its signature instead
    flat.__signature__ = signature  # type: ignore[attr-defined]
    flat.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()}
    return flat


def resolve_flags(
    values: dict[str, Any], config: Path | None, preset: str | None
) -> ResolvedConfig:
    """Flags over environment over file over preset."""
    return resolve_config(values, file=config, preset=preset)


def _annotation(name: str, field: FieldInfo) -> Any:
    dashed = name.replace("_", "-")
    group = (field.json_schema_extra or {}).get("group")  # type: ignore[union-attr]
    help_text = f"{field.description} {_choices(field)}{format_default(field)}".strip()
    panel = f"{group} (default preset: fast)"
    if field.annotation is bool:
        switch = typer.Option(f"--{dashed}/--no-{dashed}", help=help_text, rich_help_panel=panel)
        return Annotated[bool | None, switch]
    flags = [f"--{dashed}", "--epochs"] if name == "epoch" else [f"--{dashed}"]
    valued = typer.Option(*flags, help=help_text, metavar=_metavar(field), rich_help_panel=panel)
    return Annotated[str | None, valued]


def normalize_flag(flag: str) -> str:
    """`--embed_dim`, as the key is spelt in files and in Python, as the flag it means."""
    return flag.replace("_", "-")


def format_default(field: FieldInfo) -> str:
    """The default of a key as the help shows it."""
    if field.default is None:
        return ""
    word = ("off", "on")[field.default] if isinstance(field.default, bool) else field.default
    return f"(default: {word})"  # square brackets would be taken for a style


def _choices(field: FieldInfo) -> str:
    """What may be given, where the column of the kinds of values is too narrow to say it."""
    if get_origin(field.annotation) is Literal and _metavar(field) == "NAME":
        return f"One of {', '.join(get_args(field.annotation))}. "
    return ""


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
        return "N"
    return "TEXT" if str in options else "X"
