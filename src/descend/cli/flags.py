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

from descend.config import PRESETS, RunConfig
from descend.settings import Settings, gather_settings

AsJson = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on standard output, nothing else.")
]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="A TOML, YAML or JSON file of keys.")
]
Preset = Annotated[
    str | None, typer.Option("--preset", metavar="NAME", help=" or ".join(PRESETS) + ".")
]


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
    def flat(**given: Any) -> None:
        values = {name: given.pop(name) for name in names}
        verb(values={k: v for k, v in values.items() if v is not None}, **given)

    signature = inspect.Signature([*own, *flags])
    del flat.__wrapped__  # typer would read its signature instead
    flat.__signature__ = signature  # type: ignore[attr-defined]
    flat.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()}
    return flat


def settings_from(values: dict[str, Any], config: Path | None, preset: str | None) -> Settings:
    """Flags over environment over file over preset."""
    return gather_settings(values, file=config, preset=preset)


def _annotation(name: str, field: FieldInfo) -> Any:
    dashed = name.replace("_", "-")
    group = (field.json_schema_extra or {}).get("group")  # type: ignore[union-attr]
    help_text = f"{field.description} {default_words(field)}"
    panel = f"{group} (default preset: fast)"
    if field.annotation is bool:
        both = [f"--{dashed}/--no-{dashed}"]
        both += [f"--{name}/--no_{name}"] if dashed != name else []
        return Annotated[bool | None, typer.Option(*both, help=help_text, rich_help_panel=panel)]
    second = [f"--{name}"] if dashed != name else []
    if name == "epoch":
        second.append("--epochs")
    return Annotated[
        str | None,
        typer.Option(
            f"--{dashed}", *second, help=help_text, metavar=_metavar(field), rich_help_panel=panel
        ),
    ]


def default_words(field: FieldInfo) -> str:
    """The default of a key as the help shows it."""
    return "" if field.default is None else f"[default: {field.default}]"


def _metavar(field: FieldInfo) -> str:
    annotation = field.annotation
    options = (
        get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    )
    for option in options:
        if get_origin(option) is Literal:
            return "|".join(get_args(option))
    if int in options:
        return "N"
    return "TEXT" if str in options else "X"
