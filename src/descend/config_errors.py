"""A wrong configuration in one sentence: the one place where pydantic's words become ours."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from pydantic import ValidationError

from descend.errors import ConfigError
from descend.guard import make_visible


class _ConfigErrorCarrier(ValueError):
    """Carries a finished `ConfigError` through pydantic's validation."""

    def __init__(self, error: ConfigError) -> None:
        self.error = error
        super().__init__(str(error))


def config_conflict(where: str, actual: str, expected: str, what_to_do: str) -> _ConfigErrorCarrier:
    """Make the exception that a validator raises for keys that do not fit each other."""
    return _ConfigErrorCarrier(ConfigError(where, actual, expected, what_to_do))


SYNONYMS = {
    **dict.fromkeys(("context_length", "block_size", "sequence_length", "max_length"), "seq_len"),
    **dict.fromkeys(("n_ctx", "n_positions", "max_position_embeddings"), "max_seq_len"),
    **dict.fromkeys(("n_layer", "n_layers", "num_hidden_layers"), "num_layers"),
    **dict.fromkeys(("n_head", "n_heads", "num_attention_heads"), "num_heads"),
    **dict.fromkeys(("n_embd", "hidden_size", "d_model"), "embed_dim"),
    **dict.fromkeys(("intermediate_size", "d_ff"), "ff_dim"),
    **dict.fromkeys(("epochs", "num_epochs", "num_train_epochs"), "epoch"),
    **dict.fromkeys(("per_device_train_batch_size", "bs"), "batch_size"),
    "dropout": "dropout_rate", "lr": "learning_rate", "max_iters": "max_steps",
}  # fmt: skip
"""Names of settings in nanoGPT, transformers and PyTorch, with the key that we call so."""


def closest_match(word: str, known: list[str]) -> str | None:
    """Return the known word that `word` most likely means, or None if none is near."""
    plain = word.lower().replace("-", "_")
    if SYNONYMS.get(plain) in known:
        return SYNONYMS[plain]
    matches = difflib.get_close_matches(plain, known, n=1, cutoff=0.5)
    return matches[0] if matches else None


# What pydantic calls the wrong type of a value, and what we expect then.
_KINDS = {
    **dict.fromkeys(("float_parsing", "float_type"), "a number"),
    **dict.fromkeys(("int_parsing", "int_type", "int_from_float"), "a whole number"),
    **dict.fromkeys(("bool_parsing", "bool_type"), "true or false"),
    "string_type": "text",
    "string_pattern_mismatch": "auto, cpu, mps, cuda or cuda:0",  # the device is the one pattern
    "greater_than_equal": "{ge:g} or more",
    "greater_than": "more than {gt:g}",
    "less_than_equal": "{le:g} or less",
    "less_than": "less than {lt:g}",
}


def translate_validation_error(
    problem: ValidationError, descriptions: Mapping[str, str]
) -> ConfigError:
    """Put the first error of pydantic into our words.

    `descriptions`: each key of the configuration with its sentence. A key has a page of its name.
    """
    error_details = problem.errors()
    # Where a key may be of several types, the error that lies deepest is of the one meant.
    same_key = [e for e in error_details if e["loc"][:1] == error_details[0]["loc"][:1]]
    first = max(same_key, key=lambda e: len(e["loc"]))
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, _ConfigErrorCarrier):
        return cause.error
    key = str(first["loc"][0]) if first["loc"] else "configuration"
    if first["type"] == "extra_forbidden":
        guess = closest_match(key, list(descriptions))
        return ConfigError(
            key,
            "an unknown key",
            "one of the keys that `descend config show` lists",
            f"did you mean {guess}" if guess else "remove it or correct its name",
        )
    words = _KINDS.get(first["type"])
    expected = (
        words.format(**first.get("ctx", {})) if words
        else first["msg"].removeprefix("Input should be ")
    )  # fmt: skip
    page = f"explain {key}" if key in descriptions else "config show"
    return ConfigError(
        key, repr(first["input"]), expected, f"choose another value; see `descend {page}`"
    )


def check_texts(values: Mapping[object, object]) -> None:
    """Refuse a value with NUL, and one of bytes that are no text: no record could hold its path."""
    for key, value in values.items():
        if isinstance(value, str) and ("\0" in value or not _is_unicode(value)):
            raise config_conflict(
                make_visible(str(key)), make_visible(value), "text in UTF-8 without NUL",
                "rename the file or folder",
            )  # fmt: skip


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= sign <= "\udfff" for sign in text)
