"""A training program as a command, and which of its flags set what."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from descend.errors import ConfigError
from descend.program_trials.run_program import find_script

KEYS = ("learning_rate", "batch_size", "num_layers", "dropout_rate", "seed", "max_steps")
"""What `--map` can name: settings that trials change, and what makes a trial short and paired."""

NOT_CHANGED = {"seed", "max_steps"}
"""Keys that make a trial and are no treatment."""

WHOLE = ("batch_size", "num_layers", "seed", "max_steps")
"""Keys whose values are whole numbers."""


@dataclass(frozen=True)
class ProgramFlags:
    """A command, and for each mapped key its flags and its value in the program as it is."""

    words: tuple[str, ...]
    flags: Mapping[str, tuple[str, ...]]
    values: Mapping[str, float] = field(default_factory=dict)

    def command(self, changes: Mapping[str, float]) -> list[str]:
        """Return the words of the program with the flags of `changes` set.

        A flag of one dash and one letter takes its value as the next word, all others after `=`,
        which argparse, click, jsonargparse, Hydra, and nanoGPT's configurator all read.
        """
        words = list(self.words)
        for key, value in changes.items():
            text = str(int(value)) if key in WHOLE else f"{value:.6g}"
            for flag in self.flags[key]:
                words = _without_flag(words, flag)
                words += [flag, text] if _is_short(flag) else [f"{flag}={text}"]
        return words


def parse_program(command: str, mappings: Sequence[str]) -> ProgramFlags:
    """Read `--program` and all `--map KEY=FLAG[,FLAG…][=VALUE]`.

    VALUE is what the program uses when the flag is not in the command. `ConfigError` for a key
    that no trial changes, a flag without a value, and a missing `max_steps`.
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
        stated = _value_in(words, names[0]) or value
        if stated is not None:
            values[key] = _number(mapping, stated)
        elif key != "seed":
            raise ConfigError(
                "--map", f"{mapping} without the value that the program uses",
                "the flag in the command, or KEY=FLAG=VALUE", f"write {mapping}=VALUE",
            )  # fmt: skip
    if "max_steps" not in flags:
        raise ConfigError(
            "--map", "no max_steps", "the flag that limits the steps", "add --map max_steps=FLAG"
        )
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


def _value_in(words: Sequence[str], flag: str) -> str | None:
    """The value of `flag` in a command; the last one counts."""
    value = None
    for index, word in enumerate(words):
        if word.startswith(f"{flag}="):
            value = word.removeprefix(f"{flag}=")
        elif word == flag and index + 1 < len(words):
            value = words[index + 1]
    return value


def _without_flag(words: Sequence[str], flag: str) -> list[str]:
    remaining: list[str] = []
    skip = False
    for word in words:
        if skip:
            skip = False
        elif word == flag:
            skip = True
        elif not word.startswith(f"{flag}="):
            remaining.append(word)
    return remaining


def _number(mapping: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ConfigError("--map", f"{mapping} with the value {text!r}", "a number",
                          "give a number") from None  # fmt: skip


def _is_short(flag: str) -> bool:
    return re.fullmatch(r"-\w", flag) is not None
