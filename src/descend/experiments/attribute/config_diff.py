"""What differs between two configurations, in groups that can be changed one by one."""

from __future__ import annotations

from typing import Any

import msgspec

from descend.config import RunConfig, make_config
from descend.errors import ConfigError
from descend.experiments.named_config import KEYS_WITHOUT_EFFECT_ON_LOSS

COUPLED_KEYS = (
    ("embed_dim", "num_heads"),
    ("seq_len", "max_seq_len"),
    ("learning_rate", "schedule"),
    ("tokenizer", "vocab_size", "vocab_path"),
    ("batch_size", "gradient_accumulation_steps"),
)
"""Keys of which the first may be impossible without the others: they change together."""

CORPUS_KEYS = (
    "corpus_dir", "sample_size", "validation_fraction", "normalize", "encoding", "text_column",
    "split",
)  # fmt: skip
"""Keys that change the text a run is judged on: losses on both sides could not be compared."""


class ConfigDiff(msgspec.Struct, frozen=True):
    """Keys that change together, from the values of one configuration to those of another."""

    old: dict[str, Any]
    new: dict[str, Any]

    @property
    def name(self) -> str:
        """`embed_dim + num_heads`."""
        return " + ".join(self.new)

    @property
    def description(self) -> str:
        """`embed_dim 128 → 256, num_heads 4 → 8`."""
        return ", ".join(
            f"{key} {_word(self.old[key])} → {_word(self.new[key])}" for key in self.new
        )


def diff_configs(old: RunConfig, new: RunConfig) -> list[ConfigDiff]:
    """Return the groups of keys in which two configurations differ, in the order of `RunConfig`.

    `ConfigError` if they differ in nothing, or in the text itself.
    """
    before, after = old.model_dump(mode="json"), new.model_dump(mode="json")
    different = [
        k for k in before if before[k] != after[k] and k not in KEYS_WITHOUT_EFFECT_ON_LOSS
    ]
    for key in CORPUS_KEYS:
        if key in different:
            raise ConfigError(
                key, f"{_word(before[key])} in one and {_word(after[key])} in the other",
                "the same text on both sides",
                "name one CORPUS for both, and read it alike",
            )  # fmt: skip
    if not different:
        raise ConfigError(
            "the two configurations", "no difference", "at least one key that differs",
            "change a key in one of them",
        )  # fmt: skip
    groups: list[list[str]] = []
    for key in different:
        tie = next((t for t in COUPLED_KEYS if key in t), (key,))
        mine = next((g for g in groups if g[0] in tie), None)
        if mine is None:
            groups.append([key])
        else:
            mine.append(key)
    return [ConfigDiff({k: before[k] for k in g}, {k: after[k] for k in g}) for g in groups]


def apply_diff(old: RunConfig, changes: list[ConfigDiff], seed: int) -> RunConfig:
    """Return `old` with `changes` made to it; `ConfigError` if they do not fit without the
    others."""
    values = old.model_dump(mode="json") | {"seed": seed}
    for change in changes:
        values |= change.new
    return make_config(values)


def _word(value: Any) -> str:
    return "open" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
