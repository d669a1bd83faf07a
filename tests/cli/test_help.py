"""Every `--help`: headed panels, types, ranges, defaults, width 80, two examples, no color."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from descend.cli.examples import EXAMPLES
from descend.cli.help_format import (
    MAX_COMMON,
    PANELS,
    VERB_PANELS,
    clean_usage,
    describe_option,
    format_range,
    help_panels,
)
from descend.cli.main import app
from descend.cli.output import wrap_lines

Descend = Callable[..., Any]

ROOT = Path(__file__).parents[2]

FOREIGN_FLAGS = {
    "--label",  # srun
    "--head",
    "--kind",
    "--generate",
    "--sealed",
    "--times",
    "--nproc-per-node",
    "--max-restarts",
    "--torch-backend",  # uv
    "--local-dir",  # hf
    "--iters",  # a training program of somebody
    "--warmup",
    "--flag",
}
"""Of Ray, other programs, and the benchmarks' own scripts."""


def commands() -> Iterator[tuple[str, Any, Any]]:
    """The words of every verb, the verb, and a context of it."""

    def walk(command: Any, words: str, parent: Any) -> Iterator[tuple[str, Any, Any]]:
        context = command.make_context(
            words.split()[-1] if words else "descend", [], parent=parent, resilient_parsing=True
        )
        yield words, command, context
        for name, child in getattr(command, "commands", {}).items():
            yield from walk(child, f"{words} {name}".strip(), context)

    return walk(get_command(app), "", None)


VERBS = {words: (command, context) for words, command, context in commands()}


def options(words: str) -> list[Any]:
    """The options of a verb."""
    command, context = VERBS[words]
    return [p for p in command.get_params(context) if p.param_type_name == "option"]


@pytest.mark.parametrize("words", VERBS)
def test_help_limits_common_flags_to_twelve(words: str) -> None:
    rows = dict(help_panels(*VERBS[words]))
    assert set(rows) <= {"Arguments", *PANELS, *VERB_PANELS, "Commands"}
    assert len(rows["Common"]) <= MAX_COMMON
    if words in ("train", "continue", "compare", "search"):
        assert {"Model", "Data", "Optimization", "Hardware", "Output"} <= set(rows)


def test_main_help_groups_the_verbs() -> None:
    rows = dict(help_panels(*VERBS[""]))
    grouped = {title: [name for name, _ in rows[title]] for title in VERB_PANELS}
    assert list(rows)[:5] == ["Train", "Use", "Diagnose", "Experiment", "Learn"]
    assert sum(map(len, grouped.values())) == len(VERBS[""][0].commands)
    assert "diagnose" in grouped["Diagnose"]


@pytest.mark.parametrize("words", VERBS)
def test_every_flag_has_type_text_and_default(words: str) -> None:
    for option in options(words):
        text = describe_option(option)
        assert text.endswith("."), option.opts
        assert text.count("Default:") <= 1, text
        assert text.count("Range:") <= 1, text
        if option.metavar in ("INT", "FLOAT") and "--seed" not in option.opts:
            assert "Range: " in text, option.opts
        if option.default not in (None, False):
            default = option.default
            formatted = f"{default:.10g}" if isinstance(default, float) else default
            assert f"Default: {formatted}." in text, option.opts


