"""A training program as a command, and which of its flags set what."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from descend.errors import ConfigError
from descend.program_trials.run_program import find_script

LIMITS = ("max_steps", "max_tokens", "num_epochs")
"""Keys of which one must be mapped: what ends a trial."""

KEYS = ("learning_rate", "batch_size", "num_layers", "dropout_rate", "seed", *LIMITS)
"""What `--map` can name: settings that trials change, and what makes a trial short and paired."""

NOT_CHANGED = {"seed", *LIMITS}
"""Keys that make a trial and are no treatment."""

WHOLE = {"batch_size", "num_layers", "seed", "max_steps", "max_tokens"}
"""Keys whose values are whole numbers."""


@dataclass(frozen=True)
class ProgramFlags:
    """A command, and for each mapped key its flags and its value in the program as it is."""

    words: tuple[str, ...]
    flags: Mapping[str, tuple[str, ...]]
    values: Mapping[str, float] = field(default_factory=dict)

    @property
    def limits(self) -> dict[str, float]:
        """What ends the program: its values of `LIMITS`."""
        return {key: self.values[key] for key in LIMITS if key in self.values}

    def command(self, changes: Mapping[str, float]) -> list[str]:
        """Return the words of the program with the flags of `changes` set.

        A value is replaced where it stands. A flag that the command lacks is added: one of one
        letter takes its value as the next word, all others after `=`, which argparse, click,
        jsonargparse, Hydra, and nanoGPT's configurator all read. Several flags of a key keep
        their ratio to the first.
        """
        words = list(self.words)
        for key, value in changes.items():
            for flag in self.flags[key]:
                own = find_value(self.words, flag)
                text = _format_value(key, value * self._ratio(key, own))
                words = _with_value(words, flag, text)
        return words

    def command_line(self, changes: Mapping[str, float]) -> str:
        """Return the same as a line for a shell."""
        return shlex.join(self.command(changes))

    def _ratio(self, key: str, own: str | None) -> float:
        """Return the value of a flag over that of the first flag of its key; 1 where it has
        none."""
        first = self.values.get(key)
        number = _to_number(own)
        return number / first if first and number is not None else 1.0


def parse_program(command: str, mappings: Sequence[str]) -> ProgramFlags:
    """Read `--program` and all `--map KEY=FLAG[,FLAG…][=VALUE]`.

    VALUE is what the program uses when the flag is not in the command. `ConfigError` for a key
    that no trial changes, a flag without a value, and a missing limit (`LIMITS`).
    """
    try:
        words = tuple(shlex.split(command))
    except ValueError as problem:
        raise ConfigError(
            "--program", f"{command!r} ({problem})", "a command", "close the quotation mark"
        ) from None
    if not words:
        raise ConfigError("--program", "nothing", "a command", "give one, as in 'python train.py'")
    flags: dict[str, tuple[str, ...]] = {}
    values: dict[str, float] = {}
    for mapping in mappings:
        key, names, value = _parse_mapping(mapping)
        flags[key] = names
        stated = find_value(words, names[0]) or value
        if stated is not None:
            values[key] = _number(mapping, stated)
        elif key != "seed":
            raise ConfigError(
                "--map", f"{mapping} without the value that the program uses",
                "the flag in the command, or KEY=FLAG=VALUE", f"write {mapping}=VALUE",
            )  # fmt: skip
    if not flags.keys() & set(LIMITS):
        raise ConfigError(
            "--map", f"none of {', '.join(LIMITS)}", "the flag that ends a trial",
            "add --map max_steps=FLAG",
        )  # fmt: skip
    if not set(flags) - NOT_CHANGED:
        raise ConfigError(
            "--map", "no setting to change", "at least one of them",
            "add --map learning_rate=FLAG",
        )  # fmt: skip
    if "seed" not in flags and find_script(words) is None:
        raise ConfigError(
            "--map", "no seed for a command without a Python file", "the flag of the seed",
            "add --map seed=FLAG, or give the script as a file",
        )  # fmt: skip
    return ProgramFlags(words, flags, values)


def _parse_mapping(mapping: str) -> tuple[str, tuple[str, ...], str | None]:
    key, _, rest = mapping.partition("=")
    names, _, value = rest.partition("=")
    flags = tuple(name for name in names.split(",") if name)
    if key not in KEYS or not flags:
        raise ConfigError(
            "--map", mapping, f"KEY=FLAG with a KEY of {', '.join(KEYS)}", "choose one of them"
        )
    return key, flags, value or None


def find_value(words: Sequence[str], flag: str) -> str | None:
    """Return the value of `flag` in a command, None where it has none; the last one counts.

    Found are `--flag VALUE`, `--flag=VALUE`, and `name=VALUE` or `"name": VALUE` within a word, as
    in `--config_overrides n_layer=2,n_head=2` and `--optimizer={"lr":0.01}`.
    """
    value = None
    for index, word in enumerate(words):
        if word == flag and index + 1 < len(words):
            value = words[index + 1]
        elif match := _setting(flag).search(word):
            value = match[2]
    return value


def _with_value(words: Sequence[str], flag: str, text: str) -> list[str]:
    """Return `words` with the value of `flag` replaced, or added where there is none."""
    changed = list(words)
    for index, word in enumerate(words):
        if word == flag and index + 1 < len(words):
            changed[index + 1] = text
        else:
            changed[index] = _setting(flag).sub(lambda match: match[1] + text, changed[index])
    if find_value(words, flag) is None:
        changed += [flag, text] if re.fullmatch(r"-\w", flag) else [f"{flag}={text}"]
    return changed


def _setting(flag: str) -> re.Pattern[str]:
    """Return `flag=VALUE`: a word, or one of several settings in a word, JSON too."""
    return re.compile(
        rf"((?:^|[\s,;{{]){re.escape(flag)}=|[\s,{{]\"?{re.escape(flag)}\"?\s*:\s*)([^\s,;}}]+)"
    )


def _format_value(key: str, value: float) -> str:
    """Return a value as every program reads it: whole, or with a point and no exponent.

    nanoGPT takes `0` for a whole number and refuses it as a rate. YAML takes `1e-05` for a text.
    """
    if key in WHOLE or (key == "num_epochs" and value == int(value)):
        return str(max(round(value), 1) if value > 0 else round(value))
    return np.format_float_positional(value, precision=6, fractional=False, trim="0")


def _number(mapping: str, text: str) -> float:
    number = _to_number(text)
    if number is None:
        raise ConfigError("--map", f"{mapping} with the value {text!r}", "a number",
                          "give a number")  # fmt: skip
    return number


def _to_number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None
