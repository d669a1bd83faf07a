"""Default, bounds and presets of a setting in words, from where they are kept."""

from __future__ import annotations

from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from descend.config import RunConfig
from descend.presets import PRESETS
from descend.units import format_plain

GENERATION: dict[str, tuple[float, float, float | None]] = {
    "temperature": (0.9, 0.001, 100),
    "top_k": (40, 0, None),
    "top_p": (0.92, 0.000001, 1),
    "min_p": (0, 0, 1),
    "repetition_penalty": (1.3, 0.01, 100),
    "no_repeat_ngram_size": (3, 0, None),
}
"""Default, least and most of the settings of generation: a copy of `model.sampling`, which needs
torch to be imported; a test compares the two."""


def describe_setting(name: str) -> str:
    """Return sentences on the setting `name`: default, allowed values, what the presets take."""
    if name in GENERATION:
        default, minimum, maximum = GENERATION[name]
        span = f"from {_number(minimum)}" + ("" if maximum is None else f" to {_number(maximum)}")
        return f"Default: {_number(default)}. Allowed: {span}."
    field = RunConfig.model_fields[name]
    sentences = [f"Default: {_default(name)}."]
    if allowed := describe_bounds(name):
        sentences.append(f"Allowed: {allowed}.")
    presets = [
        f"{format_value(values[name])} in {preset}"
        for preset, values in PRESETS.items()
        if name in values
    ]
    if presets and field.default is not None:
        sentences.append(f"Presets: {', '.join(presets)}.")
    return " ".join(sentences)


def describe_bounds(name: str) -> str:
    """Return what values the key may have, in words; empty where any text will do."""
    field = RunConfig.model_fields[name]
    choices = _choices(field.annotation)
    if choices:
        return f"{', '.join(choices[:-1])} or {choices[-1]}"
    bounds: dict[str, Any] = {}
    for constraint in _constraints(field):
        bounds |= {k: getattr(constraint, k) for k in _BOUND_TEXTS if hasattr(constraint, k)}
    return " ".join(f"{_BOUND_TEXTS[k]} {_number(bounds[k])}" for k in _BOUND_TEXTS if k in bounds)


def format_value(value: object) -> str:
    """Return a value as a page shows it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, int | float):
        return _number(value)
    if isinstance(value, dict):
        return ", ".join(
            f"{format_value(rate)} from epoch {epoch}" for epoch, rate in value.items()
        )
    return str(value)


def format_setting(value: object) -> str:
    """Return the same for a setting, which may not be set (None)."""
    return "not set" if value is None else format_value(value)


_BOUND_TEXTS = {"gt": "more than", "ge": "from", "lt": "less than", "le": "up to"}


def _default(name: str) -> str:
    field = RunConfig.model_fields[name]
    if field.default is not None:
        return format_value(field.default)
    meaning = (field.description or "").partition("Default: ")[2].rstrip(".")
    if "<" in meaning:  # Markdown would take it for a tag
        meaning = f"`{meaning}`"
    return meaning or "none"


def _constraints(field: Any) -> list[Any]:
    """Return the bounds of a field; of its first kind where it may be of several."""
    if field.metadata and any(hasattr(c, k) for c in field.metadata for k in _BOUND_TEXTS):
        return list(field.metadata)
    for option in get_args(field.annotation):
        metadata = getattr(option, "__metadata__", ())
        if metadata:
            return [c for info in metadata for c in getattr(info, "metadata", [info])]
    return []


def _choices(annotation: object) -> tuple[str, ...]:
    options = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else ()
    for option in options or (annotation,):
        if option is bool:
            return ("on", "off")
        if get_origin(option) is Literal:
            return get_args(option)
    return ()


def _number(value: float) -> str:
    """Return `4,096`, `0.001`, `1000000`: no power of ten where a person would write none."""
    if isinstance(value, int) or float(value).is_integer():
        return f"{int(value):,}" if abs(value) < 10**12 else f"{float(value):.2g}"
    return format_plain(float(f"{value:.6g}"))
