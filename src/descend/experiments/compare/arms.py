"""The arms of a comparison: named configurations, and a grid of varied keys over each."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from descend.config import RunConfig
from descend.config_errors import closest_match
from descend.config_sources import normalize_key, with_changes
from descend.errors import ConfigError
from descend.experiments.attribute.config_diff import CORPUS_KEYS
from descend.experiments.named_config import (
    KEYS_WITHOUT_EFFECT_ON_LOSS,
    NamedConfig,
    fit_named_config,
)


@dataclass(frozen=True)
class ComparisonArm:
    """A configuration, what it is called, and the keys that were varied to make it."""

    name: str
    config: RunConfig
    varied: tuple[str, ...]


def parse_vary_flags(texts: Sequence[str]) -> dict[str, list[Any]]:
    """Return `embed_dim=128,256` to the key and its values; `ConfigError` for what is not of that
    form."""
    values_by_key: dict[str, list[Any]] = {}
    for text in texts:
        key, equals, values = text.partition("=")
        parts = [v.strip() for v in values.split(",") if v.strip()]
        if not equals or not parts:
            raise ConfigError(
                "vary", text, "a key and its values, such as embed_dim=128,256",
                "write it like that",
            )  # fmt: skip
        values_by_key.setdefault(key.strip(), []).extend(parts)
    return validate_vary(values_by_key)


def validate_vary(vary: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
    """Return the same with plain names and each value once; `ConfigError` for a key not to be
    varied."""
    values_by_key: dict[str, list[Any]] = {}
    for name, values in vary.items():
        key = resolve_key(name, "vary")
        for value in values:
            if value not in values_by_key.setdefault(key, []):
                values_by_key[key].append(value)
    return values_by_key


def resolve_key(name: str, where: str) -> str:
    """Return `name` as the key that it means; `ConfigError` at `where` for one not to be varied."""
    key = normalize_key(name)
    if key not in RunConfig.model_fields:
        guess = closest_match(key, list(RunConfig.model_fields))
        raise ConfigError(
            where, f"the unknown key {key}", "one of the keys that `descend config show` lists",
            f"did you mean {guess}" if guess else "correct its name",
        )  # fmt: skip
    if key in (*CORPUS_KEYS, *KEYS_WITHOUT_EFFECT_ON_LOSS):
        raise ConfigError(
            where, key, "a key that leaves the text and the seeds as they are",
            "use --num-seeds for other seeds" if key == "seed" else "vary another key",
        )  # fmt: skip
    return key


def make_arms(
    named: Sequence[NamedConfig], vary: Mapping[str, Sequence[Any]]
) -> list[ComparisonArm]:
    """Return each of `named`, fitted to its text, with each combination of the values in `vary`.

    `ConfigError` if that makes fewer than two, if keys do not fit each other, or if two named ones
    have the same settings or different texts.
    """
    made: dict[str, ComparisonArm] = {}
    for base in map(fit_named_config, named):
        for values in itertools.product(*vary.values()):
            changes = dict(zip(vary, values, strict=True))
            config = with_changes(base.config, changes)
            _check_same_text(named[0], base)
            assignments = [f"{key}={value}" for key, value in changes.items()]
            name = " ".join(
                [base.name, *assignments] if len(named) > 1 or not assignments else assignments
            )
            arm = ComparisonArm(name, config, tuple(vary))
            first = made.setdefault(config.model_dump_json(), arm)
            if first is not arm and not vary:
                raise ConfigError(
                    "arm", f"the same settings in {first.name} and {name}",
                    "arms with different settings, since each is trained from the start",
                    "leave one out, or compare finished runs with `descend compare RUN RUN`",
                )  # fmt: skip
    if len(made) < 2:
        raise ConfigError(
            "compare", "one configuration", "at least two configurations",
            "add --vary embed_dim=128,256, or --arm with a preset, a file or a run folder",
        )  # fmt: skip
    return list(made.values())


def _check_same_text(first: NamedConfig, other: NamedConfig) -> None:
    for key in CORPUS_KEYS:
        mine, its = getattr(first.config, key), getattr(other.config, key)
        if mine != its:
            raise ConfigError(
                key, f"{mine} in {first.name} and {its} in {other.name}", "one text for all",
                "name one CORPUS, and read it alike",
            )  # fmt: skip
