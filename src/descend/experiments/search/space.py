"""What a search may vary: ranges and choices of keys, and what follows from a choice."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Mapping, Sequence
from typing import Any, get_args

import msgspec

from descend.config import RunConfig, make_config
from descend.config_sources import with_changes
from descend.errors import ConfigError
from descend.experiments.compare.arms import resolve_key

LOG_SCALE_RATIO = 10.0
"""A range from above 0 that spans this factor or more is drawn by its logarithm."""

WIDTH_STEP = 32
"""Steps of a range of `embed_dim`: a head of the usual size more."""

DIGITS = 3
"""Of a number that was drawn: more of them decide nothing, and are no pleasure to type."""

MAX_FIT_ATTEMPTS = 64
"""Draws of the other keys by which a value is tried before it is called impossible."""

DEFAULT_OVER = (
    "learning_rate=0.0003..0.01",
    "embed_dim=64,128,256,512",
    "num_layers=2..6",
    "batch_size=4,8,16,32",
)
"""Searched where nothing is said. The guide's rates 0.0003 and 0.01 are the ends of the first; the
others go from what learns most in seconds to what does so in hours."""

_RANGE = re.compile(r"^\s*(.+?)\s*\.\.\s*(.+?)\s*$")


class RangeParam(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """All numbers of a key from `low` to `high`, both among them."""

    key: str
    low: float
    high: float
    whole: bool
    """Whole numbers, `step` apart."""
    step: int = 1
    log: bool = False

    @property
    def description(self) -> str:
        """`learning_rate 0.0003 to 0.01 (logarithmic)`."""
        how = " (logarithmic)" if self.log else f" in steps of {self.step}" if self.step > 1 else ""
        return f"{self.key} {self.low:g} to {self.high:g}{how}"

    def holds(self, value: object) -> bool:
        """Return whether `value` is one of them."""
        if not isinstance(value, int | float) or not self.low <= value <= self.high:
            return False
        return not self.whole or (value - self.low) % self.step == 0

    @property
    def size(self) -> float:
        """How many they are."""
        return (self.high - self.low) // self.step + 1 if self.whole else math.inf

    def readable(self, value: float | int) -> float | int:
        """Return `value` to `DIGITS` digits, still among them."""
        if self.whole:
            return value
        return min(max(float(f"{value:.{DIGITS}g}"), self.low), self.high)

    def draw(self, pick: random.Random) -> float | int:
        """Return any of them."""
        if not self.whole:
            return pick.uniform(self.low, self.high)
        return pick.randrange(int(self.low), int(self.high) + 1, self.step)


class ChoiceParam(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """Some values of a key."""

    key: str
    values: list[Any]

    @property
    def description(self) -> str:
        """`embed_dim 128, 256`."""
        return f"{self.key} {', '.join(str(v) for v in self.values)}"

    def holds(self, value: object) -> bool:
        """Return whether `value` is one of them."""
        return value in self.values

    @property
    def size(self) -> float:
        """How many they are."""
        return len(self.values)

    def readable(self, value: Any) -> Any:
        """Return `value` as it is."""
        return value

    def draw(self, pick: random.Random) -> Any:
        """Return any of them."""
        return pick.choice(self.values)


Param = RangeParam | ChoiceParam


def count_configs(space: Sequence[Param]) -> float:
    """Return how many configurations there are to choose from; infinite where a number may be
    any."""
    return math.prod(span.size for span in space)


def parse_over_flags(texts: Sequence[str]) -> dict[str, Any]:
    """Return `learning_rate=0.001..0.01` or `embed_dim=128,256` to the key and its ends or values.

    `ConfigError` for what is of neither form.
    """
    ranges: dict[str, Any] = {}
    for text in texts:
        key, equals, values = text.partition("=")
        ends = _RANGE.match(values)
        parts = [v.strip() for v in values.split(",") if v.strip()]
        if not equals or not parts:
            raise ConfigError(
                "space", text, "a range such as learning_rate=0.001..0.01 or values such as "
                "embed_dim=128,256", "write it like that",
            )  # fmt: skip
        if key.strip() in ranges:
            raise ConfigError("space", f"{key.strip()} twice", "each key once", "leave one out")
        ranges[key.strip()] = ends.groups() if ends else parts
    return ranges


def make_search_space(over: Mapping[str, Any], base: RunConfig) -> list[Param]:
    """Return what may be drawn around `base`, from ends (a tuple of two) or values (a list) by key.

    `ConfigError` for a key or a value that cannot be, an empty range, or nothing to choose from.
    """
    spans: list[Param] = []
    for name, candidates in over.items():
        key = resolve_key(name, "space")
        spans.append(
            _range(key, *candidates) if _is_range(candidates) else _choice(key, candidates)
        )
    for span in spans:
        _check_possible(span, spans, base)
    typed = [_typed(span, spans, base) for span in spans]
    if all(isinstance(s, ChoiceParam) and len(s.values) == 1 for s in typed):
        raise ConfigError(
            "space", "a single configuration", "something to choose from",
            "give a range such as learning_rate=0.001..0.01",
        )  # fmt: skip
    return typed


NARROWEST = 8
"""Least `ff_dim` that `RunConfig` takes."""


def complete_config(base: RunConfig, values: Mapping[str, Any]) -> RunConfig:
    """Return `base` with `values`, and with what must follow from them if it was not chosen as
    well.

    A width keeps the size of the heads (as nearly as it can be divided) and the proportion of the
    feed-forward layers; a longer context raises `max_seq_len`. `ConfigError` for a misfit.
    """
    changes = dict(values)
    width = int(values.get("embed_dim", base.embed_dim))
    context = int(values.get("seq_len", base.seq_len))
    if width != base.embed_dim:
        if "num_heads" not in values:
            changes["num_heads"] = _heads(width, base.embed_dim // base.num_heads)
        if "ff_dim" not in values:
            changes["ff_dim"] = max(NARROWEST, round(width * base.ff_dim / base.embed_dim))
    if "max_seq_len" not in values:
        changes["max_seq_len"] = max(base.max_seq_len, context)
    return with_changes(base, changes)


def _heads(width: int, size: int) -> int:
    """Return heads that divide `width` into even parts, as near to `size` as can be."""
    possible = [h for h in range(1, width + 1) if width % h == 0 and (width // h) % 2 == 0]
    return min(possible or [1], key=lambda h: abs(width / h - size))


def _is_range(candidates: object) -> bool:
    return isinstance(candidates, tuple) and len(candidates) == 2


def _range(key: str, low: object, high: object) -> RangeParam:
    kinds = _numbers(key)
    if not kinds:
        raise ConfigError(
            "space", f"a range of {key}", "a range of numbers", f"give values: {key}=A,B"
        )
    try:
        ends = float(str(low)), float(str(high))
    except ValueError:
        raise ConfigError(
            "space", f"{key}={low}..{high}", "two numbers", "write it as 0.001..0.01"
        ) from None
    if not ends[0] < ends[1] < float("inf"):
        what = "an empty range" if ends[0] == ends[1] else "a range with its bounds reversed"
        raise ConfigError(
            "space", f"{key}={low}..{high}, {what}", "LOW..HIGH",
            f"write {key}={high}..{low}" if ends[0] > ends[1] else "widen it or leave it out",
        )  # fmt: skip
    whole = float not in kinds
    if whole and not all(end == int(end) for end in ends):
        raise ConfigError("space", f"{key}={low}..{high}", "whole numbers", "round its ends")
    step = 1
    if key == "embed_dim":
        step = WIDTH_STEP
        ends = (-(-ends[0] // step) * step, ends[1] // step * step)
        if ends[0] >= ends[1]:
            raise ConfigError(
                "space", f"{key}={low}..{high}, which holds fewer than two multiples of {step}",
                "a range of widths", f"widen it, or give values: {key}=A,B",
            )  # fmt: skip
    wide = ends[0] > 0 and ends[1] / ends[0] >= LOG_SCALE_RATIO
    log = step == 1 and (wide or (key == "learning_rate" and ends[0] > 0))
    return RangeParam(key=key, low=ends[0], high=ends[1], whole=whole, step=step, log=log)


def _numbers(key: str) -> set[type]:
    """Return which numbers a key takes: int, float, or none."""
    annotation = RunConfig.model_fields[key].annotation
    kinds = {annotation, *get_args(annotation)}
    for kind in list(kinds):
        kinds |= set(get_args(kind))
    if bool in kinds:
        return set()
    number_types = {kind for kind in kinds if kind in (int, float)}
    # A rate for each epoch is a dict of them: its keys are no rates.
    return {float} if key == "learning_rate" else number_types


def _choice(key: str, candidates: object) -> ChoiceParam:
    values = list(candidates) if isinstance(candidates, list | tuple) else [candidates]
    if not values:
        raise ConfigError("space", f"no values of {key}", "at least one", "give some")
    return ChoiceParam(key=key, values=list(dict.fromkeys(values)))


def _check_possible(span: Param, spans: Sequence[Param], base: RunConfig) -> None:
    """Raise `ConfigError` for a value that fits with no draw of the others."""
    ends = [span.low, span.high] if isinstance(span, RangeParam) else span.values
    for value in ends:
        _find_valid_config(span, value, spans, base)


def _typed(span: Param, spans: Sequence[Param], base: RunConfig) -> Param:
    """Return the same with its values as the configuration has them: `"128"` as 128."""
    if isinstance(span, RangeParam):
        return span
    values = [getattr(_find_valid_config(span, v, spans, base), span.key) for v in span.values]
    for value in values:
        if isinstance(value, dict):
            raise ConfigError(
                span.key, "a rate per epoch", "one rate", "give rates, or a range of them"
            )
    return ChoiceParam(key=span.key, values=list(dict.fromkeys(values)))


def _find_valid_config(
    span: Param, value: object, spans: Sequence[Param], base: RunConfig
) -> RunConfig:
    """Return a configuration in which `span` has `value`."""
    pick = random.Random(0)
    problem: ConfigError | None = None
    if isinstance(span, RangeParam) and span.whole:
        value = int(str(value).partition(".")[0])
    for _ in range(MAX_FIT_ATTEMPTS):
        others = {s.key: s.draw(pick) for s in spans if s is not span}
        try:
            return complete_config(base, others | {span.key: value})
        except ConfigError as found:
            problem = found
        except ValueError:  # a width that is no number, before the configuration could say so
            make_config({span.key: value})
    assert problem is not None
    raise problem