@pytest.mark.parametrize("words", VERBS)
def test_help_fits_into_80_columns_and_ends_with_two_examples(
    descend: Descend, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    done = descend(*words.split(), "--help")
    assert done.code == 0
    assert "\x1b" not in done.out
    assert max(map(len, done.out.splitlines())) <= 80
    last = [line.strip() for line in done.out.strip().splitlines()[-2:]]
    assert tuple(last) == EXAMPLES[words]
    for phrase in ("left open", "held-out", "held out", "So many of it"):
        assert phrase not in done.out.lower()


def test_help_in_a_pipe_has_no_color(shell: Descend) -> None:
    done = shell("train", "--help")
    assert done.code == 0
    assert "\x1b" not in done.out
    assert max(map(len, done.out.splitlines())) <= 80


@pytest.mark.parametrize(
    "example", sorted({example for pair in EXAMPLES.values() for example in pair})
)
def test_examples_parse(example: str, trained: Path, own_folder: Path, text_file: Path) -> None:
    for name in ("first", "second"):
        shutil.copytree(trained, own_folder / "models" / name)
    program, *words = shlex.split(example)
    assert program == "descend"
    command, context = get_command(app), None
    while words and words[0] in getattr(command, "commands", {}):
        context = command.make_context("descend", [], parent=context, resilient_parsing=True)
        command, words = command.commands[words[0]], words[1:]
    assert not hasattr(command, "commands"), "an example is a whole command"
    command.make_context("verb", list(words), parent=context)


@pytest.mark.parametrize("words", [
    "list", "explain learning_rate", "explain overfitting --run latest",
    "config show --preset guide", "config presets", "forecast latest", "checklist latest",
])  # fmt: skip
def test_cheap_examples_run(descend: Descend, trained: Path, own_folder: Path, words: str) -> None:
    shutil.copytree(trained, own_folder / "models" / "first")
    assert any(f"descend {words}" in pair for pair in EXAMPLES.values())
    done = descend(*shlex.split(words))
    assert done.code == 0, done.err
    assert done.out


def test_texts_name_only_flags_that_exist() -> None:
    known = {
        flag for words in VERBS for o in options(words) for flag in (*o.opts, *o.secondary_opts)
    }
    files = [
        *(ROOT / "src").rglob("*.py"), *(ROOT / "src").rglob("*.md"), ROOT / "README.md",
        *(f for f in (ROOT / "docs").glob("*.md") if f.name not in ("glossary.md", "decisions.md")),
    ]  # fmt: skip
    unknown = {
        f"{file.relative_to(ROOT)}: {flag}"
        for file in files
        for line in file.read_text(encoding="utf-8").splitlines()
        if not re.search(r"python |pip |\w\.py --", line)  # flags of other programs
        for flag in re.findall(r"(?<![\w-])--[a-z][a-z-]+[a-z]\b(?!=\{)", line)
        if flag not in known
    }
    assert {u for u in unknown if u.split()[-1] not in FOREIGN_FLAGS} == set()


def test_range_of_numbers() -> None:
    assert format_range(1, 100) == "Range: 1 to 100."
    assert format_range(0.0, 10.0, above=True) == "Range: above 0 to 10."
    assert format_range(0, 1, below=True) == "Range: 0 to below 1."
    assert format_range(1, None) == "Range: 1 or more."
    assert format_range(0, 10**12) == "Range: 0 or more."
    assert format_range(None, None) == ""


def test_sentences_wrap_between_words_and_commands_stay_whole() -> None:
    sentence = "  Trial: " + "the validation loss is 1,234,567 nats lower " * 4
    wrapped = wrap_lines(sentence.rstrip(), 80).splitlines()
    assert max(map(len, wrapped)) <= 80
    assert " ".join(" ".join(wrapped).split()) == " ".join(sentence.split())
    command = "next: descend generate models/transformer_1735862400 " + "word " * 20
    table = "arm    loss  " + "3.141  " * 20
    assert wrap_lines(f"{command}\n{table}", 80) == f"{command}\n{table}"


def test_usage_has_single_brackets() -> None:
    usage = "Usage: descend x [OPTIONS] {RUN} {SRC…}... [[CORPUS]] [[-- ARGUMENTS]]..."
    assert clean_usage(usage) == "Usage: descend x [OPTIONS] RUN SRC… [CORPUS] [-- ARGUMENTS]"


@pytest.mark.parametrize("words", [(), ("config",), ("corpus",), ("tokenizer",)])
def test_verb_without_a_command_shows_its_help(descend: Descend, words: tuple[str, ...]) -> None:
    alone, helped = descend(*words), descend(*words, "--help")
    assert (alone.code, alone.out, alone.err) == (0, helped.out, "")
    assert "Examples:" in alone.out
