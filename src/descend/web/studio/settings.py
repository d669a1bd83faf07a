"""The settings of a run for a form: kind, default, range, and one line of meaning."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from descend.config import RunConfig, make_config
from descend.errors import ConfigError
from descend.handbook.page import load_markdown_pages
from descend.handbook.setting_facts import describe_bounds

HIDDEN = ("corpus_dir", "save_dir", "log_level", "minutes", "vocab_path", "teachers", "split",
          "text_column", "encoding", "lora_rank")  # fmt: skip
"""Keys that the page sets itself, or that name files."""

FIRST = ("num_layers", "embed_dim", "num_heads", "seq_len", "batch_size", "learning_rate", "epoch",
         "tokenizer", "vocab_size", "dropout_rate", "seed")  # fmt: skip
"""Those that are shown before one asks for all."""


def check_settings(settings: Mapping[str, Any]) -> RunConfig:
    """Return the settings of a form as a configuration; `ConfigError` for one that is wrong or
    hidden."""
    for key in settings:
        if key in HIDDEN:
            raise ConfigError(key, "a setting that the studio sets itself", "one of the form",
                              "leave it out")  # fmt: skip
    return make_config(settings)


@cache
def setting_fields() -> list[dict[str, Any]]:
    """Return each setting that a form offers, the best known first."""
    keys = [*FIRST, *(k for k in RunConfig.model_fields if k not in (*FIRST, *HIDDEN))]
    return [_fields(key) for key in keys]


def _fields(key: str) -> dict[str, Any]:
    field = RunConfig.model_fields[key]
    schema = RunConfig.model_json_schema()["properties"][key]
    options = [schema, *schema.get("anyOf", [])]
    numbers = {o["type"] for o in options if o.get("type") in ("integer", "number", "boolean")}
    choices = next((o["enum"] for o in options if "enum" in o), None)
    kind = "choice" if choices else next(iter(sorted(numbers)), "text")
    page = load_markdown_pages().get(key)
    extra = field.json_schema_extra
    return {
        "key": key,
        "title": page.title if page else key.replace("_", " "),
        "group": extra["group"] if isinstance(extra, dict) else "",
        "sentence": field.description or "",
        "default": field.default,
        "kind": kind,
        "choices": choices,
        "range": describe_bounds(key),
        "has_page": page is not None,
        "first": key in FIRST,
    }
